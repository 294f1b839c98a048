"""Every fault of the stream: the right exit code and words, old snapshots intact, nothing left over."""
import fakes
from case import Case, content
from faults import FAULTS, ODDITIES, goodbye_in_the_middle


class FaultCase(Case):
    def server(self, data=None, **handlers):
        server = fakes.FaultServer(data, **handlers)
        self.addCleanup(server.stop)
        return server

    def faulty_agent(self, server):
        agent = self.agent(server.endpoint)
        agent.etcd.update(connect_timeout_s=2, stall_timeout_s=2)
        return agent

    def assertTaken(self, result, agent, server):
        archive = self.assertCreated(result, agent)
        with open(self.extract(archive, self.path("taken")), "rb") as taken:
            self.assertEqual(taken.read(), server.database + fakes.digest(server.database))
        self.assertEqual(server.failures, [])


class FaultyStreams(FaultCase):
    """One test for each of faults.FAULTS."""

    def check(self, handler, codes, text):
        server = self.server(snapshot=handler)
        agent = self.faulty_agent(server)
        before = self.old_snapshots(agent)
        result = agent.run(timeout_s=40)
        self.assertExit(result, *codes)
        self.assertSays(result, text)
        self.assertUntouched(agent, before)
        self.assertEqual(result.created, [])
        self.assertEqual(server.failures, [])
        self.assertGreaterEqual(len(server.calls(fakes.SNAPSHOT)), 1)
        self.assertLess(result.seconds, 15)
        # The operator finds which member it was.
        self.assertSays(result, f"127.0.0.1:{server.port}")


class OddStreams(FaultCase):
    """One test for each of faults.ODDITIES: unusual, and good."""

    def check(self, handler):
        server = self.server(snapshot=handler)
        agent = self.faulty_agent(server)
        self.assertTaken(agent.run(), agent, server)


def _add_tests():
    for name, (handler, codes, text) in FAULTS.items():
        def faulty(self, handler=handler, codes=codes, text=text):
            self.check(handler, codes, text)
        setattr(FaultyStreams, "test_" + name, faulty)
    for name, handler in ODDITIES.items():
        def odd(self, handler=handler):
            self.check(handler)
        setattr(OddStreams, "test_" + name, odd)


_add_tests()


class StreamRules(FaultCase):
    def test_the_plain_stream_is_taken(self):
        server = self.server()
        agent = self.faulty_agent(server)
        self.assertTaken(agent.run(), agent, server)

    def test_the_request_is_grpc(self):
        server = self.server()
        agent = self.faulty_agent(server)
        self.assertCreated(agent.run(), agent)
        (_, headers, body), = server.calls(fakes.SNAPSHOT)
        self.assertEqual(headers[":method"], "POST")
        self.assertEqual(headers["content-type"], "application/grpc")
        self.assertEqual(headers["te"], "trailers")
        self.assertEqual(body, b"\0" * 5)
        self.assertNotIn("expect", headers)

    def test_a_goodbye_in_the_middle_costs_no_truth(self):
        server = self.server(snapshot=goodbye_in_the_middle)
        agent = self.faulty_agent(server)
        before = self.old_snapshots(agent)
        result = agent.run()
        if result.code == 0:
            self.assertTaken(result, agent, server)
        else:
            self.assertExit(result, 65, 69)
            self.assertUntouched(agent, before)

    def test_a_second_attempt_makes_good_and_leaves_one_file(self):
        attempts = []

        def first_bad(stream):
            attempts.append(stream.id)
            if len(attempts) == 1:
                FAULTS["wrong_digest"][0](stream)
            else:
                stream.server.snapshot(stream)
        server = self.server(snapshot=first_bad)
        agent = self.faulty_agent(server)
        agent.etcd["retries"] = 2
        result = agent.run()
        self.assertTaken(result, agent, server)
        failed = result.named("Backup failed")
        self.assertEqual([(line["level"], line["attempt"]) for line in failed], [("warning", "1")])
        self.assertTrue(failed[0]["error"])
        self.assertEqual(result.messages("error"), [])
        self.assertEqual(len(self.snapshots_in(agent)), 1)

    def test_attempts_are_bounded_and_logged(self):
        server = self.server(snapshot=FAULTS["cut_before_the_digest"][0])
        agent = self.faulty_agent(server)
        agent.etcd["retries"] = 2
        before = self.old_snapshots(agent)
        result = agent.run()
        self.assertExit(result, 65)
        self.assertAttempts(result, 3)
        self.assertEqual(len(server.calls(fakes.SNAPSHOT)), 3)
        self.assertGreater(result.seconds, 1.9)  # two intervals of one second
        self.assertUntouched(agent, before)

    def test_the_limit_of_the_cycle_ends_a_stream_that_crawls(self):
        def crawl(stream):
            stream.headers()
            while True:
                stream.data(fakes.snapshot_message(b"\0" * 512, 1 << 30))
                stream.connection.pump()
        server = self.server(snapshot=crawl)
        agent = self.faulty_agent(server)
        agent.policy += "      timeout: 3\n"
        before = self.old_snapshots(agent)
        result = agent.run(timeout_s=30)
        self.assertExit(result, 69)
        self.assertGreater(result.seconds, 2.5)
        self.assertLess(result.seconds, 12)
        self.assertUntouched(agent, before)

    def test_a_huge_message_costs_no_memory(self):
        server = self.server(fakes.database(128 << 10))  # 64 MiB

        def one_message(stream):
            stream.headers()
            stream.data(fakes.snapshot_message(server.database, 0))
            stream.data(fakes.snapshot_message(fakes.digest(server.database), 0))
            stream.trailers()
        server.handlers[fakes.SNAPSHOT] = one_message
        agent = self.faulty_agent(server)
        result = agent.run()
        self.assertTaken(result, agent, server)
        self.assertLess(result.peak_rss_kib, 48 << 10)


