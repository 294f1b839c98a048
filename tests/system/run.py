#!/usr/bin/python3
"""Boots Debian 12 and 13 with the package installed and runs the scenarios in them, all at the same time: a line per
test, the journal of a scenario that failed, then `N passed, N failed`. README.md says how a scenario looks.

Run make first. As root, on Debian.
"""
import argparse
import concurrent.futures
import contextlib
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from container import REBOOTED, Cgroup, Overlay, Processes, Stopped, impossible, nspawn, own_namespaces  # noqa: E402
from roots import KEPT, SUITES, Maker  # noqa: E402

LIMIT_MINUTES = 15
MAX_BOOTS = 4

UNIT = """[Unit]
Description=Scenario of the system tests
After=basic.target
[Service]
Type=exec
ExecStart=/usr/local/sbin/scenario
Environment=PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8 HOME=/root
StandardOutput=append:/result/output
StandardError=inherit
TimeoutStopSec=5s
"""
PROGRAM = """#!/bin/sh
argument=
if [ -e /result/reboot ]; then mv /result/reboot /result/rebooted; argument=--after-reboot; fi
/usr/bin/python3 /scenarios/scenario_%s.py $argument
status=$?
if [ -e /result/reboot ]; then exec systemctl --no-block reboot; fi
echo $status >/result/status
exec systemctl --no-block poweroff
"""


class Report:
    """Counts, and prints what belongs together in one go. For threads."""

    def __init__(self):
        self.lock, self.passed, self.failed, self.began = threading.Lock(), 0, 0, time.monotonic()

    def say(self, text):
        with self.lock:
            print(text, flush=True)

    def test(self, name, failure=None):
        with self.lock:
            if failure is None:
                self.passed += 1
                print("ok " + name, flush=True)
            else:
                self.failed += 1
                print(f"FAILED {name}: {failure}", flush=True)

    def scenario(self, name, lines, journal):
        """What a scenario printed; `journal` is shown where a test failed."""
        with self.lock:
            print(f"--- {name}")
            for line in lines:
                print(line)
                self.passed += line.startswith("ok ")
                self.failed += line.startswith("FAILED ")
            if journal and any(line.startswith("FAILED ") for line in lines):
                print("    the end of the journal:\n" + journal)
            sys.stdout.flush()

    def elapsed(self):
        return f"{time.monotonic() - self.began:.0f} s"


def text_of(path):
    with contextlib.suppress(FileNotFoundError), open(path, errors="replace") as file:
        return file.read()
    return ""


def limit_minutes(scenario):
    found = re.search(r"^LIMIT_MINUTES = (\d+)", text_of(f"{HERE}/scenario_{scenario}.py"), re.MULTILINE)
    return int(found.group(1)) if found else LIMIT_MINUTES


def prepare(root, scenario):
    """What a root needs to run a scenario and to be a host of its own."""
    def write(path, text, mode=0o644):
        with open(root + path, "w") as out:
            out.write(text)
        os.chmod(root + path, mode)

    write("/usr/local/sbin/scenario", PROGRAM % scenario, 0o755)
    write("/etc/systemd/system/scenario.service", UNIT)
    os.makedirs(root + "/etc/systemd/system/multi-user.target.wants", exist_ok=True)
    os.symlink("../scenario.service", root + "/etc/systemd/system/multi-user.target.wants/scenario.service")
    # Not a first boot, which would enable whatever is installed.
    write("/etc/machine-id", uuid.uuid4().hex + "\n")
    write("/etc/hostname", "etcd1\n")
    write("/etc/hosts", "127.0.0.1 localhost etcd1\n::1 localhost\n")


def boot(processes, layers, packages, scenario, name, path, end):
    """Runs a scenario in a root of its own; the lines it printed, with a test for how it ended, and the
    journal."""
    result = os.path.join(path, "result")
    os.makedirs(result)
    with Overlay(path, layers) as overlay:
        prepare(overlay.root, scenario)
        status = REBOOTED
        for _ in range(MAX_BOOTS):
            with Cgroup(name) as cgroup:
                container = processes.start(cgroup.enter(nspawn(
                    overlay.root, name, "--boot", "--private-network", "--resolv-conf=off", f"--bind={result}:/result",
                    f"--bind-ro={HERE}:/scenarios", f"--bind-ro={packages}:/packages")), f"{path}/console")
                status = processes.wait(container, max(end - time.monotonic(), 1))
            if processes.stopped:
                raise Stopped()
            if status != REBOOTED:
                break

        lines = text_of(f"{result}/output").splitlines()
        ended = text_of(f"{result}/status").strip()
        if not ended:
            how = "in time; the container was ended" if status is None else f"the container did, with status {status}"
            lines.append(f"FAILED the scenario ends: not {how}")
        elif not any(line.startswith("FAILED ") for line in lines) and ended != "0":
            lines.append(f"FAILED the scenario runs to its end: it ended with status {ended}")
        elif not any(line.startswith(("ok ", "FAILED ")) for line in lines):
            lines.append("FAILED the scenario has tests: none was counted")
        return lines, journal(overlay.root) or console(path)


