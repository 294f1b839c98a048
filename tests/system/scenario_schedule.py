"""When cycles run: not before cluster.yml is there, then a minute apart whatever other packages do to systemd, and
at once by a changed interval."""
import calendar
import json
import os
import time

from inside import (active, check, interval, log, must, note, now, run, runs, scenario, show, snapshots, start_etcd,
                    uptime, wait_for, write_policy)

LIMIT_MINUTES = 13
TIMER, SERVICE = "etcd-snapshot.timer", "etcd-snapshot.service"
TICK = "etcd-snapshot-tick.service"  # what the timer starts, and that starts the service


def next_run():
    """When the timer elapses next, in seconds of the wall clock, as list-timers tells; 0 for never."""
    timers = json.loads(must("systemctl", "list-timers", "--all", "--output=json", TIMER))
    return (timers[0]["next"] or 0) / 1e6 if timers else 0


def taken_at(name):
    return calendar.timegm(time.strptime(name[:20], "%Y-%m-%dT%H:%M:%SZ"))


def gaps(times):
    return [round(later - earlier, 2) for earlier, later in zip(times, times[1:])]


def nothing_without_policy():
    check("the timer is enabled by the installation", run("systemctl", "is-enabled", TIMER).out.strip() == "enabled")
    status = run("systemctl", "status", TIMER)
    check("without cluster.yml status says why nothing runs",
          "condition" in status.out.lower() and "ConditionPathExists=/etc/etcd-snapshot/cluster.yml was not met"
          in status.out, status)
    must("systemctl", "start", TIMER)
    must("systemctl", "daemon-reload")
    check("starting the timer without cluster.yml starts nothing", not active(TIMER) and not runs(), runs())
    check("and is no failure", run("systemctl", "is-failed", TIMER, SERVICE).code != 0)


def dummy_package():
    """Another package, with a service, whose scripts have systemd reload."""
    tree = "/var/tmp/dummy"
    os.makedirs(tree + "/DEBIAN")
    os.makedirs(tree + "/lib/systemd/system")
    with open(tree + "/DEBIAN/control", "w") as out:
        out.write("Package: dummy\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\n"
                  "Description: nothing\n")
    with open(tree + "/lib/systemd/system/dummy.service", "w") as out:
        out.write("[Service]\nExecStart=/bin/true\n")
    for script in ("postinst", "postrm"):
        with open(f"{tree}/DEBIAN/{script}", "w") as out:
            out.write("#!/bin/sh\nset -e\nsystemctl --system daemon-reload\n")
        os.chmod(f"{tree}/DEBIAN/{script}", 0o755)
    must("dpkg-deb", "--build", "--root-owner-group", tree, "/var/tmp/dummy.deb")


def a_minute_apart(boot):
    """Four cycles, with a disturbance every few seconds."""
    disturbances = [("systemctl", "daemon-reload"), ("dpkg", "--install", "/var/tmp/dummy.deb"),
                    ("systemctl", "daemon-reload"), ("dpkg", "--purge", "dummy"),
                    ("systemd-tmpfiles", "--create"), ("systemctl", "daemon-reexec")]
    done, end = 0, time.monotonic() + 120 + 3 * 60 + 15
    while len(runs()) < 4 and time.monotonic() < end:
        # Never at the same second of the minute.
        if not wait_for(lambda: len(runs()) >= 4, 6.7, 1):
            must(*disturbances[done % len(disturbances)])
            done += 1
    must("systemctl", "daemon-reload")
    wait_for(lambda: len(snapshots()) >= 4 and not_running(), 20)
    starts, names = runs(), snapshots()
    note(f"{done} reloads, installations and removals; the cycles started "
         f"{[round(start - boot, 2) for start in starts]} s after the boot")
    check("the first cycle runs two minutes after the boot", starts and 119.5 <= starts[0] - boot <= 122,
          [start - boot for start in starts])
    check("four cycles start a minute apart, each within two seconds, whatever other packages do",
          len(starts) == 4 and all(59.9 <= gap <= 62 for gap in gaps(starts)), gaps(starts))
    check("so do four snapshots, by their names", len(names) == 4 and
          all(58 <= gap <= 62 for gap in gaps([taken_at(name) for name in names])), names)
    lines = log()
    check("the log has a line for each, and one before them",
          len([line for line in lines if 'msg="Created backup"' in line]) == 4 and
          len([line for line in lines if 'msg="Initializing Rolling Backups" creation=1m0s' in line]) == 1,
          "\n".join(lines))


def not_running():
    return show(SERVICE, "ActiveState") == "inactive"


def changed_interval():
    last = runs()[-1]
    write_policy(interval("2m"))
    check("status says that cluster.yml has changed and asks for a reload",
          show(TIMER, "NeedDaemonReload") == "yes" and "daemon-reload" in run("systemctl", "status", TIMER).out,
          run("systemctl", "status", TIMER))
    must("systemctl", "daemon-reload")
    check("a changed interval takes a daemon-reload, and counts from the last start",
          abs(next_run() - last - 120) < 2, next_run() - last)
    wait_for(lambda: len(runs()) > 4, last + 130 - now(), 1)
    starts = runs()
    check("the next cycle runs two minutes after the last", gaps(starts)[3:] and 119.9 <= gaps(starts)[3] <= 122,
          gaps(starts))
    if len(starts) < 5:
        return
    # Seventy seconds later nothing is due at two minutes, and something overdue at one.
    wait_for(lambda: now() > starts[4] + 70, 80, 1)
    check("until then no other runs", len(runs()) == 5, gaps(runs()))
    write_policy(interval("1m"))
    reloaded = now()
    must("systemctl", "daemon-reload")
    wait_for(lambda: len(runs()) > 5, 10)
    check("a shorter interval runs at once what is overdue",
          len(runs()) == 6 and runs()[5] - reloaded < 3, f"reload {reloaded - starts[4]}, {gaps(runs())}")
    wait_for(not_running, 20)
    check("it is one cycle, and the next is a minute away",
          len(runs()) == 6 and abs(next_run() - runs()[5] - 60) < 2, next_run() - runs()[-1])


def main():
    boot = now() - uptime()
    nothing_without_policy()
    start_etcd()
    dummy_package()
    write_policy(interval("1m"))
    must("systemctl", "daemon-reload")
    check("neither does writing it, until the timer is started", not active(TIMER))
    must("systemctl", "start", TIMER)
    check("with cluster.yml the timer starts", active(TIMER), run("systemctl", "status", TIMER))
    check("list-timers shows the next run", abs(next_run() - boot - 120) < 2, run("systemctl", "list-timers", "--all"))
    status = run("systemctl", "status", TIMER)
    check("status names the next run and its service", "Trigger: " in status.out and TICK in status.out, status)
    a_minute_apart(boot)
    changed_interval()
    check("each cycle has left one snapshot", len(snapshots()) == len(runs()), snapshots())
    check("the service ends well", show(SERVICE, "Result", "ExecMainStatus") == ["success", "0"],
          run("systemctl", "status", SERVICE))
    check("nothing has failed", "0 loaded" in run("systemctl", "--failed").out, run("systemctl", "--failed"))


scenario(main)
