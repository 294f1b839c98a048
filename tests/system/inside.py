"""What scenarios use inside a container; README.md says how one looks. Needs nothing but Python.

Nothing here ends the container: the unit that runs the scenario does that when the program has ended.
"""
import json
import os
import shutil
import subprocess
import sys
import time
import traceback

DIRECTORY = "/opt/rke/etcd-snapshots"
POLICY = "/etc/etcd-snapshot/cluster.yml"
HOST = "/etc/etcd-snapshot/etcd-snapshot.conf"
PKI = "/etc/etcd/pki"  # ca.pem, server.pem, client.pem and their …-key.pem, owned by etcd
ENDPOINT = "https://127.0.0.1:2379"
IDENTIFIER = "etcd-rolling-snapshots"

_failed = 0


def scenario(main, after_reboot=None):
    """Runs the scenario: `main`, or `after_reboot` when `main` has called reboot()."""
    try:
        (after_reboot if "--after-reboot" in sys.argv else main)()
    except Exception as failure:
        check("the scenario runs to its end", False, f"{failure}\n{traceback.format_exc()}")
    sys.exit(1 if _failed else 0)


def reboot():
    """Ends `main`; the container boots again and `after_reboot` is called."""
    with open("/result/reboot", "w"):
        pass
    sys.exit(1 if _failed else 0)


def check(name, condition, detail=""):
    """One test. `detail` is shown where it fails. Returns whether it passed."""
    global _failed
    if condition:
        print("ok " + name, flush=True)
        return True
    _failed += 1
    print(f"FAILED {name}: " + str(detail).rstrip().replace("\n", "\n    "), flush=True)
    return False


def note(text):
    """A line of the report that is no test."""
    print(f"    {uptime():6.1f} s  {text}", flush=True)


# --- commands ----------------------------------------------------------------------------------

class Done:
    """How a command ended: `code`, and what it printed on both streams, `out`."""

    def __init__(self, command, code, out):
        self.command, self.code, self.out = command, code, out

    def __str__(self):
        return f"{' '.join(self.command)}: status {self.code}\n{self.out}"


def run(*command, seconds=120, env=None):
    """Runs a command to its end; no shell. Its failure is the caller's to look at."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", timeout=seconds, check=False,
                          env={**os.environ, "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0", **(env or {})})
    return Done(command, done.returncode, done.stdout)


def must(*command, seconds=120, env=None):
    """run(), and an exception where it fails. Returns what it printed."""
    done = run(*command, seconds=seconds, env=env)
    if done.code != 0:
        raise RuntimeError(str(done))
    return done.out


def wait_for(condition, seconds, every=0.2):
    """Calls `condition` until it is true, and returns what it gave; its last value after `seconds`."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(every)
    return value


def uptime():
    """Seconds since this container's systemd started, which is what OnBootSec= counts from."""
    started = int(must("systemctl", "show", "--property=UserspaceTimestampMonotonic", "--value")) / 1e6
    return time.clock_gettime(time.CLOCK_MONOTONIC) - started


# --- systemd -----------------------------------------------------------------------------------

def show(unit, *properties):
    """Properties of a unit, as systemd has them: one value, or a list for several."""
    out = must("systemctl", "show", unit, "--property=" + ",".join(properties))
    have = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    values = [have.get(name, "") for name in properties]
    return values[0] if len(values) == 1 else values


def active(unit):
    return show(unit, "ActiveState") == "active"


def now():
    """The wall clock, to be given as `since`."""
    return time.time()


def journal(unit=None, identifier=None, since=None, fields=()):
    """Entries of the journal, oldest first, as dictionaries of their fields with `time` (seconds, the wall
    clock) besides. `fields`: further matches, as ("PRIORITY=3",)."""
    must("journalctl", "--sync")
    command = ["journalctl", "--output=json", "--all", "--no-pager", "--quiet"]
    command += ["--unit=" + unit] if unit else []
    command += ["--identifier=" + identifier] if identifier else []
    command += [f"--since=@{since:.6f}"] if since else []
    entries = []
    for line in run(*command, *fields).out.splitlines():
        if line.startswith("{"):
            entry = json.loads(line)
            entry["time"] = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
            entries.append(entry)
    return entries


