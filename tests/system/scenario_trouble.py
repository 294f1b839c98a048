"""A cycle that is stopped, killed, out of space or short of memory: nothing half is left, nothing that was
there is lost, and the next one heals it."""
import glob
import json
import os

from host import MIB, SERVICE, begin, conf, cycle, fill, files, finish, is_good, reload
from inside import (DIRECTORY, check, etcdctl, interval, must, note, run, scenario, show, snapshots, start_etcd,
                    wait_for, write_policy)
from valve import Valve

SMALL = "/srv/small"


def main():
    start_etcd()
    write_policy(interval("12"))
    reload()
    kept = cycle()
    check("a first snapshot is taken", kept.code == 0 and len(snapshots()) == 1, kept)
    full_disk()
    fill(64 * MIB)
    stopped()
    killed()
    memory()


def partials(directory=DIRECTORY):
    return [name for name in files(directory) if name.endswith(".partial")]


def in_the_middle(valve):
    """A cycle that has written a part of its file and gets no more."""
    conf(etcd={"endpoints": valve.url})
    begin()
    if not valve.held.wait(60) or not wait_for(partials, 10):
        raise RuntimeError("no stream is under way\n" + str(run("systemctl", "status", SERVICE)))


def stopped():
    before = files()
    with Valve(hold_after=24 * MIB) as valve:
        in_the_middle(valve)
        check("a stream under way has one unfinished file", len(partials()) == 1, files())
        must("systemctl", "stop", SERVICE, seconds=40)
    check("systemctl stop in the middle leaves no file", files() == before, files())
    ended = finish()
    check("the log says that it was stopped", ended.says('msg=Stopped', "SIGTERM"), ended)
    page = run("systemctl", "status", SERVICE).out
    check("so does systemctl status", "asked to stop (SIGTERM)" in page.split("Status:")[-1].splitlines()[0], page)
    check("which is no failure", show(SERVICE, "ActiveState", "Result", "ExecMainStatus") == [
        "inactive", "success", "143"], page)
    conf()
    check("the next cycle works", cycle().code == 0)


def killed():
    before = files()
    with Valve(hold_after=24 * MIB) as valve:
        in_the_middle(valve)
        must("systemctl", "kill", "--signal=KILL", SERVICE)
        ended = finish()
    left = partials()
    check("a cycle that was killed leaves its unfinished file", len(left) == 1 and ended.result == "signal", files())
    check("and everything else", set(before) <= set(files()), files())
    check("list does not take it for a snapshot", ".partial" not in must("etcd-snapshot", "list"))
    conf()
    ended = cycle()
    check("the next cycle removes it and says so", ended.code == 0 and not partials()
          and ended.says('msg="Removed leftover of an interrupted run"'), ended)


def full_disk():
    """A file system of its own: once too small from the beginning, once filled up by the stream."""
    os.makedirs(SMALL)
    must("mount", "-t", "tmpfs", "-o", "size=24M,mode=700", "tmpfs", SMALL)
    conf(snapshots={"directory": SMALL})
    old = [cycle(), cycle()]
    before = snapshots(SMALL)
    check("a small file system takes small snapshots", len(before) == 2 and old[1].code == 0, old[1])
    # Half of it would fit, and what is put there does not compress.
    fill(32 * MIB)
    # No earlier snapshot to tell how well it compresses.
    conf(snapshots={"directory": SMALL, "compression": "zstd"})
    filled = cycle()
    check("a disk that gets full in the stream ends with 74", filled.code == 74, filled)
    check("the message says what to do", filled.says(SMALL, "hint=", "free"), filled)
    check("nothing half is left, nothing is lost", files(SMALL) == before, files(SMALL))
    fill(64 * MIB)
    refused = cycle()
    check("what cannot fit is not begun", refused.code == 74 and refused.says("not enough space", "hint=\"free "),
          refused)
    check("older snapshots are kept", files(SMALL) == before
          and all(is_good(f"{SMALL}/{name}") for name in before), files(SMALL))
    page = run("systemctl", "status", SERVICE).out
    check("systemctl status says so", "not enough space" in page.split("Status:")[-1].splitlines()[0], page)
    must("mount", "-o", "remount,size=256M", SMALL)
    conf(snapshots={"directory": SMALL})
    healed = cycle()
    check("it heals with the space", healed.code == 0 and len(snapshots(SMALL)) == 3, healed)
    conf()
    must("umount", SMALL)


def memory():
    """MemoryHigh= and a database that is larger."""
    fill(192 * MIB)
    group = "/sys/fs/cgroup" + (show(SERVICE, "ControlGroup") or "/system.slice/" + SERVICE)
    peak, resident = 0, 0
    begin()
    while show(SERVICE, "ActiveState") == "activating":
        for path in (group + "/memory.peak", *glob.glob("/sys/fs/cgroup/memory/system.slice/" + SERVICE
                                                        + "/memory.max_usage_in_bytes")):
            peak = max(peak, int(read(path) or 0))
        for line in read(f"/proc/{show(SERVICE, 'MainPID')}/status").splitlines():
            if line.startswith("VmHWM:"):
                resident = max(resident, int(line.split()[1]) << 10)
    ended = finish()
    note(f"a database of {database() / MIB:.0f} MiB: memory.peak {peak / MIB:.0f} MiB (0: no such controller here), "
         f"resident at most {resident / MIB:.0f} MiB, {ended.lines[-1]}")
    check("a database larger than MemoryHigh= is taken", ended.code == 0
          and is_good(f"{DIRECTORY}/{snapshots()[-1]}"), ended)
    check("the process stays small", 0 < resident < 64 * MIB, resident)
    check("the limit is in force", show(SERVICE, "MemoryHigh") == str(256 * MIB), show(SERVICE, "MemoryHigh"))
    check("and holds", peak <= 272 * MIB, peak)


def database():
    """Its size, as etcd tells it."""
    return json.loads(etcdctl("endpoint", "status", "--write-out=json").out)[0]["Status"]["dbSize"]


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


scenario(main)
