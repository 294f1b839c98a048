"""cluster.yml as people write it: with a typo, mended, and as the documentation of RKE prints it."""
import re

from host import SERVICE, TIMER, conf, cycle, is_good, reload, write
from inside import (DIRECTORY, POLICY, active, check, interval, must, run, scenario, show, snapshots, start_etcd,
                    write_policy)

# From the documentation of RKE: the comments, the indentation and the placeholder are as there.
NEWER = """\
services:
  etcd:
    backup_config:
      interval_hours: 12 # 创建快照的间隔时间，单位是小时，12表示每12个小时创建一个快照，也可以用1m表示一分钟
      retention: 6 # 快照的存活时间，单位是小时，也可以用1m表示一分钟
      s3backupconfig:
        access_key: S3_ACCESS_KEY
        secret_key: S3_SECRET_KEY
        bucket_name: s3-bucket-name
        region: "" # 可选填
        folder: "" # 可选填，RKE v0.3.0开始可用
        endpoint: s3.amazonaws.com #默认值为：s3.amazonaws.com
        custom_ca: |-
          -----BEGIN CERTIFICATE-----
          $CERTIFICATE
          -----END CERTIFICATE-----
"""
OLDER = """\
services:
  etcd:
    snapshot: true
    creation: 5m0s
    retention: 24h
"""

GOOD = interval("12", "      retention: 72\n")


def main():
    start_etcd()
    typo()
    examples()


def every():
    """The interval of the timer, as systemd writes it."""
    shown = must("systemctl", "show", TIMER, "--property=TimersMonotonic")
    return re.search(r"OnUnitActiveUSec=([^;]*?) ;", shown).group(1)


def typo():
    write_policy(GOOD)
    reload()
    must("systemctl", "start", TIMER)
    check("a cycle with the good one works", cycle().code == 0 and every() == "12h", every())
    due = show(TIMER, "NextElapseUSecMonotonic")
    kinds = (("indentation", GOOD.replace("      retention", "     retention"), 5),
             ("a value", GOOD.replace("12", "12 hours"), 4),
             ("a tab", GOOD.replace("      retention", "\tretention"), 5),
             ("no end of a quote", GOOD.replace("72", '"72'), 5))
    there = 1
    for kind, text, line in kinds:
        write_policy(text)
        broken = cycle()
        check(f"a typo ({kind}) fails with 78", broken.code == 78 and broken.result == "exit-code", broken)
        check(f"and costs no snapshot ({kind})", len(snapshots()) == there + 1, snapshots())
        there += 1
        check(f"the log gives file and line ({kind})", broken.says(f"{POLICY}:{line}:", "level=error"), broken)
    check("systemctl says that it failed", show(SERVICE, "ActiveState") == "failed")
    page = run("systemctl", "status", SERVICE).out
    check("systemctl status shows the line of the log", f"{POLICY}:5:" in page, page)
    check("journalctl -x says what to do", "Subject: The configuration cannot be used" in must(
        "journalctl", "-x", "-q", "--no-pager", "-u", SERVICE))
    check("the timer is alive", active(TIMER) and show(TIMER, "Result") == "success")
    check("and waits for the time it had", show(TIMER, "NextElapseUSecMonotonic") == due)
    reload()
    check("after a reload it is alive, with the schedule that it had", active(TIMER) and every() == "12h", every())
    check("the generator says why", f"{POLICY}:5:" in run(
        "/usr/lib/systemd/system-generators/etcd-snapshot-generator", "/run").out)

    write_policy(GOOD)
    mended = cycle()
    check("mended it works at once", mended.code == 0 and len(snapshots()) == there + 1, mended)
    check("nothing is failed any more", show(SERVICE, "ActiveState") == "inactive")
    check("systemd knows that a reload is due", show(TIMER, "NeedDaemonReload") == "yes")
    told = run("etcd-snapshot", "status")
    check("status says so, too", told.code == 1 and "daemon-reload" in told.out, told)
    reload()
    check("and after a reload the interval is back", active(TIMER) and every() == "12h", every())


def examples():
    must("systemctl", "stop", TIMER)
    write_policy(OLDER)
    conf()
    older = cycle()
    check("the example of the older form works", older.code == 0 and older.says("creation=5m0s retention=24h0m0s"),
          older)
    check("and sets the timer", every() == "5min", every())

    # Amazon, on a host that has no way there.
    with open("/etc/hosts", "a") as hosts:
        hosts.write("127.0.0.1 s3.amazonaws.com s3-bucket-name.s3.amazonaws.com "
                    "s3-bucket-name.s3.us-east-1.amazonaws.com\n")
    there = snapshots()
    write_policy(NEWER)
    conf(s3={"retries": 0})
    newer = cycle()
    check("the example of the newer form is taken as it is", newer.code == 76
          and newer.says("creation=12h0m0s retention=6h0m0s"), newer)
    check("and sets the timer", every() == "12h", every())
    added = [name for name in snapshots() if name not in there]
    check("the snapshot is safe on the host", len(added) == 1 and is_good(f"{DIRECTORY}/{added[0]}"), snapshots())
    check("the log says so, and why", newer.says("Backup is safe here, but not in the bucket", "amazonaws.com", "hint="),
          newer)
    for warned in ("$CERTIFICATE", "shorter than the interval"):
        check(f"it warns: {warned}", newer.says("level=warning", warned), newer)
    check("it shows no key", not newer.says("S3_SECRET_KEY"), newer)


scenario(main)
