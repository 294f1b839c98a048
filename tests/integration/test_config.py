"""Configuration: a bad one says file and line and touches nothing; warnings; the two forms."""
import os
import stat
import tarfile

import etcd
from agent import OLDER_POLICY, POLICY
from case import Case, EXPIRED, SharedMember, content

HEAD = "services:\n  etcd:\n"
NEW = HEAD + "    backup_config:\n"
S3 = NEW + "      s3backupconfig:\n"

# text of cluster.yml, line at fault, what the message holds
BAD_POLICIES = {
    "interval_zero": (NEW + "      interval_hours: 0\n", 4, ("interval_hours", "'0'")),
    "interval_negative": (NEW + "      interval_hours: -1\n", 4, ("interval_hours", "'-1'")),
    "interval_fraction": (NEW + "      interval_hours: 1.5\n", 4, ("interval_hours", "'1.5'")),
    "interval_unit": (NEW + "      interval_hours: 5x\n", 4, ("interval_hours", "'5x'")),
    "interval_octal": (NEW + "      interval_hours: 012\n", 4, ("interval_hours", "'012'")),
    "interval_overflow": (NEW + "      interval_hours: 99999999999999999999\n", 4, ("interval_hours",)),
    "interval_too_long": (NEW + "      interval_hours: 9999999\n", 4, ("interval_hours", "9999999")),
    "interval_word": (NEW + "      interval_hours: often\n", 4, ("interval_hours", "'often'")),
    "interval_list": (NEW + "      interval_hours: [1, 2]\n", 4, ("interval_hours",)),
    "interval_map": (NEW + "      interval_hours: {hours: 1}\n", 4, ("interval_hours",)),
    "retention_negative": (NEW + "      interval_hours: 1\n      retention: -5\n", 5, ("retention", "'-5'")),
    "retention_unit": (NEW + "      interval_hours: 1\n      retention: 3d\n", 5, ("retention", "'3d'")),
    "enabled_word": (NEW + "      enabled: perhaps\n", 4, ("enabled", "'perhaps'")),
    "timeout_negative": (NEW + "      timeout: -3\n", 4, ("timeout", "'-3'")),
    "backup_config_scalar": (HEAD + "    backup_config: 12\n", 3, ("backup_config",)),
    "services_list": ("services:\n  - etcd\n", 1, ("services",)),
    "older_creation_without_unit": (HEAD + "    snapshot: true\n    creation: 5\n", 4, ("creation", "5")),
    "older_creation_zero": (HEAD + "    snapshot: true\n    creation: 0s\n", 4, ("creation", "0s")),
    "older_creation_negative": (HEAD + "    snapshot: true\n    creation: -5m\n", 4, ("creation", "-5m")),
    "older_retention_days": (HEAD + "    snapshot: true\n    retention: 3d\n", 4, ("retention", "3d")),
    "older_snapshot_word": (HEAD + "    snapshot: maybe\n", 3, ("snapshot", "'maybe'")),
    "tab": ("services:\n\tetcd:\n", 2, ("2:1:", "a tab")),
    "unclosed": ("services:\n  etcd: {backup_config: [1\n", 0, ()),
    "binary": ("services:\n  etcd:\n\x01\x02\n", 3, ()),
}

