"""Runs that end in the middle of an upload: by signals at every stage, and because the snapshot turned out
to be none. Nothing half lies there under a name, and the next cycle catches up."""
import os
import re
import signal

import fakes
import s3_faults
from case import wait_until
from proxy import Proxy
from s3hosts import MIB, BucketCase, object_puts, old, sent_names

OLD_TIME = b"2020-01-01T00:00:00.000Z"


class Interruption(BucketCase):
    """The database has 12 MiB that do not compress, the parts 5 MiB."""

    fill_bytes = 12 * MIB

    def host(self, *args, **more):
        host = super().host(*args, folder="p1", **more)
        host.section("s3")["part_size_mib"] = 5
        return host

    def held(self, host, weather, method, query="", path="", skip=0, answered=False):
        """A run, from the moment on when such a request is there; nobody answers it. `answered`: it was
        carried out."""
        act = s3_faults.lose_answer(then_stall_s=60) if answered else s3_faults.stall()
        weather.when(act, method, path, query, skip=skip)

        def there():
            held = [seen for seen in weather.requests if seen.rule]
            return held and (held[0].upstream_status if answered else not held[0].body_bytes
                             or held[0].body_bytes == int(held[0].headers["content-length"]))
        host.ahead_s += 2
        run = self.started(host, "run")
        wait_until(there, f"{method} {query}")
        return run

    def stopped(self, run, signum):
        run.signal(signum)
        result = run.wait(15)
        self.assertLess(result.seconds, 20)
        if signum == signal.SIGTERM:
            self.assertExit(result, 143)
            self.assertEqual(result.named("Uploaded backup"), [])
            self.assertSays(result, "Stopped", "error")
        else:
            self.assertEqual(result.code, -signal.SIGKILL)
        return result

    def assertCaughtUp(self, bucket, weather, host, here, already=()):
        """In fine weather the next cycle brings there what is missing, and nothing else."""
        weather.clear()
        result = host.cycle()
        new = self.assertUploaded(result, host, bucket, "p1/")
        self.assertEqual(host.files, sorted([*here, new]))
        self.assertInBucket(host, bucket, host.files, "p1/")
        self.assertEqual(sorted(self.api.keys_of(bucket)), ["p1/" + name for name in host.files])
        self.assertEqual(sent_names(weather), [new, *(name for name in reversed(here) if name not in already)])
        return result

    def check_left(self, bucket, weather, host, signum, uploads=1):
        """After SIGTERM no upload in progress is left; after SIGKILL it is swept when it is old."""
        if signum == signal.SIGTERM:
            self.assertEqual(self.api.uploads(bucket), [])
            return
        self.assertEqual(len(self.api.uploads(bucket)), uploads)
        self.assertUploaded(host.cycle(), host, bucket, "p1/")
        self.assertEqual(len(self.api.uploads(bucket)), uploads)  # may still be somebody's
        age_uploads(weather)
        result = host.cycle()
        self.assertUploaded(result, host, bucket, "p1/")
        self.assertEqual(self.api.uploads(bucket), [])
        self.assertEqual(len(result.named("Aborted an upload that was never finished")), uploads)


def age_uploads(weather):
    """From now on all uploads in progress were begun in 2020."""
    weather.when(s3_faults.edit(lambda body: re.sub(rb"(?<=<Initiated>)[^<]+", OLD_TIME, body)), "GET",
                 query="(^|&)uploads", times=None)


