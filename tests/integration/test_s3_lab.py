"""The S3 laboratory itself: what the tests of S3 rely on holds."""
import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import metadata
import names
import rgw
import s3_faults
import s3api
from case import wait_until
from s3case import S3Case

HERE = os.path.dirname(os.path.abspath(__file__))


class Gateway(S3Case):
    def refused(self, api, status, code, method="GET", bucket="", **options):
        with self.assertRaises(s3api.S3Error) as refusal:
            api.request(method, bucket, **options)
        self.assertEqual((refusal.exception.status, refusal.exception.code), (status, code))

    def test_both_lookup_styles_plain_and_over_tls(self):
        bucket = self.bucket()
        for tls in (False, True):
            for dns in (False, True):
                with self.subTest(tls=tls, dns=dns):
                    api, key = self.s3.api(tls=tls, dns=dns), f"p1/ä b+c~{tls}{dns}"
                    api.put(bucket, key, b"some bytes")
                    self.assertEqual(self.api.get(bucket, key), b"some bytes")
                    self.assertIn(key, api.list(bucket, "p1/"))

    def test_a_wrong_secret_and_an_unknown_key_are_told_apart(self):
        bucket = self.bucket()
        wrong = s3api.Keys(rgw.LAB.access_key, "wrong")
        self.refused(self.s3.api(wrong), 403, "SignatureDoesNotMatch", bucket=bucket)
        self.refused(self.s3.api(s3api.Keys("NOBODY", "wrong")), 403, "InvalidAccessKeyId", bucket=bucket)

    def test_a_tampered_body_is_refused(self):
        bucket = self.bucket()
        path = f"/{bucket}/key"
        headers = s3api.signed_headers(rgw.LAB, "PUT", f"127.0.0.1:{self.s3.port}", path, {}, {}, b"right")
        with self.assertRaises(s3api.S3Error) as refusal:
            self.api.send("127.0.0.1", "PUT", path, {}, b"wrong", headers)
        self.assertIn(refusal.exception.code, ("XAmzContentSHA256Mismatch", "SignatureDoesNotMatch", "BadDigest"))

    def test_the_second_account_has_no_rights_in_the_buckets_of_the_first(self):
        bucket = self.bucket()
        other = self.s3.api(rgw.OTHER)
        self.refused(other, 403, "AccessDenied", bucket=bucket)
        self.refused(other, 403, "AccessDenied", "PUT", bucket, key="k")
        other.request("GET")  # but it is known
        self.api.put_policy(bucket, rgw.bucket_policy(bucket))
        other.put(bucket, "k", b"x")
        self.assertEqual((other.get(bucket, "k"), other.keys_of(bucket)), (b"x", ["k"]))
        self.refused(other, 403, "AccessDenied", bucket=bucket, query={"uploads": ""})
        self.refused(other, 403, "AccessDenied", bucket=bucket, query={"location": ""})
        other.delete(bucket, "k")

    def test_temporary_keys_work_with_their_token_only(self):
        bucket = self.bucket()
        keys = self.api.assume_role()
        self.s3.api(keys).put(bucket, "k", b"x")
        bare = s3api.Keys(keys.access_key, keys.secret_key)
        self.refused(self.s3.api(bare), 403, "InvalidAccessKeyId", bucket=bucket)

    def test_multipart_lists_of_several_pages_and_batches(self):
        bucket = self.bucket()
        upload = self.api.create_upload(bucket, "big")
        self.api.put_part(bucket, "big", upload, 1, b"x" * 1000)
        self.assertEqual(self.api.uploads(bucket), [("big", upload)])
        keys = [f"p1/{number}&<" for number in range(7)]
        for key in keys:
            self.api.put(bucket, key, b"1")
        self.assertEqual(self.api.keys_of(bucket, "p1/"), keys)
        self.assertEqual(list(self.api.list(bucket, page_keys=3)), keys)
        self.api.remove_bucket(bucket)
        self.assertFalse(self.api.exists(bucket))

    def test_a_locked_object_stays_and_goes_with_its_bucket(self):
        bucket = self.bucket(lock=True)
        self.api.put(bucket, "k", b"x", x_amz_object_lock_mode="GOVERNANCE",
                     x_amz_object_lock_retain_until_date="2099-01-01T00:00:00Z")
        version = list(self.api.versions(bucket))[0][1]
        self.refused(self.api, 403, "AccessDenied", "DELETE", bucket, key="k", query={"versionId": version})

    def test_the_region_is_what_the_location_says(self):
        self.assertIn(b">us-east-1<", self.api.request("GET", self.bucket(), query={"location": ""}).body)

    def test_two_at_a_time_and_nothing_is_left_behind(self):
        with rgw.Rgw(region="eu-central-1") as second:
            pids, root = [process.pid for process in second.processes], second.root
            second.api(tls=True, dns=True).create_bucket("bucket")
            second.api().put("bucket", "key", b"x")
            self.assertIn(b"eu-central-1", second.api().request("GET", "bucket", query={"location": ""}).body)
            self.assertFalse(self.api.exists("bucket"))
        self.assertFalse([pid for pid in pids if os.path.exists(f"/proc/{pid}")])
        self.assertFalse(os.path.exists(root))

    def test_it_ends_with_a_test_run_that_is_interrupted_or_killed(self):
        program = ("import sys, time; sys.path.insert(0, sys.argv[1]); sys.dont_write_bytecode = True\n"
                   "import rgw\n"
                   "with rgw.Rgw() as server:\n"
                   "    print(*(process.pid for process in server.processes), server.root, flush=True)\n"
                   "    time.sleep(100)\n")
        for signum in (signal.SIGINT, signal.SIGKILL):
            with self.subTest(signum):
                run = subprocess.Popen([sys.executable, "-c", program, HERE], text=True, env={
                    **os.environ, "TMPDIR": self.tmp}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                with run:
                    *pids, root = run.stdout.readline().split()
                    self.assertTrue(os.path.isdir(root))
                    run.send_signal(signum)
                self.assertEqual(len(pids), 3)
                for pid in pids:
                    wait_until(lambda pid=pid: not running(pid), f"process {pid} to end")
                self.assertEqual(os.path.exists(root), signum == signal.SIGKILL)


def running(pid):
    try:
        with open(f"/proc/{pid}/stat") as state:
            return state.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Names(S3Case):
    def test_a_process_sees_names_that_the_machine_does_not(self):
        name = "bucket." + rgw.DOMAIN
        look = [sys.executable, "-c", "import socket, sys; print(socket.gethostbyname(sys.argv[1]))"]
        self.assertEqual(self.shell(*names.command(self.tmp, {name: "127.0.0.1"}, [*look, name])), "127.0.0.1\n")
        self.assertIn("not known", subprocess.run(
            names.command(self.tmp, {name: "127.0.0.1"}, [*look, "other." + rgw.DOMAIN]), check=False, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE).stderr)
        with open("/etc/hosts") as hosts:
            self.assertNotIn(rgw.DOMAIN, hosts.read())

    def test_the_agent_sees_them_too(self):
        agent = self.agent(f"http://etcd.lab.test:{self.member().port}")
        agent.names["etcd.lab.test"] = "127.0.0.1"
        self.assertCreated(agent.run(), agent)
        agent.names = {"other.lab.test": "127.0.0.1"}
        self.assertExit(agent.run(), 69)


class Weather(S3Case):
    def through(self, weather, keys=rgw.LAB, **options):
        return s3api.S3(keys, weather.port, **options)

    def test_signatures_stay_good_through_it_and_it_tells_what_it_saw(self):
        bucket, weather = self.bucket(), self.weather()
        api = self.through(weather)
        api.put(bucket, "p1/a b", b"x" * 300000)
        self.assertEqual(api.get(bucket, "p1/a b"), b"x" * 300000)
        self.assertEqual(api.list(bucket), {"p1/a b": 300000})
        self.assertEqual(int(api.head(bucket, "p1/a b")["content-length"]), 300000)
        self.assertIsNone(api.head(bucket, "p11"))
        put, = weather.calls("PUT", f"^/{bucket}/p1/a b$")
        self.assertEqual((put.body_bytes, put.status, put.upstream_status), (300000, 200, 200))
        self.assertEqual(weather.calls(query="list-type=2")[0].query["prefix"], "")
        dns = s3api.S3(rgw.LAB, weather.port, dns_name=rgw.DOMAIN)
        self.assertEqual(dns.list(bucket), {"p1/a b": 300000})

    def test_many_requests_of_one_connection(self):
        bucket, weather = self.bucket(), self.weather()
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", weather.port, timeout=10)) as link:
            for number in range(3):
                path, body = f"/{bucket}/{number}", b"x" * number
                link.request("PUT", path, body, s3api.signed_headers(
                    rgw.LAB, "PUT", f"127.0.0.1:{weather.port}", path, {}, {}, body))
                answer = link.getresponse()
                self.assertEqual((answer.status, answer.read()), (200, b""))
        self.assertEqual(weather.connections, 1)
        self.assertEqual(len(self.api.list(bucket)), 3)

    def test_faults(self):
        """Action, what the client gets, whether the object is there afterwards."""
        body = b"x" * 400000
        wx = s3_faults
        for act, expected, there in [
                (wx.reset(), ConnectionResetError, False),
                (wx.cut_body(100000), OSError, False),
                (wx.lose_answer(), ConnectionResetError, True),
                (wx.stall_body(100000, 0.3), OSError, False),
                (wx.stall(0.3), ConnectionResetError, False),
                (wx.delay(0.1), 200, True),
                (wx.slow_body(4000000), 200, True),
                (wx.answer(501, wx.HTML, drain=False), 501, False),
                (wx.error(503, "SlowDown", Retry_After=1), (503, "SlowDown"), False),
                (wx.refuse_header("x-amz-date"), (501, "NotImplemented"), False),
                (wx.refuse_header("if-none-match"), 200, True),
        ]:
            with self.subTest(act=getattr(act, "__qualname__", act), expected=expected):
                bucket, weather = self.bucket(), self.weather()
                rule = weather.when(act, "PUT", f"/{bucket}/key")
                api = self.through(weather)
                if isinstance(expected, type):
                    with self.assertRaises(expected):
                        api.put(bucket, "key", body)
                elif expected == 200:
                    api.put(bucket, "key", body)
                else:
                    with self.assertRaises(s3api.S3Error) as refusal:
                        api.put(bucket, "key", body)
                    status, code = expected if isinstance(expected, tuple) else (expected, "")
                    self.assertEqual((refusal.exception.status, refusal.exception.code), (status, code))
                self.assertEqual(rule.hits, 1)
                self.assertEqual(self.api.head(bucket, "key") is not None, there)
                api.put(bucket, "key", body)  # the rule held once

    def test_answers_cut_trickled_and_edited(self):
        bucket, weather = self.bucket(), self.weather()
        api = self.through(weather)
        api.put(bucket, "key", b"x" * 1000)
        weather.when(s3_faults.cut_answer(10), "GET", "key")
        with self.assertRaises(http.client.IncompleteRead):
            api.get(bucket, "key")
        weather.when(s3_faults.trickle(4000), "GET", "key")
        began = time.monotonic()
        self.assertEqual(api.get(bucket, "key"), b"x" * 1000)
        self.assertGreater(time.monotonic() - began, 0.2)
        weather.when(s3_faults.edit(lambda body: body.replace(b"key", b"KEY")), "GET", query="list-type", skip=1)
        self.assertEqual([api.keys_of(bucket) for _ in range(3)], [["key"], ["KEY"], ["key"]])

    def test_documents_that_hurt(self):
        weather = self.weather(alone=True)
        weather.when(s3_faults.answer(200, s3_faults.XML_BOMB), query="bomb")
        weather.when(s3_faults.endless_list("p1/", 3), query="list-type=2", times=None)
        api = self.through(weather)
        self.assertIn(b"<!DOCTYPE", api.request("GET", "bucket", query={"bomb": 1}).body)
        pages = api.pages("bucket", "p1/", 3)
        keys = [s3api.child(entry, "Key") for _ in range(5) for entry in s3api.elements(next(pages), "Contents")]
        self.assertEqual((len(set(keys)), keys[0]), (15, "p1/00000000-0000"))
        with self.assertRaises(s3api.S3Error):
            api.get("bucket", "what no rule answers")

    def test_away_and_back_on_the_same_port(self):
        bucket, weather = self.bucket(), self.weather()
        api = self.through(weather)
        weather.down()
        with self.assertRaises(ConnectionRefusedError):
            api.list(bucket)
        weather.up()
        self.assertEqual(api.list(bucket), {})

    def test_certificates_good_and_bad(self):
        bucket, certificates = self.bucket(), self.pki()
        _, stranger = certificates.other_authority()
        good = self.weather(certificates.server)
        self.assertEqual(self.through(good, ca=certificates.ca).list(bucket), {})
        self.assertEqual(self.through(good, ca=certificates.ca, dns_name=rgw.DOMAIN).list(bucket), {})
        for pair, reason in ((stranger, "unable to get local issuer certificate"),
                             (certificates.expired(), "certificate has expired"),
                             (certificates.elsewhere(), "IP address mismatch")):
            with self.subTest(reason), self.assertRaisesRegex(ssl.SSLCertVerificationError, reason):
                self.through(self.weather(pair), ca=certificates.ca).list(bucket)

    def test_it_stops_in_the_middle_of_a_stall(self):
        weather = self.weather(alone=True)
        weather.when(s3_faults.stall())
        with socket.create_connection(("127.0.0.1", weather.port), 10) as link:
            link.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(lambda: weather.requests, "the request")
            began = time.monotonic()
            weather.stop()
            self.assertEqual(link.recv(10), b"")
        self.assertLess(time.monotonic() - began, 2)
        self.assertFalse(weather.threads)


class Proxies(S3Case):
    def fetch(self, proxy, url, user="", ca=None):
        address = f"http://{user}127.0.0.1:{proxy.port}"
        handlers = [urllib.request.ProxyHandler({"http": address, "https": address})]
        if ca:
            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca)))
        with urllib.request.build_opener(*handlers).open(url, timeout=10) as answer:
            return answer.read()

    def test_tunnels_and_plain_requests_to_names_that_only_it_knows(self):
        proxy = self.proxy()
        for scheme, port in (("https", self.s3.tls_port), ("http", self.s3.port)):
            with self.subTest(scheme):
                self.assertIn(b"ListAllMyBucketsResult", self.fetch(
                    proxy, f"{scheme}://{rgw.DOMAIN}:{port}/", ca=self.s3.ca))
                self.assertEqual(proxy.targets[-1], f"{rgw.DOMAIN}:{port}")

    def test_it_wants_a_password(self):
        proxy = self.proxy(user="user", password="sesame")
        url = f"http://{rgw.DOMAIN}:{self.s3.port}/"
        with self.assertRaisesRegex(urllib.error.HTTPError, "407"):
            self.fetch(proxy, url)
        self.assertEqual(proxy.targets, [])
        self.assertIn(b"ListAllMyBucketsResult", self.fetch(proxy, url, "user:sesame@"))


