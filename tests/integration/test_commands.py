"""The command line: save, list, delete, check, help, the log lines, and what a terminal shows."""
import datetime
import json
import os
import pty
import re
import select
import subprocess
import time

import clocks
import etcd
from agent import POLICY
from case import EXPIRED, Case, SharedMember, content
from proxy import Proxy

COMMANDS = ("run", "save", "list", "prune", "delete", "check", "status")


class Log(SharedMember):
    def test_the_lines_of_a_first_and_a_second_run(self):
        agent = self.agent()
        first = agent.run(env=clocks.at("-2h"))
        self.assertCreated(first, agent)
        lines = first.stderr.splitlines()
        self.assertEqual(len(lines), 2, str(first))
        when = r'time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ" level=info '
        self.assertRegex(lines[0], "^" + when + r'msg="Initializing Rolling Backups" creation=1m0s retention=24h0m0s$')
        self.assertRegex(lines[1], "^" + when + r'msg="Created backup" name="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ_etcd" '
                         r'runtime="?[0-9.]+(µs|ms|s)"?$')
        self.assertEqual(first.stdout, "")
        second = agent.run(env=clocks.at("-119m"))
        self.assertCreated(second, agent)
        self.assertEqual([line["msg"] for line in second.lines], ["Created backup"])

    def test_the_name_is_the_time_of_the_run_in_utc(self):
        agent = self.agent()
        result = agent.run(env={"TZ": "Asia/Shanghai"})
        self.assertCreated(result, agent)
        taken = datetime.datetime.strptime(result.created[0], "%Y-%m-%dT%H:%M:%SZ_etcd")
        age = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) - taken
        self.assertLess(abs(age.total_seconds()), 30)

    def test_the_first_line_comes_again_when_the_schedule_changes(self):
        agent = self.agent()
        told = []
        for minutes, policy in ((50, POLICY), (40, POLICY), (30, POLICY.replace("1m", "2m")),
                                (20, POLICY.replace("1m", "2m")), (10, POLICY.replace("1m", "2m").replace("24", "48"))):
            agent.policy = policy
            result = agent.run(env=clocks.at(f"-{minutes}m"))
            self.assertCreated(result, agent)
            told.append([(line["creation"], line["retention"]) for line in result.named("Initializing Rolling Backups")])
        self.assertEqual(told, [[("1m0s", "24h0m0s")], [], [("2m0s", "24h0m0s")], [], [("2m0s", "48h0m0s")]])

    def test_after_a_reboot_the_first_line_comes_again(self):
        agent = self.agent()
        self.assertEqual(len(agent.run(env=clocks.at("-2m")).named("Initializing Rolling Backups")), 1)
        agent.runtime_reset()
        self.assertEqual(len(agent.run().named("Initializing Rolling Backups")), 1)

    def test_a_level_hides_what_is_below(self):
        agent = self.agent()
        agent.section("log")["level"] = "error"
        result = agent.run()
        self.assertExit(result, 0)
        self.assertEqual(result.stderr, "")
        self.assertEqual(len(self.snapshots_in(agent)), 1)


