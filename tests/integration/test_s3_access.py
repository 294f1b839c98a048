"""Whose keys they are: every source of them, at a real server where that takes them; what is refused,
and how it is told; and that the least rights are enough. No secret gets anywhere."""
import os
import time

import metadata
import rgw
import s3_faults as wx
from case import EXPIRED
from s3hosts import MIB, BucketCase, object_puts
from s3storm import StormCase

TOKEN = "container token of the test"
IDENTITY = "eyJhbGciOi.identity-token-of-the-test.c2ln"


class KeyCase(StormCase):
    """Hosts without keys in cluster.yml, and whoever hands some out."""

    def keyless(self, bucket, weather=None, **environment):
        host = self.fresh_host(bucket, weather, keys=None)
        host.environment.update({"AWS_EC2_METADATA_DISABLED": "true", **environment})
        return host

    def fake(self, fake):
        self.addCleanup(self.fair, fake)
        self.addCleanup(fake.stop)
        return fake

    def assertNoSecrets(self, result, *keys):
        """Of these keys, nor of those that the tests know anyway."""
        words = {TOKEN, IDENTITY}
        for pair in (rgw.LAB, rgw.OTHER, *keys):
            words |= {pair.secret_key, pair.token or pair.secret_key}
        seen = result.stdout + result.stderr + "".join(line.decode() for line in result.command_lines)
        self.assertTrue(result.command_lines)
        self.assertFalse([word for word in words if word in seen], "a secret was told")

    def web_identity(self, keys, **more):
        sts = self.fake(metadata.Sts(keys, IDENTITY, **more))
        file = self.write(self.path("identity"), IDENTITY + "\n")
        return sts, {"AWS_WEB_IDENTITY_TOKEN_FILE": file, "AWS_ROLE_ARN": sts.role, "AWS_ENDPOINT_URL_STS": sts.url}

    def instance(self, keys, **more):
        fake = self.fake(metadata.Ec2(keys, **more))
        return fake, {"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": fake.url}

    def container(self, keys, **more):
        fake = self.fake(metadata.Container(keys, **more))
        return fake, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": fake.full_uri}


class Sources(KeyCase):
    def works(self, bucket, host, source, *keys):
        for command in ("check", "run"):
            result = host.run("check") if command == "check" else host.cycle()
            self.assertExit(result, 0)
            self.assertNoSecrets(result, *keys)
            if command == "check":
                self.assertIn("keys from " + source, result.stdout)
        self.assertInBucket(host, bucket, host.files)

    def test_key_files(self):
        bucket = self.bucket()
        host = self.keyless(bucket)
        access = self.write(self.path("access"), rgw.LAB.access_key + "\n")
        secret = self.write(self.path("secret"), "  " + rgw.LAB.secret_key + "\n")
        host.section("s3").update(access_key_file=access, secret_key_file=secret)
        self.works(bucket, host, "the file " + access)

    def test_the_environment_with_and_without_token(self):
        bucket = self.bucket()
        for keys in (rgw.LAB, self.api.assume_role()):
            host = self.keyless(bucket, AWS_ACCESS_KEY_ID=keys.access_key, AWS_SECRET_ACCESS_KEY=keys.secret_key,
                                AWS_SESSION_TOKEN=keys.token or "")
            host.ahead_s = 0 if keys is rgw.LAB else 5
            self.works(bucket, host, "the environment", keys)

    def test_systemd_credentials(self):
        for keys in (rgw.LAB, self.api.assume_role()):
            bucket, folder = self.bucket(), self.path("credentials-" + keys.access_key)
            os.mkdir(folder)
            for name, text in (("access-key", keys.access_key), ("secret-key", keys.secret_key),
                               ("session-token", keys.token)):
                if text:
                    self.write(os.path.join(folder, "s3-" + name), text + "\n", 0o400)
            self.works(bucket, self.keyless(bucket, CREDENTIALS_DIRECTORY=folder), "systemd's credentials", keys)

    def test_web_identity(self):
        bucket, keys = self.bucket(), self.api.assume_role()
        sts, environment = self.web_identity(keys)
        self.works(bucket, self.keyless(bucket, **environment), f"the role {sts.role} (web identity)", keys)
        self.assertEqual(sts.handed_out, 2)  # one for each run

    def test_web_identity_over_tls_with_custom_ca(self):
        bucket, keys, certificates = self.bucket(), self.api.assume_role(), self.pki()
        sts, environment = self.web_identity(keys, tls=certificates.server)
        host = self.keyless(bucket, **environment)
        with open(certificates.ca) as text:
            self.use_s3(host, bucket, self.s3.tls_endpoint, self.s3.ca_text + text.read(), keys=None)
        self.works(bucket, host, f"the role {sts.role}", keys)

    def test_a_container(self):
        bucket, keys = self.bucket(), self.api.assume_role()
        fake, environment = self.container(keys, token=TOKEN)
        host = self.keyless(bucket, **environment, AWS_CONTAINER_AUTHORIZATION_TOKEN=TOKEN)
        self.works(bucket, host, "the role of this container", keys)
        fake.token = "one-word"
        file = self.write(self.path("container-token"), "one-word\n")
        host = self.keyless(bucket, **environment, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=file)
        host.ahead_s = 10
        self.works(bucket, host, "the role of this container", keys)

    def test_instance_metadata(self):
        keys = self.api.assume_role()
        for mode in ("v2", "v1", "both"):
            with self.subTest(mode):
                bucket = self.bucket()
                fake, environment = self.instance(keys, mode=mode)
                self.works(bucket, self.keyless(bucket, **environment), "the role lab-role of this machine", keys)
                if mode != "v1":
                    self.assertTrue(all("x-aws-ec2-metadata-token" in request.headers
                                        for request in fake.calls("GET")), "asked without a token")

    def test_the_first_that_is_set_is_taken(self):
        """Keys further down are not even asked for."""
        bucket, wrong = self.bucket(), self.api.assume_role()
        asked, environment = [], {}
        for fake, more in (self.web_identity(wrong), self.container(wrong), self.instance(wrong)):
            asked.append(fake)
            environment.update(more)
        host = self.keyless(bucket, **environment, AWS_ACCESS_KEY_ID="NOBODY", AWS_SECRET_ACCESS_KEY="x")
        self.use_s3(host, bucket)
        self.works(bucket, host, "cluster.yml")
        self.assertEqual([fake.requests for fake in asked], [[], [], []])


