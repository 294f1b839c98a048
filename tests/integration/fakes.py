"""A gRPC server over HTTP/2 with prior knowledge that answers as etcd does, or wrongly on purpose.

A FaultServer answers every method with a handler; a handler is a function of one Stream, which it
writes headers, bytes and trailers to. What a handler does not say is not sent: a handler that returns
without trailers leaves the stream open until the server stops. The faults themselves are in faults.py.

Field numbers: etcd api/etcdserverpb/rpc.proto. Framing and trailers: gRPC over HTTP/2
(grpc/grpc doc/PROTOCOL-HTTP2.md).
"""
import contextlib
import hashlib
import os
import socket
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from hyperframe.frame import GoAwayFrame

SNAPSHOT = "/etcdserverpb.Maintenance/Snapshot"
STATUS = "/etcdserverpb.Maintenance/Status"
ALARM = "/etcdserverpb.Maintenance/Alarm"
RANGE = "/etcdserverpb.KV/Range"
AUTHENTICATE = "/etcdserverpb.Auth/Authenticate"


# --- protobuf and gRPC, as far as needed -----------------------------------------------------------
def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    """A varint field of an int, a length-delimited one of bytes or str."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value & (1 << 64) - 1)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def message(payload, compressed=0, length=None):
    return bytes([compressed]) + (len(payload) if length is None else length).to_bytes(4, "big") + payload


def snapshot_message(blob=b"", remaining=None, version=None):
    payload = b"" if remaining is None else field(2, remaining)
    if blob:
        payload += field(3, blob)
    if version:
        payload += field(4, version)
    return message(payload)


def database(pages=64):
    """Bytes that pass for a database: whole pages of 512 bytes. They do not compress."""
    return os.urandom(512 * pages)


def digest(data):
    return hashlib.sha256(data).digest()


class Stopped(Exception):
    """The connection ended or the server stops; a handler just lets it pass."""


class Stream:
    """One call, as a handler sees it."""

    def __init__(self, connection, stream_id, path, headers):
        self.connection, self.id, self.path, self.request_headers = connection, stream_id, path, headers
        self.server = connection.server
        self.body = b""

    def headers(self, fields=(), status="200", content_type="application/grpc", end=False):
        head = [(":status", status), ("content-type", content_type), *fields]
        self.connection.send(lambda http: http.send_headers(self.id, head, end_stream=end))

    def data(self, data, end=False):
        """In DATA frames as the peer's windows allow."""
        view = memoryview(data)
        while len(view):
            room = self.connection.window(self.id)
            piece, view = view[:room], view[room:]
            self.connection.send(lambda http, piece=piece: http.send_data(self.id, bytes(piece)))
        if end:
            self.connection.send(lambda http: http.end_stream(self.id))

    def trailers(self, status="0", text=None):
        """`text` goes out as it is: percent-encode it where it should be."""
        fields = [("grpc-status", status)] + ([("grpc-message", text)] if text is not None else [])
        self.connection.send(lambda http: http.send_headers(self.id, fields, end_stream=True))

    def reply(self, payload):
        self.headers()
        self.data(message(payload))
        self.trailers()

    def reset(self, code=h2.errors.ErrorCodes.INTERNAL_ERROR):
        self.connection.send(lambda http: http.reset_stream(self.id, code))

    def goodbye(self):
        """GOAWAY without error: no new streams, this one goes on. h2 itself would end the connection."""
        self.connection.raw(GoAwayFrame(0, last_stream_id=self.id, error_code=0).serialize())

    def ping(self):
        self.connection.send(lambda http: http.ping(b"midway!!"))

    def hang_up(self):
        """Closes the TCP connection without a word of HTTP/2."""
        raise Stopped

    def stall(self):
        """Says nothing more, until the agent goes away or the server stops."""
        while True:
            self.connection.pump()


