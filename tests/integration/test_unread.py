"""One failing system call at each read that deletion rests on: nothing is deleted that would not have been deleted
without it, and the snapshot is taken wherever the call is not needed for it.

A run without a fault writes down every call below the snapshot and runtime directories (tests/tools/faults.cc); then
each of them fails once. `UNREAD=all` makes every errno of each, the first time, the second, … and always: minutes.
tests/README.md lists the reads.
"""
import collections
import errno
import json
import os
import re
import shutil
import signal

import agent as agents
import fakes
from case import Case, stamp

LIBRARY = os.path.join(agents.TOP, "build", "tests", "faults.so")
ALL = os.environ.get("UNREAD") == "all"
# EMFILE and ENFILE are the two of one kind; EINTR means nothing and must cost nothing.
ERRNOS = (errno.EIO, errno.ENFILE, errno.ESTALE, errno.ENOMEM, errno.EACCES, errno.EINTR, errno.EMFILE)
NEW = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

# What the snapshot itself needs: its own file, and the directory it goes to.
NEEDED = re.compile(r"\.partial$|\.new$|^(open|openat|faccessat) [^ ]*/snapshots$")


class UnreadCase(Case):
    """The template of a host, and copies of it that one run each works on."""

    compression = "zip"
    bucket = False

    def setUp(self):
        super().setUp()
        self.server = fakes.FaultServer()
        self.addCleanup(self.server.stop)
        self.host = self.agent(self.server.endpoint)
        self.host.snapshots["compression"] = self.compression
        self.host.etcd.update(connect_timeout_s=5, stall_timeout_s=5)
        if self.bucket:
            self.host.section("s3")["retries"] = 0
            self.host.policy += ("      s3backupconfig:\n        access_key: AKIDEXAMPLE\n        secret_key: secret\n"
                                 "        bucket_name: backups\n        region: eu-central-1\n"
                                 "        endpoint: http://127.0.0.1:9\n")
        self.host.run()
        first, = (name for name in os.listdir(self.host.directory) if not name.startswith("."))
        self.template = self.path("template")
        os.makedirs(self.template)
        os.rename(self.host.directory, self.path("template", "snapshots"))
        os.rename(self.host.runtime, self.path("template", "run"))
        self.first = first
        self.populate()
        self.baseline = self.one_run()

    # --- the template ---------------------------------------------------------------------------
    def put(self, days_old, change=lambda manifest: None):
        """A copy of the first snapshot, so many days old, its manifest changed within its length."""
        folder = self.path("template", "snapshots")
        name = NEW.sub(stamp(days_old), self.first)
        with open(os.path.join(folder, self.first), "rb") as file:
            archive = file.read()
        if self.compression == "none":
            with open(os.path.join(folder, f".{self.first}.manifest")) as file:
                manifest = json.load(file)
            change(manifest)
            self.write(os.path.join(folder, f".{name}.manifest"), json.dumps(manifest))
        else:
            text = archive[archive.rindex(b'{"'):]
            manifest = json.loads(text)
            change(manifest)
            changed = json.dumps(manifest, separators=(",", ":")).encode()
            self.assertEqual(len(changed), len(text))
            archive = archive[:-len(text)] + changed
        self.write(os.path.join(folder, name), archive)
        return name

    def populate(self):
        raise NotImplementedError

    # --- a run ----------------------------------------------------------------------------------
    def one_run(self, fault=None):
        for name in ("snapshots", "run"):
            shutil.rmtree(self.path(name), ignore_errors=True)
            shutil.copytree(self.path("template", name), self.path(name))
        log = self.path("calls")
        env = {"LD_PRELOAD": LIBRARY, "FAULTS_UNDER": f"{self.path('snapshots')}:{self.path('run')}"}
        if fault:
            env["FAULT"] = fault
        else:
            env["FAULTS_LOG"] = log
        result = self.host.run(env=env, timeout_s=60)
        before = set(os.listdir(self.path("template", "snapshots")))
        after = set(os.listdir(self.host.directory))
        result.gone = before - after
        if not fault:
            self.assertEqual(len(result.created), 1, str(result))
            with open(log) as lines:
                result.calls = self.points(lines.read().splitlines(), result.created[0])
        return result

    def points(self, lines, created):
        """(call, glob) -> how often. The name of the new snapshot differs from run to run."""
        return collections.Counter(tuple(line.replace(created, NEW.sub("*", created)).split(" ", 1)) for line in lines)

    def faults(self):
        for number, ((call, glob), count) in enumerate(sorted(self.baseline.calls.items())):
            if not ALL:
                yield call, glob, ERRNOS[number % len(ERRNOS)], "1+" if number % 2 else "1"
                continue
            for code in ERRNOS:
                for nth in [*map(str, range(1, count + 1)), "1+"]:
                    yield call, glob, code, nth

    def check(self):
        if ALL:
            signal.alarm(3600)
        runs = 0
        for call, glob, code, nth in self.faults():
            result = self.one_run(f"{call} {code} {nth} {glob}")
            runs += 1
            with self.subTest(fault=f"{call} {errno.errorcode[code]} {nth} {glob}"):
                self.assertLessEqual(result.gone, self.baseline.gone, str(result))
                if not NEEDED.search(f"{call} {glob}"):
                    self.assertEqual(len(result.created), 1, str(result))
                # What stays for an error is told.
                if result.gone != self.baseline.gone:
                    self.assertIn(result.code, (74, 76), str(result))
                    self.assertTrue(result.messages("error"), str(result))
                if self.compression == "none":
                    self.assertProofs(result)
        self.assertGreater(runs, 20, self.baseline.calls)

    def assertProofs(self, result):
        """Each bare snapshot that is still there has its manifest beside it."""
        names = set(os.listdir(self.host.directory))
        for name in names & set(os.listdir(self.path("template", "snapshots"))):
            if not name.startswith("."):
                self.assertIn(f".{name}.manifest", names, str(result))


class Frozen(UnreadCase):
    def populate(self):
        def other_cluster(manifest):
            manifest["cluster_id"] = "f" * len(manifest["cluster_id"])
        self.put(4, other_cluster)
        self.put(3, other_cluster)

    def test_the_snapshots_of_the_other_cluster_stay(self):
        self.assertEqual(self.baseline.gone, set())
        self.assertSays(self.baseline, "the history of the cluster changed", "warning")
        self.check()


class BucketAway(UnreadCase):
    bucket = True

    def populate(self):
        self.put(4)
        self.put(3)

    def test_what_the_bucket_lacks_stays(self):
        self.assertExit(self.baseline, 76)
        self.assertEqual(self.baseline.gone, set())
        self.check()


class ClockAhead(UnreadCase):
    def populate(self):
        self.put(4)
        self.put(3)
        path = self.path("template", "run", "state.json")
        with open(path) as file:
            state = json.load(file)
        state["clock_offset_s"] -= 2 * 86400
        self.write(path, json.dumps(state))

    def test_nothing_goes_while_the_clock_is_not_trusted(self):
        self.assertEqual(self.baseline.gone, set())
        self.assertSays(self.baseline, "the clock was set ahead", "warning")
        self.check()


class NoCompression(UnreadCase):
    compression = "none"

    def populate(self):
        self.expired = [self.put(4), self.put(3)]

    def test_manifests_stay_beside_their_snapshots(self):
        self.assertExit(self.baseline, 0)
        self.assertEqual(self.baseline.gone, {name for one in self.expired for name in (one, f".{one}.manifest")})
        self.check()
