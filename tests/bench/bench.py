#!/usr/bin/python3
"""Measures a whole local cycle of etcd-snapshot against the bare drain of etcd's snapshot stream and
against etcdctl with zip, in turns on the same machine, disk and database. See --help."""

import argparse
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # a bench leaves nothing beside its sources
from lab import Certificates, Etcd, LabError, Stopwatch, end_process, machine_cpu_s, with_parent

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.dirname(os.path.abspath(__file__))
MIB = 1024 * 1024
SEED = "1"
# Counted up when `fill` writes something else, so that a kept database is made again.
FILL_VERSION = "1"

PACKAGES = {"etcd": "etcd-server", "etcdctl": "etcd-client", "zip": "zip", "unzip": "unzip",
            "openssl": "openssl"}
TITLES = {
    "drain": "bare drain of the stream, to nowhere",
    "zip1": "etcdctl snapshot save, zip -1",
    "zip6": "etcdctl snapshot save, zip -6",
    "zip": "etcd-snapshot run, zip",
    "zstd": "etcd-snapshot run, zstd",
    "none": "etcd-snapshot run, no compression",
}
AGENT_STEPS = ("zip", "zstd", "none")


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
    parser.add_argument("--steps", default="drain,zip1,zip6,zip", metavar="LIST",
                        help="which steps, with commas between (default drain,zip1,zip6,zip)")
    parser.add_argument("--directory", default=os.path.join(TOP, "build", "bench"), metavar="DIR",
                        help="databases, tools and results (default build/bench)")
    parser.add_argument("--program", default=os.path.join(TOP, "build", "etcd-snapshot"), metavar="FILE",
                        help="the agent (default build/etcd-snapshot)")
    parser.add_argument("--write-results", action="store_true",
                        help="copy the result to tests/bench/RESULTS.md as well")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target was missed")
    options = parser.parse_args()
    options.steps = [step for step in options.steps.split(",") if step]
    for step in options.steps:
        if step not in TITLES:
            parser.error(f"--steps: unknown step '{step}'; accepted: {', '.join(TITLES)}")
    if options.rounds < 1 or options.size_mb < 1 or options.small_mb < 1:
        parser.error("--rounds, --size-mb and --small-mb start at 1")
    options.directory, options.program = map(os.path.abspath, (options.directory, options.program))
    if "drain" not in options.steps:
        options.steps.insert(0, "drain")  # what everything is compared to
    return options


def check_tools(options):
    missing = [f"{tool} (Debian package {package})" for tool, package in PACKAGES.items()
               if not shutil.which(tool)]
    missing += [f"build/bench/{tool} (run: make build/bench/{tool})" for tool in ("fill", "drain", "measure")
                if not os.access(os.path.join(options.directory, tool), os.X_OK)]
    if missing:
        raise LabError("missing: " + "; ".join(missing))
    agent_steps = [step for step in options.steps if step in AGENT_STEPS]
    if agent_steps and not os.access(options.program, os.X_OK):
        print(f"NOTE: {options.program} is not there (run: make); without {', '.join(agent_steps)}.")
        options.steps = [step for step in options.steps if step not in AGENT_STEPS]


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


