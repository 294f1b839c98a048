#!/usr/bin/python3
"""Measures a whole cycle of etcd-snapshot, local and with a bucket, against the bare drain of etcd's
snapshot stream and against etcdctl with zip, rclone and aws, in turns on the same machine, disk and
database; and a cycle with a hundred thousand objects in the bucket. See --help."""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # a bench leaves nothing beside its sources
import gateway
import many_objects
from lab import TOP, Certificates, Etcd, LabError, end_process, with_parent
from report import report, targets
from steps import AGENT_STEPS, BUCKET_STEPS, TITLES, Steps

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = "1"
# Counted up when `fill` writes something else, so that a kept database is made again.
FILL_VERSION = "1"

PACKAGES = {"etcd": "etcd-server", "etcdctl": "etcd-client", "zip": "zip", "unzip": "unzip",
            "openssl": "openssl"}
GROUPS = {"local": ("drain", "zip1", "zip6", "zip"), "s3": ("drain", "s3", "rclone", "aws"), "objects": ()}


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Steps: " + "; ".join(f"{name} ({title})" for name, title in TITLES.items()) + ". "
               "The filled databases are kept in the directory for the next run; remove it to get the "
               "space back.")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds (default 5)")
    parser.add_argument("--size-mb", type=int, default=2000, metavar="N",
                        help="size of the database in MB (default 2000)")
    parser.add_argument("--small-mb", type=int, default=20, metavar="N",
                        help="size of the small database that peak memory is compared to (default 20)")
    parser.add_argument("--objects", type=int, default=100000, metavar="N",
                        help="objects of the full bucket, whole thousands (default 100000)")
    parser.add_argument("--only", metavar="LIST",
                        help="which of local, s3 and objects, with commas between (default all)")
    parser.add_argument("--steps", metavar="LIST",
                        help="which steps, with commas between, instead of --only")
    parser.add_argument("--directory", default=os.path.join(TOP, "build", "bench"), metavar="DIR",
                        help="databases, tools and results (default build/bench)")
    parser.add_argument("--program", default=os.path.join(TOP, "build", "etcd-snapshot"), metavar="FILE",
                        help="the agent (default build/etcd-snapshot)")
    parser.add_argument("--write-results", action="store_true",
                        help="copy the result to tests/bench/RESULTS.md as well")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target was missed")
    options = parser.parse_args()
    choose_steps(parser, options)
    if options.rounds < 1 or options.size_mb < 1 or options.small_mb < 1:
        parser.error("--rounds, --size-mb and --small-mb start at 1")
    if options.objects < 2000 or options.objects % 1000:
        parser.error("--objects is a whole number of thousands from 2000")
    options.directory, options.program = map(os.path.abspath, (options.directory, options.program))
    return options


def choose_steps(parser, options):
    if options.steps and options.only:
        parser.error("--only and --steps exclude each other")
    groups = [] if options.steps else (options.only or ",".join(GROUPS)).split(",")
    for group in groups:
        if group not in GROUPS:
            parser.error(f"--only: unknown '{group}'; accepted: {', '.join(GROUPS)}")
    chosen = options.steps.split(",") if options.steps else [step for group in groups for step in GROUPS[group]]
    options.steps = [step for step in dict.fromkeys(chosen) if step]
    for step in options.steps:
        if step not in TITLES:
            parser.error(f"--steps: unknown step '{step}'; accepted: {', '.join(TITLES)}")
    if options.steps and "drain" not in options.steps:
        options.steps.insert(0, "drain")  # what everything is compared to
    options.with_objects = "objects" in groups


def check_tools(options):
    wanted = dict(PACKAGES, **({"rclone": "rclone"} if "rclone" in options.steps else {}),
                  **({"aws": "awscli"} if "aws" in options.steps else {}))
    missing = [f"{tool} (Debian package {package})" for tool, package in wanted.items()
               if not gateway.packaged(tool)]
    missing += [f"build/bench/{tool} (run: make build/bench/{tool})"
                for tool in ("fill", "drain", "measure") + (("many_objects",) if options.with_objects else ())
                if not os.access(os.path.join(options.directory, tool), os.X_OK)]
    if any(step in BUCKET_STEPS for step in options.steps) and gateway.possible():
        missing.append(f"an S3 gateway: {gateway.possible()} (Debian packages radosgw, ceph-mon, ceph-osd)")
    if missing:
        raise LabError("missing: " + "; ".join(missing))
    agent_steps = [step for step in options.steps if step in AGENT_STEPS]
    if (agent_steps or options.with_objects) and not os.access(options.program, os.X_OK):
        print(f"NOTE: {options.program} is not there (run: make); without "
              f"{', '.join(agent_steps + ['objects'] * options.with_objects)}.")
        options.steps = [step for step in options.steps if step not in AGENT_STEPS]
        options.with_objects = False


