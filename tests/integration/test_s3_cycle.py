"""A cycle with a bucket: the snapshot is sent beside the stream, completed when it is proven, compared, and
only then called uploaded."""
import os
import re
import threading

import s3_faults
from case import EXPIRED, wait_until
from proxy import Proxy
from s3hosts import MIB, BucketCase, Gate, object_puts, same_second


def want_checksum(exchange):
    """As S3 does in a bucket that locks each new object for a while (S3 User Guide, "Managing Object
    Lock"): the digest in the signature does not count."""
    if any(name == "content-md5" or re.match("x-amz-checksum-(crc|sha)", name) for name in exchange.seen.headers):
        exchange.forward()
    else:
        exchange.answer(400, s3_faults.error_xml(
            "InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests "
                              "with Object Lock parameters"))


class Cycle(BucketCase):
    def test_virtual_host_and_path_style_over_tls(self):
        for dns in (False, True):
            with self.subTest(dns=dns):
                bucket = self.bucket()
                host = self.host(bucket, name=f"host-{dns}", dns=dns, folder="p1")
                result = host.cycle()
                name = self.assertUploaded(result, host, bucket, "p1/")
                self.assertEqual(self.api.keys_of(bucket), ["p1/" + name])
                when = r'time="[^"]+" level=info msg='
                self.assertRegex(result.stderr, "^" + when + r'"Initializing Rolling Backups" .*\n' +
                                 when + r'"Created backup" name="[^"]+" runtime="?[0-9.]+(µs|ms|s)"?\n' +
                                 when + r'"Uploaded backup" name="[^"]+" runtime="?[0-9.]+(µs|ms|s)"?\n$')
                self.assertEqual(result.stdout, "")

    def test_every_format(self):
        bucket = self.bucket()
        host = self.host(bucket)
        for compression, extension in (("zip", ".zip"), ("zstd", ".zst"), ("none", "")):
            with self.subTest(compression):
                host.snapshots["compression"] = compression
                result = host.cycle()
                self.assertEqual(self.assertUploaded(result, host, bucket), result.created[0] + extension)
        self.assertEqual(self.api.keys_of(bucket), host.files)
        self.assertEqual(len(host.files), 3)

    def test_folders(self):
        for folder, prefix in (("", ""), ("p1", "p1/"), ("/p1/", "p1/"), ("a/b", "a/b/"),
                               ("mit Raum/Größe & +100%~'()", "mit Raum/Größe & +100%~'()/")):
            with self.subTest(folder):
                bucket = self.bucket()
                host = self.host(bucket, name="h", folder=folder)
                host.runtime_reset()
                self.api.put(bucket, prefix + EXPIRED, b"of old")
                result = host.cycle()
                name = self.assertUploaded(result, host, bucket, prefix)
                self.assertEqual([line["name"] for line in result.named("Deleted remote backup")],
                                 [EXPIRED.removesuffix(".zip")])
                self.assertEqual([key for key in self.api.keys_of(bucket) if key.endswith(name)], [prefix + name])
                self.assertNotIn(prefix + EXPIRED, self.api.keys_of(bucket))

    def test_a_folder_that_is_none(self):
        """Either an error of the configuration, or a prefix like any other: never the folder above."""
        bucket = self.bucket()
        for folder in ("..", "../p1", "p1/../p2", "p1/./p2", "a//b"):
            with self.subTest(folder):
                host = self.host(bucket, name="h", folder=folder)
                result = host.cycle()
                self.assertExit(result, 0, 78)
                if result.code == 0:
                    self.assertIn(f"{folder}/{host.files[-1]}", self.api.keys_of(bucket))
                else:
                    self.assertSays(result, "folder", "error")

    def test_a_bucket_name_with_dots(self):
        bucket = self.bucket(f"t.{os.getpid()}.dots")
        host = self.host(bucket)
        for lookup in ("path", "auto"):
            host.section("s3")["lookup"] = lookup
            self.assertUploaded(host.cycle(), host, bucket)

    def test_a_bucket_whose_locks_want_a_checksum(self):
        bucket, weather = self.bucket(), self.weather()
        weather.when(want_checksum, "PUT", times=None)
        host = self.host(bucket, weather)
        self.assertUploaded(host.cycle(), host, bucket)

    def test_what_somebody_took_away_there_comes_again(self):
        bucket = self.bucket()
        host = self.host(bucket)
        first = self.assertUploaded(host.cycle(), host, bucket)
        self.api.delete(bucket, first)
        result = host.cycle()
        second = self.assertUploaded(result, host, bucket)
        self.assertInBucket(host, bucket, [first, second])
        later = result.named("Uploaded backup of an earlier cycle")
        self.assertEqual([line["name"] + ".zip" for line in later], [first])

    def test_the_certificates_go_there_when_wanted_and_when_they_changed(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather, folder="p1")
        os.mkdir(self.path("ssl"))
        self.write(self.path("ssl", "kube-ca.pem"), "a certificate")
        host.section("pki").update(bundle="yes", directory=self.path("ssl"))
        bundle = "pki.bundle.tar.gz"
        self.assertExit(host.cycle(), 0)
        self.assertNotIn("p1/" + bundle, self.api.keys_of(bucket))
        host.section("pki")["upload"] = "yes"
        for change, puts in ((None, 1), (None, 1), ("another certificate", 2)):
            if change:
                self.write(self.path("ssl", "kube-ca.pem"), change)
            self.assertExit(host.cycle(), 0)
            self.assertInBucket(host, bucket, [bundle], "p1/")
            # Ceph 16 holds If-Match against the ETag without quotes: it is sent again without.
            taken = [seen for seen in object_puts(weather, bundle) if seen.status == 200]
            self.assertEqual(len(taken), puts)


