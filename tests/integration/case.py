"""The base of every test: a temporary directory, bounded time, and what must hold of snapshots."""
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
import unittest
import zipfile

import etcd
from agent import Agent, stamp

TEST_LIMIT_S = 150
EXPIRED = "2018-05-04T18:40:16Z_etcd.zip"
BYTES_OF_OTHERS = b"written long ago by somebody who needs it\n"


def wait_until(condition, what, timeout_s=20):
    """The first true value of `condition`."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(0.01)
    return value


def content(folder):
    """What lies in a directory: name -> (mode, digest of the bytes or target of the link)."""
    found = {}
    for entry in os.scandir(folder):
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            found[entry.name] = (mode, os.readlink(entry.path))
        elif stat.S_ISREG(mode):
            with open(entry.path, "rb") as file:
                found[entry.name] = (mode, hashlib.sha256(file.read()).hexdigest())
        else:
            found[entry.name] = (mode, None)
    return found


class Case(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        def late(*_):
            raise AssertionError(f"the test took longer than {TEST_LIMIT_S} s")
        signal.signal(signal.SIGALRM, late)
        signal.alarm(TEST_LIMIT_S)
        self.addCleanup(signal.alarm, 0)
        self.tmp = tempfile.mkdtemp(prefix="es-it-")
        self.addCleanup(shutil.rmtree, self.tmp, ignore_errors=True)

    # --- fixtures ---------------------------------------------------------------------------------
    def path(self, *parts):
        return os.path.join(self.tmp, *parts)

    def write(self, path, data="", mode=0o600):
        with open(path, "wb") as out:
            out.write(data.encode() if isinstance(data, str) else data)
        os.chmod(path, mode)
        return path

    def agent(self, endpoints=None, **options):
        return Agent(self.tmp, endpoints, **options)

    def member(self, **options):
        member = etcd.Member(self.tmp, **options)
        self.addCleanup(member.stop)
        return member.start()

    def old_snapshots(self, agent, names=(EXPIRED, "2019-01-01T00:00:00Z_etcd.zip")):
        """Puts expired snapshots and somebody's notes in place; returns what then lies there."""
        os.makedirs(agent.directory, mode=0o700, exist_ok=True)
        for name in (*names, "notes.txt"):
            self.write(os.path.join(agent.directory, name), BYTES_OF_OTHERS + name.encode())
        return content(agent.directory)

    def started(self, agent, *args, **options):
        run = agent.start(*(args or ("run",)), **options)
        self.addCleanup(run.stop)
        return run

    def partial(self, agent):
        """The path of the partial file, once the agent writes one."""
        def look():
            names = os.listdir(agent.directory) if os.path.isdir(agent.directory) else []
            return next((os.path.join(agent.directory, name) for name in names
                         if name.startswith(".etcd-snapshot.") and name.endswith(".partial")), None)
        return wait_until(look, "a partial file")

    # --- what must hold ---------------------------------------------------------------------------
    def assertExit(self, result, *codes):
        self.assertIn(result.code, codes, str(result))
        if result.code == 0:
            return
        # Whoever fails says so where the operator looks: the service in the log, at the level that is
        # alarmed upon.
        if result.command in ("run", "save") and result.code != 64:
            self.assertTrue(result.messages("error"), "no line of level error:\n" + str(result))
        else:
            self.assertTrue(result.stderr.strip() or "FAIL" in result.stdout, "it said nothing")

    def assertSays(self, result, text, level=None):
        self.assertTrue(result.says(text, level), f"{text!r} (level {level}) is not in:\n{result}")

    def assertUntouched(self, agent, before):
        self.assertEqual(content(agent.directory), before)

    def assertCreated(self, result, agent, extension=".zip"):
        """Exit 0 and exactly one snapshot of the logged name; its path."""
        self.assertExit(result, 0)
        self.assertEqual(len(result.created), 1, str(result))
        path = os.path.join(agent.directory, result.created[0] + extension)
        self.assertTrue(os.path.isfile(path), f"{path} is missing:\n{os.listdir(agent.directory)}\n{result}")
        self.assertFalse([name for name in os.listdir(agent.directory) if name.endswith(".partial")])
        return path

    def assertAttempts(self, result, count):
        """A warning for each attempt that another follows, and one error for the last."""
        warned = [line["attempt"] for line in result.named("Backup failed") if line["level"] == "warning"]
        self.assertEqual(warned, [str(number) for number in range(1, count)], str(result))
        self.assertEqual(len(result.messages("error")), 1, str(result))

    def snapshots_in(self, agent):
        return sorted(name for name in os.listdir(agent.directory) if not name.startswith("."))

    def extract(self, archive, target):
        """The snapshot in an archive, taken out with the tools an operator has."""
        if archive.endswith(".zip"):
            name = os.path.basename(archive)[:-len(".zip")]
            with zipfile.ZipFile(archive) as opened:
                self.assertEqual(opened.namelist(), ["/backup/" + name])
            self.shell("unzip", "-tqq", archive)
            command = ["unzip", "-p", archive]
        elif archive.endswith(".zst"):
            command = ["zstd", "-dcq", archive]
        else:
            command = ["cat", archive]
        with open(target, "wb") as out:
            subprocess.run(command, check=True, timeout=60, stdout=out)
        return target

    def shell(self, *command):
        done = subprocess.run(command, timeout=60, text=True, check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, f"{command}:\n{done.stdout}")
        return done.stdout


class SharedMember(Case):
    """Tests that only read from one etcd of the class; `fill_bytes` of random values are in it."""

    fill_bytes = 0
    value_bytes = 1 << 20

    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp(prefix="es-it-class-")
        cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
        cls.shared = etcd.Member(cls.root)
        cls.addClassCleanup(cls.shared.stop)
        cls.shared.start()
        cls.shared.put("/registry/one", "1")
        if cls.fill_bytes:
            cls.shared.fill(cls.fill_bytes, cls.value_bytes)

    def agent(self, endpoints=None, **options):
        return super().agent(endpoints or self.shared.endpoint, **options)


__all__ = ["Case", "SharedMember", "EXPIRED", "BYTES_OF_OTHERS", "content", "stamp", "wait_until"]
