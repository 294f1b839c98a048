"""The sandbox, and the drop-ins that the generator opens it with: snapshots elsewhere, on a file system of
their own, mounted or not; certificates of another account; the certificate bundle; metrics."""
import os
import re
import shutil
import tarfile

from host import SERVICE, TIMER, conf, cycle, drop_in, files, is_good, reload, write
from inside import (DIRECTORY, PKI, active, check, interval, must, run, scenario, show, snapshots, start_etcd,
                    wait_for, write_policy)

MAX_EXPOSURE = 2.0
MOVED = "/srv/etcd snapshots"
BOX = "/srv/box"
METRICS = "/var/lib/node-exporter/textfiles"


def main():
    start_etcd()
    write_policy(interval("12"))
    reload()
    analysed()
    certificates()
    moved()
    mounted()
    bundle()
    metrics()


def analysed():
    said = run("systemd-analyze", "verify", "--man=no", SERVICE, TIMER)
    check("systemd-analyze verify is silent", said.code == 0 and not said.out.strip(), said)
    said = must("systemd-analyze", "security", "--no-pager", SERVICE)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    check(f"systemd-analyze security gives {MAX_EXPOSURE} at most", found
          and float(found.group(1)) <= MAX_EXPOSURE, said[-300:])
    conf(snapshots={"directory": MOVED}, metrics={"textfile": METRICS + "/etcd-snapshot.prom"})
    said = run("systemd-analyze", "verify", "--man=no", SERVICE, TIMER)
    check("the generator's drop-ins are as silent", said.code == 0 and not said.out.strip(), said)
    said = run("systemd-analyze", "security", "--no-pager", SERVICE).out
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    check("and open no more than a directory", found and float(found.group(1)) <= MAX_EXPOSURE, said[-300:])
    conf()


def certificates():
    key = PKI + "/client-key.pem"
    status = os.stat(key)
    check("keys belong to etcd alone", status.st_uid != 0 and status.st_mode & 0o777 == 0o600, oct(status.st_mode))
    os.chmod(PKI, 0o700)
    ended = cycle()
    check("a cycle reads them", ended.code == 0, ended)
    os.chmod(PKI, 0o755)
    mode = [os.stat(path).st_mode & 0o777 for path in (DIRECTORY, f"{DIRECTORY}/{snapshots()[-1]}")]
    check("what it writes is root's alone", mode == [0o700, 0o600], [oct(one) for one in mode])


def moved():
    there = snapshots()
    conf(snapshots={"directory": MOVED})
    ended = cycle()
    check("a directory that is not there is an error with 74", ended.code == 74 and ended.says(MOVED, "does not exist"),
          ended)
    check("the message says what to do", ended.says("hint=", "install -d -m 0700"), ended)
    os.makedirs(MOVED, 0o700)
    ended = cycle()
    check("with the directory it works", ended.code == 0 and len(snapshots(MOVED)) == 1, ended)
    check("nothing is written where they were", snapshots() == there, snapshots())
    # Written, but not reloaded: the sandbox does not know it.
    other = "/srv/other"
    os.makedirs(other, 0o700)
    conf_text = f"[snapshots]\ndirectory = {other}\n"
    with open("/etc/etcd-snapshot/etcd-snapshot.conf") as file:
        text = file.read().replace(f"[snapshots]\ndirectory = {MOVED}\n", conf_text)
    write("/etc/etcd-snapshot/etcd-snapshot.conf", text)
    ended = cycle()
    check("without daemon-reload it is refused, and the message says so", ended.code == 74
          and ended.says(other, "daemon-reload"), ended)
    reload()
    ended = cycle()
    check("after it, it works", ended.code == 0 and len(snapshots(other)) == 1, ended)
    conf(snapshots={"directory": "/var/tmp/snapshots"})
    os.makedirs("/var/tmp/snapshots", 0o700)
    ended = cycle()
    check("below /var/tmp it is the real one", ended.code == 0 and len(snapshots("/var/tmp/snapshots")) == 1, ended)
    conf()