class Failures(KeyCase):
    def test_the_whole_chain_is_named(self):
        bucket = self.bucket()
        host = self.keyless(bucket)
        steps = ("cluster.yml has no access_key", "access_key_file is not set", "AWS_ACCESS_KEY_ID is not set",
                 "$CREDENTIALS_DIRECTORY", "AWS_WEB_IDENTITY_TOKEN_FILE is not set",
                 "AWS_CONTAINER_CREDENTIALS_FULL_URI", "EC2 metadata is turned off")
        self.storm(host, ("no credentials", *steps), ("access_key and secret_key in cluster.yml", "role"))
        result = host.run("check")
        self.assertExit(result, 76)
        self.assertIn("no credentials", result.stdout)
        self.use_s3(host, bucket)
        self.calm(host, bucket)

    def test_instance_metadata_that_has_nothing(self):
        closed = self.fake(metadata.Ec2(rgw.LAB))
        closed.stop()
        for what, fake, error in (("no role", self.instance(rgw.LAB, role=None)[0], "this machine has no role"),
                                  ("refused", self.instance(rgw.LAB, mode="refused")[0], "HTTP 403"),
                                  ("nobody", closed, "EC2 metadata at " + closed.url)):
            with self.subTest(what):
                bucket = self.bucket()
                host = self.keyless(bucket, AWS_EC2_METADATA_DISABLED="", AWS_EC2_METADATA_SERVICE_ENDPOINT=fake.url)
                result = self.storm(host, ("AWS_ACCESS_KEY_ID is not set", error), "access_key")
                self.assertLess(result.seconds, 10)

    def test_a_source_that_is_set_and_fails(self):
        keys = self.api.assume_role()
        sts, identity = self.web_identity(keys)
        container, address = self.container(keys, token=TOKEN)
        stranger = self.write(self.path("stranger"), "another-identity-token-of-the-test")
        empty = self.write(self.path("empty"))
        spaces = self.write(self.path("spaces"), "two words")
        for what, environment, error, hint in (
                ("half a pair", {"AWS_ACCESS_KEY_ID": "A"}, "AWS_SECRET_ACCESS_KEY", "both"),
                ("other half", {"AWS_SECRET_ACCESS_KEY": "A"}, "AWS_ACCESS_KEY_ID", "both"),
                ("identity refused", {**identity, "AWS_WEB_IDENTITY_TOKEN_FILE": stranger},
                 ("STS at " + sts.url, "InvalidIdentityToken"), "identity provider"),
                ("role refused", {**identity, "AWS_ROLE_ARN": "arn:aws:iam::1:role/other"},
                 ("STS at", "AccessDenied"), "trust policy of arn:aws:iam::1:role/other"),
                ("identity missing", {**identity, "AWS_WEB_IDENTITY_TOKEN_FILE": "/nonexistent/token"},
                 "/nonexistent/token", ""),
                ("identity empty", {**identity, "AWS_WEB_IDENTITY_TOKEN_FILE": empty}, empty + " is empty", "token"),
                ("identity of two words", {**identity, "AWS_WEB_IDENTITY_TOKEN_FILE": spaces}, spaces, "alone"),
                ("no role", {**identity, "AWS_ROLE_ARN": ""}, "AWS_ROLE_ARN", "both"),
                ("STS away", {**identity, "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1"}, "STS at http://127.0.0.1:1",
                 ""),
                ("no token for the container", address, ("container", "HTTP 401"), "AWS_CONTAINER_CREDENTIALS"),
                ("container elsewhere", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/x"},
                 "http://192.0.2.1", "https://"),
                ("empty directory of credentials", {"CREDENTIALS_DIRECTORY": self.tmp}, "s3-access-key", "access_key")):
            with self.subTest(what):
                bucket = self.bucket()
                host = self.keyless(bucket, **environment)
                result = self.storm(host, error, hint)
                self.assertNotIn("another-identity", result.stderr)
                self.assertNoSecrets(result, keys)
                check = host.run("check")
                self.assertNotIn(check.code, (0, 1))
                self.assertIn("FAIL", check.stdout)
                self.assertNoSecrets(check, keys)
        self.assertEqual(container.handed_out, 0)

    def test_key_files_that_are_wrong(self):
        good = self.write(self.path("good"), "A")
        empty = self.write(self.path("empty"))
        for access, secret, error in (
                ("/nonexistent/a", good, ("[s3] access_key_file of etcd-snapshot.conf", "/nonexistent/a",
                                          "No such file or directory")),
                (good, empty, ("[s3] secret_key_file of etcd-snapshot.conf", empty))):
            with self.subTest(access):
                bucket = self.bucket()
                host = self.keyless(bucket)
                host.section("s3").update(access_key_file=access, secret_key_file=secret)
                self.storm(host, error)
                check = host.run("check")
                self.assertIn("FAIL  " + error[0], check.stdout)
                self.assertNotIn(check.code, (0, 1))
                host.section("s3").update(
                    access_key_file=self.write(self.path("access"), rgw.LAB.access_key),
                    secret_key_file=self.write(self.path("secret"), rgw.LAB.secret_key))
                self.calm(host, bucket)
        host.section("s3").pop("secret_key_file")
        result = host.cycle()
        self.assertExit(result, 78)  # a wrong setting, wherever the files are
        self.assertSaid(result, "secret_key_file")

    def test_the_service_that_hands_out_nonsense(self):
        bucket = self.bucket()
        fake, environment = self.instance(rgw.LAB)
        roles = fake.ROLES + fake.role
        for what, answer in (("HTML", (200, wx.HTML)), ("no JSON", (200, "{")), ("500", (500, "")),
                             ("no token", (200, '{"AccessKeyId":"A","SecretAccessKey":"B",'
                                                '"Expiration":"2099-01-01T00:00:00Z"}')),
                             ("failed", (200, '{"Code":"AssumeRoleUnauthorizedAccess","Message":"not allowed"}')),
                             ("evil", (200, '{"AccessKeyId":"A\\r\\nX: y","SecretAccessKey":"B","Token":"c",'
                                            '"Expiration":"2099-01-01T00:00:00Z"}')),
                             ("huge", (200, "x" * (1 << 20)))):
            with self.subTest(what):
                fake.override = lambda request, given=answer: given if request.path == roles else None
                self.storm(self.keyless(bucket, **environment), "EC2 metadata at " + fake.url)


