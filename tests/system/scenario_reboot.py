"""The host loses its power in the middle of a snapshot and comes up again: a snapshot two minutes after the
boot, the announcement once more, nothing half."""
import json
import time

from host import MIB, SERVICE, TIMER, begin, conf, cycle, fill, files, finish, is_good, reload
from inside import (DIRECTORY, active, check, interval, log, must, now, reboot, runs, scenario, show, snapshots,
                    start_etcd, uptime, wait_for, write_policy)
from valve import Valve

LIMIT_MINUTES = 8
NOTES = "/var/tmp/before-reboot.json"


def announcements(since=None):
    return [line for line in log(since) if 'msg="Initializing Rolling Backups"' in line]


def main():
    start_etcd()
    fill(48 * MIB)
    write_policy(interval("1"))
    reload()
    must("systemctl", "start", TIMER)
    check("two cycles work", cycle().code == 0 and cycle().code == 0)
    check("the announcement comes once in a boot", len(announcements()) == 1, log())
    with open(NOTES, "w") as notes:
        json.dump({"snapshots": snapshots(), "time": now()}, notes)
    with Valve(hold_after=24 * MIB) as valve:
        conf(etcd={"endpoints": valve.url})
        begin()
        valve.held.wait(60)
        must("systemctl", "kill", "--signal=KILL", SERVICE)
        finish()
    conf()
    check("a snapshot is half when the power goes", len(partials()) == 1, files())
    reboot()


def after_reboot():
    with open(NOTES) as notes:
        before = json.load(notes)
    check("the timer is up by itself", active(TIMER) and show(TIMER, "UnitFileState") == "enabled")
    check("what was whole is there", snapshots() == before["snapshots"], files())
    check("nothing ran yet", not runs(started_at()), runs(started_at()))
    wait_for(lambda: len(snapshots()) > len(before["snapshots"]), 150 - uptime())
    began = int(show(SERVICE, "ExecMainStartTimestampMonotonic")) / 1e6 - (
        time.clock_gettime(time.CLOCK_MONOTONIC) - uptime())
    check("a snapshot comes two minutes after the boot", 119.5 <= began <= 124, f"{began:.1f} s")
    first = finish()
    check("what was half is gone", first.code == 0 and not partials()
          and first.says('msg="Removed leftover of an interrupted run"'), first)
    added = sorted(set(snapshots()) - set(before["snapshots"]))
    check("there is one more, and it is good", len(added) == 1 and is_good(f"{DIRECTORY}/{added[0]}"), added)
    again = cycle()
    check("the next cycle works, too", again.code == 0, again)
    check("the announcement came again, once", len(announcements(started_at())) == 1, log(started_at()))
    check("the journal has those of both boots", len(announcements()) == 2, log())


def partials():
    return [name for name in files() if name.endswith(".partial")]


def started_at():
    """The wall clock of this boot."""
    return now() - uptime()


scenario(main, after_reboot)
