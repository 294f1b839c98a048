"""What real runs write for Prometheus, as promtool reads it."""
import fcntl
import os
import re
import shutil
import signal
import stat
import subprocess
import time
import unittest

import s3_faults
from agent import TOP
from case import SharedMember, wait_until
from s3hosts import BucketCase, Gate, old

# Of a plain etcd there is no certificate.
WITHOUT_BUCKET = {"backlog_snapshots", "retention_snapshots", "certificate_expiry_timestamp_seconds"}


def names_in_source():
    with open(os.path.join(TOP, "agent", "metrics", "metrics.cc")) as source:
        return set(re.findall(r"\betcd_snapshot_(\w+)", source.read()))


class Textfile:
    """Mixed into a Case."""

    def with_textfile(self, agent):
        folder = self.path("textfile")
        os.makedirs(folder, exist_ok=True)
        agent.section("metrics")["textfile"] = os.path.join(folder, "etcd-snapshot.prom")
        return agent

    def samples(self):
        """name{labels} without the prefix -> value, of a file that promtool has nothing to say about."""
        path = self.path("textfile", "etcd-snapshot.prom")
        with open(path, "rb") as file:
            text = file.read()
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, b""), text)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o644)
        self.assertEqual(os.listdir(self.path("textfile")), ["etcd-snapshot.prom"])
        found = {}
        for line in text.decode().splitlines():
            if not line.startswith("#"):
                sample, value = line.rsplit(" ", 1)
                found[sample.removeprefix("etcd_snapshot_")] = float(value)
        return found

    def families(self, samples):
        return {sample.partition("{")[0] for sample in samples}


