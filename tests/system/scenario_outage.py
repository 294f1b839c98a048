"""etcd is down for five intervals: each cycle fails with a reason and what to do, the timer goes on, and the first
cycle after the return succeeds."""
from inside import (IDENTIFIER, active, check, interval, journal, log, must, note, now, run, runs, scenario, show,
                    snapshots, start_etcd, wait_for, write_host, write_policy)

LIMIT_MINUTES = 13
TIMER, SERVICE = "etcd-snapshot.timer", "etcd-snapshot.service"
UNREACHABLE = 69


def endings(since):
    """How the cycles ended, as systemd tells: exit statuses of the agent, oldest first."""
    return [int(entry["EXIT_STATUS"]) for entry in journal(unit=SERVICE, since=since)
            if entry.get("_PID") == "1" and entry.get("EXIT_CODE") == "exited"]


def not_running():
    return show(SERVICE, "ActiveState") in ("inactive", "failed")


def main():
    start_etcd()
    write_host("retries = 0\nconnect_timeout_s = 5\n")
    write_policy(interval("1m"))
    must("systemctl", "daemon-reload")
    must("systemctl", "start", TIMER)
    wait_for(lambda: snapshots() and not_running(), 150, 1)
    check("a first snapshot is taken", len(snapshots()) == 1, "\n".join(log()))
    status = run("systemctl", "status", SERVICE)
    check("status shows the last result", "Created backup" in status.out and snapshots()[0][:20] in status.out, status)

    began = now()
    must("systemctl", "stop", "etcd.service")
    wait_for(lambda: len(endings(began)) >= 5, 5 * 60 + 15, 1)
    failures = endings(began)
    note(f"the cycles ended with {failures}; they started "
         f"{[round(start - began) for start in runs(began)]} s after etcd was stopped")
    check("five cycles fail, each with the status that means etcd cannot be reached",
          failures == [UNREACHABLE] * 5, failures)
    status = run("systemctl", "status", SERVICE)
    check("status shows the failure and its status", "failed" in status.out and "69" in status.out and
          "level=error" in status.out, status)
    check("the service is counted as failed", run("systemctl", "is-failed", SERVICE).out.strip() == "failed")
    errors = [entry for entry in journal(identifier=IDENTIFIER, since=began) if entry.get("PRIORITY") == "3"]
    check("each failure is one error in the journal", len(errors) == 5, "\n".join(log(began)))
    lines = [entry.get("MESSAGE") or "" for entry in errors]
    check("which names the endpoint and the reason, and what to do",
          all("https://127.0.0.1:2379: Failed to connect" in line and 'hint="check that it is running' in line
              for line in lines), "\n".join(lines))
    check("and has an entry in the catalog", all(entry.get("MESSAGE_ID") for entry in errors) and
          "etcd-snapshot check" in run("journalctl", "-x", "-t", IDENTIFIER, "-p", "err", "-n", "1").out,
          run("journalctl", "-x", "-t", IDENTIFIER, "-p", "err", "-n", "1"))
    check("the timer goes on", active(TIMER), run("systemctl", "status", TIMER))
    check("the snapshot of before is still there", len(snapshots()) == 1, snapshots())

    back = now()
    must("systemctl", "start", "etcd.service")
    wait_for(lambda: endings(back) or len(snapshots()) > 1, 75, 1)
    wait_for(not_running, 20)
    starts = runs(back)
    check("the first cycle after etcd's return succeeds, at its time",
          len(starts) == 1 and len(snapshots()) == 2 and starts[0] - back < 62 and
          show(SERVICE, "ActiveState", "ExecMainStatus") == ["inactive", "0"], "\n".join(log(back)))
    status = run("systemctl", "status", SERVICE)
    check("status shows the success", "Created backup" in status.out and snapshots()[-1][:20] in status.out, status)
    check("the timer has a next run", active(TIMER) and show(TIMER, "NextElapseUSecMonotonic") != "infinity",
          show(TIMER, "NextElapseUSecMonotonic"))


scenario(main)
