"""Runs the agent with configuration files, a snapshot directory and a runtime directory of its own.

The binary is $AGENT, or build/etcd-snapshot. Everything a run said and did comes back as a Result.
"""
import datetime
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import names

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RUN_TIMEOUT_S = 90

POLICY = """services:
  etcd:
    backup_config:
      interval_hours: 1m
      retention: 24
"""

OLDER_POLICY = """services:
  etcd:
    snapshot: true
    creation: 5m0s
    retention: 24h
"""

_PAIR = re.compile(r'([^\s=]+)=("(?:[^"\\]|\\.)*"|\S*)')
_ESCAPE = re.compile(r'\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|.)')
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def binary():
    return os.path.abspath(os.environ.get("AGENT") or os.path.join(TOP, "build", "etcd-snapshot"))


def unquote(text):
    """What Go's strconv.Quote made of a value, undone."""
    if not text.startswith('"'):
        return text

    def undo(match):
        code = match.group(1)
        return chr(int(code[1:], 16)) if code[0] in "xuU" else _SIMPLE.get(code, code)
    return _ESCAPE.sub(undo, text[1:-1])


def parse_line(line):
    """A line of logrus' text formatter as a dict; None if it is none."""
    if not line.startswith("time="):
        return None
    return {key: unquote(value) for key, value in _PAIR.findall(line)}


class Result:
    """One finished run."""

    def __init__(self, command, code, stdout, stderr, seconds, peak_rss_kib, command_lines):
        self.command = command  # "run", "save", …
        self.code, self.stdout, self.stderr, self.seconds = code, stdout, stderr, seconds
        self.peak_rss_kib, self.command_lines = peak_rss_kib, command_lines
        self.lines = [parsed for parsed in map(parse_line, stderr.splitlines()) if parsed]

    def messages(self, level=None):
        return [line.get("msg", "") for line in self.lines if level in (None, line["level"])]

    def named(self, text):
        """Lines with this msg."""
        return [line for line in self.lines if line.get("msg") == text]

    @property
    def created(self):
        """Names that were logged as created."""
        return [line["name"] for line in self.named("Created backup")]

    def says(self, text, level=None):
        """Whether a line (of this level) holds `text` in any of its values; quoting undone."""
        if level is None and text in self.stdout + self.stderr:
            return True
        return any(text in value for line in self.lines if level in (None, line["level"])
                   for value in line.values())

    def __str__(self):
        return (f"exit {self.code} after {self.seconds:.2f} s, peak {self.peak_rss_kib} KiB\n"
                f"--- stdout\n{self.stdout}--- stderr\n{self.stderr}")


class Run:
    """A run under way. wait() ends it in any case."""

    def __init__(self, name, command, environment, **options):
        self.name = name
        self.began = time.monotonic()
        self.outputs = [tempfile.TemporaryFile(), tempfile.TemporaryFile()]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.outputs[0],
                                        stderr=self.outputs[1], env=environment, **options)
        self.peak_rss_kib, self.command_lines = 0, set()
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()

    def watch(self):
        """Peak memory from the kernel's own high-water mark: rusage would count this interpreter's
        memory before exec."""
        folder = f"/proc/{self.process.pid}"
        while self.process.returncode is None:
            try:
                with open(folder + "/status") as status:
                    found = re.search(r"VmHWM:\s+(\d+)", status.read())
                with open(folder + "/cmdline", "rb") as line:
                    self.command_lines.add(line.read())
            except OSError:
                return
            if not found:
                return  # a zombie
            self.peak_rss_kib = max(self.peak_rss_kib, int(found.group(1)))
            time.sleep(0.005)

    def signal(self, signum):
        self.process.send_signal(signum)

    def wait(self, timeout_s=RUN_TIMEOUT_S):
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)
            raise AssertionError(f"the agent did not end within {timeout_s} s:\n{self.text(1)}") from None
        seconds = time.monotonic() - self.began
        self.watcher.join(5)
        result = Result(self.name, code, self.text(0), self.text(1), seconds, self.peak_rss_kib, self.command_lines)
        for output in self.outputs:
            output.close()
        return result

    def stop(self):
        """For cleaning up; no matter what state it is in."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def text(self, which):
        self.outputs[which].seek(0)
        return self.outputs[which].read().decode(errors="replace")


class Agent:
    """The agent on one (imagined) host. `etcd`, `snapshots`, … are keys of the sections of
    etcd-snapshot.conf; change them, or `policy`, between runs as an operator would."""

    def __init__(self, root, endpoints=None, policy=POLICY):
        self.root = root
        self.conf_file, self.cluster_file = os.path.join(root, "agent.conf"), os.path.join(root, "cluster.yml")
        self.runtime, self.directory = os.path.join(root, "run"), os.path.join(root, "snapshots")
        os.makedirs(self.runtime, exist_ok=True)
        self.policy, self.policy_mode = policy, 0o600
        self.sections = {"etcd": {"retries": 0, "retry_interval_s": 1},
                         "snapshots": {"directory": self.directory}}
        if endpoints:
            self.etcd["endpoints"] = endpoints if isinstance(endpoints, str) else ",".join(endpoints)
        self.names = {}  # host name -> address; where there are any, no other name is found
        self.environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8",
                            "TZ": "UTC", "RUNTIME_DIRECTORY": self.runtime}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                self.environment[name] = os.environ[name]

    @property
    def etcd(self):
        return self.sections["etcd"]

    @property
    def snapshots(self):
        return self.sections["snapshots"]

    def section(self, name):
        return self.sections.setdefault(name, {})

    def use_tls(self, pki, pair=None):
        pair = pair or pki.client
        self.etcd.update(ca_file=pki.ca, cert_file=pair.cert, key_file=pair.key)

    def use_password(self, password, user="root"):
        path = os.path.join(self.root, "etcd-password")
        with open(path, "w") as out:
            out.write(password + "\n")
        os.chmod(path, 0o600)
        self.etcd.update(username=user, password_file=path)

    def runtime_reset(self):
        """What a reboot does to /run."""
        shutil.rmtree(self.runtime)
        os.makedirs(self.runtime)

    def conf_text(self):
        return "".join(f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()) + "\n"
                       for name, keys in self.sections.items())

    def write(self):
        with open(self.conf_file, "w") as out:
            out.write(self.conf_text())
        if self.policy is not None:
            with open(self.cluster_file, "w") as out:
                out.write(self.policy)
            os.chmod(self.cluster_file, self.policy_mode)

    def command(self, *args, program=None):
        return [program or binary(), "--config", self.conf_file, "--cluster-file", self.cluster_file, *args]

    def start(self, *args, write=True, program=None, env=None, **options):
        if write:
            self.write()
        command = self.command(*args, program=program)
        if self.names:
            command = names.command(self.root, self.names, command)
        return Run(args[0] if args else "", command,
                   {**self.environment, **(env or {})}, **options)

    def run(self, *args, timeout_s=RUN_TIMEOUT_S, **options):
        return self.start(*(args or ("run",)), **options).wait(timeout_s)


def stamp(days_old=0.0):
    """The time of a snapshot name, so many days ago."""
    when = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=days_old)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