class RealMetrics(Textfile, SharedMember):
    def test_a_cycle(self):
        agent = self.with_textfile(self.agent())
        began = time.time()
        result = agent.run(umask=0o077)
        archive = self.assertCreated(result, agent)
        found = self.samples()
        self.assertEqual(self.families(found), names_in_source() - WITHOUT_BUCKET)
        self.assertEqual(found["last_run_exit_code"], 0)
        self.assertEqual(found["archive_size_bytes"], os.path.getsize(archive))
        self.assertEqual(found['kept_snapshots{place="local"}'], 1)
        self.assertEqual(found['last_run_pruned_snapshots{place="local"}'], 0)
        self.assertEqual(found["interval_seconds"], 60)
        self.assertEqual(found["retention_seconds"], 86400)
        self.assertLessEqual(int(began), found["last_success_timestamp_seconds"])
        self.assertLessEqual(found["last_success_timestamp_seconds"], found["last_run_timestamp_seconds"])
        phases = {name: value for name, value in found.items() if "phase" in name}
        self.assertEqual(set(phases), {f'last_run_phase_duration_seconds{{phase="{phase}"}}'
                                       for phase in ("connect", "stream", "store", "prune")})
        self.assertLessEqual(sum(phases.values()), found["last_run_duration_seconds"])
        self.assertLessEqual(found["last_run_duration_seconds"], result.seconds)
        self.assertGreater(found["database_size_bytes"], 0)
        self.assertGreater(found["revision"], 0)

    def test_failures_of_each_kind_keep_the_last_success(self):
        agent = self.with_textfile(self.agent())
        self.assertExit(agent.run(), 0)
        before = self.samples()
        policy = agent.policy

        def failing(code):
            agent.runtime_reset()
            self.assertExit(agent.run(), code)
            after = self.samples()
            self.assertEqual(after["last_run_exit_code"], code)
            for name in ("last_success_timestamp_seconds", "interval_seconds"):
                self.assertEqual(after[name], before[name])
            return after
        agent.etcd["endpoints"] = "http://127.0.0.1:9"
        self.assertEqual(failing(69)["revision"], before["revision"])
        agent.policy = policy.replace("1m", "sometimes")
        failing(78)
        agent.policy = policy
        agent.snapshots["directory"] = self.write(self.path("file"), "no directory")
        self.assertNotIn("revision", failing(74))

    def test_another_run_in_progress_writes_nothing(self):
        agent = self.with_textfile(self.agent())
        self.assertExit(agent.run(), 0)
        path = self.path("textfile", "etcd-snapshot.prom")
        before = os.stat(path).st_ino
        with open(os.path.join(agent.runtime, "lock"), "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assertExit(agent.run(), 75)
        self.assertEqual(os.stat(path).st_ino, before)

    def test_a_file_that_cannot_be_written_fails_nothing(self):
        agent = self.agent()
        agent.section("metrics")["textfile"] = self.path("not", "there.prom")
        result = agent.run()
        self.assertCreated(result, agent)
        self.assertSays(result, self.path("not", "there.prom"), "warning")
        self.assertSays(result, "create " + self.path("not"), "warning")

    def test_check_says_whether_the_service_can_write_it(self):
        agent = self.with_textfile(self.agent())
        self.assertExit(agent.run(), 0)
        self.assertSays(agent.run("check"), "etcd-snapshot.prom is written by each run")
        os.chown(self.path("textfile"), 65534, 65534)
        self.assertSays(agent.run("check"), "chown root " + self.path("textfile"))
        shutil.rmtree(self.path("textfile"))
        self.assertSays(agent.run("check"), self.path("textfile") + " is no directory")

    def test_a_link_of_another_user_is_not_followed(self):
        agent = self.with_textfile(self.agent())
        os.makedirs(self.path("precious"))
        os.rmdir(self.path("textfile"))
        os.symlink(self.path("precious"), self.path("textfile"))
        os.chown(self.path("textfile"), 65534, 65534, follow_symlinks=False)
        result = agent.run()
        self.assertCreated(result, agent)
        self.assertSays(result, "the link textfile is another user's", "warning")
        self.assertEqual(os.listdir(self.path("precious")), [])
        os.chown(self.path("textfile"), 0, 0, follow_symlinks=False)
        self.assertExit(agent.run(), 0)
        self.assertEqual(self.samples()["last_run_exit_code"], 0)

    def test_a_directory_that_was_emptied_has_no_success(self):
        agent = self.with_textfile(self.agent())
        self.assertExit(agent.run(), 0)
        shutil.rmtree(agent.directory)
        agent.etcd["endpoints"] = "http://127.0.0.1:9"
        self.assertExit(agent.run(), 69)
        found = self.samples()
        self.assertNotIn("last_success_timestamp_seconds", found)
        self.assertEqual((found['kept_snapshots{place="local"}'], found["interval_seconds"]), (0, 60))

    def test_by_hand_nothing_is_written(self):
        agent = self.with_textfile(self.agent())
        self.assertExit(agent.run("save", "--name", "one"), 0)
        self.assertEqual(os.listdir(self.path("textfile")), [])


class BucketMetrics(Textfile, BucketCase):
    def test_a_cycle_and_a_bucket_that_refuses(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.with_textfile(self.host(bucket, weather, folder="p1"))
        self.put_all(bucket, ["p1/" + old(9)])
        self.assertUploaded(host.cycle(), host, bucket, "p1/")
        found = self.samples()
        self.assertEqual(self.families(found), names_in_source() - (WITHOUT_BUCKET - {"backlog_snapshots"}))
        self.assertEqual(found["backlog_snapshots"], 0)
        self.assertEqual(found['kept_snapshots{place="bucket"}'], len(self.api.keys_of(bucket)))
        self.assertEqual(found['kept_snapshots{place="bucket"}'] +
                         found['last_run_pruned_snapshots{place="bucket"}'], 2)
        weather.when(s3_faults.error(403, "AccessDenied"), "PUT")
        self.assertSafeHere(host.cycle())
        found = self.samples()
        self.assertEqual((found["last_run_exit_code"], found["backlog_snapshots"]), (76, 1))
        weather.down()
        self.assertSafeHere(host.cycle())
        found = self.samples()
        self.assertEqual(found["backlog_snapshots"], 2)
        self.assertNotIn('kept_snapshots{place="bucket"}', found)

    def test_the_snapshot_is_told_before_the_bucket_has_it(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.with_textfile(self.host(bucket, weather))
        weather.when(s3_faults.error(403, "AccessDenied"), "PUT")
        self.assertSafeHere(host.cycle())
        before = self.samples()
        gate = Gate()
        weather.when(gate, "PUT", times=None)
        self.addCleanup(gate.open)
        host.ahead_s += 2
        run = self.started(host)
        path = self.path("textfile", "etcd-snapshot.prom")
        inode = os.stat(path).st_ino
        wait_until(lambda: os.stat(path).st_ino != inode, "the metrics, while no part gets through")
        run.signal(signal.SIGKILL)
        run.wait(10)
        after = self.samples()
        self.assertGreater(after["last_success_timestamp_seconds"], before["last_success_timestamp_seconds"])
        self.assertEqual(after['kept_snapshots{place="local"}'], 2)
        for name in before:
            if name.startswith(("last_run_", "backlog_")) or "bucket" in name:
                self.assertEqual(after[name], before[name], name)


if __name__ == "__main__":
    unittest.main()
