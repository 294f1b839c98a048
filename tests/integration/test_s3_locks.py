"""Two processes of a host, one of which is held by its bucket: the other takes its snapshot."""
import signal

from case import wait_until
from s3hosts import BucketCase, Gate


class HeldByTheBucket(BucketCase):
    def held(self, host, weather, command, method, query=""):
        """A command, from the moment on when the bucket has such a request of it and says nothing."""
        gate = Gate()
        rule = weather.when(gate, method, query=query)
        run = self.started(host, *command)
        wait_until(lambda: rule.hits, f"{method} {query}")
        return run, gate

    def test_a_run_takes_its_snapshot_while_somebody_prunes(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather, folder="p1")
        self.assertUploaded(host.cycle(), host, bucket, "p1/")
        prune, gate = self.held(host, weather, ("prune",), "GET", "list-type=2")
        host.ahead_s += 2
        run = self.started(host, "run")
        wait_until(lambda: "Uploaded backup" in run.text(1), "the snapshot in the bucket")
        self.assertEqual(len(host.files), 2)
        for command in (("prune",), ("delete", "--s3", host.files[0])):
            with self.subTest(command):
                refused = host.run(*command)
                self.assertExit(refused, 75)
                self.assertIn(f"another process is at work in the bucket (pid {prune.process.pid})", refused.stderr)
        gate.open()
        self.assertExit(prune.wait(), 0)
        result = run.wait()
        self.assertExit(result, 0)
        self.assertEqual(result.messages("error") + result.messages("warning"), [], str(result))

    def test_a_run_goes_on_when_who_hangs_in_the_bucket_is_ended(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather, folder="p1")
        self.assertUploaded(host.cycle(), host, bucket, "p1/")
        prune, _ = self.held(host, weather, ("prune",), "GET", "list-type=2")
        host.ahead_s += 2
        run = self.started(host, "run")
        wait_until(lambda: "Uploaded backup" in run.text(1), "the snapshot in the bucket")
        prune.signal(signal.SIGKILL)
        prune.wait(10)
        self.assertExit(run.wait(), 0)

    def save_beside(self, method, query=""):
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather, folder="p1")
        run, gate = self.held(host, weather, ("run",), method, query)
        self.assertExit(host.run("save", "--name", "before the upgrade"), 0)
        self.assertIn("before the upgrade.zip", host.files)
        self.assertIs(run.process.poll(), None)
        gate.open()
        self.assertExit(run.wait(), 0)

    def test_a_save_need_not_wait_for_a_run_that_uploads(self):
        self.save_beside("PUT")

    def test_a_save_need_not_wait_for_a_run_that_looks_through_the_bucket(self):
        self.save_beside("GET", "list-type=2")

    def test_a_second_run_takes_its_own(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather, folder="p1")
        first, gate = self.held(host, weather, ("run",), "GET", "list-type=2")
        host.ahead_s += 2
        second = self.started(host, "run")
        wait_until(lambda: "Uploaded backup" in second.text(1), "the second snapshot in the bucket")
        gate.open()
        self.assertExit(first.wait(), 0)
        self.assertExit(second.wait(), 0)
        self.assertEqual(len(host.files), 2)
        self.assertInBucket(host, bucket, host.files, "p1/")
