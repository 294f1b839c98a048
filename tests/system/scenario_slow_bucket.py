"""A bucket that hangs for longer than the interval, in an upload that it has begun, costs no snapshot and no cycle."""
import os

from host import MIB, SERVICE, TIMER, conf, fill
from inside import (check, interval, journal, log, must, note, now, run, runs, scenario, show, snapshots, start_etcd,
                    uptime, wait_for, write_policy)
from web import Hanging

LIMIT_MINUTES = 8


def endings():
    """Exit statuses of the agent, as systemd tells them, oldest first."""
    return [int(entry["EXIT_STATUS"]) for entry in journal(unit=SERVICE)
            if entry.get("_PID") == "1" and entry.get("EXIT_CODE") == "exited"]


def policy(endpoint):
    write_policy(interval("1m", f"""      s3backupconfig:
        bucket_name: backups
        region: eu-1
        endpoint: {endpoint}
        access_key: AKIDPOLICY
        secret_key: wJalrXUtnFEMI0K7MDENG
"""))
    os.chmod("/etc/etcd-snapshot/cluster.yml", 0o600)
    conf(s3={"retries": 0, "stall_timeout_s": 600, "part_size_mib": 5})


def main():
    boot = now() - uptime()
    start_etcd()
    fill(12 * MIB)  # three parts
    with Hanging() as bucket:
        policy(bucket.url)
        must("systemctl", "start", TIMER)
        wait_for(snapshots, boot + 120 + 30 - now(), 1)
        saved = run("etcd-snapshot", "save", "--name", "before the upgrade")
        check("a snapshot can be taken by hand while a cycle waits for the bucket",
              saved.code == 0 and not endings() and "before the upgrade.zip" in snapshots(), saved)
        wait_for(lambda: len(endings()) >= 3, boot + 120 + 3 * 60 + 15 - now(), 1)
        starts, ends = runs()[:3], endings()[:3]
        names = [name for name in snapshots() if name.endswith("_etcd.zip")]
        gaps = [round(later - earlier, 2) for earlier, later in zip(starts, starts[1:])]
        note(f"the cycles started {[round(start - boot, 2) for start in starts]} s after the boot")
        check("three cycles start a minute apart although the bucket hangs for longer",
              len(starts) == 3 and all(59.9 <= gap <= 63 for gap in gaps), (gaps, show(SERVICE, "ActiveState")))
        check("each says that the bucket failed", ends == [76] * 3, ends)
        check("each has left its snapshot", len(names) == 3, (names, "\n".join(log())))
        must("systemctl", "stop", TIMER)


scenario(main)