class Connection:
    """One agent's connection, on a thread of its own: handlers run one after another."""

    def __init__(self, server, link):
        self.server, self.link = server, link
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="utf-8", validate_outbound_headers=False,
            normalize_outbound_headers=False))
        self.streams, self.ready, self.gone = {}, [], set()

    def run(self):
        self.link.settimeout(0.1)
        with contextlib.suppress(Stopped, OSError, h2.exceptions.ProtocolError):
            self.http.initiate_connection()
            self.flush()
            while True:
                while not self.ready:
                    self.pump()
                stream = self.ready.pop(0)
                self.server.answer(stream)
        with contextlib.suppress(OSError):
            self.link.shutdown(socket.SHUT_RDWR)
        self.link.close()

    def flush(self):
        self.raw(self.http.data_to_send())

    def raw(self, data):
        while data:
            try:
                data = data[self.link.send(data):]
            except TimeoutError:
                if self.server.stopping.is_set():
                    raise Stopped from None

    def send(self, action):
        try:
            action(self.http)
        except h2.exceptions.StreamClosedError:
            raise Stopped from None
        self.flush()

    def window(self, stream_id):
        """How much DATA may go out at once; waits until it is not nothing."""
        while True:
            if stream_id in self.gone:
                raise Stopped
            room = min(self.http.local_flow_control_window(stream_id), self.http.max_outbound_frame_size)
            if room > 0:
                return room
            self.pump()

    def pump(self):
        """Takes what the agent sent, for a tenth of a second at most."""
        if self.server.stopping.is_set():
            raise Stopped
        try:
            data = self.link.recv(65536)
        except TimeoutError:
            return
        if not data:
            raise Stopped
        for event in self.http.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                headers = dict(event.headers)
                self.streams[event.stream_id] = Stream(self, event.stream_id, headers[":path"], headers)
            elif isinstance(event, h2.events.DataReceived):
                self.streams[event.stream_id].body += event.data
                self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.ready.append(self.streams[event.stream_id])
            elif isinstance(event, h2.events.StreamReset):
                self.gone.add(event.stream_id)
            elif isinstance(event, h2.events.ConnectionTerminated):
                raise Stopped
        self.flush()


class FaultServer:
    """Listens on loopback. Attributes are what it answers; `handlers` overrides whole methods."""

    def __init__(self, data=None, **handlers):
        self.database = database() if data is None else data
        self.cluster_id, self.member_id, self.revision = 0xC0FFEE, 0xBEEF, 100
        self.version, self.database_size = "3.5.16", None  # None: the size of `database`
        self.alarms = []  # (member id, alarm): 1 NOSPACE, 2 CORRUPT
        self.errors = []  # of StatusResponse: what etcd 3.4 and later say of alarms and a missing leader
        self.token = "token-of-the-fake"
        self.handlers = {STATUS: self.status, ALARM: self.alarm, RANGE: self.range,
                         AUTHENTICATE: self.authenticate, SNAPSHOT: self.snapshot}
        for name, handler in handlers.items():
            self.handlers[globals()[name.upper()]] = handler
        self.requests = []  # (path, headers, body) in order
        self.failures = []  # what broke inside a handler: a test must look
        self.stopping = threading.Event()
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(16)
        self.port = self.listener.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=Connection(self, link).run, daemon=True).start()

    def answer(self, stream):
        self.requests.append((stream.path, stream.request_headers, stream.body))
        handler = self.handlers.get(stream.path)
        try:
            if handler is None:
                stream.headers([("grpc-status", "12"), ("grpc-message", "unknown method")], end=True)
            else:
                handler(stream)
        except (Stopped, OSError):
            raise
        except Exception as failure:
            self.failures.append(failure)
            raise Stopped from failure

    def calls(self, path):
        return [request for request in self.requests if request[0] == path]

    def header(self):
        return field(1, self.cluster_id) + field(2, self.member_id) + field(3, self.revision) + field(4, 7)

    def status(self, stream):
        size = len(self.database) if self.database_size is None else self.database_size
        stream.reply(field(1, self.header()) + field(2, self.version) + field(3, size)
                     + field(4, self.member_id) + field(5, 500) + field(6, 7)
                     + b"".join(field(8, error) for error in self.errors))

    def alarm(self, stream):
        entries = b"".join(field(2, field(1, member) + field(2, kind)) for member, kind in self.alarms)
        stream.reply(field(1, self.header()) + entries)

    def range(self, stream):
        stream.reply(field(1, self.header()))

    def authenticate(self, stream):
        stream.reply(field(1, self.header()) + field(2, self.token))

    def snapshot(self, stream):
        """As etcd does it: pieces with what remains, then the digest in a message of its own."""
        stream.headers()
        self.send_pieces(stream)
        stream.data(snapshot_message(digest(self.database), 0))
        stream.trailers()

    def send_pieces(self, stream, until=None, piece_bytes=8 << 10, version=None):
        """The database's messages, without the digest; `until` ends them early."""
        whole = self.database
        for start in range(0, len(whole) if until is None else until, piece_bytes):
            piece = whole[start:start + piece_bytes]
            stream.data(snapshot_message(piece, len(whole) - start - len(piece), version))

    def stop(self):
        self.stopping.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