class Save(SharedMember):
    def test_without_a_name_it_is_called_as_rke_does(self):
        agent = self.agent()
        self.assertExit(agent.run("save"), 0)
        name, = self.snapshots_in(agent)
        self.assertRegex(name, r"^rke_etcd_snapshot_\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\.zip$")
        self.extract(os.path.join(agent.directory, name), self.path("taken"))
        self.assertGreater(etcd.snapshot_status(etcd.HOST, self.path("taken"))["totalKey"], 0)

    def test_with_a_name(self):
        agent = self.agent()
        for name in ("before-upgrade", "vor dem Größten", "v1.2.3"):
            with self.subTest(name):
                self.assertExit(agent.run("save", "--name", name), 0)
                self.assertIn(name + ".zip", self.snapshots_in(agent))

    def test_a_taken_name_is_refused_whatever_its_extension(self):
        agent = self.agent()
        self.assertExit(agent.run("save", "--name", "mine"), 0)
        before = content(agent.directory)
        for compression in ("zip", "zstd", "none"):
            agent.snapshots["compression"] = compression
            result = agent.run("save", "--name", "mine")
            self.assertNotIn(result.code, (0, 1), str(result))
            self.assertSays(result, "mine")
            self.assertUntouched(agent, before)

    def test_bad_names(self):
        agent = self.agent()
        os.mkdir(agent.directory, 0o700)
        for name in ("", ".", "..", ".hidden", "-x", "a/b", "../up", "/etc/passwd", "x.zip", "x.zst", "line\nend",
                     "x" * 201, "2018-05-04T18:40:16Z_etcd", "tab\there"):
            with self.subTest(name):
                result = agent.run("save", f"--name={name}")
                self.assertExit(result, 64)
                self.assertTrue(result.stderr.strip(), "it said nothing")
                self.assertEqual(os.listdir(agent.directory), [])

    def test_saving_prunes_nothing(self):
        agent = self.agent()
        before = self.old_snapshots(agent)
        self.assertExit(agent.run("save"), 0)
        after = content(agent.directory)
        self.assertEqual({name: after.get(name) for name in before}, before)

    def test_it_retries_and_fails_as_a_run_does(self):
        agent = self.agent("http://127.0.0.1:9")
        agent.etcd["retries"] = 1
        result = agent.run("save", "--name", "never")
        self.assertExit(result, 69)
        self.assertEqual(self.snapshots_in(agent) if os.path.isdir(agent.directory) else [], [])


