"""The package over its life: upgraded over a running timer and in the middle of a cycle, installed again,
removed, purged, installed anew. Snapshots stay whatever happens."""
import glob
import os
import re
import shutil

from host import MIB, SERVICE, TIMER, begin, conf, cycle, fill, files, finish, is_good, reload, write
from inside import (DIRECTORY, HOST, POLICY, active, check, interval, must, now, run, runs, scenario, show,
                    snapshots, start_etcd, uptime, wait_for, write_policy)
from valve import Valve

PACKAGE = glob.glob("/packages/etcd-snapshot_*.deb")[0]
MOVED = "/srv/moved"


def main():
    start_etcd()
    fill(48 * MIB)
    write_policy(interval("12"))
    reload()
    must("systemctl", "start", TIMER)
    check("the first cycle works", cycle().code == 0)
    wait_for_first_by_timer()
    upgraded(repacked("9.0.1"))
    upgraded_in_the_middle(repacked("9.0.2"))
    reinstalled()
    edited(repacked("9.0.3", conffile="\n# new in this version\n"))
    off(repacked("9.0.4"))
    removed()
    purged()
    anew()


def repacked(version, conffile=""):
    """The package with another version and an etcd-snapshot.conf that has changed."""
    tree = "/var/tmp/package-" + version
    must("dpkg-deb", "--raw-extract", PACKAGE, tree)
    with open(tree + "/DEBIAN/control") as file:
        control = re.sub(r"(?m)^Version: .*", "Version: " + version, file.read())
    write(tree + "/DEBIAN/control", control)
    with open(tree + HOST, "a") as file:
        file.write(conffile)
    # dpkg replaces the program whatever it holds; this makes it another one.
    with open(tree + "/usr/bin/etcd-snapshot", "ab") as file:
        file.write(b"\0" + version.encode())
    must("dpkg-deb", "-Znone", "--root-owner-group", "--build", tree, tree + ".deb")
    shutil.rmtree(tree)
    return tree + ".deb"


def apt(*arguments):
    """Unattended, with the administrator's edits kept, as unattended-upgrades does it."""
    return must("apt-get", "-y", "-q", "-o", "Dpkg::Options::=--force-confdef", "-o",
                "Dpkg::Options::=--force-confold", *arguments, env={"DEBIAN_FRONTEND": "noninteractive"})


def version():
    return must("dpkg-query", "-W", "-f", "${Version} ${db:Status-Abbrev}", "etcd-snapshot").split()


def wait_for_first_by_timer():
    """The cycle that comes two minutes after the boot, so that it comes in the middle of nothing."""
    began = now()
    if not wait_for(lambda: uptime() > 121 and active(TIMER), 125, 1):
        raise RuntimeError(str(run("systemctl", "status", TIMER)))
    wait_for(lambda: runs(began) or uptime() > 125, 10, 1)
    finish()


def schedule():
    """When the timer fires next, and which run of the service was the last."""
    return show(TIMER, "NextElapseUSecMonotonic"), show(SERVICE, "InvocationID"), show(TIMER, "InvocationID")


def upgraded(package):
    before, there = schedule(), snapshots()
    apt("install", package)
    check("apt upgrades it", version() == ["9.0.1", "ii"], version())
    check("the timer is alive and enabled", active(TIMER) and show(TIMER, "UnitFileState") == "enabled")
    check("its schedule is as it was, and nothing was started", schedule() == before, (before, schedule()))
    check("no snapshot is touched", snapshots() == there, snapshots())
    check("systemd has nothing to reload", show(TIMER, "NeedDaemonReload") == "no")
    check("the new one works", cycle().code == 0 and len(snapshots()) == len(there) + 1)


def upgraded_in_the_middle(package):
    there = snapshots()
    with Valve(hold_after=24 * MIB) as valve:
        conf(etcd={"endpoints": valve.url})
        begin()
        valve.held.wait(60)
        before = show(SERVICE, "InvocationID", "MainPID", "ActiveState")
        apt("install", package)
        check("a cycle under way goes on", show(SERVICE, "InvocationID", "MainPID", "ActiveState") == before
              and before[2] == "activating", before)
        valve.open()
        ended = finish()
    added = [name for name in snapshots() if name not in there]
    check("it ends well, and its snapshot is good", ended.code == 0 and len(added) == 1
          and is_good(f"{DIRECTORY}/{added[0]}"), ended)
    check("nothing half is left", not [name for name in files() if name.endswith(".partial")], files())
    check("the timer counts from that cycle", active(TIMER) and show(TIMER, "Result") == "success")
    conf()


