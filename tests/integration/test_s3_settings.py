"""The settings of the way to the bucket, at a real server: certificates beside the system's, proxies,
encryption, storage class, rate; the flags of `save --s3`; and what `check` says of a wrong one."""
import os
import metadata
import rgw
import s3api
from s3hosts import MIB, BucketCase, object_puts
from s3storm import StormCase

# The system's certificates, with one more, for one command.
TRUSTING = 'mount --bind "$1" /etc/ssl/certs/ca-certificates.crt || exit 125; shift; exec "$@"'
SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"
PASSWORD = "sesame-of-the-test"
CLOSED = "http://127.0.0.1:1"


def read(path):
    with open(path) as text:
        return text.read()


class Roots(StormCase):
    def test_custom_ca_is_added_to_the_systems_roots(self):
        certificates = self.pki()
        weather = self.weather(certificates.server)
        system = self.write(self.path("roots.pem"), read(SYSTEM_ROOTS) + read(certificates.ca), 0o644)
        unrelated, _ = certificates.other_authority()
        for ca_text in ("", read(unrelated)):
            with self.subTest(custom_ca=bool(ca_text)):
                bucket = self.bucket()
                host = self.fresh_host(bucket)
                self.use_s3(host, bucket, weather.endpoint, ca_text)
                self.assertEqual(host.cycle().code, 76)
                plain = host.command
                host.command = lambda *args, plain=plain, **more: [
                    "unshare", "--mount", "--propagation", "private", "sh", "-c", TRUSTING, "sh", system,
                    *plain(*args, **more)]
                self.assertExit(host.cycle(), 0)
                self.assertInBucket(host, bucket, host.files)

    def test_several_certificates_in_one_text(self):
        bucket, certificates = self.bucket(), self.pki()
        other = read(certificates.other_authority()[0])
        texts = [other + self.s3.ca_text, self.s3.ca_text + other,
                 "the old one\n" + other + "\n# and the new one\n\n" + self.s3.ca_text.replace("\n", "\r\n")]
        for number, text in enumerate(texts):
            with self.subTest(number):
                host = self.fresh_host(bucket)
                host.ahead_s = 3 * number
                file = self.write(self.path(f"ca{number}.pem"), text)
                self.use_s3(host, bucket, self.s3.tls_endpoint, text)
                self.assertExit(host.cycle(), 0)
                self.use_s3(host, bucket, self.s3.tls_endpoint)  # [s3] ca_file alone
                host.section("s3")["ca_file"] = file
                self.assertExit(host.cycle(after_s=1), 0)
                self.use_s3(host, bucket, self.s3.tls_endpoint, other)  # one of each
                self.assertExit(host.cycle(after_s=1), 0)
                self.assertInBucket(host, bucket, host.files)

    def test_a_ca_file_that_is_none(self):
        fifo, text, empty = self.path("fifo"), self.path("text"), self.path("empty")
        os.mkfifo(fifo)
        self.write(text, "no certificate")
        self.write(empty, "")
        for file, why in (("/nonexistent/ca.pem", "No such file or directory"), (text, ""), (empty, ""), (fifo, ""),
                          (self.path(), "")):
            with self.subTest(file):
                bucket = self.bucket()
                host = self.fresh_host(bucket)
                host.section("s3")["ca_file"] = file
                self.storm(host, ("[s3] ca_file of etcd-snapshot.conf", file, why))
                check = host.run("check")
                self.assertIn("FAIL  [s3] ca_file of etcd-snapshot.conf", check.stdout)
                self.assertExit(check, 76)
                saved = host.run("save", "--s3", "--name", "by hand")
                self.assertExit(saved, 76)
                self.assertIn("by hand.zip", host.files)
                del host.section("s3")["ca_file"]
                self.calm(host, bucket)