class Steps:
    """The ways to get a snapshot, each from a synced disk to its last byte written."""

    def __init__(self, options, certificates, etcd, directory):
        self.options, self.certificates, self.etcd = options, certificates, etcd
        self.directory = directory
        self.watch = Stopwatch(os.path.join(options.directory, "measure"), directory)
        self.runtime = os.path.join(directory, "run")
        os.makedirs(self.runtime, exist_ok=True)
        for step in AGENT_STEPS:
            self._configure(step)

    def _configure(self, compression):
        snapshots = os.path.join(self.directory, "snapshots-" + compression)
        os.makedirs(snapshots, mode=0o700, exist_ok=True)
        with open(os.path.join(self.directory, compression + ".conf"), "w", encoding="utf-8") as conf:
            conf.write(f"[etcd]\nendpoints = {self.etcd.endpoint}\nca_file = {self.certificates.ca_file}\n"
                       f"cert_file = {self.certificates.client[0]}\n"
                       f"key_file = {self.certificates.client[1]}\n\n"
                       f"[snapshots]\ndirectory = {snapshots}\ncompression = {compression}\n")
        # With retention 0 a cycle prunes the snapshot of the one before: a full disk is avoided as a
        # host avoids it, and the pruning is part of what is measured.
        with open(os.path.join(self.directory, "cluster.yml"), "w", encoding="utf-8") as cluster:
            cluster.write("services:\n  etcd:\n    backup_config:\n      enabled: true\n"
                          "      interval_hours: 1m\n      retention: 0\n")

    def run(self, step):
        """One measured step: its figures, with what etcd itself and other processes used."""
        os.sync()
        etcd_before, machine_before = self.etcd.cpu_s(), machine_cpu_s()
        figures = getattr(self, "_agent" if step in AGENT_STEPS else "_" + step)(step)
        figures["etcd_cpu_s"] = self.etcd.cpu_s() - etcd_before
        figures["other_cpu_s"] = max(0.0, machine_cpu_s() - machine_before - figures["cpu_s"]
                                     - figures["etcd_cpu_s"])
        return figures

    def _drain(self, _step):
        figures = self.watch.run([os.path.join(self.options.directory, "drain"), self.etcd.endpoint]
                                 + self.certificates.flags())
        figures["bytes"] = int(self.watch.output().split()[0])
        return figures

    def _etcdctl(self, level):
        database, archive = (os.path.join(self.directory, name) for name in ("etcdctl.db", "etcdctl.zip"))
        try:
            saved = self.watch.run(
                ["etcdctl", "--endpoints", self.etcd.endpoint] + self.certificates.flags()
                + ["snapshot", "save", database], {"ETCDCTL_API": "3"})
            zipped = self.watch.run(["zip", "-q", "-j", f"-{level}", archive, database])
            return {"wall_s": saved["wall_s"] + zipped["wall_s"],
                    "cpu_s": saved["cpu_s"] + zipped["cpu_s"],
                    "peak_kib": max(saved["peak_kib"], zipped["peak_kib"]),
                    "bytes": os.path.getsize(archive), "save_s": saved["wall_s"]}
        finally:
            for name in (database, archive):
                if os.path.exists(name):
                    os.remove(name)

    def _zip1(self, _step):
        return self._etcdctl(1)

    def _zip6(self, _step):
        return self._etcdctl(6)

    def _agent(self, step):
        before = set(self.archives(step))
        figures = self.watch.run(
            [self.options.program, "--config", os.path.join(self.directory, step + ".conf"),
             "--cluster-file", os.path.join(self.directory, "cluster.yml"), "run"],
            {"RUNTIME_DIRECTORY": self.runtime})
        new = set(self.archives(step)) - before
        if len(new) != 1:
            raise LabError(f"etcd-snapshot run wrote {len(new)} snapshots instead of one:\n"
                           + self.watch.output())
        figures["bytes"] = os.path.getsize(new.pop())
        return figures

    def archives(self, step):
        folder = os.path.join(self.directory, "snapshots-" + step)
        return [os.path.join(folder, name) for name in os.listdir(folder)
                if not name.startswith(".") and "_etcd" in name and not name.endswith(".json")]

    def prove(self):
        """What is measured is worth nothing unless the archives are good: others must take one."""
        archive = max(self.archives("zip"))
        database = os.path.join(self.directory, "proved.db")
        self.watch.run(["unzip", "-qq", "-t", archive])
        with open(database, "wb") as output:
            subprocess.run(["unzip", "-p", archive], stdin=subprocess.DEVNULL, stdout=output, check=False)
        self.watch.run(["etcdctl", "snapshot", "status", database], {"ETCDCTL_API": "3"})
        os.remove(database)
        print("  an archive of the agent passes unzip -t, and etcdctl snapshot status takes what is in it")


def measure_rounds(options, steps):
    print("Warming up ...", flush=True)
    steps.run("drain")
    if "zip" in options.steps:
        steps.run("zip")
        steps.prove()
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


