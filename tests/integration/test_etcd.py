"""Snapshots of a real etcd, of several releases: every way to connect, every format, and the way back."""
import json
import os
import shutil
import subprocess
import zipfile

import etcd
import etcd35
import pki
from case import Case, content

PASSWORD = "correct horse battery staple"


class Users:
    """Who is refused, and what is said of it: releases differ in this even by their last number."""

    programs = etcd.HOST

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.programs = cls.release()

    def test_wrong_password_is_refused_and_named(self):
        member = self.member(programs=self.programs)
        member.enable_auth(PASSWORD)
        agent = self.agent(member.endpoint)
        agent.use_password("wrong-password-4711")
        before = self.old_snapshots(agent)
        result = agent.run()
        self.assertExit(result, 69)
        self.assertSays(result, "root")
        self.assertSays(result, "authentication failed")
        self.assertFalse(result.says("4711"), str(result))
        self.assertUntouched(agent, before)

    def test_no_password_where_auth_is_on(self):
        member = self.member(programs=self.programs)
        member.enable_auth(PASSWORD)
        agent = self.agent(member.endpoint)
        before = self.old_snapshots(agent)
        result = agent.run()
        self.assertExit(result, 69)
        self.assertSays(result, "user name is empty")  # etcd's words
        self.assertSays(result, "username")  # and the setting to look at
        self.assertUntouched(agent, before)

    # etcd-io/etcd#9554. 3.4.23 and 3.5.16 answer UNKNOWN "auth: permission denied" to Snapshot alone, 3.5.30
    # PERMISSION_DENIED already to Status.
    def test_a_user_without_the_root_role_is_refused_once_and_told_the_command(self):
        member = self.member(programs=self.programs)
        member.ctl("user", "add", "viewer:" + PASSWORD)
        member.enable_auth(PASSWORD)
        agent = self.agent(member.endpoint)
        agent.use_password(PASSWORD, user="viewer")
        agent.etcd["retries"] = 2
        before = self.old_snapshots(agent)
        result = agent.run()
        self.assertExit(result, 69)
        self.assertSays(result, "permission denied")
        self.assertSays(result, "etcdctl user grant-role viewer root", "error")
        self.assertEqual(result.named("Backup failed")[0].get("attempt"), None, str(result))
        # The doctor tells it, too: up to 3.5.29 etcd answers everything but the snapshot.
        checked = agent.run("check")
        self.assertExit(checked, 69)
        self.assertSays(checked, "role root")
        self.assertUntouched(agent, before)

    # bitnami/charts#8920, etcd-io/etcd#9816: the common name of a certificate whose user nobody created.
    def test_a_certificate_of_an_unknown_user_is_refused_once(self):
        authority = pki.Pki(self.path("pki"), client_name="backup")
        member = self.member(programs=self.programs, tls=authority)
        member.enable_auth(PASSWORD)
        agent = self.agent(member.endpoint)
        agent.use_tls(authority)
        agent.etcd["retries"] = 2
        result = agent.run()
        self.assertExit(result, 69)
        self.assertSays(result, "role root", "error")
        self.assertEqual(result.named("Backup failed")[0].get("attempt"), None, str(result))