def filled_database(options, size_mb, certificates):
    """The data directory of a database of that size; filled when it is not there yet."""
    name = f"etcd-{size_mb // 1000}gb" if size_mb % 1000 == 0 else f"etcd-{size_mb}mb"
    home = os.path.join(options.directory, name)
    data, mark = os.path.join(home, "data"), os.path.join(home, "filled")
    wanted = f"{size_mb} MB, seed {SEED}, version {FILL_VERSION}\n"
    if os.path.exists(mark):
        with open(mark, encoding="ascii") as text:
            if text.read() == wanted:
                return data
    need = size_mb * 10**6 * 2
    os.makedirs(home, mode=0o700, exist_ok=True)
    shutil.rmtree(data, ignore_errors=True)
    if shutil.disk_usage(home).free < need:
        raise LabError(f"{home}: less than {need // 10**6} MB free")
    print(f"Filling an etcd with {size_mb} MB in {os.path.relpath(home)} (once; it is kept) ...")
    with Etcd(data, certificates, os.path.join(home, "etcd.log")) as etcd:
        process = subprocess.Popen(with_parent(
            [os.path.join(options.directory, "fill"), etcd.endpoint, f"{size_mb}M", "--seed", SEED]
            + certificates.flags()), start_new_session=True)
        try:
            if process.wait() != 0:
                raise LabError(f"fill failed; see above and {os.path.join(home, 'etcd.log')}")
        finally:
            end_process(process)
    with open(mark, "w", encoding="ascii") as text:
        text.write(wanted)
    return data


def measure_rounds(options, steps):
    print("Warming up ...", flush=True)
    steps.run("drain")
    if "zip" in options.steps:
        steps.run("zip")
        steps.prove()
    if "s3" in options.steps:
        steps.run("s3")
    rounds = []
    for number in range(options.rounds):
        # Each round starts with another step, so that no step always follows the same one.
        shift = number % len(options.steps)
        figures = {}
        for step in options.steps[shift:] + options.steps[:shift]:
            figures[step] = steps.run(step)
            print(f"  round {number + 1}/{options.rounds}  {TITLES[step]:38s} "
                  f"{figures[step]['wall_s']:7.2f} s  {figures[step]['peak_kib'] / 1024:6.1f} MiB",
                  flush=True)
        rounds.append(figures)
    return rounds


def measure_small(options, certificates, directory):
    """Peaks of a cycle with the small database, and the cycles with a full bucket."""
    small_peaks_kib, objects = [], {}
    small = filled_database(options, options.small_mb, certificates)
    with Etcd(small, certificates, os.path.join(directory, "etcd-small.log")) as etcd:
        if "zip" in options.steps:
            steps = Steps(options, certificates, etcd, os.path.join(directory, "small"))
            for _ in range(min(options.rounds, 3)):
                small_peaks_kib.append(steps.run("zip")["peak_kib"])
                time.sleep(1.1)  # names carry whole seconds
        if options.with_objects:
            print(f"A bucket with {options.objects:,} objects, and one with 1,000 ...", flush=True)
            objects = many_objects.measure(options, etcd, os.path.join(directory, "objects"))
    return small_peaks_kib, objects


def measure_large(options, certificates, directory):
    """The rounds, and the peak with a backlog."""
    data = filled_database(options, options.size_mb, certificates)
    print(f"Starting etcd on {os.path.relpath(data)} ...", flush=True)
    with contextlib.ExitStack() as stack:
        etcd = stack.enter_context(Etcd(data, certificates, os.path.join(directory, "etcd.log")))
        bucket = None
        if any(step in BUCKET_STEPS for step in options.steps):
            print("Starting an S3 gateway ...", flush=True)
            bucket = stack.enter_context(gateway.Gateway())
        steps = Steps(options, certificates, etcd, os.path.join(directory, "large"), bucket)
        rounds = measure_rounds(options, steps)
        return rounds, steps.backlog() if "s3" in options.steps else None


def bench(options):
    check_tools(options)
    # The database, etcdctl's copy of it, an archive or two, and two more for the backlog.
    need_mb = 3 * options.size_mb + 500
    if shutil.disk_usage(options.directory).free < need_mb * 10**6:
        raise LabError(f"{options.directory}: less than {need_mb} MB free")
    with tempfile.TemporaryDirectory(prefix="work-", dir=options.directory) as directory:
        certificates = Certificates(os.path.join(directory, "tls"))
        small_peaks_kib, objects, rounds, backlog = [], {}, [], None
        if "zip" in options.steps or options.with_objects:
            small_peaks_kib, objects = measure_small(options, certificates, directory)
        if options.steps:
            rounds, backlog = measure_large(options, certificates, directory)
    reached = targets(options, rounds, small_peaks_kib, backlog, objects)
    text = report(options, rounds, backlog, objects, reached)
    result_file = os.path.join(options.directory, "result.md")
    for name in [result_file] + ([os.path.join(HERE, "RESULTS.md")] if options.write_results else []):
        with open(name, "w", encoding="utf-8") as result:
            result.write(text)
    print("\n" + text + f"\nWritten to {os.path.relpath(result_file)}"
          + (" and tests/bench/RESULTS.md." if options.write_results else
             "; --write-results copies it to tests/bench/RESULTS.md."))
    return 1 if options.strict and not all(met for _, _, met in reached) else 0


def own_surroundings():
    """What the environment says of proxies and of other buckets is not for here."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("AWS_", "RCLONE_")):
            del os.environ[name]


def main():
    options = parse_arguments()
    own_surroundings()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return bench(options)
    except LabError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: stopped; what it had started has been ended", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
