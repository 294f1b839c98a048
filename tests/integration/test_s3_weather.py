"""A bucket that refuses, misunderstands, lies or is somewhere else: no local snapshot is lost, the
message says what to do, and the next cycle in good weather catches up."""
import os
import signal
import time

import rgw
import s3_faults as wx
import s3api
from case import wait_until
from s3storm import StormCase

LIST, WHOLE = ("GET", "list-type"), ("PUT", "")
HEAD = ("HEAD", "")
# As if the bucket were in eu-central-1: what is signed for the region that is guessed is sent away.
GUESSED = {"authorization": "/us-east-1/s3/"}


class WrongKeys(StormCase):
    """At the real server. The first call of a small snapshot is a HEAD, whose refusal has no text."""

    def test_keys_and_bucket(self):
        known = rgw.LAB.access_key
        for what, change, error, hint in (
                ("unknown access key", {"keys": s3api.Keys("NOBODY", "x")},
                 "InvalidAccessKeyId", ("access key", "cluster.yml")),
                ("wrong secret", {"keys": s3api.Keys(known, "wrong")},
                 "SignatureDoesNotMatch", ("secret key", "cluster.yml")),
                ("nothing allowed", {"keys": rgw.OTHER}, ("AccessDenied",), ("allow s3:", "cluster.yml"))):
            with self.subTest(what):
                bucket = self.bucket()
                host = self.fresh_host(bucket, **change)
                result = self.storm(host, error, hint)
                for secret in (rgw.LAB.secret_key, rgw.OTHER.secret_key, "wrong"):
                    self.assertNotIn(secret, result.stderr)
                self.use_s3(host, bucket)
                self.calm(host, bucket)

    def test_no_such_bucket(self):
        bucket = f"t{os.getpid()}-later"
        host = self.fresh_host(bucket)
        self.storm(host, ("NoSuchBucket", bucket), ("create the bucket " + bucket, "bucket_name"))
        self.bucket(bucket)
        self.calm(host, bucket)

    def test_a_clock_that_is_20_minutes_off(self):
        """Without TLS, whose certificates would not be valid yet."""
        for offset, words in (("+20m", "20 minutes ahead of"), ("-20m", "20 minutes behind")):
            with self.subTest(offset):
                bucket = self.bucket()
                host = self.fresh_host(bucket, self.weather())
                self.storm(host, "", (words, "timedatectl"), env={"FAKETIME": offset})
                self.calm(host, bucket)

    def test_an_expired_token(self):
        for method, query in (("", ""), WHOLE, LIST):
            with self.subTest(method):
                bucket, weather = self.bucket(), self.weather()
                host = self.fresh_host(bucket, weather)
                weather.when(wx.error(400, "ExpiredToken", "The provided token has expired."), method or None,
                             query=query, times=None)
                self.storm(host, "ExpiredToken", ("expired", "cluster.yml", "renew"))
                weather.clear()
                self.calm(host, bucket)