# section, text below its header (the fault is on its last line), what the message holds
BAD_HOSTS = {
    "unknown_section": ("etdc", "endpoints = http://127.0.0.1:2379", ("etdc", "etcd")),
    "unknown_key": ("etcd", "endpoint = http://127.0.0.1:2379", ("endpoint", "endpoints")),
    "scheme": ("etcd", "endpoints = ftp://127.0.0.1:2379", ("endpoints", "ftp")),
    "port": ("etcd", "endpoints = http://127.0.0.1:70000", ("endpoints", "70000")),
    "path_in_endpoint": ("etcd", "endpoints = http://127.0.0.1:2379/v3", ("endpoints",)),
    "empty_endpoint": ("etcd", "endpoints = http://127.0.0.1:2379,,", ("endpoints",)),
    "retries": ("etcd", "retries = many", ("retries", "'many'")),
    "retries_negative": ("etcd", "retries = -1", ("retries", "'-1'")),
    "timeout_zero": ("etcd", "stall_timeout_s = 0", ("stall_timeout_s", "'0'")),
    "timeout_overflow": ("etcd", "connect_timeout_s = 99999999999999999999", ("connect_timeout_s",)),
    "password_file_missing": ("etcd", "username = root\npassword_file = /nowhere/password", ("password_file", "/nowhere/password")),
    "user_without_password": ("etcd", "username = root", ("username", "password_file")),
    "key_without_certificate": ("etcd", "key_file = /etc/hostname", ("key_file", "cert_file")),
    "compression": ("snapshots", "compression = rar", ("compression", "'rar'", "zip")),
    "relative_directory": ("snapshots", "directory = snapshots", ("directory", "'snapshots'")),
    "root_directory": ("snapshots", "directory = /", ("directory",)),
    "keep_last": ("snapshots", "keep_last = 0", ("keep_last", "'0'")),
    "retention_unit": ("snapshots", "retention_unit = days", ("retention_unit", "'days'")),
    "boolean": ("snapshots", "include_host = perhaps", ("include_host", "'perhaps'")),
    "part_size": ("s3", "part_size_mib = 4", ("part_size_mib", "'4'")),
    "concurrency": ("s3", "concurrency = 0", ("concurrency", "'0'")),
    "sse": ("s3", "sse = rot13", ("sse", "'rot13'")),
    "bundle": ("pki", "bundle = sometimes", ("bundle", "'sometimes'")),
    "level": ("log", "level = loud", ("level", "'loud'")),
    "no_equals_sign": ("log", "level", ()),
    "no_break_space": ("log", "level = info\u00a0", ("U+00A0 NO-BREAK SPACE",)),
    "key_twice": ("log", "level = info\nlevel = debug", ("level",)),
}


class ConfigCase(Case):
    def assertConfigError(self, result, agent, before, file, line, texts):
        self.assertExit(result, 78)
        self.assertEqual(result.created, [])
        self.assertSays(result, "to take a snapshot now: etcd-snapshot ")
        level = "error" if result.command == "run" else None
        self.assertSays(result, f"{file}:{line}:" if line else file, level)
        for text in texts:
            self.assertSays(result, text, level)
        self.assertUntouched(agent, before)


# text of cluster.yml, what the message holds; of each, a snapshot is taken and nothing deleted.
DOUBTS = {
    "no_break_space": (NEW + "      interval_hours: 12\n" + "\u00a0" * 6 + "retention: 720\n",
                       (":5:1:", "U+00A0 NO-BREAK SPACE", "'retention'", "indented with 6 spaces")),
    "no_break_spaces_everywhere": ("services:\n\u00a0\u00a0etcd:\n" + "\u00a0" * 4 + "backup_config:\n"
                                   + "\u00a0" * 6 + "interval_hours: 12\n", (":4:1:", "'interval_hours'")),
    "near_key": (NEW + "      intervall_hours: 3\n", (":4:7:", "'interval_hours'")),
    "beside": (NEW + "      interval_hours: 3\n    s3backupconfig:\n      bucket_name: bkt\n",
               (":5:5:", "indented with 6 spaces")),
    "empty": (NEW, (":3:", "backup_config: empty")),
    "nothing": ("", ("nothing turns snapshots off",)),
    "bucket_missing": (S3 + "        region: eu-central-1\n", (":4:", "bucket_name")),
    "half_a_key_pair": (S3 + "        bucket_name: b-b\n        access_key: AKIA\n", (":6:", "secret_key")),
    "custom_ca": (S3 + "        bucket_name: b-b\n        custom_ca: nothing\n", (":6:", "custom_ca")),
    "custom_ca_inside": (S3 + "        bucket_name: b-b\n        custom_ca: '-----BEGIN CERTIFICATE-----"
                         " QUJD -----END CERTIFICATE-----'\n", (":6:", "custom_ca")),
    "endpoint": (S3 + "        bucket_name: b-b\n        endpoint: ftp://host\n", (":6:", "endpoint", "ftp")),
}