def log(since=None):
    """What the agent logged, as `journalctl -t etcd-rolling-snapshots -o cat` prints it, in lines."""
    return [entry.get("MESSAGE") or "" for entry in journal(identifier=IDENTIFIER, since=since)]


def runs(since=None):
    """When the service was started, in seconds of the wall clock, oldest first."""
    return [entry["time"] for entry in journal(unit="etcd-snapshot.service", since=since)
            # SD_MESSAGE_UNIT_STARTING: systemd has begun to start it.
            if entry.get("MESSAGE_ID") == "7d4958e842da4a758f6c1cdc7b36dcc5" and entry.get("_PID") == "1"]


# --- etcd, as the distribution ships it --------------------------------------------------------

def start_etcd():
    """etcd behind TLS with client certificates, enabled and started, and an etcd-snapshot.conf that names
    them. Certificates and keys belong to etcd, keys are 0600."""
    if not os.path.exists(PKI):
        _make_pki()
    with open("/etc/default/etcd", "w") as out:
        out.write(f"""ETCD_LISTEN_CLIENT_URLS={ENDPOINT}
ETCD_ADVERTISE_CLIENT_URLS={ENDPOINT}
ETCD_CLIENT_CERT_AUTH=true
ETCD_TRUSTED_CA_FILE={PKI}/ca.pem
ETCD_CERT_FILE={PKI}/server.pem
ETCD_KEY_FILE={PKI}/server-key.pem
""")
    write_host("")
    must("systemctl", "enable", "--quiet", "etcd.service")
    must("systemctl", "restart", "etcd.service")
    if not wait_for(lambda: etcdctl("endpoint", "health").code == 0, 60, 0.5):
        raise RuntimeError("etcd does not answer\n" + str(etcdctl("endpoint", "health")))


def etcdctl(*arguments):
    return run("etcdctl", "--endpoints", ENDPOINT, "--cacert", PKI + "/ca.pem", "--cert", PKI + "/client.pem",
               "--key", PKI + "/client-key.pem", *arguments, seconds=30, env={"ETCDCTL_API": "3"})


def _make_pki():
    work = PKI + ".new"
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work, 0o755)
    with open(work + "/ext", "w") as out:
        out.write("subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    must("openssl", "req", "-x509", *new_key, "-keyout", work + "/ca-key.pem", "-out", work + "/ca.pem",
         "-subj", "/CN=etcd CA", "-days", "30")
    for name in ("server", "client"):
        path = f"{work}/{name}"
        must("openssl", "req", "-new", *new_key, "-keyout", path + "-key.pem", "-out", path + ".csr",
             "-subj", "/CN=" + name)
        must("openssl", "x509", "-req", "-in", path + ".csr", "-CA", work + "/ca.pem", "-CAkey",
             work + "/ca-key.pem", "-CAcreateserial", "-extfile", work + "/ext", "-out", path + ".pem",
             "-days", "30")
    must("chown", "-R", "etcd:etcd", work)
    os.rename(work, PKI)


# --- etcd-snapshot -----------------------------------------------------------------------------

def write_host(text):
    """Writes etcd-snapshot.conf: `text` after the endpoint and the certificates of start_etcd(), which end
    inside [etcd]. No daemon-reload."""
    with open(HOST, "w") as out:
        out.write(f"[etcd]\nendpoints = {ENDPOINT}\nca_file = {PKI}/ca.pem\ncert_file = {PKI}/client.pem\n"
                  f"key_file = {PKI}/client-key.pem\n{text}")


def write_policy(text):
    """Writes cluster.yml. No daemon-reload."""
    with open(POLICY, "w") as out:
        out.write(text if text.endswith("\n") else text + "\n")


def interval(value, more=""):
    """A cluster.yml with this interval_hours."""
    return f"services:\n  etcd:\n    backup_config:\n      interval_hours: {value}\n{more}"


def snapshots(directory=DIRECTORY):
    """Names of the finished snapshots, oldest first. What begins with a dot is the agent's own."""
    if not os.path.isdir(directory):
        return []
    return sorted(name for name in os.listdir(directory)
                  if not name.startswith(".") and name != "pki.bundle.tar.gz")
