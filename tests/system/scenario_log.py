"""What is read on the host: the lines of the container that this agent takes over from, their explanation,
and what `systemctl status` shows while a cycle runs and after it."""
import re

from host import MIB, SERVICE, begin, conf, cycle, fill, finish, reload
from inside import (DIRECTORY, IDENTIFIER, check, interval, journal, log, must, run, scenario, show, snapshots,
                    start_etcd, wait_for, write_policy)
from valve import Valve
from web import Refusing

# As the container printed them.
PRINTED = """\
time="2018-05-04T18:39:16Z" level=info msg="Initializing Rolling Backups" creation=1m0s retention=24h0m0s
time="2018-05-04T18:40:16Z" level=info msg="Created backup" name="2018-05-04T18:40:16Z_etcd" runtime=108.332814ms
time="2018-05-04T18:41:16Z" level=info msg="Created backup" name="2018-05-04T18:41:16Z_etcd" runtime=92.880112ms
time="2018-05-04T18:42:16Z" level=info msg="Created backup" name="2018-05-04T18:42:16Z_etcd" runtime=83.67642ms
time="2018-05-04T18:43:16Z" level=info msg="Created backup" name="2018-05-04T18:43:16Z_etcd" runtime=86.298499ms
""".splitlines()
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
PATTERNS = [re.compile(pattern.replace("TIME", TIME)) for pattern in (
    r'time="TIME" level=info msg="Initializing Rolling Backups" creation=1m0s retention=24h0m0s',
    # The duration as Go writes it: 83.67642ms, 1.000000001s, 1m2.5s.
    r'time="TIME" level=info msg="Created backup" name="TIME_etcd" runtime=(\d+m)?\d{1,3}(\.\d{0,8}[1-9])?(ms|s)')]

SECRET = "wJalrXUtnFEMI0K7MDENG"


def main():
    start_etcd()
    write_policy(interval("1m"))
    reload()
    lines()
    explanations()
    secrets()
    status()


def reads_like(printed, expected):
    return len(printed) == len(expected) and all(p.fullmatch(line) for p, line in zip(expected, printed))


def lines():
    expected = PATTERNS[:1] + PATTERNS[1:] * 4
    check("the patterns are those of the container's lines", reads_like(PRINTED, expected), PRINTED)
    for _ in range(4):
        must("systemctl", "start", SERVICE)
    must("journalctl", "--sync")
    printed = must("journalctl", "-q", "-t", IDENTIFIER, "-o", "cat").splitlines()
    check("journalctl -o cat prints the container's lines", reads_like(printed, expected), "\n".join(printed))
    named = re.findall(r'name="([^"]+)"', "\n".join(printed))
    check("each line names its snapshot", [name + ".zip" for name in named] == snapshots(), (named, snapshots()))
    check("journalctl -u shows them, too", all(
        line in must("journalctl", "-q", "-u", SERVICE, "-o", "cat") for line in printed))


def explanations():
    explained = must("journalctl", "-q", "-x", "--no-pager", "-t", IDENTIFIER)
    name = snapshots()[-1].removesuffix(".zip")
    for text in (f"Subject: Snapshot {name} was taken and proven", "Documentation: man:etcd-snapshot(8)",
                 "is taken every 1m0s and", "kept for 24h0m0s."):
        check(f"journalctl -x says: {text.replace(name, 'NAME')}", text in explained, explained)
    must("systemctl", "stop", "etcd.service")
    conf()
    failed = cycle()
    check("a cycle without etcd fails with 69", failed.code == 69, failed)
    explained = must("journalctl", "-q", "-x", "--no-pager", "-t", IDENTIFIER)
    check("journalctl -x says what to do about it", "Subject: No snapshot was taken in this cycle" in explained
          and 'Run "etcd-snapshot check"' in explained, explained)
    check("no name of a field is left in an explanation", "@ETCD_SNAPSHOT" not in explained, explained)
    ids = {entry["MESSAGE_ID"] for entry in journal(identifier=IDENTIFIER) if "MESSAGE_ID" in entry}
    unexplained = [one for one in ids if "etcd-snapshot" not in run("journalctl", "--dump-catalog", one).out]
    check("the catalog has each id", len(ids) >= 3 and not unexplained, unexplained)
    start_etcd()


def secrets():
    """Wherever something goes wrong close to a key, it is not shown."""
    with Refusing() as bucket:
        good = interval("1m", f"""\
      s3backupconfig:
        bucket_name: backups
        endpoint: {bucket.url}
        access_key: AKIDEXAMPLE
        secret_key: {SECRET}
""")
        conf(s3={"retries": 0})
        write_policy(good)
        reload()
        refused = cycle()
        check("a bucket that refuses the key ends with 76", refused.code == 76, refused)
        written_badly = {
            "as a list": (good.replace(": " + SECRET, ": [" + SECRET), 78),
            "without a colon": (good.replace("secret_key: ", "secret_key "), 78),
            "with another one": (good.replace(SECRET, SECRET + ": x"), 78),
            # A value like any other to YAML.
            "with a space in it": (good.replace(SECRET, SECRET + " x"), 78)}
        for how, (text, code) in written_badly.items():
            write_policy(text)
            reload()
            ended = cycle()
            check(f"a key written {how} ends with {code}", ended.code == code, str(ended) + "\n" + text)
        everything = must("journalctl", "--sync") + must("journalctl", "-q", "--no-pager", "-o", "export")
    check("the journal shows no key", SECRET not in everything and len(everything) > 10000)
    check("systemctl show shows no key", SECRET not in must("systemctl", "show", SERVICE))
    write_policy(interval("1m"))
    conf()


def status():
    fill(48 * MIB)
    seen = []
    with Valve(rate=16 * MIB) as valve:
        conf(etcd={"endpoints": valve.url})
        begin()
        # A page as it is read, in the middle of the stream.
        page = wait_for(lambda: (text := run("systemctl", "status", SERVICE).out).count("% of ") and text, 30)
        while show(SERVICE, "ActiveState") == "activating":
            text = show(SERVICE, "StatusText")
            if text not in seen:
                seen.append(text)
        ended = finish()
    conf()
    streaming = re.compile(r"streaming (\d+)% of [\d.]+ MiB, [\d.]+ [KM]iB/s")
    check("systemctl status shows phase, percentage and rate", page and re.search(
        r'Status: "' + streaming.pattern, page), page)
    percentages = [int(found.group(1)) for text in seen if (found := streaming.fullmatch(text))]
    check("the percentage grows", len(percentages) > 2 and percentages == sorted(percentages), seen)
    check("the cycle is good", ended.code == 0, ended)

    name = snapshots()[-1]
    page = run("systemctl", "status", SERVICE).out
    found = re.search(r'Status: "(.*)"', page)
    check("after it systemctl status shows what, when, how large and where", found and all(
        re.search(text, found.group(1)) for text in (name.removesuffix(".zip"), r"[\d.]+ MiB", DIRECTORY)), page)
    must("systemctl", "stop", "etcd.service")
    failed = cycle()
    start_etcd()
    page = run("systemctl", "status", SERVICE).out
    check("after a failure it shows the reason", failed.code == 69 and re.search(
        r'Status: ".*(refused|reset|closed|connect)', page), page)
    check("and the log line", log()[-1] in must("journalctl", "-q", "-o", "cat", "-u", SERVICE))


scenario(main)