class Doubts(SharedMember):
    def test_each_costs_no_snapshot_and_deletes_nothing(self):
        for name, (text, texts) in DOUBTS.items():
            with self.subTest(name):
                agent = self.agent(policy=text)
                before = self.old_snapshots(agent)
                checked = agent.run("check")
                self.assertExit(checked, 78)
                result = agent.run()
                self.assertExit(result, 78)
                for part in texts:
                    self.assertSays(checked, part)
                    self.assertSays(result, part, "error")
                self.assertEqual(len(result.created), 1, str(result))
                self.assertExit(agent.run("prune"), 78)
                self.assertEqual(len(self.snapshots_in(agent)), len(before) + 1)

    def test_save_works_whatever_is_wrong_with_the_policy(self):
        for name, text in (("broken", "services: [\n"), ("wrong", NEW + "      interval_hours: 0\n")):
            agent = self.agent(policy=text)
            self.assertExit(agent.run("check"), 78)
            result = agent.run("save", "--name", name)
            self.assertExit(result, 0)
            self.assertSays(result, "without cluster.yml", "warning")
            self.assertIn(name + ".zip", self.snapshots_in(agent))
            self.assertExit(agent.run("save", "--name", name + "2", "--s3"), 78)
            self.assertIn(name + "2.zip", self.snapshots_in(agent))


class BadPolicies(ConfigCase):
    """One test for each of BAD_POLICIES."""

    def check(self, text, line, texts):
        agent = self.agent("http://127.0.0.1:9", policy=text)
        before = self.old_snapshots(agent)
        for command in ("run", "check"):
            self.assertConfigError(agent.run(command), agent, before, agent.cluster_file, line, texts)


class BadHosts(ConfigCase):
    """One test for each of BAD_HOSTS."""

    def check(self, section, text, texts):
        agent = self.agent()
        agent.write()
        lines = f"# {agent.directory}\n[{section}]\n{text}\n"
        if section != "snapshots":
            lines = f"[snapshots]\ndirectory = {agent.directory}\n" + lines
        self.write(agent.conf_file, lines)
        before = self.old_snapshots(agent)
        fault = len(lines.splitlines()) - (1 if section == "etdc" else 0)
        for command in ("run", "check"):
            result = agent.run(command, write=False)
            self.assertConfigError(result, agent, before, agent.conf_file, fault, texts)


def _add_tests():
    for name, (text, line, texts) in BAD_POLICIES.items():
        def policy(self, text=text, line=line, texts=texts):
            self.check(text, line, texts)
        setattr(BadPolicies, "test_" + name, policy)
    for name, (section, text, texts) in BAD_HOSTS.items():
        def host(self, section=section, text=text, texts=texts):
            self.check(section, text, texts)
        setattr(BadHosts, "test_" + name, host)


_add_tests()


class BadFiles(ConfigCase):
    def test_missing_files_are_named(self):
        agent = self.agent("http://127.0.0.1:9")
        before = self.old_snapshots(agent)
        for path in (agent.conf_file, agent.cluster_file):
            agent.write()
            os.unlink(path)
            self.assertConfigError(agent.run(write=False), agent, before, path, 0, ("No such file",))

    def test_a_directory_instead_of_a_file(self):
        agent = self.agent("http://127.0.0.1:9")
        before = self.old_snapshots(agent)
        agent.write()
        os.unlink(agent.cluster_file)
        os.mkdir(agent.cluster_file)
        self.assertConfigError(agent.run(write=False), agent, before, agent.cluster_file, 0, ())

    def test_a_secret_in_a_bad_file_is_not_printed(self):
        agent = self.agent("http://127.0.0.1:9", policy=S3 + """\
        bucket_name: b-b
        access_key: AKIAEXAMPLE
        secret_key: "to psec ret"
""")
        result = agent.run("check")
        self.assertExit(result, 78)
        self.assertSays(result, "secret_key")
        self.assertFalse(result.says("psec"), str(result))


