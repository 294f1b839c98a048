"""Containers: an overlay over finished layers, a cgroup, systemd-nspawn, and the end of all of it.

Everything is in namespaces of this process's own and ends with it, also after a kill -9: mounts go with theirs,
processes with theirs. Only empty cgroup directories would be left then.
"""
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import threading
import time
import uuid

CLONE_NEWNS, CLONE_NEWPID, MS_REC, MS_PRIVATE, PR_SET_PDEATHSIG = 0x20000, 0x20000000, 0x4000, 0x40000, 1
REBOOTED = 133  # systemd-nspawn --keep-unit: the container asked for a reboot


class Stopped(Exception):
    """The run was interrupted."""


class Failed(Exception):
    """A step failed; the text says which, and what it printed."""


class Processes:
    """What is running, so that an interruption can end it. For threads."""

    def __init__(self):
        self.lock, self.running, self.stopped = threading.Lock(), set(), False

    def start(self, command, output):
        """Starts `command` in a session of its own, output appended to a file."""
        with self.lock, open(output, "ab") as out:
            if self.stopped:
                raise Stopped()
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                       start_new_session=True)
            self.running.add(process)
        return process

    def wait(self, process, seconds):
        """The exit status; after `seconds` SIGTERM, which lets a container power off, and SIGKILL, and None."""
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
                return process.returncode
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            return None
        finally:
            self.end(process)

    def end(self, process):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with self.lock:
            self.running.discard(process)

    def run(self, command, log, seconds=1800):
        """Runs to its end; Failed, with what it printed, where it does not succeed."""
        mark = os.path.getsize(log) if os.path.exists(log) else 0
        status = self.wait(self.start(command, log), seconds)
        if self.stopped:
            raise Stopped()
        if status != 0:
            with open(log, errors="replace") as text:
                text.seek(mark)
                said = text.read().strip()
            ended = f"not done after {seconds} s" if status is None else f"status {status}"
            raise Failed(f"{' '.join(command)}: {ended}\n{said[-6000:]}")

    def stop(self):
        """Kills everything that runs; nothing can be started any more."""
        with self.lock:
            self.stopped = True
            running = list(self.running)
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def own_namespaces():
    """Goes on in a child that is the init of a process namespace, with mounts of its own; the parent waits for it
    and hands on signals. Before the first thread is started."""
    libc = ctypes.CDLL(None, use_errno=True)

    def must(result):
        if result != 0:
            raise OSError(ctypes.get_errno(), "namespaces of its own: " + os.strerror(ctypes.get_errno()))

    must(libc.unshare(CLONE_NEWNS | CLONE_NEWPID))
    must(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    child = os.fork()
    if child == 0:
        must(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
        must(libc.mount(b"proc", b"/proc", b"proc", 0, None))
        # What systemd-nspawn notes of its containers goes with them.
        os.makedirs("/run/systemd/nspawn", exist_ok=True)
        must(libc.mount(b"tmpfs", b"/run/systemd/nspawn", b"tmpfs", 0, None))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C comes from the parent
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os.kill(child, signal.SIGTERM))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(code if code >= 0 else 128 - code)


class Overlay:
    """`path`/root: the finished directories `layers`, topmost first, under one that can be written,
    `path`/upper."""

    def __init__(self, path, layers):
        self.path, self.root = path, os.path.join(path, "root")
        self.upper = os.path.join(path, "upper")
        for name in ("root", "upper", "work"):
            os.makedirs(os.path.join(path, name))
        self.options = f"lowerdir={':'.join(layers)},upperdir={self.upper},workdir={path}/work"

    def __enter__(self):
        done = subprocess.run(["mount", "-t", "overlay", "-o", self.options, "overlay", self.root],
                              stderr=subprocess.PIPE, text=True, check=False, timeout=60)
        if done.returncode != 0:
            raise Failed(f"an overlay cannot be mounted in {self.path}: {done.stderr.strip()}")
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "--lazy", self.root], check=False, timeout=60)


class Cgroup:
    """A cgroup for one container, below that of this process: systemd-nspawn --keep-unit makes the
    container's beside its own, and two containers must not share one."""

    def __init__(self, name):
        self.name, self.paths = f"etcd-snapshot-{uuid.uuid4().hex[:8]}-{name}", []

    def __enter__(self):
        for hierarchy, path in hierarchies():
            own = os.path.join(hierarchy + path, self.name)
            os.mkdir(own)
            self.paths.append(own)
        return self

    def __exit__(self, *_):
        # The container's init outlives a systemd-nspawn that was killed.
        end = time.monotonic() + 10
        while (left := self.processes()) and time.monotonic() < end:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        for path in self.paths:
            for directory, _, _ in os.walk(path, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(directory)

    def processes(self):
        """Those in it and below. What another namespace holds has the number 0."""
        found = set()
        for path in self.paths:
            for directory, _, _ in os.walk(path):
                with contextlib.suppress(OSError), open(directory + "/cgroup.procs") as numbers:
                    found.update(int(number) for number in numbers)
        return found - {0}

    def enter(self, command):
        """`command`, run inside."""
        script = "".join(f"echo 0 >'{path}/cgroup.procs' && " for path in self.paths) + 'exec "$@"'
        return ["sh", "-c", script, "sh", *command]


def hierarchies():
    """Where systemd keeps its cgroups, as (mount point, own path): cgroup v2, and v1's name=systemd."""
    found = []
    with open("/proc/self/cgroup") as groups:
        for line in groups:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if controllers == "name=systemd":
                found.append(("/sys/fs/cgroup/systemd", path.rstrip("/")))
            elif controllers == "":
                mixed = "/sys/fs/cgroup/unified"
                found.append((mixed if os.path.isdir(mixed) else "/sys/fs/cgroup", path.rstrip("/")))
    return found


def impossible():
    """None, or why containers cannot be booted here."""
    if os.geteuid() != 0:
        return "it takes root: run it with sudo"
    for tool in ("systemd-nspawn", "mmdebstrap"):
        if not shutil.which(tool):
            return f"{tool} is missing: tests/deps.sh test installs it"
    try:
        if not hierarchies():
            return "there is no cgroup hierarchy that systemd could use (/proc/self/cgroup)"
        with Cgroup("probe"):
            pass
    except OSError as failure:
        return f"no cgroup can be made here: {failure}; in a container of its own this takes a privileged one"
    return None


def nspawn(root, name, *options):
    """The command that starts a container; cgroup v2 whatever the host has, as Debian 13 insists on it."""
    return ["env", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1", "systemd-nspawn", "--quiet", "--directory=" + root,
            "--machine=" + name, "--register=no", "--keep-unit", "--link-journal=no", "--settings=no",
            "--timezone=off", *options]