class Signals(Interruption):
    """One test for each stage and signal; below."""

    def during_the_stream(self, signum):
        proxy = Proxy(self.shared.port, bytes_per_s=8 * MIB)
        self.addCleanup(proxy.stop)
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather, endpoint=proxy.endpoint())
        run = self.started(host, "run")
        wait_until(lambda: [seen for seen in object_puts(weather) if seen.status == 200], "a part that is there")
        result = self.stopped(run, signum)
        self.assertEqual(result.created, [])
        self.assertEqual((host.files, self.api.keys_of(bucket)), ([], []))
        host.etcd["endpoints"] = self.shared.endpoint
        self.assertCaughtUp(bucket, weather, host, [])
        self.check_left(bucket, weather, host, signum)

    def while_a_part_is_on_its_way(self, signum):
        self.before_the_object_is_there(signum, "PUT", "partNumber=2")

    def while_it_begins(self, signum):
        self.before_the_object_is_there(signum, "POST", "uploads", uploads=0)

    def before_it_is_completed(self, signum):
        self.before_the_object_is_there(signum, "HEAD")

    def while_it_is_completed(self, signum):
        self.before_the_object_is_there(signum, "POST", "^uploadId")

    def before_the_object_is_there(self, signum, method, query="", uploads=1):
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather)
        run = self.held(host, weather, method, query)
        wait_until(lambda: "Created backup" in run.text(1), "the snapshot")
        self.stopped(run, signum)
        here = host.files
        self.assertEqual(len(here), 1)
        self.assertEqual(self.api.keys_of(bucket), [])
        self.assertCaughtUp(bucket, weather, host, here)
        self.check_left(bucket, weather, host, signum, uploads)

    def after_it_was_completed(self, signum):
        self.after_the_object_is_there(signum, "POST", "^uploadId", answered=True)

    def before_the_comparison(self, signum):
        self.after_the_object_is_there(signum, "HEAD", skip=1)

    def after_the_object_is_there(self, signum, method, query="", **options):
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather)
        run = self.held(host, weather, method, query, **options)
        self.stopped(run, signum)
        here = host.files
        self.assertEqual(self.api.keys_of(bucket), ["p1/" + here[0]])
        self.assertInBucket(host, bucket, here, "p1/")
        self.assertCaughtUp(bucket, weather, host, here, already=here)
        self.assertEqual(self.api.uploads(bucket), [])

    def while_it_lists(self, signum):
        self.while_pruning(signum, "GET", "list-type=2", False)

    def while_it_deletes(self, signum):
        self.while_pruning(signum, "POST", "^delete", False)

    def after_it_deleted(self, signum):
        self.while_pruning(signum, "POST", "^delete", True)

    def while_pruning(self, signum, method, query, gone):
        bucket, weather = self.bucket(), self.weather()
        expired = old(3)
        self.put_all(bucket, ["p1/" + expired])
        host = self.host(bucket, weather)
        self.old_snapshots(host, [expired])
        os.unlink(os.path.join(host.directory, "notes.txt"))
        run = self.held(host, weather, method, query, answered=gone)
        run.signal(signum)
        result = run.wait(15)
        self.assertEqual(len(result.named("Uploaded backup")), 1)
        if signum == signal.SIGTERM:
            self.assertExit(result, 143)
        here = host.files
        self.assertEqual(len(here), 2)  # nothing was pruned here
        if gone:  # the gateway's status comes before it deletes
            wait_until(lambda: "p1/" + expired not in self.api.keys_of(bucket), "the object is gone")
        else:
            self.assertIn("p1/" + expired, self.api.keys_of(bucket))
        weather.clear()
        new = self.assertUploaded(host.cycle(), host, bucket, "p1/")
        self.assertEqual(self.api.keys_of(bucket), ["p1/" + here[1], "p1/" + new])
        self.assertEqual(host.files, [here[1], new])
        self.assertEqual(sent_names(weather), [new])

    def while_it_catches_up(self, signum):
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather)
        weather.down()
        for _ in range(2):
            self.assertSafeHere(host.cycle())
        weather.up()
        missing = host.files
        run = self.held(host, weather, "PUT", "partNumber=1", path=missing[1])
        run.signal(signum)
        result = run.wait(15)
        here = host.files
        self.assertEqual(self.api.keys_of(bucket), ["p1/" + here[2]])
        self.assertEqual(len(result.named("Uploaded backup")), 1)
        self.assertCaughtUp(bucket, weather, host, here, already=here[2:])
        self.check_left(bucket, weather, host, signum)


def _add_tests():
    for stage in ("during_the_stream", "while_a_part_is_on_its_way", "while_it_begins", "before_it_is_completed",
                  "while_it_is_completed", "after_it_was_completed", "before_the_comparison", "while_it_lists",
                  "while_it_deletes", "after_it_deleted", "while_it_catches_up"):
        for signum in (signal.SIGTERM, signal.SIGKILL):
            def test(self, stage=stage, signum=signum):
                getattr(self, stage)(signum)
            setattr(Signals, f"test_{signum.name.lower()}_{stage}", test)


_add_tests()