S3_POLICY = POLICY + """\
      s3backupconfig:
        bucket_name: a-bucket
        access_key: AKIAIOSFODNN7EXAMPLE
        secret_key: wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY
        endpoint: 127.0.0.1:9
"""
S3_SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
CONFIG_WARNING = "chmod 600"


class Warnings(SharedMember):
    def test_an_unknown_key_names_the_nearest_known_one(self):
        agent = self.agent(policy=POLICY + "      colour: blue\n")
        result = agent.run()
        self.assertCreated(result, agent)
        self.assertSays(result, f"{agent.cluster_file}:6:", "warning")

    def test_keys_elsewhere_are_none_of_its_business(self):
        agent = self.agent(policy="nodes:\n- address: 1.2.3.4\n  role: [etcd]\n" + POLICY
                           + "  kube-api:\n    service_cluster_ip_range: 10.43.0.0/16\naddons: |-\n  ---\n  a: b\n")
        result = agent.run()
        self.assertCreated(result, agent)
        self.assertEqual(result.messages("warning"), [])

    def test_a_secret_that_others_can_read(self):
        agent = self.agent(policy=S3_POLICY)
        for mode, warned in ((0o644, True), (0o640, True), (0o600, False)):
            with self.subTest(oct(mode)):
                agent.policy_mode = mode
                result = agent.run("check")
                self.assertEqual(result.says(CONFIG_WARNING), warned, str(result))
                if warned:
                    self.assertSays(result, agent.cluster_file)

    def test_without_a_secret_others_may_read(self):
        agent = self.agent()
        agent.policy_mode = 0o644
        result = agent.run()
        self.assertCreated(result, agent)
        self.assertEqual(result.messages("warning"), [])

    def test_a_password_file_that_others_can_read(self):
        agent = self.agent()
        agent.use_password("s3same")
        os.chmod(agent.etcd["password_file"], 0o644)
        result = agent.run()
        self.assertCreated(result, agent)
        self.assertSays(result, agent.etcd["password_file"], "warning")
        self.assertFalse(result.says("s3same"), str(result))

    def test_the_example_of_the_documentation(self):
        agent = self.agent(policy="""services:
  etcd:
    backup_config:
      interval_hours: 12 # hours
      retention: 6 # hours
      s3backupconfig:
        access_key: S3_ACCESS_KEY
        secret_key: S3_SECRET_KEY
        bucket_name: s3-bucket-name
        region: ""
        folder: ""
        endpoint: s3.amazonaws.com
        custom_ca: |-
          -----BEGIN CERTIFICATE-----
          $CERTIFICATE
          -----END CERTIFICATE-----
""")
        result = agent.run("check", timeout_s=60)
        self.assertNotIn(result.code, (1, 64, 78), str(result))
        self.assertSays(result, "$CERTIFICATE")