class Metadata(S3Case):
    keys = s3api.Keys("ACCESS", "SECRET", "TOKEN")

    def ask(self, url, method="GET", body=None, **headers):
        """(status, text)."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(url, body, named, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=1) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read().decode()

    def test_instance_metadata_of_each_kind(self):
        for mode, token_status, without in (("v2", 200, 401), ("both", 200, 200), ("v1", 404, 200),
                                            ("refused", 403, 403)):
            with self.subTest(mode), metadata.Ec2(self.keys, mode, lifetime_s=60) as fake:
                url = fake.url + fake.ROLES
                status, token = self.ask(fake.url + fake.TOKEN, "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")
                self.assertEqual(status, token_status)
                self.assertEqual(self.ask(url)[0], without)
                if status == 200:
                    self.assertEqual(self.ask(url, X_aws_ec2_metadata_token=token), (200, "lab-role"))
                    given = json.loads(self.ask(url + "lab-role", X_aws_ec2_metadata_token=token)[1])
                    self.assertEqual([given[name] for name in ("AccessKeyId", "Token", "Code")],
                                     ["ACCESS", "TOKEN", "Success"])
                    self.assertEqual(fake.handed_out, 1)
                    self.assertEqual(self.ask(url, X_aws_ec2_metadata_token="made up")[0], 401)
                self.assertEqual(fake.failures, [])

    def test_a_token_that_needs_too_many_hops_never_arrives(self):
        with metadata.Ec2(self.keys, "hop") as fake, self.assertRaises(TimeoutError):
            self.ask(fake.url + fake.TOKEN, "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")

    def test_a_container_wants_its_token(self):
        with metadata.Container(self.keys, token="pod token") as fake:
            self.assertEqual(self.ask(fake.full_uri)[0], 401)
            given = json.loads(self.ask(fake.full_uri, Authorization="pod token")[1])
            self.assertEqual(given["SecretAccessKey"], "SECRET")

    def test_sts_gives_keys_that_the_gateway_takes(self):
        bucket = self.bucket()
        with metadata.Sts(self.api.assume_role(), "web identity") as fake:
            asked = {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": fake.role,
                     "RoleSessionName": "s", "WebIdentityToken": "web identity"}
            text = self.ask(fake.url, "POST", urllib.parse.urlencode(asked).encode())[1].encode()
            keys = s3api.Keys(*(s3api.text_of(text, name) for name in (
                "AccessKeyId", "SecretAccessKey", "SessionToken")))
            self.s3.api(keys).put(bucket, "key", b"x")
            asked["WebIdentityToken"] = "somebody else's"
            status, text = self.ask(fake.url, "POST", urllib.parse.urlencode(asked).encode())
            self.assertEqual((status, s3api.text_of(text.encode(), "Code")), (400, "InvalidIdentityToken"))