class Sweeping(Interruption):
    def test_only_old_uploads_of_our_names_in_our_folder_go(self):
        bucket, weather = self.bucket(), self.weather()
        ours = "p1/" + old(2)
        others = ["p1/notes.txt", "p11/" + old(2), "p1/x/" + old(2), old(2), "p1/data.zip"]
        for key in [ours, *others]:
            self.api.create_upload(bucket, key)
        host = self.host(bucket, weather)
        self.assertUploaded(host.cycle(), host, bucket, "p1/")
        self.assertEqual(len(self.api.uploads(bucket)), 6)
        age_uploads(weather)
        result = host.cycle()
        self.assertUploaded(result, host, bucket, "p1/")
        self.assertEqual(sorted(key for key, _ in self.api.uploads(bucket)), sorted(others))

    def test_an_upload_by_hand_that_was_killed_goes_too(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather)
        held = weather.when(s3_faults.stall(), "HEAD")
        run = self.started(host, "save", "--s3", "--name", "by hand")
        wait_until(lambda: held.hits, "all parts to be there")
        run.signal(signal.SIGKILL)
        run.wait(10)
        self.assertEqual([key for key, _ in self.api.uploads(bucket)], ["p1/by hand.zip"])
        age_uploads(weather)
        self.assertUploaded(host.cycle(), host, bucket, "p1/")
        self.assertInBucket(host, bucket, host.files, "p1/")
        self.assertEqual(self.api.uploads(bucket), [])

    def test_what_may_not_be_listed_is_nobodys_worry(self):
        bucket, weather = self.bucket(), self.weather()
        weather.when(s3_faults.error(403, "AccessDenied"), "GET", query="(^|&)uploads", times=None)
        host = self.host(bucket, weather)
        self.assertUploaded(host.cycle(), host, bucket, "p1/")
        self.assertTrue([seen for seen in weather.calls("GET", query="(^|&)uploads")])


class UnprovenStreams(Interruption):
    """The stream goes wrong when parts of it are in the bucket already."""

    def broken(self, fault):
        """A stream that waits for the first part to be there, and then goes wrong."""
        def handler(stream):
            stream.headers()
            stream.server.send_pieces(stream, until=11 * MIB, piece_bytes=256 << 10)
            wait_until(lambda: [seen for seen in object_puts(self.sky) if seen.status == 200], "a part that is there")
            fault(stream)
        return handler

    def server(self, handler):
        server = fakes.FaultServer(fakes.database(12 * MIB // 512), snapshot=handler)
        self.addCleanup(server.stop)
        self.sky = self.weather()
        return server

    def rest(self, stream, digest):
        data = stream.server.database[11 * MIB:]
        stream.data(fakes.snapshot_message(data, 0))
        stream.data(fakes.snapshot_message(digest, 0))
        stream.trailers()

    def check(self, fault, *codes):
        bucket = self.bucket()
        server = self.server(self.broken(fault))
        host = self.host(bucket, self.sky, endpoint=server.endpoint)
        host.etcd.update(connect_timeout_s=2, stall_timeout_s=2)
        result = host.cycle()
        self.assertExit(result, *codes)
        self.assertEqual(server.failures, [])
        self.assertTrue(object_puts(self.sky))
        self.assertEqual(self.sky.calls("POST", query="^uploadId"), [])
        self.assertEqual((self.api.keys_of(bucket), self.api.uploads(bucket), host.files), ([], [], []))
        return bucket, host

    def test_a_wrong_digest(self):
        self.check(lambda stream: self.rest(stream, fakes.digest(b"something else")), 65)

    def test_cut_in_the_middle(self):
        self.check(lambda stream: stream.hang_up(), 65, 69)

    def test_an_error_after_all_came(self):
        def all_and_an_error(stream):
            stream.data(fakes.snapshot_message(stream.server.database[11 * MIB:], 0))
            stream.data(fakes.snapshot_message(fakes.digest(stream.server.database), 0))
            stream.trailers("15", "data loss")
        self.check(all_and_an_error, 65, 69)

    def test_a_stall(self):
        self.check(lambda stream: stream.stall(), 69)

    def test_the_second_attempt_makes_good(self):
        bucket, attempts = self.bucket(), []

        def handler(stream):
            attempts.append(stream.id)
            if len(attempts) == 1:
                self.broken(lambda stream: self.rest(stream, fakes.digest(b"something else")))(stream)
            else:
                stream.server.snapshot(stream)
        server = self.server(handler)
        host = self.host(bucket, self.sky, endpoint=server.endpoint)
        host.etcd["retries"] = 1
        result = host.cycle()
        self.assertExit(result, 0)
        self.assertEqual(len(attempts), 2)
        self.assertInBucket(host, bucket, host.files, "p1/")
        self.assertEqual(self.api.keys_of(bucket), ["p1/" + name for name in host.files])
        self.assertEqual(len(host.files), 1)
        self.assertEqual(self.api.uploads(bucket), [])
        self.assertEqual(len(self.sky.calls("DELETE", query="^uploadId")), 1)