class Proxies(StormCase):
    def away(self, bucket, **more):
        """Its server has a name that only the proxy knows."""
        host = self.fresh_host(bucket, **more)
        self.use_s3(host, bucket, self.s3.dns_endpoint, self.s3.ca_text)
        host.names["elsewhere.test"] = "127.0.0.1"
        return host

    def through(self, proxy, host, bucket):
        self.assertExit(host.cycle(), 0)
        self.assertInBucket(host, bucket, host.files)
        self.assertEqual(set(proxy.asked), {("CONNECT", f"{rgw.DOMAIN}:{self.s3.tls_port}", True)})

    def test_of_the_settings(self):
        for user in ("", "user:" + PASSWORD + "@"):
            with self.subTest(user):
                bucket = self.bucket()
                proxy = self.proxy(user="user", password=PASSWORD) if user else self.proxy()
                host = self.away(bucket)
                host.section("s3")["proxy"] = f"http://{user}127.0.0.1:{proxy.port}"
                self.through(proxy, host, bucket)
                for line in host.run("check").command_lines:
                    self.assertNotIn(PASSWORD.encode(), line)

    def test_of_the_environment_and_never_for_etcd(self):
        for name in ("https_proxy", "HTTPS_PROXY", "all_proxy"):
            with self.subTest(name):
                bucket, proxy = self.bucket(), self.proxy()
                host = self.away(bucket)
                host.environment[name] = host.environment["http_proxy"] = f"http://127.0.0.1:{proxy.port}"
                self.through(proxy, host, bucket)

    def test_no_proxy(self):
        bucket, proxy = self.bucket(), self.proxy()
        host = self.fresh_host(bucket, dns=True)
        for name in ("https_proxy", "http_proxy", "all_proxy"):
            host.environment[name] = f"http://127.0.0.1:{proxy.port}"
        for names in ("s3.lab.test", "example.com,.lab.test", "*"):
            host.environment["no_proxy"] = names
            self.assertExit(host.cycle(), 0)
        self.assertEqual(proxy.asked, [])
        self.assertInBucket(host, bucket, host.files)

    def test_keys_of_the_machine_are_not_fetched_through_it(self):
        bucket, proxy = self.bucket(), self.proxy()
        with metadata.Ec2(self.api.assume_role()) as fake:
            host = self.away(bucket)
            self.use_s3(host, bucket, self.s3.dns_endpoint, self.s3.ca_text, keys=None)
            for name in ("https_proxy", "http_proxy", "all_proxy"):
                host.environment[name] = f"http://127.0.0.1:{proxy.port}"
            host.environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = fake.url
            self.through(proxy, host, bucket)

    def test_that_do_not_work(self):
        closed = self.proxy()
        closed.down()
        strict = self.proxy(user="user", password="other")
        refusing, plain = self.proxy(refuse=403), self.proxy(refuse=502)
        for what, setting, error, hint in (
                ("no password", f"127.0.0.1:{strict.port}", "407", ("wants credentials", "http://user:password@")),
                ("wrong password", f"http://user:{PASSWORD}@127.0.0.1:{strict.port}", "407", "credentials"),
                ("refuses", f"http://user:{PASSWORD}@127.0.0.1:{refusing.port}", "403",
                 "does not let the request through"),
                ("bad gateway", f"http://127.0.0.1:{plain.port}", "502", "does not let the request through"),
                ("closed", f"http://user:{PASSWORD}@127.0.0.1:{closed.port}", "connect", "running"),
                ("unknown", f"http://user:{PASSWORD}@nowhere.test:1", "nowhere.test", ("name of the proxy", "DNS"))):
            with self.subTest(what):
                bucket = self.bucket()
                host = self.away(bucket)
                host.section("s3")["proxy"] = setting
                result = self.storm(host, error, ("proxy", *((hint,) if isinstance(hint, str) else hint)))
                check = host.run("check")
                self.assertExit(check, 76)
                self.assertIn("proxy", check.stdout)
                self.assertNotIn(PASSWORD, result.stderr + check.stdout + check.stderr)
                self.use_s3(host, bucket)
                del host.section("s3")["proxy"]
                self.calm(host, bucket)

    def test_one_of_the_environment_that_does_not_work(self):
        bucket = self.bucket()
        host = self.away(bucket)
        host.environment["https_proxy"] = f"http://user:{PASSWORD}@127.0.0.1:1"
        result = self.storm(host, "", "https_proxy")
        self.assertNotIn(PASSWORD, result.stderr)