def kind(seen):
    if seen.method == "PUT":
        return "part" if "partNumber" in seen.query else "put"
    if seen.method == "POST":
        return "create" if "uploads" in seen.query else "complete"
    return seen.method.lower()


class Multipart(BucketCase):
    """The database has 20 MiB that do not compress, the parts 5 MiB."""

    fill_bytes = 20 * MIB

    def host(self, *args, **more):
        host = super().host(*args, **more)
        host.section("s3")["part_size_mib"] = 5
        return host

    def parts_of(self, host, name):
        """How many parts a file has to have."""
        return -(-os.path.getsize(os.path.join(host.directory, name)) // (5 * MIB))

    def test_every_format_over_tls(self):
        bucket = self.bucket()
        host = self.host(bucket, folder="p1")
        for compression in ("zip", "zstd", "none"):
            with self.subTest(compression):
                host.snapshots["compression"] = compression
                name = self.assertUploaded(host.cycle(), host, bucket, "p1/")
                parts = self.parts_of(host, name)
                self.assertGreater(parts, 4)
                self.assertRegex(self.api.head(bucket, "p1/" + name)["etag"], f'^"[0-9a-f]{{32}}-{parts}"$')
        self.assertEqual(self.api.uploads(bucket), [])

    def test_the_order_of_the_requests(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather, folder="p1")
        name = self.assertUploaded(host.cycle(), host, bucket, "p1/")
        about_it, count = weather.calls(path=name), self.parts_of(host, name)
        self.assertEqual([kind(seen) for seen in about_it],
                         ["create"] + ["part"] * count + ["head", "complete", "head", "head"])
        parts = [seen for seen in about_it if kind(seen) == "part"]
        self.assertEqual(sorted(int(seen.query["partNumber"]) for seen in parts), list(range(1, count + 1)))
        self.assertEqual(sum(seen.body_bytes for seen in parts), os.path.getsize(os.path.join(host.directory, name)))
        self.assertTrue(all(seen.status == 200 for seen in parts), parts)
        self.assertTrue(all(seen.ended <= about_it[-3].began for seen in parts), "completed before all was there")
        self.assertLessEqual(weather.most_under_way, 4)

    def test_a_bucket_whose_locks_want_checksums_of_parts(self):
        bucket, weather = self.bucket(), self.weather()
        weather.when(want_checksum, "PUT", times=None)
        host = self.host(bucket, weather)
        self.assertUploaded(host.cycle(), host, bucket)

    def test_uploaded_is_said_after_the_comparison(self):
        bucket, weather = self.bucket(), self.weather()
        held = weather.when(s3_faults.delay(0.7), "HEAD", skip=1)
        host = self.host(bucket, weather)
        run = self.started(host, "run")
        wait_until(lambda: held.hits, "the second HEAD")
        self.assertIn("Created backup", run.text(1))
        self.assertNotIn("Uploaded backup", run.text(1))
        self.assertUploaded(run.wait(), host, bucket)

    def test_other_bytes_of_the_same_size_are_not_taken_for_ours(self):
        """What lies there after the upload differs in one byte, which the list cannot tell. It is one of the
        end: of a file of more than 32 MiB, as etcd's may be with its free pages, only that and pieces of
        parts are read back."""
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather)

        def swap(exchange):
            key = exchange.seen.key.removeprefix(f"/{bucket}/")
            whole = bytearray(self.api.get(bucket, key))
            whole[-1000] ^= 1
            self.api.put(bucket, key, bytes(whole))
            exchange.forward()
        swapped = weather.when(swap, "HEAD", skip=1)
        result = host.cycle()
        self.assertEqual(swapped.hits, 1)
        self.assertExit(result, 76)
        self.assertEqual(len(self.api.keys_of(bucket)), 1)
        later = host.cycle()
        self.assertExit(later, 0)
        self.assertGoodCopy(bucket, host, later)

    def assertGoodCopy(self, bucket, host, result):
        there = [self.api.get(bucket, key) for key in self.api.keys_of(bucket)]
        for name in host.files:
            self.assertTrue(host.read(name) in there, f"{name} is not in the bucket, but it said:\n{result}")

    def test_two_hosts_complete_at_the_same_time(self):
        """A server without If-None-Match, and both hosts have looked before either completed."""
        bucket, weather, both = self.bucket(), self.weather(), threading.Barrier(2)
        hosts, now = [self.host(bucket, weather, name=name) for name in "ab"], same_second()

        def complete(exchange):
            both.wait(20)
            exchange.forward(without=("if-none-match",))
        weather.when(complete, "POST", query="^uploadId", times=2)
        for run in [self.started(host, "run", env=now) for host in hosts]:
            self.assertExit(run.wait(), 0, 76)
        for host, ahead_s in zip(hosts, (5, 8)):
            host.ahead_s = ahead_s
            self.assertExit(host.cycle(), 0)
        for host in hosts:
            self.assertEqual(len(host.files), 2)
            self.assertGoodCopy(bucket, host, host.name)
        self.assertEqual(self.api.uploads(bucket), [])

    def test_parts_leave_while_the_stream_runs(self):
        proxy = Proxy(self.shared.port, bytes_per_s=10 * MIB)
        self.addCleanup(proxy.stop)
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather, endpoint=proxy.endpoint())
        run = self.started(host, "run")
        wait_until(lambda: [seen for seen in object_puts(weather) if seen.status == 200], "a part that is there")
        self.assertNotIn("Created backup", run.text(1))
        self.partial(host)
        self.assertEqual(weather.calls("POST", query="uploadId"), [])
        self.assertEqual(self.api.keys_of(bucket), [])
        self.assertUploaded(run.wait(), host, bucket)

    def test_a_slow_bucket_does_not_slow_the_stream(self):
        bucket, weather = self.bucket(), self.weather()
        gate = Gate()
        weather.when(gate, "PUT", times=None)
        host = self.host(bucket, weather)
        run = self.started(host, "run")
        wait_until(lambda: "Created backup" in run.text(1), "the snapshot, while no part gets through")
        self.assertEqual([seen for seen in object_puts(weather) if seen.status], [])
        gate.open()
        self.assertUploaded(run.wait(), host, bucket)