class Refusals(StormCase):
    """One call is refused for as long as the weather lasts."""

    def refused(self, what, act, calls, error, hint, **sections):
        for method, query in calls:
            with self.subTest(what, call=method):
                bucket, weather = self.bucket(), self.weather()
                host = self.fresh_host(bucket, weather)
                host.section("s3").update(sections)
                rule = weather.when(act, method, query=query, times=None)
                began = time.monotonic()
                self.storm(host, error, hint)
                self.assertLess(time.monotonic() - began, 10)
                self.assertGreater(rule.hits, 0)
                weather.clear()
                self.calm(host, bucket)

    def test_errors_of_s3(self):
        for act, calls, error, hint in (
                (wx.error(500, "InternalError"), (WHOLE, LIST), "InternalError", "server's own trouble"),
                (wx.error(503, "SlowDown", Retry_After=1), (WHOLE, LIST), "SlowDown", ("throttling", "concurrency")),
                (wx.answer(503, Retry_After=1), (HEAD, WHOLE), "HTTP 503", "a load balancer has no server"),
                (wx.error(403, "AccessDenied"), (WHOLE,), "AccessDenied", "allow s3:PutObject on arn:aws:s3:::"),
                (wx.error(403, "AccessDenied"), (LIST,), "AccessDenied", "allow s3:ListBucket on arn:aws:s3:::"),
                (wx.error(403, "RequestTimeTooSkewed", more="<ServerTime>2020-01-01T00:00:00Z</ServerTime>"),
                 (WHOLE,), "RequestTimeTooSkewed", ("ahead of", "timedatectl")),
                (wx.error(403, "AccountProblem"), (WHOLE,), "AccountProblem", "blocked"),
                (wx.error(400, "EntityTooLarge"), (WHOLE,), "EntityTooLarge", "part_size_mib"),
                (wx.error(403, "QuotaExceeded"), (WHOLE,), "QuotaExceeded", "quota"),
                (wx.answer(507), (WHOLE,), "HTTP 507", "quota"),
                (wx.answer(413, wx.HTML), (WHOLE,), "HTTP 413", "part_size_mib")):
            self.refused(error, act, calls, error, hint)

    def test_web_pages_instead_of_s3(self):
        html = {"Content_Type": "text/html"}
        for status, calls, error, hint in (
                (200, (HEAD, WHOLE, LIST), "", "proxy"),
                (302, (HEAD, WHOLE, LIST), "HTTP 302", "endpoint"),
                (401, (WHOLE,), "HTTP 401", "endpoint"),
                (403, (WHOLE, LIST), ("HTTP 403", "HTML"), "is there a proxy between?"),
                (404, (WHOLE, LIST), ("HTTP 404", "HTML"), "endpoint"),
                (407, (WHOLE,), "HTTP 407", "[s3] proxy"),
                (502, (HEAD, WHOLE, LIST), "HTTP 502", "proxy or load balancer"),
                (503, (LIST,), ("HTTP 503", "HTML"), "a load balancer has no server"),
                (504, (WHOLE,), "HTTP 504", "gets no answer")):
            self.refused(f"HTML {status}", wx.answer(status, wx.HTML, **html), calls, error, hint)

    def test_a_web_page_for_everything(self):
        """A portal that wants a login, or a console on the port."""
        bucket, weather = self.bucket(), self.weather()
        weather.when(wx.answer(200, wx.HTML, Content_Type="text/html"), times=None)
        host = self.fresh_host(bucket, weather)
        result = self.storm(host, ("HeadObject",), ("endpoint", "proxy"))
        self.assertFalse(result.messages("warning"), str(result))
        weather.clear()
        self.calm(host, bucket)

    def test_a_token_that_fits_nothing(self):
        self.refused("token", wx.error(400, "InvalidToken"), (WHOLE, LIST), "InvalidToken", "session token")


