"""The way to the bucket: connections that are refused, reset, stall or trickle, certificates that are not
right, answers that get lost, servers that know less than Amazon's."""
import os
import time

import rgw
import s3_faults as wx
from case import wait_until
from s3hosts import MIB, object_puts
from s3storm import StormCase

PART = "partNumber"


def dated(certificates, name, starts, ends):
    """A server certificate of the right CA with these days in it (pki.expired() with other ones)."""
    pair = certificates.expired()
    os.truncate(certificates.path("ca.db"), 0)
    certificates.openssl("ca", "-batch", "-config", certificates.path("ca.cnf"), "-in",
                         certificates.path("expired.csr"), "-cert", certificates.ca, "-keyfile", certificates.ca_key,
                         "-extfile", certificates.path("ext"), "-startdate", starts, "-enddate", ends, "-notext",
                         "-out", certificates.path(name))
    pair.cert = certificates.path(name)
    return pair


class Connections(StormCase):
    def test_nobody_listens(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.fresh_host(bucket, weather)
        weather.down()
        for _ in range(3):
            result = self.storm(host, ("connect", f"port {weather.port}"), ("endpoint and port", "is up"))
            self.assertLess(result.seconds, 5)
        weather.up()
        self.calm(host, bucket)
        self.assertEqual(len(host.files), 4)

    def test_a_name_that_is_not_found(self):
        bucket = self.bucket()
        host = self.fresh_host(bucket)
        self.use_s3(host, bucket, f"nowhere.{rgw.DOMAIN}:{self.s3.tls_port}", self.s3.ca_text)
        host.names = {"other.test": "127.0.0.1"}
        self.storm(host, f"nowhere.{rgw.DOMAIN}", ("endpoint", "DNS"))
        host.names = {}
        self.use_s3(host, bucket)
        self.calm(host, bucket)

    def test_a_bucket_in_front_of_a_name_that_has_none(self):
        bucket = self.bucket()
        host = self.fresh_host(bucket, dns=True)
        del host.names[f"{bucket}.{rgw.DOMAIN}"]
        self.storm(host, f"{bucket}.{rgw.DOMAIN}", "lookup = path")
        host.names[f"{bucket}.{rgw.DOMAIN}"] = "127.0.0.1"
        self.calm(host, bucket)

    def test_connections_that_end_or_say_nothing(self):
        for what, act, method, query, error, hint in (
                ("reset", wx.reset(), "HEAD", "", "reset", "ended the connection"),
                ("reset", wx.reset(), "PUT", "", "PutObject", "ended the connection"),
                ("in the body", wx.cut_body(1), "PUT", "", "PutObject", "ended the connection"),
                ("stalled body", wx.stall_body(1), "PUT", "", "PutObject", ("stall_timeout_s", "firewall")),
                ("stall", wx.stall(), "HEAD", "", "HeadObject", ("stall_timeout_s", "firewall")),
                ("stall", wx.stall(), "GET", "list-type", "ListObjectsV2", "stall_timeout_s"),
                ("hung up", wx.stall(0), "PUT", "", "PutObject", "ended the connection"),
                ("half a HEAD", lambda exchange: exchange.link.sendall(b"HTTP/1.1 200 OK\r\nETag:") or exchange.close(),
                 "HEAD", "", "HeadObject", "endpoint"),
                ("no HTTP", lambda exchange: exchange.link.sendall(b"SSH-2.0-OpenSSH\r\n") or exchange.close(),
                 "HEAD", "", "HeadObject", "endpoint")):
            with self.subTest(what, method=method):
                bucket, weather = self.bucket(), self.weather()
                host = self.fresh_host(bucket, weather)
                host.section("s3")["stall_timeout_s"] = 1
                weather.when(act, method, query=query, times=None)
                result = self.storm(host, error, hint)
                self.assertLess(result.seconds, 8)
                weather.clear()
                self.calm(host, bucket)

    def test_a_server_that_trickles_has_the_time_of_the_cycle(self):
        """40 bytes a second are a stall only after stall_timeout_s, 60 s here; the time of the cycle ends it first."""
        bucket, weather = self.bucket(), self.weather()
        host = self.fresh_host(bucket, weather)
        self.assertExit(host.cycle(), 0)
        weather.when(wx.trickle(40), "GET", query="list-type", times=None)
        host.policy = host.policy.replace("      retention:", "      timeout: 3\n      retention:")
        result = self.storm(host, "ListObjectsV2", ("backup_config.timeout", "slows the bucket"))
        self.assertLess(result.seconds, 6)
        weather.clear()
        self.calm(host, bucket)

    def test_an_upload_that_trickles_has_the_time_of_the_cycle(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.fresh_host(bucket, weather)
        weather.when(wx.delay(30), "PUT", times=None)
        host.policy = host.policy.replace("      retention:", "      timeout: 3\n      retention:")
        result = self.storm(host, "PutObject", ("backup_config.timeout", "slows the bucket"))
        self.assertLess(result.seconds, 6)
        weather.clear()
        self.calm(host, bucket)


class Certificates(StormCase):
    def spoiled(self, pair, certificates, error, hint, **more):
        """The server shows `pair` at first, then a good certificate on the same port."""
        bucket, weather = self.bucket(), self.weather(pair)
        host = self.fresh_host(bucket)
        self.use_s3(host, bucket, weather.endpoint, **more)
        result = self.storm(host, error, hint)
        # Over TLS 1.3 the server may think that a handshake was fine which the client ends.
        self.assertEqual(weather.requests, [])
        with open(certificates.ca) as text:
            self.use_s3(host, bucket, weather.endpoint, text.read())
        weather.context.load_cert_chain(certificates.server.cert, certificates.server.key)
        self.calm(host, bucket)
        return result

    def test_bad_ones(self):
        certificates = self.pki()
        with open(certificates.ca) as text:
            ca_text = text.read()
        other_ca, stranger = certificates.other_authority()
        for what, pair, error, hint in (
                ("another CA", stranger, ("not accepted", "CN=other CA", "not trusted"), ("custom_ca", "CA certificate")),
                ("expired", certificates.expired(), ("not accepted", "expired", "2020-01-02"),
                 ("renew", "timedatectl")),
                ("not yet valid", dated(certificates, "early.pem", "20990101000000Z", "20990201000000Z"),
                 ("not accepted", "not yet valid", "2099-01-01"), "timedatectl"),
                ("wrong name", certificates.elsewhere(), ("not accepted", "elsewhere.example"),
                 ("endpoint", "a name that the server's certificate holds"))):
            with self.subTest(what):
                self.spoiled(pair, certificates, error, hint, ca_text=ca_text)
        with self.subTest("no custom_ca"):
            self.spoiled(certificates.server, certificates, ("not accepted", "CN=private CA"),
                         "custom_ca of cluster.yml")
        with self.subTest("the CA of another"), open(other_ca) as text:
            self.spoiled(certificates.server, certificates, ("not accepted", "CN=private CA"),
                         "one of them must hold the CA certificate that signed it", ca_text=text.read())

    def test_tls_and_none(self):
        bucket = self.bucket()
        for what, endpoint, error, hint in (
                ("TLS to a plain port", f"127.0.0.1:{self.s3.port}", "SSL", "write http:// in endpoint"),
                ("plain to a TLS port", f"http://127.0.0.1:{self.s3.tls_port}", "", "http://")):
            with self.subTest(what):
                host = self.fresh_host(bucket)
                self.use_s3(host, bucket, endpoint)
                self.storm(host, error, hint)


class LostAnswers(StormCase):
    """What is survived by asking again: exit 0, and one object."""

    def host(self, *args, **more):
        host = super().host(*args, **more)
        host.section("s3").update(retries=2, stall_timeout_s=1)
        return host

    def test_once_is_no_failure(self):
        for what, act, method, query in (
                ("500", wx.error(500, "InternalError"), "PUT", ""),
                ("500 HEAD", wx.answer(500), "HEAD", ""),
                ("503", wx.error(503, "SlowDown"), "GET", "list-type"),
                ("reset", wx.reset(), "PUT", ""),
                ("body cut", wx.cut_body(1), "PUT", ""),
                ("stall", wx.stall(), "PUT", ""),
                ("answer cut", wx.cut_answer(50), "GET", "list-type"),
                ("error in 200", wx.answer(200, wx.error_xml("InternalError")), "GET", "list-type"),
                ("expect", wx.answer(408, wx.error_xml("RequestTimeout")), "PUT", ""),
                ("PUT lost", wx.lose_answer(), "PUT", ""),
                ("PUT lost, stalled", wx.lose_answer(3), "PUT", ""),
                ("HEAD lost", wx.lose_answer(), "HEAD", "")):
            with self.subTest(what):
                bucket, weather = self.bucket(), self.weather()
                rule = weather.when(act, method, query=query)
                self.survives(self.fresh_host(bucket, weather), bucket)
                self.assertEqual(rule.hits, 1)

    def test_retry_after_is_heeded(self):
        bucket, weather = self.bucket(), self.weather()
        rule = weather.when(wx.error(503, "SlowDown", Retry_After=2), "PUT", times=1)
        self.survives(self.fresh_host(bucket, weather), bucket)
        first, second = object_puts(weather) if rule.hits == 1 else (None, None)
        self.assertGreaterEqual(second.began - first.ended, 1.9)

    def test_the_list_of_requests_stays_short(self):
        """retries further ones, and each later than the one before."""
        bucket, weather = self.bucket(), self.weather()
        weather.when(wx.error(503, "SlowDown"), "PUT", times=None)
        host = self.fresh_host(bucket, weather)
        self.storm(host, "SlowDown")
        began = [seen.began for seen in object_puts(weather)]
        self.assertEqual(len(began), 3)
        self.assertGreater(began[1] - began[0], 0.2)
        self.assertLess(began[2] - began[0], 4)

    def test_a_put_whose_answer_is_lost_for_good(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.fresh_host(bucket, weather)
        weather.when(wx.lose_answer(), "PUT", times=None)
        host.cycle()
        self.assertEqual(self.api.keys_of(bucket), host.files)
        weather.clear()
        self.calm(host, bucket)

    def test_servers_without_if_none_match(self):
        for what, act in (("501", wx.refuse_header("if-none-match")),
                          ("400", wx.refuse_header("if-none-match", 400, "InvalidArgument")),
                          ("ignored", self.put_anyway)):
            with self.subTest(what):
                bucket, weather = self.bucket(), self.weather()
                weather.when(act, "PUT", times=None)
                host = self.fresh_host(bucket, weather)
                self.survives(host, bucket)

    def put_anyway(self, exchange):
        """As a server that does not look at If-None-Match."""
        _, bucket, key = exchange.seen.key.split("/", 2)
        etag = self.api.put(bucket, key, b"".join(exchange.pieces()))
        exchange.answer(200, "", {"ETag": f'"{etag}"'})


class Parts(StormCase):
    """The database has 8 MiB that do not compress: more than one part of 5 MiB."""

    fill_bytes = 8 * MIB

    def host(self, *args, **more):
        host = super().host(*args, **more)
        host.section("s3").update(part_size_mib=5, stall_timeout_s=1)
        return host

    def test_weather_that_lasts(self):
        complete = "^uploadId"
        for what, act, method, query, error, hint in (
                ("create refused", wx.error(403, "AccessDenied"), "POST", "^uploads", "CreateMultipartUpload",
                 "s3:PutObject"),
                ("create without id", wx.answer(200, "<InitiateMultipartUploadResult/>"), "POST", "^uploads",
                 "UploadId", ""),
                ("reset in a part", wx.cut_body(MIB), "PUT", PART, "UploadPart", "ended the connection"),
                ("stall in a part", wx.stall_body(MIB), "PUT", PART, "UploadPart", "stall_timeout_s"),
                ("part of other bytes", wx.edit(lambda body: body, ETag='"' + "0" * 32 + '"'), "PUT", PART,
                 "InvalidPart", ""),
                ("503", wx.error(503, "SlowDown"), "PUT", PART, "SlowDown", "concurrency"),
                ("error in Complete", wx.answer(200, "   \n" + wx.error_xml("InternalError")), "POST", complete,
                 ("CompleteMultipartUpload", "InternalError"), "server's own trouble"),
                ("HTML for Complete", wx.answer(200, wx.HTML), "POST", complete, "CompleteMultipartUpload", "proxy"),
                ("upload gone", wx.error(404, "NoSuchUpload"), "POST", complete, "NoSuchUpload", "lifecycle")):
            with self.subTest(what):
                bucket, weather = self.bucket(), self.weather()
                host = self.fresh_host(bucket, weather)
                weather.when(act, method, query=query, times=None)
                result = self.storm(host, error, hint)
                self.assertFalse(result.messages("warning"), str(result))
                self.assertLess(result.seconds, 15)
                self.assertEqual(self.api.list(bucket), {})
                self.assertEqual(self.api.uploads(bucket), [])
                weather.clear()
                self.calm(host, bucket)

    def test_weather_that_passes(self):
        complete = "^uploadId"
        for what, act, method, query in (
                ("part reset", wx.cut_body(MIB), "PUT", PART),
                ("part without ETag", wx.edit(lambda body: body, ETag=None), "PUT", PART),
                ("complete 409", wx.error(409, "ConditionalRequestConflict"), "POST", complete),
                ("part lost", wx.lose_answer(), "PUT", PART),
                ("part 500", wx.error(500, "InternalError"), "PUT", PART),
                ("create 503", wx.error(503, "SlowDown"), "POST", "^uploads"),
                ("complete 500", wx.error(500, "InternalError"), "POST", complete),
                ("complete error in 200", wx.answer(200, wx.error_xml("InternalError")), "POST", complete),
                ("complete reset", wx.reset(), "POST", complete),
                ("complete lost", wx.lose_answer(), "POST", complete),
                ("complete lost, stalled", wx.lose_answer(2), "POST", complete),
                ("complete's answer cut", wx.cut_answer(60), "POST", complete),
                ("complete with an empty ETag", wx.edit(lambda body: body[:body.index(b"<ETag>")] + b"<ETag></ETag>" +
                                                        body[body.index(b"</ETag>") + 7:]), "POST", complete),
                ("complete without If-None-Match", wx.refuse_header("if-none-match"), "POST", complete)):
            with self.subTest(what):
                bucket, weather = self.bucket(), self.weather()
                host = self.fresh_host(bucket, weather)
                host.section("s3")["retries"] = 2
                rule = weather.when(act, method, query=query)
                self.survives(host, bucket)
                self.assertEqual(rule.hits, 1)
                key, = self.api.keys_of(bucket)
                parts = -(-os.path.getsize(os.path.join(host.directory, key)) // (5 * MIB))
                self.assertRegex(self.api.head(bucket, key)["etag"], f'-{parts}"$')

    def test_a_complete_that_takes_longer_than_a_stall(self):
        """The server assembles, and says nothing meanwhile."""
        bucket, weather = self.bucket(), self.weather()
        rule = weather.when(wx.delay(9), "POST", query="^uploadId", times=None)
        self.survives(self.fresh_host(bucket, weather), bucket)
        self.assertEqual(rule.hits, 1)
        self.assertEqual(len(weather.calls("POST", query="^uploads")), 1)

    def test_a_lost_complete_without_retries(self):
        bucket, weather = self.bucket(), self.weather()
        weather.when(wx.lose_answer(), "POST", query="^uploadId", times=None)
        self.survives(self.fresh_host(bucket, weather), bucket)

    def test_down_in_the_middle_of_the_parts(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.fresh_host(bucket, weather)
        host.section("s3").update(concurrency=1)
        weather.when(wx.slow_body(8 * MIB), "PUT", query=PART, times=None)
        run = self.started(host, "run")
        wait_until(lambda: object_puts(weather), "a part")
        weather.down()
        host_result = run.wait()
        self.assertSafeHere(host_result)
        self.assertSafe(host, host_result)
        weather.clear()
        weather.up()
        began = time.monotonic()
        result = host.cycle()  # the upload that nobody could abort is swept a day later
        self.assertExit(result, 0)
        self.assertLess(time.monotonic() - began, 20)
        self.assertInBucket(host, bucket, host.files)
        self.assertEqual(self.api.keys_of(bucket), host.files)