class Renewal(KeyCase):
    """The database has 12 MiB that do not compress, the parts 5 MiB."""

    fill_bytes = 12 * MIB

    def keyless(self, *args, **more):
        host = super().keyless(*args, **more)
        host.section("s3")["part_size_mib"] = 5
        return host

    def signers(self, weather):
        """Access keys in the order of the requests."""
        return [seen.headers["authorization"].partition("Credential=")[2].partition("/")[0] for seen in weather.calls()]

    def test_in_the_middle_of_an_upload(self):
        """What was handed out ends while the parts leave; the next ones carry the new keys."""
        first, second = self.api.assume_role(), self.api.assume_role()
        for what in ("instance", "container", "web_identity"):
            with self.subTest(what):
                bucket, weather = self.bucket(), self.weather()
                fake, environment = getattr(self, what)(first, lifetime_s=3)
                host = self.keyless(bucket, weather, **environment)
                host.section("s3").update(max_rate_mib_s=3, concurrency=1)

                def renewed(_, fake=fake):
                    if fake.handed_out:
                        fake.keys, fake.lifetime_s = second, 3600
                fake.override = renewed
                result = host.cycle(after_s=0)
                self.assertUploaded(result, host, bucket)
                self.assertEqual(fake.handed_out, 2)
                signers = self.signers(weather)
                self.assertEqual(signers, sorted(signers, key=[first.access_key, second.access_key].index))
                self.assertEqual(set(signers), {first.access_key, second.access_key})
                self.assertGreater(result.seconds, 2)
                self.assertNoSecrets(result, first, second)

    def test_keys_that_the_server_calls_expired_are_fetched_anew(self):
        first, second = self.api.assume_role(), self.api.assume_role()
        for code in ("ExpiredToken", "InvalidToken"):
            for method, query in (("PUT", "partNumber"), ("POST", "uploads"), ("GET", "list-type")):
                with self.subTest(code, method=method):
                    bucket, weather = self.bucket(), self.weather()
                    fake, environment = self.container(first)
                    host = self.keyless(bucket, weather, **environment)
                    host.section("s3")["retries"] = 0
                    weather.when(wx.error(400, code), method, query=query, headers={"authorization": first.access_key},
                                 times=None)

                    def renewed(_, fake=fake):
                        if fake.handed_out:
                            fake.keys = second
                    fake.override = renewed
                    self.assertUploaded(host.cycle(), host, bucket)
                    self.assertEqual(fake.handed_out, 2)
                    self.assertEqual(self.signers(weather)[-1], second.access_key)

    def test_a_service_that_is_away_when_they_end(self):
        bucket, weather = self.bucket(), self.weather()
        fake, environment = self.container(self.api.assume_role(), lifetime_s=3)
        host = self.keyless(bucket, weather, **environment)
        host.section("s3").update(max_rate_mib_s=3, concurrency=1)
        fake.override = lambda _: (503, "") if fake.handed_out else None
        result = self.storm(host, ("the role of this container", "expired at", "could not be renewed"), after_s=0)
        self.assertNoSecrets(result, fake.keys)
        fake.override, fake.lifetime_s = None, 3600
        self.assertExit(host.cycle(), 0)
        self.assertInBucket(host, bucket, host.files)