class Elsewhere(StormCase):
    """The bucket is in another region than the one that is guessed."""

    def test_the_region_is_learned(self):
        region = {"x_amz_bucket_region": "eu-central-1"}
        malformed = wx.error(400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong",
                             "<Region>eu-central-1</Region>")
        for what, act, method in (
                ("301", wx.error(301, "PermanentRedirect", **region), None),
                ("301 HEAD", wx.answer(301, **region), "HEAD"),
                ("400 HEAD", wx.answer(400, **region), "HEAD"),
                ("307", wx.error(307, "TemporaryRedirect", **region), None),
                ("malformed", malformed, "PUT"),
                ("malformed list", malformed, "GET"),
                ("endpoint", wx.error(301, "PermanentRedirect",
                                      more="<Endpoint>b.s3.eu-central-1.amazonaws.com</Endpoint>"), "PUT")):
            with self.subTest(what):
                bucket, weather = self.bucket(), self.weather()
                rule = weather.when(act, method, headers=GUESSED, times=None)
                self.survives(self.fresh_host(bucket, weather), bucket)
                self.assertEqual(rule.hits, 1)

    def test_the_location_tells_it(self):
        bucket, weather = self.bucket(), self.weather()
        weather.when(wx.answer(200, f'<LocationConstraint xmlns="{wx.NAMESPACE}">eu-central-1</LocationConstraint>'),
                     "GET", query="^location", times=None)
        weather.when(wx.error(403, "SignatureDoesNotMatch"), headers=GUESSED, times=None)
        self.survives(self.fresh_host(bucket, weather), bucket)

    def test_a_redirect_that_does_not_say_where(self):
        for status, fields, hint in (
                (301, {}, "set region in cluster.yml"), (301, {"x_amz_bucket_region": "us-east-1"}, "region"),
                (307, {"Location": "http://b.elsewhere.test/x?y"}, ("http://b.elsewhere.test", "endpoint"))):
            for method in ("HEAD", "PUT"):
                with self.subTest(status, fields=fields, method=method):
                    bucket, weather = self.bucket(), self.weather()
                    host = self.fresh_host(bucket, weather)
                    weather.when(wx.error(403, "AccessDenied"), "GET", query="^location", times=None)
                    weather.when(wx.answer(status, **fields), method, times=None)
                    self.storm(host, f"HTTP {status}", hint)
                    weather.clear()
                    self.calm(host, bucket)

    def test_the_wrong_region_is_set(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.fresh_host(bucket, weather, region="us-east-1")
        wrong = wx.error(400, "AuthorizationHeaderMalformed", "the region is wrong", "<Region>us-east-1</Region>")
        weather.when(wrong, "PUT", times=None)
        self.storm(host, "AuthorizationHeaderMalformed", ("us-east-1", "region in cluster.yml"))
        weather.clear()
        weather.when(wx.error(400, "AuthorizationHeaderMalformed", more="<Region>eu-central-1</Region>"), "PUT",
                     headers=GUESSED, times=None)
        self.calm(host, bucket)  # what the server says goes before the setting

    def test_regions_that_no_header_takes(self):
        for region in ("a b", "x\r\nX-Evil: 1", "../..", "x" * 5000, "&a9;"):
            with self.subTest(region):
                bucket, weather = self.bucket(), self.weather()
                host = self.fresh_host(bucket, weather)
                evil = region.replace("&", "&amp;")
                weather.when(wx.error(400, "AuthorizationHeaderMalformed", more=f"<Region>{evil}</Region>"), "PUT")
                self.storm(host, "AuthorizationHeaderMalformed")
                self.assertFalse([seen for seen in weather.calls() if "x-evil" in seen.headers])
                self.calm(host, bucket)


class Documents(StormCase):
    """Lists that hurt. What the server says must not end in a deletion, a crash or a full memory."""

    def listed(self, act, error, hint, codes=(76,), timeout=None):
        bucket, weather = self.bucket(), self.weather()
        host = self.fresh_host(bucket, weather)
        first = host.cycle()
        self.assertExit(first, 0)
        weather.when(act, "GET", query="list-type", times=None)
        if timeout:
            host.policy = host.policy.replace("      retention:", f"      timeout: {timeout}\n      retention:")
        result = host.cycle()
        self.assertExit(result, *codes)
        if result.code:
            self.assertSaid(result, error, hint)
        self.assertLess(result.peak_rss_kib, 60 << 10, str(result))
        self.assertEqual(len(host.files), 2)
        self.assertSafe(host, result)
        weather.clear()
        self.calm(host, bucket)
        return result

    def test_broken_xml(self):
        entry = ("<Contents><Key>{}</Key><Size>{}</Size><ETag>x</ETag><LastModified>2020-01-01T00:00:00.000Z"
                 "</LastModified></Contents>")

        def page(inside):
            return f'{wx.XML}<ListBucketResult xmlns="{wx.NAMESPACE}">{inside}</ListBucketResult>'
        for what, body in (
                ("empty", ""), ("text", "OK"), ("cut", page(entry.format("k", 1))[:-30]),
                ("unbalanced", page("<Contents>")), ("deep", wx.DEEP_XML),
                ("other answer", "<ListAllMyBucketsResult/>"), ("zero bytes", page("\0")),
                ("two documents", page("") * 2), ("no size", page(entry.format("k", "many"))),
                ("negative size", page(entry.format("k", -1))), ("truncated without token", page(
                    "<IsTruncated>true</IsTruncated>")),
                ("9 MiB", page(f"<!--{'x' * (9 << 20)}-->"))):
            with self.subTest(what):
                self.listed(wx.answer(200, body), "ListObjectsV2", "")

    def test_an_answer_that_is_cut_off(self):
        self.listed(wx.cut_answer(100), "ListObjectsV2", "ended the connection")

    def test_an_xml_bomb_is_not_lit(self):
        result = self.listed(wx.answer(200, wx.XML_BOMB), "ListObjectsV2", "", codes=(0, 76))
        self.assertLess(result.seconds, 5)

    def test_a_page_that_comes_again_and_again(self):
        self.listed(wx.endless_list("x", 5, same_token=True), "came again", "what is between")

    def test_a_list_that_never_ends_has_the_cycles_time(self):
        result = self.listed(wx.endless_list("x", 200), "ListObjectsV2", "", timeout=3)
        self.assertLess(result.seconds, 6)

    def test_whoever_looks_at_a_list_that_never_ends_can_stop(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.fresh_host(bucket, weather)
        self.assertExit(host.cycle(), 0)
        for command in ("check", "prune", "list"):
            with self.subTest(command):
                weather.clear()
                rule = weather.when(wx.endless_list("x", 200), "GET", query="list-type", times=None)
                run = self.started(host, command)
                wait_until(lambda: rule.hits > 50 or run.process.poll() is not None, "50 pages")
                run.signal(signal.SIGINT)
                result = run.wait(10)
                self.assertNotEqual(result.code, 0)
                self.assertLess(result.peak_rss_kib, 60 << 10)

    def test_an_error_inside_a_good_answer(self):
        self.listed(wx.answer(200, wx.error_xml("InternalError")), "InternalError", "server's own trouble")
        self.listed(wx.answer(200, wx.error_xml("AccessDenied")), "AccessDenied", "s3:ListBucket")


class Words(StormCase):
    def test_what_is_in_the_bucket_is_not_called_missing(self):
        """The upload was compared and told; only what comes after it fails."""
        bucket, weather = self.bucket(), self.weather()
        host = self.fresh_host(bucket, weather)
        weather.when(wx.error(500, "InternalError"), "GET", query="list-type", times=None)
        result = host.cycle()
        self.assertExit(result, 76)
        self.assertEqual([line["name"] for line in result.named("Uploaded backup")], result.created)
        self.assertFalse([text for text in result.messages("error") if "not in the bucket" in text], str(result))


class Folders(StormCase):
    def test_relative_names_are_refused_as_configuration(self):
        bucket = self.bucket()
        for folder in ("..", "../p1", "p1/..", "a/../b", ".", "a//b"):
            with self.subTest(folder):
                result = self.fresh_host(bucket, folder=folder).cycle()
                self.assertExit(result, 78)
                self.assertSaid(result, "folder")
        self.assertEqual(self.api.keys_of(bucket), [])

    def test_odd_names_in_bad_weather(self):
        """Slashes, spaces and Unicode; what is missing there is found and comes to the same place."""
        for folder, prefix in (("/p1//", None), ("//p1/", "p1/"), (" p 1/ä€😀/", " p 1/ä€😀/"),
                               ("p+1%2F&=?#", "p+1%2F&=?#/")):
            with self.subTest(folder):
                bucket, weather = self.bucket(), self.weather()
                host = self.fresh_host(bucket, weather, folder=folder)
                weather.down()
                self.storm(host, "connect", "nothing listens there")
                weather.up()
                self.calm(host, bucket, prefix or "p1/")
                self.assertFalse(host.cycle().named("Uploaded backup of an earlier cycle"))