class Objects(BucketCase):
    """How they are kept there; also in parts: the database has 12 MiB that do not compress."""

    fill_bytes = 12 * MIB

    def test_encryption(self):
        """ETags of SSE-KMS are digests of nothing."""
        settings = {"sse": "aws:kms", "sse_kms_key_id": rgw.KMS_KEY}
        for part_size_mib in (5, 64):
            with self.subTest(part_size_mib=part_size_mib):
                bucket, weather = self.bucket(), self.weather()
                host = self.host(bucket, weather, name=f"kms{part_size_mib}")
                host.section("s3").update(settings, part_size_mib=part_size_mib)
                for _ in range(2):  # the second cycle knows what is there
                    self.assertUploaded(host.cycle(), host, bucket)
                self.assertEqual(self.api.keys_of(bucket), host.files)
                begun = weather.calls("POST", query="^uploads") or weather.calls("PUT")
                self.assertEqual(len(begun), 2)
                for seen in begun:
                    self.assertEqual(seen.headers["x-amz-server-side-encryption"], settings["sse"])
                    self.assertEqual(seen.headers["x-amz-server-side-encryption-aws-kms-key-id"], rgw.KMS_KEY)
                self.assertFalse([seen for seen in weather.calls("PUT", query="partNumber")
                                  if "x-amz-server-side-encryption" in seen.headers])
                self.assertEqual(self.api.head(bucket, host.files[0])["x-amz-server-side-encryption"], "aws:kms")

    def test_an_encryption_that_the_server_ignores(self):
        """The gateway takes AES256 and does nothing about it."""
        for part_size_mib in (5, 64):
            with self.subTest(part_size_mib=part_size_mib):
                bucket = self.bucket()
                host = self.host(bucket, name=f"AES{part_size_mib}")
                host.section("s3").update(sse="AES256", part_size_mib=part_size_mib)
                result = host.cycle()
                self.assertExit(result, 76)
                for words in ("does not say that it encrypted", "AES256", "deleted again", "remove sse from [s3]"):
                    self.assertIn(words, str(result))
                self.assertEqual(self.api.keys_of(bucket), [])
                self.assertEqual(len(host.files), 1)

    def test_a_storage_class_the_server_does_not_have(self):
        for part_size_mib in (5, 64):
            bucket = self.bucket()
            host = self.host(bucket, name=f"class{part_size_mib}")
            host.section("s3").update(storage_class="STANDARD_IA", part_size_mib=part_size_mib)
            result = host.cycle()
            self.assertSafeHere(result)
            self.assertSays(result, "storage_class", "error")
            del host.section("s3")["storage_class"]
            self.assertExit(host.cycle(), 0)
            self.assertInBucket(host, bucket, host.files)

    def test_a_key_the_key_service_does_not_have(self):
        bucket = self.bucket()
        host = self.host(bucket)
        host.section("s3").update(sse="aws:kms", sse_kms_key_id="no-such-key")
        result = host.cycle()
        self.assertSafeHere(result)
        self.assertSays(result, "sse_kms_key_id", "error")

    def test_the_rate_holds(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather)
        host.section("s3").update(max_rate_mib_s=6, part_size_mib=5)
        self.assertUploaded(host.cycle(), host, bucket)
        parts = object_puts(weather)
        seconds = max(part.ended for part in parts) - min(part.began for part in parts)
        rate = sum(part.body_bytes for part in parts) / MIB / seconds
        self.assertLess(rate, 9)
        self.assertGreater(rate, 3)