class LeastRights(BucketCase):
    """ListBucket, and Put-, Get- and DeleteObject: what the IAM policy of the documentation allows."""

    fill_bytes = 12 * MIB

    def restricted(self, weather=None, actions=rgw.LEAST_RIGHTS):
        bucket = self.bucket()
        self.api.put_policy(bucket, rgw.bucket_policy(bucket, actions))
        host = self.host(bucket, weather, keys=rgw.OTHER)
        host.section("s3")["part_size_mib"] = 5
        return bucket, host

    def test_are_enough_for_a_cycle_and_the_commands(self):
        weather = self.weather()
        bucket, host = self.restricted(weather)
        other = self.s3.api(rgw.OTHER)
        other.put(bucket, EXPIRED, b"of old")
        result = host.cycle()
        self.assertExit(result, 0)
        self.assertEqual(result.messages("warning") + result.messages("error"), [], str(result))
        self.assertEqual(other.keys_of(bucket), host.files)
        self.assertTrue(other.get(bucket, host.files[0]) == host.read(host.files[0]))
        self.assertGreater(len(object_puts(weather)), 2)
        denied = {(seen.method, seen.raw_query.partition("=")[0]) for seen in weather.calls() if seen.status == 403}
        self.assertLessEqual(denied, {("GET", "uploads"), ("GET", "location")})
        for command in (("check",), ("list",), ("prune",), ("delete", host.files[0], "--s3", "--force")):
            with self.subTest(command):
                self.assertExit(host.run(*command), 0)
        self.assertEqual(other.keys_of(bucket), [])

    def test_an_upload_that_cannot_be_aborted_fails_of_what_it_failed(self):
        weather = self.weather()
        bucket, host = self.restricted(weather)
        weather.when(wx.error(503, "SlowDown"), "PUT", query="partNumber=2", times=None)
        result = host.cycle()
        self.assertSafeHere(result)
        line, = [line for line in result.lines if line["level"] == "error"]
        self.assertIn("SlowDown", line["error"])
        # One that failed while the stream still ran is begun anew.
        self.assertIn([seen.status for seen in weather.calls("DELETE")], ([403], [403, 403]))
        weather.clear()
        self.assertExit(host.cycle(), 0)
        self.assertEqual(self.s3.api(rgw.OTHER).keys_of(bucket), host.files)

    def test_each_right_that_is_missing_is_named(self):
        for right in rgw.LEAST_RIGHTS:
            with self.subTest(right):
                bucket, host = self.restricted(actions=[name for name in rgw.LEAST_RIGHTS if name != right])
                self.api.put(bucket, EXPIRED, b"of old")
                began = time.monotonic()
                result = host.cycle()
                self.assertExit(result, 76)
                self.assertEqual(len(result.created), 1, str(result))
                line, = [line for line in result.lines if line["level"] == "error"]
                self.assertIn(right, line["hint"])
                self.assertLess(time.monotonic() - began, 60)
