#!/usr/bin/python3
"""Runs the integration tests: a line per test, then the failures in full, then `N passed, N failed`.

  run.py [-j WORKERS] [PART...]   only tests whose id holds one of the parts (test_faults, Etcd35, …)

The agent is $AGENT, or build/etcd-snapshot. Classes are spread over worker processes; each test makes
its own etcd, ports and directories, so their order does not matter. As root, on Debian.
"""
import argparse
import concurrent.futures
import multiprocessing
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import agent  # noqa: E402  (the path comes first)

LONGEST_FIRST = ("test_large", "test_etcd", "test_faults", "test_interrupted", "test_connection")


class Lines(unittest.TestResult):
    """Says each outcome at once, in one write so that workers do not mix."""

    def __init__(self):
        super().__init__()
        self.passed, self.failed, self.not_run, self.details, self.began = 0, 0, 0, [], 0.0

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.bad = False

    def say(self, test, outcome, more=""):
        seconds = time.monotonic() - self.began if self.began else 0
        os.write(1, f"{outcome:7} {seconds:6.2f} s  {test.id()}{more}\n".encode(errors="replace"))

    def addSuccess(self, test):
        self.passed += 1
        self.say(test, "ok")

    def addSkip(self, test, reason):
        self.not_run += 1
        self.say(test, "skipped", ": " + reason)

    def fail(self, test, error):
        if not getattr(self, "bad", False):  # a test and its cleanup, or several subtests, fail once
            self.failed += 1
            self.say(test, "FAILED")
        self.bad = True
        self.details.append(f"===== {test.id()}\n{self._exc_info_to_string(error, test)}")

    def addFailure(self, test, err):
        self.fail(test, err)

    def addError(self, test, err):
        self.fail(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.fail(subtest, err)

    def stopTest(self, test):
        super().stopTest(test)
        self.began, self.bad = 0.0, False


def classes(parts):
    """The test classes with the tests that are wanted: [(module, class, [test ids])]."""
    found = {}

    def walk(suite):
        for item in suite:
            if isinstance(item, unittest.TestSuite):
                walk(item)
            elif not parts or any(part in item.id() for part in parts):
                found.setdefault((type(item).__module__, type(item).__name__), []).append(item.id())
    loader = unittest.TestLoader()
    walk(loader.discover(HERE, top_level_dir=HERE))

    def rank(entry):
        module = entry[0][0]
        return LONGEST_FIRST.index(module) if module in LONGEST_FIRST else len(LONGEST_FIRST)
    return [ids for _, ids in sorted(found.items(), key=rank)]


def run_class(ids):
    result = Lines()
    unittest.TestLoader().loadTestsFromNames(ids).run(result)
    return result.passed, result.failed, result.not_run, result.details


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("-j", type=int, default=2, metavar="WORKERS")
    options.add_argument("parts", nargs="*", metavar="PART")
    chosen = options.parse_args()
    if not os.access(agent.binary(), os.X_OK):
        print(f"{agent.binary()} is missing: run make first, or name the agent in $AGENT")
        print("0 passed, 1 failed")
        return 1
    passed = failed = not_run = 0
    details = []
    with concurrent.futures.ProcessPoolExecutor(
            chosen.j, mp_context=multiprocessing.get_context("fork")) as workers:
        jobs = {workers.submit(run_class, ids): ids for ids in classes(chosen.parts)}
        for job in concurrent.futures.as_completed(jobs):
            try:
                outcome = job.result()
            except Exception as failure:  # the worker itself died
                outcome = (0, len(jobs[job]), 0, [f"===== {jobs[job][0]} and its class: {failure!r}\n"])
            passed, failed = passed + outcome[0], failed + outcome[1]
            not_run += outcome[2]
            details += outcome[3]
    if details:
        print("\n" + "\n".join(details))
    if passed + failed == 0:
        print("no test of that name")
        failed = 1
    print(f"{passed} passed, {failed} failed" + (f", {not_run} skipped" if not_run else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