def spread(values, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def ratio(rounds, above, below):
    """Median of the ratios of wall time, each taken within its round; None where one is missing."""
    if above not in rounds[0] or below not in rounds[0]:
        return None
    return statistics.median(figures[above]["wall_s"] / figures[below]["wall_s"] for figures in rounds)


def result_table(rounds):
    head = ("step", "wall s", "CPU s", "etcd's CPU s", "peak MiB", "result MB", "x drain",
            "faster than zip -6")
    rows = []
    for step in (name for name in TITLES if name in rounds[0]):
        column = {key: [figures[step][key] for figures in rounds] for key in rounds[0][step]}
        slower, faster = ratio(rounds, step, "drain"), ratio(rounds, "zip6", step)
        rows.append((TITLES[step], spread(column["wall_s"], 2), spread(column["cpu_s"], 2),
                     f"{statistics.median(column['etcd_cpu_s']):.1f}",
                     spread([kib / 1024 for kib in column["peak_kib"]], 1),
                     f"{statistics.median(column['bytes']) / 1e6:.1f}",
                     f"{slower:.2f}", "" if faster is None else f"{faster:.2f}"))
    widths = [max(len(row[index]) for row in [head, *rows]) for index in range(len(head))]
    line = lambda row: "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
    return "\n".join([line(head), "|" + "|".join("-" * (width + 2) for width in widths) + "|"]
                     + [line(row) for row in rows])


def targets(options, rounds, small_peaks_kib):
    """Each target as (text, measured, met)."""
    if "zip" not in rounds[0]:
        return []
    peak = max(figures["zip"]["peak_kib"] for figures in rounds) / 1024
    slower, faster = ratio(rounds, "zip", "drain"), ratio(rounds, "zip6", "zip")
    result = [("a whole cycle with zip takes at most 1.1 times the bare drain", f"{slower:.2f}", slower <= 1.1)]
    if faster is not None:
        result.append(("at least 2.5 times faster than etcdctl with zip -6", f"{faster:.2f}", faster >= 2.5))
    result.append((f"peak memory at most 24 MiB at {options.size_mb} MB", f"{peak:.1f} MiB", peak <= 24))
    if small_peaks_kib:
        grown = peak - max(small_peaks_kib) / 1024
        result.append((f"peak memory at most 2 MiB above that at {options.small_mb} MB "
                       f"({max(small_peaks_kib) / 1024:.1f} MiB)", f"{grown:+.1f} MiB", grown <= 2))
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


def machine(options):
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
    if os.access(options.program, os.X_OK):
        rows.append(("agent", first_line([options.program, "--version"])))
    return "\n".join(["| | |", "|---|---|"] + [f"| {name} | {value} |" for name, value in rows])


def busy_elsewhere(rounds):
    """CPU that anything else used while the steps ran, in percent of one CPU."""
    steps = [figures for each in rounds for figures in each.values()]
    return 100 * sum(s["other_cpu_s"] for s in steps) / sum(s["wall_s"] for s in steps)


def report(options, rounds, reached):
    database_bytes = rounds[0]["drain"]["bytes"]
    parts = [
        "# Benchmark",
        f"A whole local cycle against the bare drain and against etcdctl with zip: a database of "
        f"{database_bytes / 1e6:.0f} MB with Kubernetes-like objects, etcd over TLS with client "
        f"certificates on loopback, {len(rounds)} rounds with the steps in turns, the disk synced before "
        f"each step. `make bench` makes this page.",
        result_table(rounds),
        "Medians with (lowest-highest). `CPU s` is user and system time of the step itself, `etcd's CPU "
        "s` that of the server meanwhile; `peak MiB` is the largest resident set of a process of the "
        "step; the ratios are medians of the ratios of wall time within each round. etcdctl and "
        "etcd-snapshot sync their file to disk, zip does not; a cycle of etcd-snapshot includes the "
        "check of the digest and the removal of the snapshot before.",
    ]
    if reached:
        parts.append("\n".join(["| target | measured | |", "|---|---|---|"] + [
            f"| {text} | {measured} | {'met' if met else '**missed**'} |" for text, measured, met in reached]))
    busy = busy_elsewhere(rounds)
    parts.append(machine(options))
    parts.append(f"Measured on {time.strftime('%Y-%m-%d', time.gmtime())}. Anything else on the machine, "
                 f"the kernel included, used {busy:.0f} % of one CPU meanwhile"
                 + (": **a machine that was not quiet; take the figures as provisional.**" if busy > 25
                    else "."))
    return "\n\n".join(parts) + "\n"


def bench(options):
    check_tools(options)
    # The database, etcdctl's copy of it, an archive or two.
    need_mb = 2 * options.size_mb + 500
    if shutil.disk_usage(options.directory).free < need_mb * 10**6:
        raise LabError(f"{options.directory}: less than {need_mb} MB free")
    with tempfile.TemporaryDirectory(prefix="work-", dir=options.directory) as directory:
        certificates = Certificates(os.path.join(directory, "tls"))
        data = filled_database(options, options.size_mb, certificates)
        small_peaks_kib = []
        if "zip" in options.steps:
            small = filled_database(options, options.small_mb, certificates)
            with Etcd(small, certificates, os.path.join(directory, "etcd-small.log")) as etcd:
                steps = Steps(options, certificates, etcd, os.path.join(directory, "small"))
                for _ in range(min(options.rounds, 3)):
                    small_peaks_kib.append(steps.run("zip")["peak_kib"])
                    time.sleep(1.1)  # names carry whole seconds
        print(f"Starting etcd on {os.path.relpath(data)} ...", flush=True)
        with Etcd(data, certificates, os.path.join(directory, "etcd.log")) as etcd:
            steps = Steps(options, certificates, etcd, os.path.join(directory, "large"))
            rounds = measure_rounds(options, steps)
    reached = targets(options, rounds, small_peaks_kib)
    text = report(options, rounds, reached)
    result_file = os.path.join(options.directory, "result.md")
    for name in [result_file] + ([os.path.join(HERE, "RESULTS.md")] if options.write_results else []):
        with open(name, "w", encoding="utf-8") as result:
            result.write(text)
    print("\n" + text + f"\nWritten to {os.path.relpath(result_file)}"
          + (" and tests/bench/RESULTS.md." if options.write_results else
             "; --write-results copies it to tests/bench/RESULTS.md."))
    return 1 if options.strict and not all(met for _, _, met in reached) else 0


def main():
    options = parse_arguments()
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