def mounted():
    """A file system that an administrator mounts by hand, then one that systemd knows."""
    os.makedirs(BOX)
    conf(snapshots={"directory": BOX + "/etcd"})
    must("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", BOX)
    os.makedirs(BOX + "/etcd", 0o700)
    ended = cycle()
    check("on a mount of its own it works", ended.code == 0 and len(snapshots(BOX + "/etcd")) == 1, ended)
    must("umount", BOX)
    ended = cycle()
    check("not mounted it is refused with 74", ended.code == 74 and not os.listdir(BOX), ended)
    check("the message asks whether it is mounted", ended.says(BOX, "does not exist", "look whether it is mounted"), ended)

    unit = "srv-box.mount"
    write("/etc/systemd/system/" + unit, f"[Mount]\nWhat=tmpfs\nWhere={BOX}\nType=tmpfs\nOptions=mode=700\n")
    conf(snapshots={"directory": BOX})
    ended = cycle()
    check("what systemd knows is mounted for it", ended.code == 0 and active(unit) and len(snapshots(BOX)) == 1,
          ended)
    must("systemctl", "stop", unit)
    check("and again", cycle().code == 0 and active(unit))
    must("systemctl", "stop", unit)

    # One that fails: nothing goes below the mount point, and the timer tries again.
    write("/etc/systemd/system/" + unit, f"[Mount]\nWhat=/dev/gone\nWhere={BOX}\nType=ext4\n")
    drop_in("[Timer]\nOnUnitActiveSec=\nOnBootSec=1s\nOnUnitActiveSec=4s\n", TIMER)
    must("systemctl", "start", TIMER)
    failures = wait_for(lambda: run("journalctl", "-q", "-u", SERVICE, "-g", "Dependency failed").out.splitlines()[1:],
                        30)
    check("a mount that fails is named, each time", failures and unit in run("systemctl", "status", unit).out,
          run("systemctl", "status", SERVICE, TIMER))
    check("nothing is written below it", not os.listdir(BOX), os.listdir(BOX))
    check("the timer is alive", active(TIMER) and show(TIMER, "Result") == "success",
          run("systemctl", "status", TIMER))
    write("/etc/systemd/system/" + unit, f"[Mount]\nWhat=tmpfs\nWhere={BOX}\nType=tmpfs\nOptions=mode=700\n")
    reload()
    check("mended it goes on by itself", wait_for(lambda: active(unit) and snapshots(BOX), 20),
          run("systemctl", "status", SERVICE, TIMER))
    must("systemctl", "stop", TIMER)
    drop_in(None, TIMER)
    wait_for(lambda: show(SERVICE, "ActiveState") != "activating", 30)
    must("systemctl", "stop", unit)
    conf()


def bundle():
    folder = "/etc/kubernetes/ssl"
    os.makedirs(folder)
    shutil.copy(PKI + "/ca.pem", folder + "/kube-ca.pem")
    shutil.copy(PKI + "/client-key.pem", folder + "/kube-ca-key.pem")
    shutil.chown(folder + "/kube-ca-key.pem", "etcd", "etcd")
    conf(pki={"bundle": "yes"})
    ended = cycle()
    path = DIRECTORY + "/pki.bundle.tar.gz"
    check("the certificates are bundled", ended.code == 0 and os.path.exists(path)
          and os.stat(path).st_mode & 0o777 == 0o600, ended)
    with tarfile.open(path) as archive:
        names = sorted(name for name in archive.getnames() if name.endswith(".pem"))
    check("as RKE names them", names == ["etc/kubernetes/ssl/kube-ca-key.pem", "etc/kubernetes/ssl/kube-ca.pem"], names)
    again = cycle()
    check("nothing is written where nothing has changed", again.code == 0 and not again.says("certificate bundle"),
          again)
    conf()


def metrics():
    os.makedirs(METRICS)
    conf(metrics={"textfile": METRICS + "/etcd-snapshot.prom"})
    check("the directory of the metrics is open", METRICS in show(SERVICE, "ReadWritePaths"),
          show(SERVICE, "ReadWritePaths"))
    ended = cycle()
    check("a cycle with metrics works", ended.code == 0, ended)
    with open("/usr/bin/etcd-snapshot", "rb") as program:
        if b"etcd_snapshot_last_success" in program.read():
            check("they are written there", files(METRICS) == ["etcd-snapshot.prom"], files(METRICS))
    conf()
    check("every snapshot is good", all(is_good(f"{DIRECTORY}/{name}") for name in snapshots()))


scenario(main)