class Listing(SharedMember):
    def prepared(self):
        agent = self.agent()
        self.assertExit(agent.run("save", "--name", "by-hand", env=clocks.at("-3h")), 0)
        self.created = agent.run(env=clocks.at("-2h")).created[0]
        self.old_snapshots(agent)
        return agent

    def test_json_has_every_fact(self):
        agent = self.prepared()
        result = agent.run("list", "--json")
        self.assertExit(result, 0)
        entries = json.loads(result.stdout)
        self.assertEqual([entry["name"] for entry in entries],
                         [self.created, "by-hand", "2019-01-01T00:00:00Z_etcd", EXPIRED.removesuffix(".zip")])
        entry = entries[0]
        path = os.path.join(agent.directory, entry["file"])
        self.assertEqual(entry["file"], self.created + ".zip")
        self.assertEqual(entry["kind"], "rolling")
        self.assertEqual(entry["time"] + "_etcd", self.created)
        self.assertLess(abs(entry["age_s"] - 7200), 30)
        self.assertEqual(entry["size_bytes"], os.path.getsize(path))
        self.assertEqual(entry["where"], ["local"])
        self.assertIs(entry["proven"], True)
        with open(self.extract(path, self.path("taken")), "rb") as taken:
            data = taken.read()
        self.assertEqual(entry["sha256"], data[-32:].hex())
        self.assertEqual(entry["database_bytes"], len(data) - 32)
        self.assertEqual(entry["revision"], etcd.snapshot_status(etcd.HOST, self.path("taken"))["revision"])
        self.assertTrue(entry["cluster_id"])
        self.assertEqual(entries[1]["kind"], "one-time")
        self.assertIs(entries[2]["proven"], False)

    def test_the_table_names_each(self):
        agent = self.prepared()
        result = agent.run("list")
        self.assertExit(result, 0)
        for name in (self.created, "by-hand", "2019-01-01T00:00:00Z_etcd"):
            self.assertIn(name, result.stdout)
        self.assertNotIn("notes.txt", result.stdout)
        self.assertNotIn("\x1b", result.stdout)

    def test_a_truncated_archive_is_not_called_proven(self):
        agent = self.agent()
        for compression in ("zip", "zstd"):
            agent.snapshots["compression"] = compression
            self.assertExit(agent.run("save", "--name", compression), 0)
        for name in self.snapshots_in(agent):
            path = os.path.join(agent.directory, name)
            os.truncate(path, os.path.getsize(path) - 10)
        entries = json.loads(agent.run("list", "--json").stdout)
        self.assertNotIn(True, [entry["proven"] for entry in entries])

    def test_nothing_is_there_yet(self):
        agent = self.agent()
        result = agent.run("list", "--json")
        self.assertExit(result, 0, 74)
        if result.code == 0:
            self.assertEqual(json.loads(result.stdout), [])
        self.assertFalse(os.path.exists(agent.directory), "looking made a directory")

    def test_it_needs_no_etcd(self):
        agent = self.prepared()
        agent.etcd["endpoints"] = "http://127.0.0.1:9"
        self.assertExit(agent.run("list"), 0)

    def test_standard_output_that_is_closed_or_full(self):
        agent = self.prepared()
        with open("/dev/full", "w") as full:
            agent.write()
            done = subprocess.run(agent.command("list", "--json"), env=agent.environment, stdout=full,
                                  stderr=subprocess.PIPE, timeout=20, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertLess(done.returncode, 128)
        self.assertGreaterEqual(done.returncode, 0, "ended by a signal")


class Delete(SharedMember):
    def prepared(self):
        agent = self.agent()
        self.assertExit(agent.run("save", "--name", "by-hand", env=clocks.at("-3h")), 0)
        older = agent.run(env=clocks.at("-2h")).created[0]
        newer = agent.run(env=clocks.at("-1h")).created[0]
        self.old_snapshots(agent)
        return agent, older, newer

    def test_one_by_its_exact_name(self):
        agent, older, _ = self.prepared()
        before = content(agent.directory)
        result = agent.run("delete", older)
        self.assertExit(result, 0)
        self.assertEqual(set(before) - set(content(agent.directory)), {older + ".zip"})

    def test_with_its_extension(self):
        agent, older, _ = self.prepared()
        self.assertExit(agent.run("delete", older + ".zip"), 0)
        self.assertNotIn(older + ".zip", os.listdir(agent.directory))

    def test_a_one_time_snapshot(self):
        agent, _, _ = self.prepared()
        self.assertExit(agent.run("delete", "by-hand"), 0)
        self.assertNotIn("by-hand.zip", os.listdir(agent.directory))

    def test_nothing_but_exact_names(self):
        agent, older, _ = self.prepared()
        outside = self.write(self.path("outside.zip"), "x")
        before = content(agent.directory)
        for name in (older[:10], older + "*", "*", "by-*", "by-han", "BY-HAND", "notes.txt", "notes", "",
                     ".", "..", "../outside.zip", "../outside", outside, "./by-hand", "pki.bundle.tar.gz", "nowhere"):
            with self.subTest(name):
                result = agent.run("delete", name)
                self.assertNotIn(result.code, (0, 1), str(result))
                self.assertUntouched(agent, before)
                self.assertTrue(os.path.exists(outside))

    def test_the_newest_proven_only_by_force(self):
        agent, _, newer = self.prepared()
        before = content(agent.directory)
        result = agent.run("delete", newer)
        self.assertNotIn(result.code, (0, 1), str(result))
        self.assertSays(result, "--force")
        self.assertUntouched(agent, before)
        self.assertExit(agent.run("delete", newer, "--force"), 0)
        self.assertNotIn(newer + ".zip", os.listdir(agent.directory))

    def test_the_sidecar_goes_with_it(self):
        agent = self.agent()
        agent.snapshots["compression"] = "none"
        self.assertExit(agent.run("save", "--name", "raw"), 0)
        self.assertExit(agent.run("delete", "raw", "--force"), 0)
        self.assertEqual(os.listdir(agent.directory), [])


class Check(SharedMember):
    def test_all_is_well_and_nothing_is_changed(self):
        agent = self.agent()
        before = self.old_snapshots(agent)
        result = agent.run("check")
        self.assertExit(result, 0)
        said = result.stdout + result.stderr
        self.assertIn(self.shared.endpoint, said)
        self.assertIn(agent.directory, said)
        self.assertIn(".".join(map(str, etcd.HOST.version())), said)
        self.assertUntouched(agent, before)

    def test_a_directory_that_is_missing_fails_as_the_service_would_and_is_not_made(self):
        agent = self.agent()
        result = agent.run("check")
        self.assertExit(result, 74)
        self.assertSays(result, "install -d -m 0700 " + agent.directory)
        self.assertFalse(os.path.exists(agent.directory))

    def test_no_etcd(self):
        agent = self.agent("http://127.0.0.1:9")
        os.mkdir(agent.directory, 0o700)
        result = agent.run("check")
        self.assertEqual(result.code, 69, str(result))
        self.assertSays(result, "127.0.0.1:9")

    def test_a_bad_directory(self):
        agent = self.agent()
        self.write(agent.directory, "a file")
        result = agent.run("check")
        self.assertEqual(result.code, 74, str(result))


class CommandLine(Case):
    def test_help(self):
        agent = self.agent()
        for arguments in (["--help"], *([command, "--help"] for command in COMMANDS)):
            with self.subTest(arguments):
                result = agent.run(*arguments)
                self.assertEqual((result.code, result.stderr), (0, ""), str(result))
                self.assertIn("etcd-snapshot" if len(arguments) == 1 else arguments[0], result.stdout)
        everything = agent.run("--help").stdout
        for command in COMMANDS:
            self.assertIn(command, everything)

    def test_help_of_save_warns_of_keys_in_the_process_list(self):
        text = self.agent().run("save", "--help").stdout
        self.assertIn("--name NAME", text)
        for key in ("access", "secret"):
            with self.subTest(key):
                self.assertRegex(text, f"--{key}-key KEY +the {key} key; ps shows it")

    def test_help_without_any_configuration(self):
        agent = self.agent()
        for arguments in (["--help"], ["--version"]):
            result = agent.start(*arguments, write=False).wait()
            self.assertEqual(result.code, 0, str(result))

    def test_version(self):
        result = self.agent().run("--version")
        self.assertEqual(result.code, 0, str(result))
        self.assertRegex(result.stdout, r"etcd-snapshot \d+\.\d+\.\d+")

    def test_usage_errors(self):
        agent = self.agent("http://127.0.0.1:9")
        for arguments in (["--no-such-option"], ["no-such-command"], ["run", "extra"], ["run", "--fast"],
                          ["list", "--xml"], ["delete"], ["save", "--name"], ["delete", "a", "b"], ["--config"]):
            with self.subTest(arguments):
                result = agent.run(*arguments)
                self.assertEqual(result.code, 64, str(result))
                self.assertTrue(result.stderr.strip(), "it said nothing")
                self.assertEqual(result.stdout, "")

    def test_no_command(self):
        agent = self.agent()
        result = agent.start().wait()
        self.assertEqual(result.code, 64, str(result))


class Terminal(SharedMember):
    """What is shown on a pseudo terminal."""

    fill_bytes = 6 << 20

    def on_terminal(self, *args, **environment):
        proxy = Proxy(self.shared.port, bytes_per_s=4 << 20)
        self.addCleanup(proxy.stop)
        agent = self.agent(proxy.endpoint())
        agent.write()
        leader, follower = pty.openpty()
        self.addCleanup(os.close, leader)
        process = subprocess.Popen(agent.command(*args), env={**agent.environment, "TERM": "xterm-256color", **environment},
                                   stdin=follower, stdout=follower, stderr=follower)
        self.addCleanup(process.wait, 10)
        self.addCleanup(process.kill)
        os.close(follower)
        shown, deadline = b"", time.monotonic() + 40
        while time.monotonic() < deadline:
            if not select.select([leader], [], [], 0.2)[0]:
                continue
            try:
                piece = os.read(leader, 65536)
            except OSError:  # EIO: the last one closed it
                break
            shown += piece
        self.assertEqual(process.wait(10), 0, shown)
        return shown.decode(errors="replace")

    def test_a_progress_bar_on_a_terminal(self):
        shown = self.on_terminal("save")
        self.assertGreater(len(re.findall(r"\r[^\n]", shown)), 2, repr(shown))
        self.assertIn("%", shown)

    def test_no_colour_is_none(self):
        shown = self.on_terminal("save", NO_COLOR="1")
        self.assertNotRegex(shown, r"\x1b\[[0-9;]*m")

    def test_no_bar_elsewhere(self):
        proxy = Proxy(self.shared.port, bytes_per_s=4 << 20)
        self.addCleanup(proxy.stop)
        result = self.agent(proxy.endpoint()).run("save")
        self.assertExit(result, 0)
        for stream in (result.stdout, result.stderr):
            self.assertNotIn("\r", stream)
            self.assertNotIn("\x1b", stream)
