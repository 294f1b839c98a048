"""What the measurements say: tables, targets, and the machine they were taken on; a page of Markdown."""

import os
import platform
import re
import statistics
import subprocess
import time

from gateway import packaged
from steps import BUCKET_STEPS, TITLES

MIB = 1024 * 1024
OTHERS = ("rclone", "aws")  # what a cycle with a bucket is compared to
PAGE = 1000  # keys in an answer to a list, and in one call to delete


def spread(values, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def median_of(values):
    return f"{statistics.median(values):.1f}"


def wall(figures, step):
    """Seconds of a step in one round; None where it is missing. "best": the faster of the others."""
    if step == "best":
        times = [figures[other]["wall_s"] for other in OTHERS if other in figures]
        return min(times) if times else None
    return figures[step]["wall_s"] if step in figures else None


def ratios(rounds, above, below):
    """The ratio of wall time of each round; None where one is missing."""
    if not rounds or wall(rounds[0], above) is None or wall(rounds[0], below) is None:
        return None
    return [wall(figures, above) / wall(figures, below) for figures in rounds]


def ratio(rounds, above, below):
    """Median of the ratios of wall time, each taken within its round; None where one is missing."""
    values = ratios(rounds, above, below)
    return None if values is None else statistics.median(values)


def table(head, rows):
    widths = [max(len(row[index]) for row in [head, *rows]) for index in range(len(head))]
    line = lambda row: "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
    return "\n".join([line(head), "|" + "|".join("-" * (width + 2) for width in widths) + "|"]
                     + [line(row) for row in rows])


def columns(rounds, step):
    return {key: [figures[step][key] for figures in rounds] for key in rounds[0][step]}


def result_table(rounds):
    head = ("step", "wall s", "CPU s", "etcd's CPU s", "peak MiB", "result MB", "x drain",
            "faster than zip -6")
    rows = []
    for step in (name for name in TITLES if name in rounds[0] and name not in BUCKET_STEPS):
        column = columns(rounds, step)
        slower, faster = ratio(rounds, step, "drain"), ratio(rounds, "zip6", step)
        rows.append((TITLES[step], spread(column["wall_s"], 2), spread(column["cpu_s"], 2),
                     median_of(column["etcd_cpu_s"]),
                     spread([kib / 1024 for kib in column["peak_kib"]], 1),
                     f"{statistics.median(column['bytes']) / 1e6:.1f}",
                     f"{slower:.2f}", "" if faster is None else f"{faster:.2f}"))
    return table(head, rows)


def bucket_table(rounds):
    head = ("step", "wall s", "of it upload", "CPU s", "etcd's CPU s", "gateway's CPU s", "peak MiB",
            "result MB", "x drain", "faster than the best of the others")
    rows = []
    for step in (name for name in ("drain", *BUCKET_STEPS) if name in rounds[0]):
        column = columns(rounds, step)
        slower, faster = ratio(rounds, step, "drain"), ratio(rounds, "best", step)
        rows.append((TITLES[step], spread(column["wall_s"], 2),
                     spread(column["upload_s"], 2) if step in BUCKET_STEPS else "",
                     spread(column["cpu_s"], 2), median_of(column["etcd_cpu_s"]),
                     median_of(column["gateway_cpu_s"]),
                     spread([kib / 1024 for kib in column["peak_kib"]], 1),
                     f"{statistics.median(column['bytes']) / 1e6:.1f}",
                     f"{slower:.2f}", "" if faster is None or step == "drain" else f"{faster:.2f}"))
    return table(head, rows)


def bucket_rounds(rounds):
    """The ratios of each round, for who wants to see how much they vary."""
    slower, faster = ratios(rounds, "s3", "drain"), ratios(rounds, "best", "s3")
    return table(("round", "x drain", "faster than the best of the others"),
                 [(str(number + 1), f"{slower[number]:.2f}", f"{faster[number]:.2f}" if faster else "")
                  for number in range(len(rounds))])


def objects_table(objects):
    head = ("objects", "wall s", "CPU s", "server's CPU s", "peak MiB", "peak MiB of list", "deleted",
            "list calls", "delete calls", "reads", "other calls")
    rows = []
    for count, cycles in objects.items():
        of = lambda key: [cycle[key] for cycle in cycles]
        last = cycles[-1]
        rows.append((f"{count:,}", spread(of("wall_s"), 2), spread(of("cpu_s"), 2),
                     median_of(of("server_cpu_s")), spread([kib / 1024 for kib in of("peak_kib")], 1),
                     spread([kib / 1024 for kib in of("shown_kib")], 1), f"{last['removed']:,}", str(last["list"]),
                     str(last["delete"]), str(last["get"]), str(last["head"] + last["put"] + last["other"])))
    return table(head, rows)


def targets(options, rounds, small_peaks_kib, backlog, objects):
    """Each target as (text, measured, met)."""
    result = []
    if rounds and "zip" in rounds[0]:
        peak = max(figures["zip"]["peak_kib"] for figures in rounds) / 1024
        slower, faster = ratio(rounds, "zip", "drain"), ratio(rounds, "zip6", "zip")
        result.append(("a whole cycle with zip takes at most 1.1 times the bare drain", f"{slower:.2f}",
                       slower <= 1.1))
        if faster is not None:
            result.append(("at least 2.5 times faster than etcdctl with zip -6", f"{faster:.2f}",
                           faster >= 2.5))
        result.append((f"peak memory at most 24 MiB at {options.size_mb} MB", f"{peak:.1f} MiB", peak <= 24))
        if small_peaks_kib:
            grown = peak - max(small_peaks_kib) / 1024
            result.append((f"peak memory at most 2 MiB above that at {options.small_mb} MB "
                           f"({max(small_peaks_kib) / 1024:.1f} MiB)", f"{grown:+.1f} MiB", grown <= 2))
    if rounds and "s3" in rounds[0]:
        slower, faster = ratio(rounds, "s3", "drain"), ratio(rounds, "best", "s3")
        result.append(("a whole cycle with the bucket takes at most 1.2 times the bare drain",
                       f"{slower:.2f}", slower <= 1.2))
        if faster is not None:
            result.append(("at least 3 times faster than the best of rclone and aws after etcdctl and zip -6",
                           f"{faster:.2f}", faster >= 3))
        peak = max([figures["s3"]["peak_kib"] for figures in rounds]
                   + ([backlog["peak_kib"]] if backlog else [])) / 1024
        result.append(("peak memory at most 40 MiB with a bucket, four parts on their way", f"{peak:.1f} MiB",
                       peak <= 40))
    if objects:
        few, many = objects.values()
        lists = max(cycle["list"] - -(-cycle["objects"] // PAGE) for cycle in few + many)
        deletes = max(cycle["delete"] - -(-cycle["removed"] // PAGE) for cycle in few + many)
        grown = (max(cycle["peak_kib"] for cycle in many) - max(cycle["peak_kib"] for cycle in few)) / 1024
        shown = max(cycle["shown_kib"] for cycle in many) / 1024
        count = f"{options.objects:,} objects"
        result += [
            (f"{count}: at most one list call per 1,000", f"{many[-1]['list']} calls", lists <= 0),
            (f"{count}: at most one delete call per 1,000", f"{many[-1]['delete']} calls", deletes <= 0),
            (f"{count}: peak memory at most 2 MiB above that with 1,000", f"{grown:+.1f} MiB", grown <= 2),
            (f"{count}: peak memory of `list` at most 40 MiB", f"{shown:.1f} MiB", shown <= 40)]
    return result


def first_line(arguments):
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, check=False,
                              env={**os.environ, "ETCDCTL_API": "3"})
        return (done.stdout or done.stderr).strip().splitlines()[0]
    except (OSError, IndexError):
        return "unknown"


def field(path, pattern):
    with open(path, encoding="utf-8") as text:
        found = re.search(pattern, text.read(), re.MULTILINE)
    return found.group(1).strip() if found else "unknown"


def file_system(path):
    done = subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def machine(options, rounds):
    zip_version = re.search(r"Zip (\d\S*)", subprocess.run(["zip", "-v"], capture_output=True, text=True,
                                                          check=False).stdout)
    memory_kib = field("/proc/meminfo", r"^MemTotal:\s*(\d+)")
    processor = field("/proc/cpuinfo", r"^model name\s*:(.*)")
    system = field("/etc/os-release", r"^PRETTY_NAME=\"?([^\"\n]*)")
    rows = [
        ("processor", f"{processor}, {os.cpu_count()} CPUs"),
        ("memory", f"{int(memory_kib) / MIB:.0f} GiB"),
        ("file system", file_system(options.directory)),
        ("system", f"{system}, kernel {platform.release().split('-')[0]}, {platform.machine()}"),
        ("etcd", first_line(["etcd", "--version"]).removeprefix("etcd Version: ")),
        ("etcdctl", first_line(["etcdctl", "version"]).removeprefix("etcdctl version: ")),
        ("libraries", first_line([os.path.join(options.directory, "drain"), "--version"])),
        ("zip", zip_version.group(1) if zip_version else "unknown"),
    ]
    steps = rounds[0] if rounds else {}
    if any(step in steps for step in BUCKET_STEPS):
        rows.append(("gateway", re.sub(r" \([0-9a-f]{40}\)", "", first_line(["radosgw", "--version"]))))
    if "rclone" in steps:
        rows.append(("rclone", first_line([packaged("rclone"), "--version"]).removeprefix("rclone ")))
    if "aws" in steps:
        rows.append(("aws", first_line([packaged("aws"), "--version"])))
    if os.access(options.program, os.X_OK):
        rows.append(("agent", first_line([options.program, "--version"])))
    return "\n".join(["| | |", "|---|---|"] + [f"| {name} | {value} |" for name, value in rows])


def busy_elsewhere(rounds):
    """CPU that anything else used while the steps ran, in percent of one CPU."""
    steps = [figures for each in rounds for figures in each.values()]
    return 100 * sum(s["other_cpu_s"] for s in steps) / sum(s["wall_s"] for s in steps)


def local_part(rounds):
    database_bytes = rounds[0]["drain"]["bytes"]
    parts = [
        f"A whole local cycle against the bare drain and against etcdctl with zip: a database of "
        f"{database_bytes / 1e6:.0f} MB with Kubernetes-like objects, etcd over TLS with client "
        f"certificates on loopback, {len(rounds)} round{'s' * (len(rounds) > 1)} with the steps in turns, the disk synced before "
        f"each step. `make bench` makes this page."]
    if set(rounds[0]) - set(BUCKET_STEPS) != {"drain"}:
        parts.append(result_table(rounds))
    return parts + [
        "Medians with (lowest-highest). `CPU s` is user and system time of the step itself, `etcd's CPU "
        "s` that of the server meanwhile; `peak MiB` is the largest resident set of a process of the "
        "step; the ratios are medians of the ratios of wall time within each round. etcdctl and "
        "etcd-snapshot sync their file to disk, zip does not; a cycle of etcd-snapshot includes the "
        "check of the digest and the removal of the snapshot before.",
    ]


def bucket_part(rounds, backlog):
    parts = [
        "## With a bucket",
        "The same rounds with an S3 server: Ceph's RADOS Gateway over TLS with a private authority, path "
        "style, objects in memory, the bucket emptied after each step outside of what is measured.",
        bucket_table(rounds)]
    if "s3" in rounds[0]:
        parts.append(bucket_rounds(rounds))
    gateway_share = ""
    if "s3" in rounds[0]:
        column = columns(rounds, "s3")
        used = sum(column["gateway_cpu_s"]) / sum(column["wall_s"])
        gateway_share = f" ({used:.1f} of {os.cpu_count()} CPUs during a cycle of etcd-snapshot)"
    parts.append(
        "`of it upload` is the copy of rclone or aws, and for etcd-snapshot what a cycle waits for its "
        "upload after the snapshot is proven. `gateway's CPU s` is that of its monitor, object store and "
        f"gateway meanwhile{gateway_share}: it runs on the same machine, so what it needs is not there for "
        "etcd and the steps; in practice it is elsewhere. rclone and aws run with their defaults.")
    if backlog:
        parts.append(f"With a backlog of a whole archive, all parts waiting: {backlog['peak_kib'] / 1024:.1f} MiB "
                     f"at its peak, with at most {backlog['connections']} connections at a time, one of "
                     "them for calls that are no parts.")
    return parts


def objects_part(options, objects):
    return [
        f"## {options.objects:,} objects",
        "A whole cycle with a bucket full of snapshots, all but ten of them expired, one of each thousand "
        "objects somebody else's; the server counts the calls and checks what is deleted.",
        objects_table(objects),
        "`reads` are of the end of one archive for each call to delete, to see whether it is of the same "
        "cluster and not ahead of it. That is the cycle; `peak MiB of list` is the larger of the command "
        "`list` in both of its formats, which has to know time, size and name of each object to put them in "
        "order."]


def report(options, rounds, backlog, objects, reached):
    parts = ["# Benchmark"]
    if rounds:
        parts += local_part(rounds)
        if any(step in rounds[0] for step in BUCKET_STEPS):
            parts += bucket_part(rounds, backlog)
    if objects:
        parts += objects_part(options, objects)
    if reached:
        if rounds and any(step in rounds[0] for step in BUCKET_STEPS) or objects:
            parts.append("## Targets")
        parts.append("\n".join(["| target | measured | |", "|---|---|---|"] + [
            f"| {text} | {measured} | {'met' if met else '**missed**'} |" for text, measured, met in reached]))
    parts.append(machine(options, rounds))
    when = f"Measured on {time.strftime('%Y-%m-%d', time.gmtime())}."
    if rounds:
        busy = busy_elsewhere(rounds)
        when += (f" Anything else on the machine, the kernel included, used {busy:.0f} % of one CPU meanwhile"
                 + (": **a machine that was not quiet; take the figures as provisional.**" if busy > 25
                    else "."))
    parts.append(when)
    return "\n\n".join(parts) + "\n"
