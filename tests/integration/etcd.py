"""Throwaway etcd members on loopback: started in a directory of their own, stopped by pid.

A Member is one process; a Cluster is several. Nothing here knows the agent.
"""
import base64
import contextlib
import http.client
import json
import os
import random
import signal
import socket
import ssl
import subprocess
import threading
import time

START_TIMEOUT_S = 40


def free_port():
    """A port below the ephemeral range, so that no outgoing connection takes it meanwhile."""
    for _ in range(200):
        port = random.SystemRandom().randrange(20000, 32000)
        with contextlib.closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port between 20000 and 32000")


class Programs:
    """How one release of etcd is started. `loader` goes before each program's path."""

    def __init__(self, bin_dir="/usr/bin", loader=()):
        self.bin_dir, self.loader = bin_dir, list(loader)

    def command(self, program):
        return self.loader + [os.path.join(self.bin_dir, program)]

    def has(self, program):
        return os.path.exists(os.path.join(self.bin_dir, program))

    def version(self):
        """As a tuple of numbers: (3, 5, 16)."""
        done = subprocess.run(self.command("etcd") + ["--version"], check=True, text=True, timeout=20,
                              stdout=subprocess.PIPE)
        return tuple(int(part) for part in done.stdout.split()[2].split("."))

    def snapshot_tool(self):
        """The program that knows `snapshot status` and `snapshot restore` of this release."""
        return self.command("etcdutl" if self.has("etcdutl") else "etcdctl")


HOST = Programs()


def tool(programs, *args):
    """Runs the snapshot tool; standard output. Raises with its words when it fails."""
    done = subprocess.run(programs.snapshot_tool() + list(args), text=True, timeout=60,
                          env={"PATH": os.environ["PATH"], "ETCDCTL_API": "3", "HOME": "/nonexistent"},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise RuntimeError(f"{args}: exit {done.returncode}: {done.stderr}")
    return done.stdout


def snapshot_status(programs, path):
    """What etcd's own tool says of a snapshot file: hash, revision, totalKey, totalSize."""
    return json.loads(tool(programs, "snapshot", "status", path, "-w", "json"))


class Member:
    """One etcd process. `tls` is a pki.Pki or None; `data_dir` may hold a restored member."""

    def __init__(self, root, programs=HOST, tls=None, name="m0", data_dir=None, quota_bytes=4 << 30):
        self.root, self.programs, self.tls, self.name = root, programs, tls, name
        self.data_dir = data_dir or os.path.join(root, name + ".data")
        self.log_path = os.path.join(root, name + ".log")
        self.port, self.peer_port = free_port(), free_port()
        self.password, self.quota_bytes = None, quota_bytes
        self.process = None

    @property
    def scheme(self):
        return "https" if self.tls else "http"

    @property
    def endpoint(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def peer_url(self):
        return f"http://127.0.0.1:{self.peer_port}"

    def start(self, peers=None, wait=True, state="new"):
        peers = peers or [self]
        arguments = [
            "--name", self.name, "--data-dir", self.data_dir, "--unsafe-no-fsync",
            "--quota-backend-bytes", str(self.quota_bytes), "--logger", "zap", "--log-outputs", "stderr",
            "--listen-client-urls", self.endpoint, "--advertise-client-urls", self.endpoint,
            "--listen-peer-urls", self.peer_url, "--initial-advertise-peer-urls", self.peer_url,
            "--initial-cluster", ",".join(f"{peer.name}={peer.peer_url}" for peer in peers),
            "--initial-cluster-state", state]
        if self.tls:
            arguments += ["--client-cert-auth", "--trusted-ca-file", self.tls.ca,
                          "--cert-file", self.tls.server.cert, "--key-file", self.tls.server.key]
        with open(self.log_path, "ab") as log:
            # The kernel ends it if this process dies before it could stop it.
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL"] + self.programs.command("etcd") + arguments,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if wait:
            self.wait_healthy()
        return self

    def wait_healthy(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"etcd {self.name} ended by itself:\n{self.log_tail()}")
            try:
                if self.request("GET", "/health").get("health") in ("true", True):
                    return
            except (OSError, ValueError, http.client.HTTPException):
                pass
            if time.monotonic() > deadline:
                raise RuntimeError(f"etcd {self.name} not healthy:\n{self.log_tail()}")
            time.sleep(0.05)

    def log_tail(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()[-2000:]

    def connection(self):
        if not self.tls:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        context = ssl.create_default_context(cafile=self.tls.ca)
        context.load_cert_chain(self.tls.client.cert, self.tls.client.key)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=context)

    def request(self, method, path, body=None, connection=None):
        """One request to etcd's JSON gateway."""
        link = connection or self.connection()
        try:
            link.request(method, path, None if body is None else json.dumps(body))
            answer = link.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise ValueError(f"{path}: {answer.status} {text[:200]!r}")
            return json.loads(text)
        finally:
            if not connection:
                link.close()

    def wait_listening(self):
        """For a member that cannot become healthy."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if time.monotonic() > deadline:
                raise RuntimeError(f"etcd {self.name} does not listen:\n{self.log_tail()}")
            time.sleep(0.05)

    def put(self, key, value):
        def encoded(data):
            return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()
        return self.request("POST", "/v3/kv/put", {"key": encoded(key), "value": encoded(value)})

    def fill(self, total_bytes, value_bytes=1 << 20):
        """Random values (they do not compress) of `value_bytes`, until there are `total_bytes`."""
        keys = iter(range(max(1, total_bytes // value_bytes)))
        failures, guard = [], threading.Lock()

        def work():
            try:
                with contextlib.closing(self.connection()) as link:
                    while True:
                        with guard:
                            number = next(keys, None)
                        if number is None:
                            return
                        key = base64.b64encode(b"/registry/fill/%08d" % number).decode()
                        value = base64.b64encode(os.urandom(value_bytes)).decode()
                        self.request("POST", "/v3/kv/put", {"key": key, "value": value}, link)
            except (OSError, ValueError, http.client.HTTPException) as failure:
                failures.append(failure)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def ctl(self, *args, user=True):
        """etcdctl of the same release; standard output."""
        command = self.programs.command("etcdctl") + ["--endpoints", self.endpoint]
        if self.tls:
            command += ["--cacert", self.tls.ca, "--cert", self.tls.client.cert,
                        "--key", self.tls.client.key]
        if self.password and user:
            command += ["--user", "root:" + self.password]
        done = subprocess.run(command + list(args), text=True, timeout=60,
                              env={"PATH": os.environ["PATH"], "ETCDCTL_API": "3", "HOME": "/nonexistent"},
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            raise RuntimeError(f"etcdctl {args}: exit {done.returncode}: {done.stderr}")
        return done.stdout

    def enable_auth(self, password):
        self.ctl("user", "add", "root:" + password)
        self.ctl("user", "grant-role", "root", "root")
        self.ctl("auth", "enable")
        self.password = password

    def contents(self, prefix=""):
        """Every key and value, for comparing."""
        answer = json.loads(self.ctl("get", prefix, "--prefix", "-w", "json"))
        return {entry["key"]: entry.get("value", "") for entry in answer.get("kvs", [])}

    def stop(self, signum=signal.SIGTERM):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signum)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self.process = None


class Cluster:
    """Several members; stop some of them to lose the quorum."""

    def __init__(self, root, count=3, programs=HOST):
        self.members = [Member(root, programs, name=f"m{number}") for number in range(count)]

    def start(self):
        try:
            for member in self.members:
                member.start(self.members, wait=False)
            for member in self.members:
                member.wait_healthy()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        for member in self.members:
            member.stop()