class AnswersBeforeTheStream(FaultCase):
    """Status, alarms, health and the token."""

    def test_status_that_is_garbage(self):
        self.failing_status(lambda stream: stream.reply(b"\xff\xff\xff"))

    def test_status_that_stalls(self):
        self.failing_status(lambda stream: stream.stall())

    def test_status_that_is_refused(self):
        result = self.failing_status(lambda stream: stream.headers(
            [("grpc-status", "14"), ("grpc-message", "etcdserver%3A server stopped")], end=True))
        self.assertSays(result, "etcdserver: server stopped")

    def test_status_of_a_web_server(self):
        result = self.failing_status(lambda stream: (
            stream.headers(status="404", content_type="text/html"), stream.data(b"<h1>no</h1>", end=True)))
        self.assertSays(result, "404")

    def test_status_without_end(self):
        def endless(stream):
            stream.headers()
            stream.data(fakes.message(b"", length=0x7FFFFFFF))
            while True:
                stream.data(b"\0" * 65536)
        result = self.failing_status(endless)
        self.assertLess(result.peak_rss_kib, 64 << 10)

    def failing_status(self, handler):
        server = self.server(status=handler)
        agent = self.faulty_agent(server)
        before = self.old_snapshots(agent)
        result = agent.run(timeout_s=40)
        self.assertExit(result, 69)
        self.assertUntouched(agent, before)
        self.assertEqual(server.calls(fakes.SNAPSHOT), [])
        return result

    def unhealthy(self, handler, *texts):
        server = self.server(range=handler)
        agent = self.faulty_agent(server)
        before = self.old_snapshots(agent)
        result = agent.run(timeout_s=40)
        self.assertTaken(result, agent, server)
        for text in texts:
            self.assertSays(result, text, "warning")
        self.assertTrue(result.messages("warning"), str(result))
        after = content(agent.directory)
        self.assertEqual({name: after.get(name) for name in before}, before)

    def test_no_leader_is_a_warning_and_nothing_is_pruned(self):
        self.unhealthy(lambda stream: stream.headers(
            [("grpc-status", "14"), ("grpc-message", "etcdserver: no leader")], end=True), "no leader")

    def test_a_read_that_never_answers_is_a_warning_and_nothing_is_pruned(self):
        self.unhealthy(lambda stream: stream.stall())

    def test_no_permission_to_read_is_an_answer(self):
        server = self.server(range=lambda stream: stream.headers(
            [("grpc-status", "7"), ("grpc-message", "etcdserver: permission denied")], end=True))
        agent = self.faulty_agent(server)
        result = agent.run()
        self.assertTaken(result, agent, server)
        self.assertEqual(result.messages("warning"), [])

    def test_the_token_goes_with_the_calls(self):
        server = self.server()
        agent = self.faulty_agent(server)
        agent.use_password("s3same-open")
        self.assertTaken(agent.run(), agent, server)
        self.assertEqual(len(server.calls(fakes.AUTHENTICATE)), 1)
        body = server.calls(fakes.AUTHENTICATE)[0][2]
        self.assertEqual(body, fakes.message(fakes.field(1, "root") + fakes.field(2, "s3same-open")))
        self.assertEqual(server.calls(fakes.SNAPSHOT)[0][1].get("token"), server.token)