class Forms(SharedMember):
    def certificates(self):
        folder = self.path("ssl")
        os.makedirs(folder)
        self.write(os.path.join(folder, "kube-ca.pem"), "certificate\n", 0o644)
        self.write(os.path.join(folder, "kube-ca-key.pem"), "PRIVATE-KEY-BYTES\n")
        return folder

    def bundle(self, agent):
        return os.path.join(agent.directory, "pki.bundle.tar.gz")

    def test_turned_off_is_one_line_and_success(self):
        for text in (POLICY + "      enabled: false\n", OLDER_POLICY.replace("true", "false"),
                     "services:\n  etcd:\n    backup_config:\n    snapshot: false\n"):
            agent = self.agent(policy=text)
            before = self.old_snapshots(agent)
            result = agent.run()
            self.assertExit(result, 0)
            self.assertEqual(len(result.lines), 1, str(result))
            self.assertUntouched(agent, before)

    def test_a_one_time_snapshot_is_possible_while_turned_off(self):
        agent = self.agent(policy=POLICY + "      enabled: false\n")
        self.assertExit(agent.run("save", "--name", "by-hand"), 0)
        self.assertEqual(self.snapshots_in(agent), ["by-hand.zip"])

    def test_the_older_form_takes_snapshots_and_prunes(self):
        agent = self.agent(policy=OLDER_POLICY)
        agent.section("pki")["directory"] = self.certificates()
        self.old_snapshots(agent)
        result = agent.run()
        self.assertCreated(result, agent)
        started, = result.named("Initializing Rolling Backups")
        self.assertEqual((started["creation"], started["retention"]), ("5m0s", "24h0m0s"))
        self.assertNotIn(EXPIRED, os.listdir(agent.directory))

    def test_the_older_form_bundles_the_certificates(self):
        agent = self.agent(policy=OLDER_POLICY)
        folder = agent.section("pki")["directory"] = self.certificates()
        result = agent.run()
        self.assertCreated(result, agent)
        self.assertFalse(result.says("PRIVATE-KEY-BYTES"), str(result))
        bundle = self.bundle(agent)
        self.assertEqual(stat.S_IMODE(os.stat(bundle).st_mode), 0o600)
        with tarfile.open(bundle) as opened:
            self.assertEqual(sorted(opened.getnames()),
                             ["etc/kubernetes/ssl/kube-ca-key.pem", "etc/kubernetes/ssl/kube-ca.pem"])
        os.mkdir(self.path("out"))
        self.shell("tar", "xzf", bundle, "--strip-components", "3", "-C", self.path("out"))
        self.shell("diff", "-r", folder, self.path("out"))

        first = os.stat(bundle)
        self.assertExit(agent.run(), 0, 74)  # 74: the same second's name is taken
        again = os.stat(bundle)
        self.assertEqual((again.st_ino, again.st_mtime_ns), (first.st_ino, first.st_mtime_ns), "written again")

        self.write(os.path.join(folder, "kube-ca.pem"), "another certificate\n", 0o644)
        self.assertExit(agent.run(), 0, 74)
        with tarfile.open(bundle) as opened:
            self.assertEqual(opened.extractfile("etc/kubernetes/ssl/kube-ca.pem").read(), b"another certificate\n")

    def test_the_newer_form_bundles_only_when_asked(self):
        agent = self.agent()
        agent.section("pki")["directory"] = self.certificates()
        self.assertCreated(agent.run(), agent)
        self.assertFalse(os.path.exists(self.bundle(agent)))
        agent.section("pki")["bundle"] = "yes"
        agent.run()
        self.assertTrue(os.path.exists(self.bundle(agent)))

    def test_a_bundle_that_fails_costs_no_snapshot(self):
        agent = self.agent(policy=OLDER_POLICY)
        agent.section("pki")["directory"] = self.path("no-such-directory")
        result = agent.run()
        self.assertEqual(len(result.created), 1, str(result))
        self.assertEqual(self.snapshots_in(agent), [result.created[0] + ".zip"])
        self.assertSays(result, self.path("no-such-directory"))

    def test_s3_is_told_apart_and_the_snapshot_is_safe(self):
        agent = self.agent(policy=S3_POLICY)
        agent.section("s3")["retries"] = 0
        result = agent.run()
        self.assertExit(result, 76)
        self.assertEqual(len(result.created), 1, str(result))
        self.assertIn(result.created[0] + ".zip", content(agent.directory))


class Secrets(SharedMember):
    def test_they_are_in_no_output_and_no_process_list(self):
        authorized = etcd.Member(self.tmp)
        self.addCleanup(authorized.stop)
        authorized.start()
        authorized.enable_auth("pass-phrase-of-etcd")
        agent = self.agent(authorized.endpoint, policy=S3_POLICY)
        agent.use_password("pass-phrase-of-etcd")
        agent.section("log")["level"] = "debug"
        for command in (("run",), ("check",), ("list",), ("save", "--name", "x"), ("prune", "--dry-run")):
            result = agent.run(*command)
            seen = result.stdout + result.stderr + repr(result.command_lines)
            for name in os.listdir(agent.runtime):
                with open(os.path.join(agent.runtime, name), errors="replace") as file:
                    seen += file.read()
            self.assertNotIn("pass-phrase-of-etcd", seen)
            self.assertNotIn(S3_SECRET, seen)