class RealEtcd(Users):
    """The tests, for the release that a subclass names."""

    def filled(self, **options):
        member = self.member(programs=self.programs, **options)
        member.fill(2 << 20, 64 << 10)
        for number in range(300):
            member.put(f"/registry/pods/{number:04}", f'{{"kind":"Pod","number":{number}}}')
        return member

    def assertTrueCopy(self, member, archive, compare_hash=True):
        """The archive holds what etcdctl itself would have saved at this moment."""
        taken = self.extract(archive, self.path("taken"))
        reference = self.path("reference")
        member.ctl("snapshot", "save", reference)
        ours = etcd.snapshot_status(self.programs, taken)
        theirs = etcd.snapshot_status(self.programs, reference)
        for key in ("revision", "totalKey"):
            self.assertEqual(ours[key], theirs[key], key)
        # The hash covers etcd's own bookkeeping, which may move on with a read: it counts where the
        # bytes of the keys are compared otherwise.
        if compare_hash and self.programs.version() < (3, 5):
            self.assertEqual(ours["hash"], theirs["hash"])

    # --- connecting -------------------------------------------------------------------------------
    def test_plain_http(self):
        member = self.filled()
        agent = self.agent(member.endpoint)
        self.assertTrueCopy(member, self.assertCreated(agent.run(), agent))

    def test_tls_with_a_client_certificate(self):
        authority = pki.Pki(self.path("pki"))
        member = self.filled(tls=authority)
        agent = self.agent(member.endpoint)
        agent.use_tls(authority)
        self.assertTrueCopy(member, self.assertCreated(agent.run(), agent))

    def test_user_name_and_password(self):
        member = self.filled()
        member.enable_auth(PASSWORD)
        agent = self.agent(member.endpoint)
        agent.use_password(PASSWORD)
        self.assertTrueCopy(member, self.assertCreated(agent.run(), agent))

    def test_tls_with_user_name_and_password(self):
        authority = pki.Pki(self.path("pki"))
        member = self.filled(tls=authority)
        member.enable_auth(PASSWORD)
        agent = self.agent(member.endpoint)
        agent.use_tls(authority)
        agent.use_password(PASSWORD)
        self.assertTrueCopy(member, self.assertCreated(agent.run(), agent))

    def test_the_client_certificate_is_the_user(self):
        authority = pki.Pki(self.path("pki"), client_name="root")
        member = self.filled(tls=authority)
        member.enable_auth(PASSWORD)
        agent = self.agent(member.endpoint)
        agent.use_tls(authority)
        self.assertTrueCopy(member, self.assertCreated(agent.run(), agent))

    def test_a_password_where_auth_is_off(self):
        member = self.filled()
        agent = self.agent(member.endpoint)
        agent.use_password(PASSWORD)
        self.assertCreated(agent.run(), agent)

    # --- formats ----------------------------------------------------------------------------------
    def test_zip_carries_its_manifest_as_archive_comment(self):
        member = self.filled()
        agent = self.agent(member.endpoint)
        result = agent.run()
        archive = self.assertCreated(result, agent)
        with zipfile.ZipFile(archive) as opened:
            manifest = json.loads(opened.comment)
            entry = opened.infolist()[0]
        name = result.created[0]
        self.assertEqual(entry.filename, "/backup/" + name)
        self.assertEqual("%04d-%02d-%02dT%02d:%02d:%02d" % entry.date_time, name[:17] + "%02d" % (int(name[17:19]) & ~1))
        status = etcd.snapshot_status(self.programs, self.extract(archive, self.path("taken")))
        with open(self.path("taken"), "rb") as taken:
            data = taken.read()
        header = json.loads(member.ctl("endpoint", "status", "-w", "json"))[0]["Status"]["header"]
        self.assertEqual(entry.file_size, len(data))
        self.assertEqual(manifest["name"], name)
        self.assertEqual(manifest["kind"], "rolling")
        self.assertEqual(manifest["sha256"], data[-32:].hex())
        self.assertEqual(manifest["database_bytes"], len(data) - 32)
        self.assertEqual(int(manifest["cluster_id"], 16), header["cluster_id"])
        self.assertEqual(int(manifest["member_id"], 16), header["member_id"])
        self.assertEqual(manifest["revision"], status["revision"])
        self.assertEqual(manifest["etcd_version"], ".".join(map(str, self.programs.version())))
        self.assertTrue(manifest["host"])

    def test_zstd(self):
        member = self.filled()
        agent = self.agent(member.endpoint)
        agent.snapshots["compression"] = "zstd"
        archive = self.assertCreated(agent.run(), agent, ".zst")
        self.shell("zstd", "-tq", archive)
        self.assertTrueCopy(member, archive)

    def test_none_is_byte_for_byte_what_etcd_sent(self):
        member = self.filled()
        agent = self.agent(member.endpoint)
        agent.snapshots["compression"] = "none"
        archive = self.assertCreated(agent.run(), agent, "")
        self.assertTrueCopy(member, archive)
        self.assertEqual(os.path.getsize(archive) % 512, 32)

    def test_every_format_counts_as_proven(self):
        member = self.filled()
        agent = self.agent(member.endpoint)
        for number, compression in enumerate(("zip", "zstd", "none")):
            agent.snapshots["compression"] = compression
            result = agent.run("save", "--name", f"number-{number}")
            self.assertExit(result, 0)
        listed = json.loads(agent.run("list", "--json").stdout)
        self.assertEqual({(entry["name"], entry["proven"]) for entry in listed},
                         {("number-0", True), ("number-1", True), ("number-2", True)})

    # --- the way back -----------------------------------------------------------------------------
    def assertRestores(self, member, archive):
        """As RKE does it: unpack, `snapshot restore` with the check of the digest, start etcd on it."""
        taken = self.extract(archive, self.path("taken"))
        restored = etcd.Member(self.path(), self.programs, name="restored", data_dir=self.path("restored.etcd"))
        etcd.tool(self.programs, "snapshot", "restore", taken, "--data-dir", restored.data_dir,
                  "--name", restored.name, "--initial-cluster", f"{restored.name}={restored.peer_url}",
                  "--initial-advertise-peer-urls", restored.peer_url)
        self.addCleanup(restored.stop)
        restored.start()
        self.assertEqual(restored.contents(), member.contents())
        self.assertEqual(len(restored.contents("/registry/pods/")), 300)
        restored.stop()
        shutil.rmtree(restored.data_dir)

    def test_what_is_in_the_archive_restores(self):
        member = self.filled()
        agent = self.agent(member.endpoint)
        for compression, extension in (("zip", ".zip"), ("zstd", ".zst"), ("none", "")):
            with self.subTest(compression):
                agent.snapshots["compression"] = compression
                shutil.rmtree(agent.directory, ignore_errors=True)
                self.assertRestores(member, self.assertCreated(agent.run(), agent, extension))

    def test_an_empty_etcd_is_a_snapshot_too(self):
        member = self.member(programs=self.programs)
        agent = self.agent(member.endpoint)
        self.assertTrueCopy(member, self.assertCreated(agent.run(), agent))

    def test_a_database_that_is_written_to_meanwhile(self):
        member = self.filled()
        agent = self.agent(member.endpoint)
        for _ in range(3):
            run = self.started(agent, "save")
            for number in range(40):
                member.put(f"/registry/busy/{number}", os.urandom(64 << 10))
            result = run.wait()
            self.assertExit(result, 0)
            archive = os.path.join(agent.directory, self.snapshots_in(agent)[0])
            etcd.snapshot_status(self.programs, self.extract(archive, self.path("taken")))
            self.assertEqual(subprocess.run(["unzip", "-tqq", archive], check=False, timeout=60).returncode, 0)
            shutil.rmtree(agent.directory)
        self.assertEqual(content(self.tmp).get("snapshots"), None)


class Etcd34(RealEtcd, Case):
    """Debian 12's own."""

    @classmethod
    def release(cls):
        return etcd.HOST


class Etcd35(RealEtcd, Case):
    """Debian 13's."""

    @classmethod
    def release(cls):
        return etcd35.programs()

    def test_this_is_another_release(self):
        self.assertEqual(self.programs.version()[:2], (3, 5))


class Etcd35Next(Users, Case):
    """The next Debian's."""

    @classmethod
    def release(cls):
        return etcd35.programs(etcd35.NEXT)

    def test_this_is_the_later_one(self):
        self.assertGreaterEqual(self.programs.version(), (3, 5, 30))
