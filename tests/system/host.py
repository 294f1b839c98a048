"""What an administrator of the host does, beyond inside.py: settings in other sections, a cycle begun and
looked at in the middle, etcd filled, a snapshot proven by other means than the agent's."""
import base64
import contextlib
import hashlib
import http.client
import json
import os
import ssl
import zipfile

from inside import DIRECTORY, ENDPOINT, HOST, IDENTIFIER, PKI, journal, must, run, show, wait_for

SERVICE, TIMER = "etcd-snapshot.service", "etcd-snapshot.timer"
MIB = 1 << 20


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as out:
        out.write(text)
    os.chmod(path, mode)


def reload():
    must("systemctl", "daemon-reload")


def conf(reloaded=True, **sections):
    """Writes etcd-snapshot.conf and reloads: the way to start_etcd()'s etcd, no further attempts, and
    what is given: conf(snapshots={"directory": "/srv/s"}, etcd={"endpoints": valve.url})."""
    sections["etcd"] = {"endpoints": ENDPOINT, "ca_file": PKI + "/ca.pem", "cert_file": PKI + "/client.pem",
                        "key_file": PKI + "/client-key.pem", "retries": 0, **sections.get("etcd", {})}
    write(HOST, "".join(f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
                        for name, keys in sections.items()))
    if reloaded:
        reload()


def drop_in(text, unit=SERVICE):
    """What `systemctl edit` of the unit leaves; None takes it away again."""
    path = f"/etc/systemd/system/{unit}.d/override.conf"
    if text is not None:
        write(path, text)
    elif os.path.exists(path):
        os.unlink(path)
    reload()


def property_of(unit, interface, name):
    """A number, as systemd has it: `systemctl show` writes a point in time for people."""
    path = "/org/freedesktop/systemd1/unit/" + "".join(
        letter if letter.isalnum() else f"_{ord(letter):02x}" for letter in unit)
    return int(must("busctl", "get-property", "org.freedesktop.systemd1", path,
                    "org.freedesktop.systemd1." + interface, name).split()[1])


# --- cycles ------------------------------------------------------------------------------------

class Cycle:
    """One that is over: its exit status, systemd's result, and what it logged."""

    def __init__(self):
        code, self.result, pid = show(SERVICE, "ExecMainStatus", "Result", "ExecMainPID")
        self.code = int(code)
        # By its number, which comes with the entry: what else journald looks up is not there any more when
        # the process ended at once.
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as text:
            boot = text.read().strip().replace("-", "")
        self.entries = journal(identifier=IDENTIFIER, fields=("_PID=" + pid, "_BOOT_ID=" + boot))
        self.lines = [entry["MESSAGE"] for entry in self.entries]

    def says(self, *texts):
        """Whether one line has all of them."""
        return any(all(text in line for text in texts) for line in self.lines)

    def __str__(self):
        return f"status {self.code}, {self.result}\n" + "\n".join(self.lines)


def cycle():
    """Runs one from beginning to end, as the timer would."""
    begin()
    return finish()


def begin():
    """Starts one and returns while it runs, or when it is over already."""
    before = show(SERVICE, "InvocationID")
    must("systemctl", "start", "--no-block", SERVICE)
    if not wait_for(lambda: show(SERVICE, "InvocationID") != before, 60, 0.05):
        raise RuntimeError("the service did not start\n" + str(run("systemctl", "status", SERVICE)))


def finish(seconds=120):
    if not wait_for(lambda: show(SERVICE, "ActiveState") in ("inactive", "failed"), seconds):
        raise RuntimeError("the cycle did not end\n" + str(run("systemctl", "status", SERVICE)))
    return Cycle()


# --- snapshots ---------------------------------------------------------------------------------

def files(directory=DIRECTORY):
    """Every name in there, hidden ones too."""
    return sorted(os.listdir(directory))


def is_good(path):
    """Whether a .zip holds what etcd sent, whole: its last 32 bytes are the SHA-256 of all before them."""
    digest, tail = hashlib.sha256(), b""
    with zipfile.ZipFile(path) as archive, archive.open(archive.infolist()[0]) as database:
        while piece := database.read(MIB):
            digest.update((tail + piece)[:-32])
            tail = (tail + piece)[-32:]
    return digest.digest() == tail


# --- etcd --------------------------------------------------------------------------------------

def fill(total_bytes):
    """Puts so many bytes that do not compress into etcd, over its JSON gateway."""
    context = ssl.create_default_context(cafile=PKI + "/ca.pem")
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # what Python 3.13 wants of an authority, etcd does not
    context.load_cert_chain(PKI + "/client.pem", PKI + "/client-key.pem")
    link = http.client.HTTPSConnection("127.0.0.1", 2379, timeout=60, context=context)
    with contextlib.closing(link):
        for number in range(total_bytes // MIB):
            link.request("POST", "/v3/kv/put", json.dumps({
                "key": base64.b64encode(b"/fill/%08d" % number).decode(),
                "value": base64.b64encode(os.urandom(MIB)).decode()}))
            answer = link.getresponse()
            said = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"etcd does not take what is put: {answer.status} {said[:200]!r}")
