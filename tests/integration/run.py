#!/usr/bin/python3
"""Runs the integration tests: a line per test, then the failures in full, then `N passed, N failed`.

  run.py [-j WORKERS] [PART...]   only tests whose id holds one of the parts (test_faults, Etcd35, …)

The agent is $AGENT, or build/etcd-snapshot. Classes are spread over worker processes; each test makes
its own etcd, ports and directories, so their order does not matter. Where a class asks for it
(`needs_s3`), one S3 server is started for all of them. As root, on Debian.
"""
import argparse
import concurrent.futures
import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import agent  # noqa: E402  (the path comes first)
import rgw  # noqa: E402

LONGEST_FIRST = ("test_s3_large", "test_large", "test_etcd", "test_faults", "test_interrupted", "test_connection")


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
    """The test classes with the tests that are wanted, each as [test ids]; and whether S3 is."""
    found, s3 = {}, []

    def walk(suite):
        for item in suite:
            if isinstance(item, unittest.TestSuite):
                walk(item)
            elif not parts or any(part in item.id() for part in parts):
                found.setdefault((type(item).__module__, type(item).__name__), []).append(item.id())
                s3.append(getattr(item, "needs_s3", False))
    loader = unittest.TestLoader()
    walk(loader.discover(HERE, top_level_dir=HERE))

    def rank(entry):
        module = entry[0][0]
        return LONGEST_FIRST.index(module) if module in LONGEST_FIRST else len(LONGEST_FIRST)
    return [ids for _, ids in sorted(found.items(), key=rank)], any(s3)


def end_with_parent():
    """For workers: prctl(PR_SET_PDEATHSIG), so that killing the run leaves nobody behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def run_class(ids):
    result = Lines()
    unittest.TestLoader().loadTestsFromNames(ids).run(result)
    return result.passed, result.failed, result.not_run, result.details


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("-j", type=int, default=2, metavar="WORKERS")
    options.add_argument("parts", nargs="*", metavar="PART")
    chosen = options.parse_args()
    if not os.access(agent.binary(), os.X_OK):
        print(f"{agent.binary()} is missing: run make first, or name the agent in $AGENT")
        print("0 passed, 1 failed")
        return 1
    signal.signal(signal.SIGTERM, interrupted)  # what was started is stopped all the same
    passed = failed = not_run = 0
    details = []
    wanted, s3 = classes(chosen.parts)
    with contextlib.ExitStack() as stack:
        if s3 and not rgw.possible():
            rgw.publish(stack.enter_context(rgw.Rgw()))
        workers = stack.enter_context(concurrent.futures.ProcessPoolExecutor(
            chosen.j, mp_context=multiprocessing.get_context("fork"), initializer=end_with_parent))
        stack.callback(workers.shutdown, cancel_futures=True)  # begins nothing new after an interruption
        jobs = {workers.submit(run_class, ids): ids for ids in wanted}
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