def reinstalled():
    before, there = schedule(), snapshots()
    apt("install", "--reinstall", "/var/tmp/package-9.0.2.deb")
    check("reinstalling it changes nothing", schedule() == before and snapshots() == there
          and active(TIMER), (before, schedule()))


def edited(package):
    with open(HOST) as file:
        mine = file.read() + "# mine\n"
    write(HOST, mine)
    with open(POLICY) as file:
        policy = file.read()
    before = schedule()
    apt("install", package)
    with open(HOST) as host, open(POLICY) as cluster:
        check("edits of the configuration are kept", host.read() == mine and cluster.read() == policy)
    new = HOST + ".dpkg-dist"
    check("the new settings lie beside it", os.path.exists(new) and "new in this version" in open(new).read())
    check("the schedule is kept, too", schedule() == before, (before, schedule()))


def off(package):
    """Who has turned it off does not want it back with an upgrade."""
    must("systemctl", "disable", "--now", TIMER)
    apt("install", package)
    check("a timer that is turned off stays off", not active(TIMER)
          and show(TIMER, "UnitFileState") == "disabled", run("systemctl", "status", TIMER))
    must("systemctl", "enable", "--now", TIMER)
    check("turned on it counts on", active(TIMER))
    finish()


def removed():
    """In the middle of a cycle, with a directory elsewhere."""
    os.makedirs(MOVED, 0o700)
    conf(snapshots={"directory": MOVED})
    check("a snapshot elsewhere", cycle().code == 0 and len(snapshots(MOVED)) == 1)
    there = snapshots()
    with Valve(hold_after=24 * MIB) as valve:
        conf(etcd={"endpoints": valve.url})
        begin()
        valve.held.wait(60)
        apt("remove", "etcd-snapshot")
    check("removing it stops the timer and a cycle", not active(TIMER)
          and show(SERVICE, "ActiveState", "LoadState") == ["inactive", "not-found"],
          show(SERVICE, "ActiveState", "LoadState"))
    # debhelper's scripts mask what is removed but not purged.
    check("the timer is gone", TIMER not in must("systemctl", "list-timers")
          and show(TIMER, "LoadState") in ("masked", "not-found"), run("systemctl", "list-timers"))
    check("nothing of it is failed", "etcd-snapshot" not in must("systemctl", "--failed", "--all"))
    check("no drop-in is left", not glob.glob("/run/systemd/generator*/etcd-snapshot*"))
    check("snapshots stay", files() == there and len(snapshots(MOVED)) == 1, (files(), there))
    check("so does the configuration", os.path.exists(HOST) and os.path.exists(POLICY))
    conf()
    apt("install", PACKAGE)
    # At once, or from where it was: that depends on whether systemd has forgotten the timer meanwhile.
    check("installed again it goes on", active(TIMER) and show(TIMER, "UnitFileState") == "enabled"
          and TIMER in must("systemctl", "list-timers"), run("systemctl", "status", TIMER))
    finish()
    ended = cycle()
    check("with the settings it had", ended.code == 0 and len(snapshots(MOVED)) == 1
          and set(there) < set(snapshots()), ended)


def purged():
    there = snapshots()
    apt("purge", "etcd-snapshot")
    check("purging removes configuration and state", not os.path.exists("/etc/etcd-snapshot")
          and not os.path.exists("/var/lib/etcd-snapshot") and not os.path.exists("/run/etcd-snapshot"), glob.glob("/etc/etcd-snapshot/*"))
    check("no snapshot goes", snapshots() == there and len(snapshots(MOVED)) == 1, snapshots())
    left = must("find", "/etc", "/run", "/usr", "/var/lib/systemd", "/var/lib/dpkg/info",
                "(", "-path", "/run/user", "-o", "-path", "/run/credentials", ")", "-prune", "-o",
                "-name", "*etcd-snapshot*", "-print").split()
    check("no file of it is left", not left, left)


def anew():
    there, began = snapshots(), now()
    apt("install", PACKAGE)
    check("installed anew it waits for a cluster.yml", not active(TIMER) and not runs(began)
          and show(TIMER, "UnitFileState", "ConditionResult") == ["enabled", "no"], run("systemctl", "status", TIMER))
    page = run("systemctl", "status", TIMER).out
    check("systemctl status says for what", "cluster.yml" in page, page)
    conf()
    write_policy(interval("12"))
    reload()
    must("systemctl", "start", TIMER)
    wait_for(lambda: len(snapshots()) > len(there), 30)
    ended = finish()
    check("with one it takes snapshots beside those of before", ended.code == 0
          and len(snapshots()) == len(there) + 1 and set(there) < set(snapshots()), ended)
    listed = must("etcd-snapshot", "list")
    check("and knows them all", all(name in listed for name in snapshots()), listed)


scenario(main)