class SaveFlags(StormCase):
    def saved(self, host, bucket, *flags, prefix="", name="by hand", **options):
        result = host.run("save", "--name", name, "--s3", *flags, **options)
        self.assertExit(result, 0)
        self.assertInBucket(host, bucket, [name + ".zip"], prefix)
        return result

    def test_without_a_policy(self):
        """All from the command line."""
        bucket, host = self.bucket(), self.fresh_host("none")
        host.policy = "services:\n  etcd: {}\n"
        flags = ("--bucket-name", bucket, "--s3-endpoint", self.s3.tls_endpoint, "--s3-endpoint-ca", self.s3.ca,
                 "--region", "us-east-1", "--folder", "/p1/")
        keys = ("--access-key", rgw.LAB.access_key, "--secret-key", rgw.LAB.secret_key)
        result = self.saved(host, bucket, *flags, *keys, prefix="p1/")
        self.assertNotIn(rgw.LAB.secret_key, result.stdout + result.stderr)
        result = self.saved(host, bucket, *flags, prefix="p1/", name="two", env={
            "AWS_ACCESS_KEY_ID": rgw.LAB.access_key, "AWS_SECRET_ACCESS_KEY": rgw.LAB.secret_key})
        self.assertFalse([line for line in result.command_lines if rgw.LAB.secret_key.encode() in line])

    def test_each_goes_over_the_policy(self):
        bucket, other = self.bucket(), self.bucket()
        for number, (spoiled, flags, where, prefix) in enumerate((
                ({}, ("--folder", "p2"), bucket, "p2/"), ({}, ("--folder", ""), bucket, ""),
                ({}, ("--bucket-name", other), other, "p1/"),
                ({"endpoint": "127.0.0.1:1"}, ("--s3-endpoint", self.s3.tls_endpoint, "--s3-endpoint-ca", self.s3.ca),
                 bucket, "p1/"),
                ({"region": "xx-1"}, ("--region", "us-east-1"), bucket, "p1/"),
                ({"keys": s3api.Keys("NOBODY", "x")}, ("--access-key", rgw.LAB.access_key, "--secret-key",
                                                       rgw.LAB.secret_key), bucket, "p1/"))):
            with self.subTest(flags):
                host = self.fresh_host(bucket)
                self.use_s3(host, bucket, **{"folder": "p1", **spoiled})
                self.saved(host, where, *flags, prefix=prefix, name=f"n{number}")

    def test_wrong_ones(self):
        bucket = self.bucket()
        host = self.fresh_host(bucket)
        text = self.write(self.path("text"), "no certificate")
        for flags, words in (
                (("--folder", "p1"), ("without --s3", "add --s3")),
                (("--secret-key", "very-secret"), ("without --s3",)),
                (("--s3", "--access-key", "A"), ("--access-key without --secret-key",)),
                (("--s3", "--secret-key", "very-secret"), ("--secret-key without --access-key",)),
                (("--s3", "--access-key", "A", "--secret-key", "very secret"), ("--secret-key",)),
                (("--s3", "--bucket-name", "x"), ("--bucket-name", "'x'")),
                (("--s3", "--bucket-name", "a/b/c"), ("--bucket-name", "a/b/c")),
                (("--s3", "--folder", "../p1"), ("--folder", "../p1")),
                (("--s3", "--region", "eu central"), ("--region", "eu central")),
                (("--s3", "--s3-endpoint", "ftp://x"), ("--s3-endpoint", "ftp://x")),
                (("--s3", "--s3-endpoint", "http://user:very-secret@x"), ("--s3-endpoint", "user info")),
                (("--s3", "--s3-endpoint", "x:99999"), ("--s3-endpoint", "x:99999")),
                (("--s3", "--s3-endpoint-ca", "/nonexistent/ca"), ("--s3-endpoint-ca", "/nonexistent/ca")),
                (("--s3", "--s3-endpoint-ca", text), ("--s3-endpoint-ca", "PEM")),
                (("--s3", "--bucket"), ()), (("--s3", "--folder"), ("--folder",))):
            with self.subTest(flags):
                result = host.run("save", *flags)
                self.assertExit(result, 64)
                for word in words:
                    self.assertIn(word, result.stderr)
                self.assertNotIn("very", result.stderr)
                self.assertEqual(host.files, [])
        host.policy = "services:\n  etcd: {}\n"
        result = host.run("save", "--s3")
        self.assertExit(result, 64)
        self.assertIn("--bucket-name", result.stderr)

    def test_a_bucket_that_refuses(self):
        bucket = self.bucket()
        host = self.fresh_host(bucket)
        result = host.run("save", "--s3", "--access-key", "NOBODY", "--secret-key", "very-secret")
        self.assertSafeHere(result)
        self.assertSaid(result, "", ("the command line",))
        self.assertNotIn("very-secret", result.stderr)
        self.assertSafe(host, result)


