"""A typing error in cluster.yml while the timer runs: cycles go on at the old interval with the last good
configuration, upload, delete nothing and fail loudly. Mended, it heals at once."""
import os

from host import SERVICE, TIMER, conf, cycle, drop_in, files, finish, is_good, property_of, reload, write
from inside import (DIRECTORY, POLICY, active, check, interval, journal, now, run, must, note, scenario, show,
                    snapshots, start_etcd, wait_for, write_policy)
from web import Keeping

LIMIT_MINUTES = 12
TOLD = "/var/tmp/told"
METRICS = "/srv/metrics/etcd-snapshot.prom"


def policy(bucket):
    return interval("1m", f"""      retention: 1m
      s3backupconfig:
        bucket_name: backups
        region: eu-1
        endpoint: {bucket.url}
        access_key: AKIDPOLICY
        secret_key: wJalrXUtnFEMI0K7MDENG
""")


def ended_cycles(since):
    """The exit statuses of the cycles that have ended."""
    return [int(entry["EXIT_STATUS"]) for entry in journal(unit=SERVICE, since=since)
            if entry.get("_PID") == "1" and entry.get("EXIT_CODE") == "exited"]


def triggered():
    """When the timer elapsed last, in seconds, as systemd has it."""
    return property_of(TIMER, "Timer", "LastTriggerUSecMonotonic") / 1e6


def in_bucket(bucket):
    return sorted(key for key in bucket.objects if key.endswith("_etcd.zip"))


def main():
    start_etcd()
    os.makedirs("/srv/metrics")
    write("/etc/systemd/system/told.service",
          f"[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo told >>{TOLD}'\n")
    with Keeping() as bucket:
        write_policy(policy(bucket))
        conf(metrics={"textfile": METRICS}, s3={"lookup": "path", "retries": 0})
        drop_in("[Unit]\nOnFailure=told.service\n")
        must("systemctl", "start", TIMER)
        good(bucket)
        mistaken(bucket)
        mended(bucket)


def good(bucket):
    wait_for(lambda: snapshots() and show(SERVICE, "ActiveState") == "inactive", 180, 0.5)
    first = finish()
    check("a first cycle is good, and its snapshot in the bucket", first.code == 0 and len(in_bucket(bucket)) == 1,
          first)
    kept = "/var/lib/etcd-snapshot"
    modes = [oct(os.stat(path).st_mode & 0o777) for path in (kept, kept + "/cluster.yml")]
    check("its configuration is kept, for root alone", modes == ["0o700", "0o600"], modes)
    with open(kept + "/cluster.yml") as text:
        check("as it was read", text.read().startswith(policy(bucket)))


def mistaken(bucket):
    before, uploaded = files(), in_bucket(bucket)
    began, last = now(), triggered()
    write_policy(policy(bucket).replace("retention: 1m", "retention: 1 m"))
    reload()
    timers = must("systemctl", "show", TIMER, "--property=TimersMonotonic")
    check("the reload keeps the interval", "OnUnitActiveUSec=1min " in timers, timers)
    times = [last]
    for _ in range(3):
        wait_for(lambda: triggered() > times[-1] + 1, 120, 0.5)
        times.append(triggered())
        wait_for(lambda: len(ended_cycles(began)) >= len(times) - 1, 120, 0.5)
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    note(f"the timer elapsed after {[round(gap, 2) for gap in gaps]} s")
    check("three cycles start at the old interval", all(59.9 <= gap < 75 for gap in gaps), gaps)
    last = finish()
    check("each fails with 78", ended_cycles(began) == [78, 78, 78], ended_cycles(began))
    check("each takes a snapshot", len(snapshots()) == 4 and all(is_good(f"{DIRECTORY}/{name}")
                                                                 for name in snapshots()), snapshots())
    check("and uploads it", len(in_bucket(bucket)) == 4, in_bucket(bucket))
    check("nothing is deleted on the host", set(before) <= set(files()), files())
    check("nor in the bucket", set(uploaded) <= set(in_bucket(bucket)), in_bucket(bucket))
    first = last.lines[0] if last.lines else ""
    check("the log says so first, and where", "level=error" in first and "going on with the last good one" in first
          and f"{POLICY}:5:" in first and "hint=" in first, last)
    check("journalctl -x says what to do", "Subject: The configuration cannot be used" in must(
        "journalctl", "-x", "-q", "--no-pager", "-u", SERVICE))
    check("the service has failed, which OnFailure= tells of", show(SERVICE, "ActiveState") == "failed"
          and wait_for(lambda: os.path.exists(TOLD) and len(open(TOLD).read().split()) == 3, 20))
    check("no retry is planned: there is a snapshot", not active("etcd-snapshot-retry.timer"))
    told = run("etcd-snapshot", "status")
    check("status warns", told.code == 1 and f"{POLICY}:5:" in told.out and "last good configuration" in told.out, told)
    with open(METRICS) as text:
        check("so do the metrics", "etcd_snapshot_last_run_used_last_good_configuration 1\n" in text.read())
    check("a run by hand says so, too", run("etcd-snapshot", "list").code == 78)


def mended(bucket):
    write_policy(policy(bucket))
    due = property_of(TIMER, "Timer", "NextElapseUSecMonotonic")
    healed = cycle()
    check("mended it heals at once", healed.code == 0 and show(SERVICE, "ActiveState") == "inactive", healed)
    reload()
    check("what has expired goes, on the host and in the bucket", len(snapshots()) < 5 and len(in_bucket(bucket)) < 5,
          (snapshots(), in_bucket(bucket)))
    check("the newest stays", healed.says(snapshots()[-1].removesuffix(".zip")), snapshots())
    check("status is content", run("etcd-snapshot", "status").code == 0, run("etcd-snapshot", "status"))
    moved = property_of(TIMER, "Timer", "NextElapseUSecMonotonic") - due
    # The timer may have elapsed meanwhile.
    check("the cycle by hand leaves the phase", moved % 60e6 < 2e6 or moved % 60e6 > 58e6, moved)


scenario(main)