def console(path):
    """What a container printed that never had a journal."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", text_of(f"{path}/console"))
    return "".join(f"    {line}\n" for line in text.splitlines()[-40:])


def journal(root):
    """The end of a container's journal, without the shutdown."""
    text = subprocess.run(["chroot", root, "journalctl", "--directory=/var/log/journal", "--no-pager",
                           "--output=short-precise"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", timeout=60, check=False).stdout.splitlines()
    ends = [at for at, line in enumerate(text) if re.search(r"The system will .* now!|Received SIGRTMIN\+3", line)]
    return "".join(f"    {line}\n" for line in text[:ends[-1] if ends else None][-150:])


class Run:
    def __init__(self, chosen, work):
        self.chosen, self.work, self.processes, self.report = chosen, work, Processes(), Report()

    def suite(self, suite, pool):
        """Makes what the containers of a suite need and boots them; the jobs that wait for their ends."""
        maker = Maker(suite, self.processes, self.work)
        try:
            with maker.alone():
                base = maker.base()
                self.report.say(f"    {suite}: base root after {self.report.elapsed()}")
                packages = maker.packages(base)
                self.report.say(f"    {suite}: package after {self.report.elapsed()}")
                layer = maker.installed(base, packages)
        except Stopped:
            return []
        except Exception as failure:
            self.report.test(f"{suite}: apt installs the package", failure)
            return []
        self.report.test(f"{suite}: apt installs the package")
        self.report.say(f"    {suite}: containers boot after {self.report.elapsed()}")
        return [pool.submit(self.scenario, suite, scenario, [layer, base], packages)
                for scenario in self.chosen.scenario]

    def scenario(self, suite, scenario, layers, packages):
        name, began = f"{suite}-{scenario.replace('_', '-')}", time.monotonic()
        path = os.path.join(self.work, name)
        try:
            lines, journal = boot(self.processes, layers, packages, scenario, name, path,
                                  began + 60 * limit_minutes(scenario))
        except Stopped:
            return
        except Exception as failure:
            lines, journal = [f"FAILED the container boots: {failure}", traceback.format_exc()], ""
        self.report.scenario(f"{suite}: {scenario}, {time.monotonic() - began:.0f} s", lines, journal)
        if self.chosen.keep:
            self.report.say(f"    kept: {path}/upper, over {' over '.join(layers)}")
        else:
            shutil.rmtree(path, ignore_errors=True)

    def all(self):
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            try:
                suites = [pool.submit(self.suite, suite, pool) for suite in self.chosen.suite]
                for suite in suites:
                    for job in suite.result():
                        job.result()
            except BaseException:
                self.processes.stop()
                raise


def names(directory):
    return sorted(re.sub(r".*/scenario_(.*)\.py", r"\1", path) for path in glob.glob(f"{directory}/scenario_*.py"))


def some_of(every):
    def parse(text):
        chosen = text.split(",")
        for name in chosen:
            if name not in every:
                raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(every)}")
        return chosen
    return parse


def interrupted(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    raise KeyboardInterrupt


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    scenarios = names(HERE)
    options.add_argument("--suite", type=some_of(SUITES), default=list(SUITES), metavar="NAME,...")
    options.add_argument("--scenario", type=some_of(scenarios), default=scenarios, metavar="NAME,...")
    options.add_argument("--keep", action="store_true", help="keep the roots of the containers, and say where")
    chosen = options.parse_args()
    reason = impossible()
    if reason:
        print(f"FAILED containers can be booted here: {reason}\n0 passed, 1 failed")
        return 1
    own_namespaces()
    signal.signal(signal.SIGTERM, interrupted)  # what was started is stopped all the same
    os.makedirs(KEPT, exist_ok=True)
    work = tempfile.mkdtemp(prefix="run-", dir=KEPT)
    run = Run(chosen, work)
    try:
        run.all()
    except KeyboardInterrupt:
        print("interrupted")
        return 1
    finally:
        if not chosen.keep:
            shutil.rmtree(work, ignore_errors=True)
    print(f"{run.report.passed} passed, {run.report.failed} failed")
    return 1 if run.report.failed or not run.report.passed else 0


if __name__ == "__main__":
    sys.exit(main())