class Check(StormCase):
    """The failing call, what S3 said, and the likely cause."""

    def says(self, host, call, *words, codes=(76,), **options):
        before = self.api.list(host.bucket_name) if self.api.exists(host.bucket_name) else None
        result = host.run("check", **options)
        self.assertExit(result, *codes)
        bucket = result.stdout.partition("\nBucket\n")[2]
        failed, _, hint = bucket.partition("FAIL")[2].partition("->")
        self.assertIn(call, failed, str(result))
        self.assertTrue(hint.strip(), f"nothing says what to do:\n{result}")
        for word in words:
            self.assertIn(word.lower(), (failed + hint).lower(), str(result))
        for secret in (rgw.LAB.secret_key, "very-secret"):
            self.assertNotIn(secret, result.stdout + result.stderr)
        self.assertEqual(host.files, [])
        if before is not None:
            self.assertEqual(self.api.list(host.bucket_name), before)
        return result

    def checked(self, weather=None, bucket=None, **more):
        bucket = bucket or self.bucket()
        host = self.fresh_host(bucket, weather, **more)
        host.bucket_name = bucket
        return host

    def test_who_asks(self):
        self.says(self.checked(keys=s3api.Keys("NOBODY", "very-secret")), "ListObjectsV2", "InvalidAccessKeyId",
                  "access key", "cluster.yml")
        self.says(self.checked(keys=s3api.Keys(rgw.LAB.access_key, "very-secret")), "ListObjectsV2",
                  "SignatureDoesNotMatch", "secret key", "cluster.yml")
        self.says(self.checked(keys=rgw.OTHER), "ListObjectsV2", "AccessDenied", "s3:ListBucket")

    def test_where_it_is(self):
        self.says(self.checked(bucket="no-such-bucket"), "ListObjectsV2", "NoSuchBucket",
                  "create the bucket no-such-bucket")
        host = self.checked()
        self.use_s3(host, host.bucket_name, f"nowhere.{rgw.DOMAIN}", self.s3.ca_text)
        host.names = {"elsewhere.test": "127.0.0.1"}
        self.says(host, "ListObjectsV2", f"nowhere.{rgw.DOMAIN}", "DNS", "endpoint")
        host.names = {}
        self.use_s3(host, host.bucket_name, CLOSED)
        self.says(host, "ListObjectsV2", "connect", "nothing listens", "endpoint and port")

    def test_the_region(self):
        weather = self.weather()
        host = self.checked(weather)
        weather.when(lambda exchange: exchange.answer(301, "", {"x-amz-bucket-region": "eu-central-1"}),
                     headers={"authorization": "/us-east-1/s3/"}, times=None)
        result = host.run("check")
        self.assertExit(result, 0)
        self.assertIn("eu-central-1", result.stdout)
        self.assertIn("region: eu-central-1", result.stdout)
        weather.clear()
        weather.when(lambda exchange: exchange.answer(400, "<Error><Code>AuthorizationHeaderMalformed</Code></Error>"),
                     times=None)
        self.use_s3(host, host.bucket_name, weather.endpoint, region="xx-north-1")
        self.says(host, "ListObjectsV2", "AuthorizationHeaderMalformed", "xx-north-1", "region")

    def test_the_clock(self):
        for offset, words in (("+20m", "20 minutes ahead"), ("-20m", "20 minutes behind")):
            self.says(self.checked(self.weather()), "ListObjectsV2", "RequestTimeTooSkewed", words, "timedatectl",
                      env={"FAKETIME": offset})

    def test_certificates(self):
        certificates = self.pki()
        _, stranger = certificates.other_authority()
        for pair, words in ((stranger, ("CN=other CA", "custom_ca")),
                            (certificates.expired(), ("expired", "2020-01-02")),
                            (certificates.elsewhere(), ("elsewhere.example", "endpoint"))):
            with self.subTest(words):
                host = self.checked()
                self.use_s3(host, host.bucket_name, self.weather(pair).endpoint, read(certificates.ca))
                result = self.says(host, "ListObjectsV2", "not accepted", *words)
                self.assertIn("trusted beside the system's roots: CN=private CA", result.stdout)
        host = self.checked()
        self.use_s3(host, host.bucket_name, self.s3.tls_endpoint)
        self.says(host, "ListObjectsV2", "CN=private CA", "custom_ca of cluster.yml")

    def test_tls_where_there_is_none_and_the_other_way_round(self):
        host = self.checked()
        self.use_s3(host, host.bucket_name, self.s3.endpoint.removeprefix("http://"))
        self.says(host, "ListObjectsV2", "SSL", "http://")
        self.use_s3(host, host.bucket_name, "http://" + self.s3.tls_endpoint)
        result = self.says(host, "ListObjectsV2", "http://")
        self.assertIn("not encrypted", result.stdout)
        self.use_s3(host, host.bucket_name, self.s3.endpoint)
        result = host.run("check")
        self.assertExit(result, 0)
        self.assertIn("WARN  the way to the bucket is not encrypted", result.stdout)
