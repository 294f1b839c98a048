"""Waits that would not end by themselves: a peer that is there, and sends, but does not go on.

Each run ends within twice the stall time, and is not repeated: such a peer does the same again.
"""
import os
import socket
import struct
import threading
import time

import etcd
import etcd35
import fakes
import s3_faults as wx
from case import Case
from s3storm import StormCase
from test_faults import FaultCase

STALL_S = 3
CUT_BYTES = 6_000_000
UNREADABLE = "cannot read its database file to the end"


class StallCase(Case):
    def assertEndsInTime(self, result, code, *texts):
        self.assertExit(result, code)
        for text in texts:
            self.assertSays(result, text)
        self.assertLess(result.seconds, 2 * STALL_S)
        if code == 69:
            self.assertAttempts(result, 1)


class CutFile:
    """A member whose database file ends before its database does. It takes the end of the file, or an
    error while it reads, for nothing to send at this moment, and so for ever."""

    def move_down(self, member, database):
        """etcd reads a few pages of its tree before it streams, and dies where they are missing. Each
        write puts them elsewhere; pages that became free are low ones."""
        for number in range(60):
            with open(database, "rb") as file:
                head = file.read(8192)
            # The root's page, in both of bbolt's meta pages (go.etcd.io/bbolt db.go, type meta).
            roots = [struct.unpack_from("<Q", head, page + 32)[0] for page in (0, 4096)]
            if number > 0 and all((root + 64) * 4096 < CUT_BYTES for root in roots):
                return
            member.put(f"/small/{number}", "x")
            time.sleep(0.15)  # more than its interval between writes
        self.fail(f"the roots stay on pages {roots}")

    def test_it(self):
        member = self.member(programs=self.release())
        member.fill(10 << 20, 64 << 10)
        agent = self.agent(member.endpoint)
        agent.etcd.update(stall_timeout_s=STALL_S, retries=4)
        before = self.old_snapshots(agent)
        database = os.path.join(member.data_dir, "member", "snap", "db")
        self.move_down(member, database)
        os.truncate(database, CUT_BYTES)
        result = agent.run(timeout_s=60)
        self.assertEndsInTime(result, 69, UNREADABLE, "were still to come", member.endpoint)
        self.assertSays(result, "etcdctl member remove")
        self.assertUntouched(agent, before)


class CutFile34(CutFile, StallCase):
    @classmethod
    def release(cls):
        return etcd.HOST


class CutFile35(CutFile, StallCase):
    @classmethod
    def release(cls):
        return etcd35.programs()


class BusyMembers(StallCase, FaultCase):
    def busy(self, *texts, **handlers):
        server = self.server(**handlers)
        agent = self.agent(server.endpoint)
        agent.etcd.update(connect_timeout_s=2, stall_timeout_s=STALL_S, retries=4)
        before = self.old_snapshots(agent)
        result = agent.run(timeout_s=60)
        self.assertEndsInTime(result, 69, f"127.0.0.1:{server.port}", *texts)
        self.assertUntouched(agent, before)
        self.assertEqual(server.failures, [])

    def repeat(self, action, first=lambda stream: None, every=1):
        """A handler that begins a good stream and then does the same until the agent goes away."""
        def handler(stream):
            stream.headers()
            first(stream)
            while True:
                action(stream)
                for _ in range(every):
                    stream.connection.pump()
        return handler

    def begin(self, stream):
        stream.server.send_pieces(stream, until=16384)

    def test_empty_messages_as_fast_as_they_go(self):
        def flood(stream):
            stream.headers()
            self.begin(stream)
            while True:
                stream.data(fakes.snapshot_message(b"", 16384))
        self.busy(UNREADABLE, snapshot=flood)

    def test_empty_messages_now_and_then(self):
        empty = fakes.snapshot_message(b"", 16384, "3.6.0")
        self.busy(UNREADABLE, snapshot=self.repeat(lambda stream: stream.data(empty), self.begin, 3))

    def test_pings_in_the_middle(self):
        self.busy("no progress", snapshot=self.repeat(fakes.Stream.ping, self.begin))

    def test_pings_before_anything(self):
        def ping(stream):
            while True:
                stream.ping()
                stream.connection.pump()
        self.busy("no progress", snapshot=ping)
        self.busy("no progress", status=ping)

    def test_empty_frames_of_data(self):
        def frame(stream):
            stream.connection.send(lambda http: http.send_data(stream.id, b""))
        self.busy("no progress", snapshot=self.repeat(frame, self.begin))

    def test_a_database_that_comes_byte_by_byte(self):
        def byte(stream):
            stream.data(fakes.snapshot_message(b"x", 16384))
        self.busy("too slow", snapshot=self.repeat(byte, self.begin))

    def test_a_message_that_comes_byte_by_byte(self):
        # A field that is passed over, of 1 GiB.
        head = fakes.message(b"\x2a\x80\x80\x80\x80\x04", length=(1 << 30) + 6)
        self.busy("no progress", snapshot=self.repeat(lambda stream: stream.data(b"x"),
                                                      lambda stream: stream.data(head)))

    def test_a_handshake_that_comes_byte_by_byte(self):
        """The connection has its own time, and is tried again."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        stopping = threading.Event()
        self.addCleanup(stopping.set)

        def serve(link):
            with link:
                link.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xf0")
                while not stopping.wait(0.1):
                    link.sendall(b"\0")

        def accept():
            while True:
                try:
                    link, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=self.quietly, args=(serve, link), daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()
        agent = self.agent(f"https://127.0.0.1:{listener.getsockname()[1]}")
        agent.etcd.update(connect_timeout_s=2, stall_timeout_s=60, retries=0)
        result = agent.run(timeout_s=60)
        self.assertEndsInTime(result, 69)

    @staticmethod
    def quietly(function, link):
        try:
            function(link)
        except OSError:
            pass


class BusyBuckets(StallCase, StormCase):
    def stalling(self, action, method, query, *texts, error="ListObjectsV2"):
        bucket, weather = self.bucket(), self.weather()
        host = self.fresh_host(bucket, weather)
        host.section("s3").update(stall_timeout_s=STALL_S, retries=5)
        self.assertExit(host.cycle(), 0)
        rule = weather.when(action, method, query=query, times=None)
        result = self.storm(host, error, texts)
        self.assertLess(result.seconds, 2 * STALL_S)
        self.assertEqual(rule.hits, 1)
        weather.clear()
        self.calm(host, bucket)

    def test_one_byte_of_a_list_a_second(self):
        self.stalling(wx.trickle(1), "GET", "list-type", "stall_timeout_s")

    def test_interim_answers_without_end(self):
        self.stalling(wx.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"), "GET", "list-type", "stall_timeout_s")

    def test_headers_without_end(self):
        self.stalling(wx.repeat(b"X-Header: value\r\n", b"HTTP/1.1 200 OK\r\n"), "GET", "list-type", "stall_timeout_s")

    def test_a_chunk_whose_head_does_not_end(self):
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;name="
        self.stalling(wx.repeat(b"x", head), "GET", "list-type", "stall_timeout_s")
