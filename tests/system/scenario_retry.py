"""A cycle that fails is started again soon, without moving the timer; one that hangs is ended by systemd."""
import os

from host import MIB, SERVICE, TIMER, begin, conf, cycle, drop_in, fill, files, finish, property_of
from inside import (active, check, interval, must, note, run, scenario, show, snapshots, start_etcd, uptime, wait_for,
                    write_policy)
from valve import Valve

LIMIT_MINUTES = 10
RETRY = "etcd-snapshot-retry.timer"
TOLD = "/var/tmp/told"


def main():
    start_etcd()
    conf()
    write_policy(interval("12"))
    with open("/etc/systemd/system/told.service", "w") as unit:
        unit.write(f"[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo told >>{TOLD}'\n")
    # The first cycle at once, as on a host that has been up for a while.
    drop_in("[Timer]\nOnBootSec=\nOnBootSec=1s\nOnUnitActiveSec=12h\n", TIMER)
    must("systemctl", "start", TIMER)
    wait_for(lambda: snapshots() and show(SERVICE, "ActiveState") == "inactive", 60)
    check("a first snapshot is taken", len(snapshots()) == 1, run("systemctl", "status", SERVICE))
    check("after 15 minutes a failed cycle is started again", "OnActiveUSec=15min " in show(RETRY, "TimersMonotonic"),
          show(RETRY, "TimersMonotonic"))
    check("after a good one nothing is", not active(RETRY))
    drop_in("[Timer]\nOnActiveSec=\nOnActiveSec=4s\n", RETRY)
    drop_in("[Unit]\nOnFailure=told.service\n")
    repeated()
    hanging()
    off()


def phase():
    """When the timer elapsed, and when it will."""
    return [property_of(TIMER, "Timer", name) for name in ("LastTriggerUSecMonotonic", "NextElapseUSecMonotonic")]


def repeated():
    before = phase()
    check("the next cycle is twelve hours away", abs(before[1] - before[0] - 12 * 3600e6) < 5e6, before)
    must("systemctl", "stop", "etcd.service")
    failed = cycle()
    check("without etcd a cycle fails", failed.code == 69 and failed.result == "exit-code", failed)
    check("the administrator's OnFailure= is started", wait_for(lambda: os.path.exists(TOLD), 20))
    for attempt in ("a second", "a third"):
        last = show(SERVICE, "InvocationID")
        check(f"it is started {attempt} time by itself",
              wait_for(lambda: show(SERVICE, "InvocationID") != last, 60, 0.1), run("systemctl", "status", RETRY))
        check("and fails", finish().code == 69)
    must("systemctl", "daemon-reload")
    must("systemctl", "start", "etcd.service")
    healed = wait_for(lambda: len(snapshots()) == 2 and finish().code == 0, 90)
    check("with etcd back there is a snapshot soon", healed, run("systemctl", "status", SERVICE, RETRY))
    check("then no more of them are planned", not active(RETRY) and show(RETRY, "Result") == "success")
    after = phase()
    note(f"the timer elapsed at {before[0] / 1e6:.3f} s and will at {after[1] / 1e6:.3f} s, before at {before[1] / 1e6:.3f} s")
    # A reload adds the microseconds by which a timer is woken late.
    check("the timer keeps its phase", after[0] == before[0] and abs(after[1] - before[1]) < 1e6, (before, after))


def hanging():
    """A process that is stopped in the middle of a stream does nothing at all, not even time itself out."""
    before, there = phase(), snapshots()
    fill(32 * MIB)
    drop_in("[Unit]\nOnFailure=told.service\n[Service]\nTimeoutStartSec=5s\n")
    with Valve(hold_after=8 * MIB) as valve:
        conf(etcd={"endpoints": valve.url, "stall_timeout_s": 25})
        begin()
        check("a stream is under way", valve.held.wait(60), run("systemctl", "status", SERVICE))
        # An installation of some package in the middle: what the agent has earned is not lost by it.
        must("systemctl", "daemon-reload")
        check("a reload does not end it", show(SERVICE, "ActiveState") == "activating")
        wait_for(lambda: False, 6)
        must("systemctl", "daemon-reload")
        check("not even after TimeoutStartSec=", show(SERVICE, "ActiveState") == "activating")
        began = uptime()
        must("systemctl", "kill", "--signal=STOP", SERVICE)
        conf(reloaded=False)  # for the next one
        ended = wait_for(lambda: show(SERVICE, "Result") == "timeout", 240)
        note(f"systemd ended it {uptime() - began:.0f} s after it was stopped")
        check("a process that hangs is ended by systemd", ended, run("systemctl", "status", SERVICE))
        check("not before the time that its progress had earned", uptime() - began > 25, uptime() - began)
    check("the next cycle comes soon and takes its snapshot",
          wait_for(lambda: len(snapshots()) == len(there) + 1 and finish().code == 0, 90),
          run("systemctl", "status", SERVICE, RETRY))
    check("nothing half is left", not [name for name in files() if name.endswith(".partial")], files())
    after = phase()
    check("the timer goes on as it was", active(TIMER) and after[0] == before[0] and abs(after[1] - before[1]) < 1e6,
          (before, after))
    drop_in("[Unit]\nOnFailure=told.service\n")


def off():
    """Where the timer is stopped, a cycle by hand that fails is left alone."""
    must("systemctl", "stop", "etcd.service")
    failed = cycle()
    check("a retry is pending", failed.code == 69 and active(RETRY), failed)
    must("systemctl", "stop", TIMER)
    check("stopping the timer ends it", not active(RETRY))
    check("and no new one is begun", cycle().code == 69 and not active(RETRY))


scenario(main)
