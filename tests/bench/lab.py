"""The surroundings of a measurement: certificates, throwaway etcd members on loopback, and commands
run under a stop-watch. Everything that is started here is ended by its process id."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class LabError(Exception):
    """What went wrong, in words for the operator."""


def run_quietly(arguments, **options):
    """Runs a helper to its end; its output is shown only when it fails."""
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **options)
    if done.returncode != 0:
        raise LabError(f"{' '.join(arguments[:3])}: exit {done.returncode}\n{done.stdout.strip()}")
    return done.stdout


def end_process(process, patience_s=30):
    """Ends a child by its id: SIGTERM, and SIGKILL when that does not help."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def with_parent(arguments):
    """The command line of a child that ends when this process is killed."""
    return (["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []) + arguments


class Certificates:
    """An authority, a server certificate for loopback, a client certificate; of RSA 2048, as kubeadm
    makes them. Valid for two days."""

    def __init__(self, directory):
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self.ca_file = os.path.join(directory, "ca.crt")
        ca_key = os.path.join(directory, "ca.key")
        run_quietly(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                     "/CN=bench-ca", "-keyout", ca_key, "-out", self.ca_file])
        for name, purpose in (("server", "serverAuth"), ("client", "clientAuth")):
            stem = os.path.join(directory, name)
            run_quietly(["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
                         "-keyout", stem + ".key", "-out", stem + ".csr"])
            with open(stem + ".ext", "w", encoding="ascii") as extensions:
                extensions.write("subjectAltName=IP:127.0.0.1,DNS:localhost\n"
                                 f"extendedKeyUsage={purpose}\n")
            run_quietly(["openssl", "x509", "-req", "-in", stem + ".csr", "-CA", self.ca_file, "-CAkey",
                         ca_key, "-CAcreateserial", "-days", "2", "-extfile", stem + ".ext", "-out",
                         stem + ".crt"])
        self.server = (os.path.join(directory, "server.crt"), os.path.join(directory, "server.key"))
        self.client = (os.path.join(directory, "client.crt"), os.path.join(directory, "client.key"))

    def flags(self):
        """The flags that etcdctl, fill and drain share."""
        return ["--cacert", self.ca_file, "--cert", self.client[0], "--key", self.client[1]]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Etcd:
    """One etcd member with TLS and client certificates, as a context manager."""

    def __init__(self, data_directory, certificates, log_file):
        self.data_directory = data_directory
        self.certificates = certificates
        self.log_file = log_file
        self.endpoint = f"https://127.0.0.1:{free_port()}"
        self.process = None

    def __enter__(self):
        peer = f"http://127.0.0.1:{free_port()}"
        arguments = with_parent([
            "etcd", "--name", "bench", "--data-dir", self.data_directory,
            "--listen-client-urls", self.endpoint, "--advertise-client-urls", self.endpoint,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"bench={peer}",
            "--cert-file", self.certificates.server[0], "--key-file", self.certificates.server[1],
            "--client-cert-auth", "--trusted-ca-file", self.certificates.ca_file,
            # Room for the database; and frequent raft snapshots, so that the log stays short.
            "--quota-backend-bytes", "8589934592", "--snapshot-count", "200",
            "--logger", "zap", "--log-level", "warn"])
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("ETCD_")}
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=environment, start_new_session=True)
        try:
            self._wait_until_healthy()
        except BaseException:
            end_process(self.process)
            raise
        return self

    def __exit__(self, *_):
        end_process(self.process)

    def _wait_until_healthy(self, patience_s=180):
        context = ssl.create_default_context(cafile=self.certificates.ca_file)
        context.load_cert_chain(*self.certificates.client)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             urllib.request.HTTPSHandler(context=context))
        give_up = time.monotonic() + patience_s
        problem = None
        while time.monotonic() < give_up:
            if self.process.poll() is not None:
                raise LabError(f"etcd ended with exit {self.process.returncode}; see {self.log_file}")
            try:
                with opener.open(self.endpoint + "/health", timeout=5) as answer:
                    if json.load(answer).get("health") == "true":
                        return
            except (OSError, ValueError) as error:
                problem = error
            time.sleep(0.2)
        raise LabError(f"etcd is not healthy after {patience_s} s ({problem}); see {self.log_file}")

    def cpu_s(self):
        return cpu_s_of(self.process.pid)

    def section(self):
        """How etcd-snapshot.conf tells where it is."""
        cert, key = self.certificates.client
        return (f"[etcd]\nendpoints = {self.endpoint}\nca_file = {self.certificates.ca_file}\n"
                f"cert_file = {cert}\nkey_file = {key}\n\n")


def cpu_s_of(pid):
    """CPU seconds of a running process, without those of its children."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS  # utime, stime: proc(5)


def machine_cpu_s():
    """CPU seconds that the whole machine has been busy since boot."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / CLOCK_TICKS


class Stopwatch:
    """Runs commands under the program `measure`; the output of the last one goes to `output_file`."""

    def __init__(self, measure, directory):
        self.measure = measure
        self.result_file = os.path.join(directory, "measured")
        self.output_file = os.path.join(directory, "output")

    def run(self, arguments, environment=None):
        """Returns wall_s, cpu_s and peak_kib; raises when the command fails."""
        with open(self.output_file, "wb") as output:
            process = subprocess.Popen(with_parent([self.measure, self.result_file] + arguments),
                                       stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                       env={**os.environ, **(environment or {})},
                                       start_new_session=True)
        try:
            code = process.wait()
        finally:
            end_process(process)
        if code != 0:
            raise LabError(f"{os.path.basename(arguments[0])} failed with exit {code}:\n{self.output()}")
        with open(self.result_file, encoding="ascii") as result:
            wall_s, user_s, system_s, peak_kib, _ = result.read().split()
        return {"wall_s": float(wall_s), "cpu_s": float(user_s) + float(system_s),
                "peak_kib": int(peak_kib)}

    def output(self):
        with open(self.output_file, encoding="utf-8", errors="replace") as output:
            return output.read()[-4000:]
