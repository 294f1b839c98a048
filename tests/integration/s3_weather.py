"""Bad weather between the agent and S3: a proxy of HTTP/1.1 that does what rules say, or a server of its own.

Weather passes every request on to a real gateway's plain port, with the Host header as it came, so
that signatures stay good; in front of it speaks plain HTTP or TLS with any certificate (pki.py:
server, expired(), elsewhere(), other_authority()). A rule says on which requests what happens
instead; what happens is a function of one Exchange (s3_faults.py makes them). All requests are recorded.
"""
import contextlib
import http.client
import re
import socket
import ssl
import struct
import threading
import time
import urllib.parse

PIECE_BYTES, HEAD_BYTES, KEPT_BODY_BYTES = 64 << 10, 64 << 10, 1 << 20
CONNECTIONS = 64
IDLE_S = 120
HOP_HEADERS = {"connection", "expect", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"}


class Gone(Exception):
    """The connection ended, on purpose or not; the handler just lets it pass."""


class Reset(Gone):
    """It is to end with RST."""


# --- listening ----------------------------------------------------------------------------------------
class Listener:
    """A port on loopback with a thread for each connection; serve(link) answers one. tls: a pki.Pair."""

    def __init__(self, tls=None):
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(tls.cert, tls.key)
        self.stopping = threading.Event()
        self.guard = threading.Lock()
        self.links, self.threads = set(), set()
        self.failures = []  # what broke inside: a test must look
        self.connections = self.handshakes_failed = 0
        self.room = threading.BoundedSemaphore(CONNECTIONS)
        self.socket, self.port = None, 0
        self.up()

    def up(self):
        """Listens (again), on the same port."""
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", self.port))
        self.socket.listen(CONNECTIONS)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.socket,), daemon=True).start()

    def down(self):
        """Nobody listens: connections are refused, those that were open end."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        with self.guard:
            links = list(self.links)
        for link in links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)  # wakes its thread up, which closes it

    def stop(self):
        self.stopping.set()
        self.down()
        with self.guard:
            threads = list(self.threads)
        for thread in threads:
            thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def accept(self, listening):
        while True:
            try:
                link, _ = listening.accept()
            except OSError:
                return
            if not self.room.acquire(blocking=False):
                self.failures.append(AssertionError(f"more than {CONNECTIONS} connections at a time"))
                link.close()
                continue
            thread = threading.Thread(target=self.work, args=(link,), daemon=True)
            with self.guard:
                self.connections += 1
                self.links.add(link)
                self.threads.add(thread)
            thread.start()

    def work(self, plain):
        link, ending = plain, None
        try:
            plain.settimeout(IDLE_S)
            link = self.secured(plain)
            self.serve(link)
        except (Gone, OSError, http.client.HTTPException) as over:
            ending = over
        except Exception as failure:
            self.failures.append(failure)
        finally:
            with contextlib.suppress(OSError):
                if isinstance(ending, Reset):  # close() sends RST, if nothing was shut down before
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    link.shutdown(socket.SHUT_RDWR)
            link.close()
            with self.guard:
                self.links -= {plain, link}
                self.threads.discard(threading.current_thread())
            self.room.release()

    def secured(self, plain):
        if not self.context:
            return plain
        link = self.context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        with self.guard:
            self.links.add(link)
        try:
            link.do_handshake()
        except OSError:
            self.handshakes_failed += 1
            link.close()
            raise
        return link

    def serve(self, link):
        raise NotImplementedError

    def pause(self, seconds):
        if self.stopping.wait(seconds):
            raise Gone


class Reader:
    """Heads, lines and counted bytes from a socket."""

    def __init__(self, link):
        self.link, self.rest = link, b""

    def more(self):
        data = self.link.recv(PIECE_BYTES)
        if not data:
            raise Gone
        self.rest += data

    def until(self, mark):
        while (end := self.rest.find(mark)) < 0:
            if len(self.rest) > HEAD_BYTES:
                raise Gone
            self.more()
        found, self.rest = self.rest[:end], self.rest[end + len(mark):]
        return found

    def some(self, most):
        if not self.rest:
            self.more()
        piece, self.rest = self.rest[:most], self.rest[most:]
        return piece


def head_of(reader):
    """(request line's three words, [(name, value)])."""
    lines = reader.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3:
        raise Gone
    return words, [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]


# --- what was asked -----------------------------------------------------------------------------------
class Seen:
    """One request. `path` as it came, encoded; `query` a dict, decoded; header names in lower case.
    `body`: of POST only. status: what was answered, upstream_status: what the real server said (0: nothing)."""

    def __init__(self, method, target, fields):
        self.method, self.target = method, target
        self.path, _, self.raw_query = target.partition("?")
        self.query = dict(urllib.parse.parse_qsl(self.raw_query, keep_blank_values=True))
        self.fields = fields
        self.headers = {name.lower(): value for name, value in fields}
        self.body, self.body_bytes = b"", 0
        self.status, self.upstream_status, self.rule = 0, 0, None
        self.began, self.ended = time.monotonic(), None

    @property
    def key(self):
        return urllib.parse.unquote(self.path)

    def __repr__(self):
        return f"{self.method} {self.path}?{self.raw_query} ({self.body_bytes} bytes) -> {self.status}"


class Exchange:
    """One request and its answer, as an action sees it."""

    def __init__(self, weather, link, reader, seen):
        self.weather, self.link, self.reader, self.seen = weather, link, reader, seen
        self.keep = "close" not in seen.headers.get("connection", "").lower()
        self.body_read = False

    # --- the request's body ---------------------------------------------------------------------------
    def pieces(self):
        """The body as it arrives."""
        if self.body_read:
            return
        self.body_read = True
        if self.seen.headers.get("expect", "").lower() == "100-continue":
            self.link.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in self.seen.headers.get("transfer-encoding", "").lower():
            while size := int(self.reader.until(b"\r\n").split(b";")[0], 16):
                yield from self.counted(size)
                self.reader.until(b"\r\n")
            while self.reader.until(b"\r\n"):
                pass
        else:
            yield from self.counted(int(self.seen.headers.get("content-length", 0)))

    def counted(self, size):
        while size:
            piece = self.reader.some(min(size, PIECE_BYTES))
            size -= len(piece)
            self.seen.body_bytes += len(piece)
            if self.seen.method == "POST" and len(self.seen.body) < KEPT_BODY_BYTES:
                self.seen.body += piece
            yield piece

    def drain(self):
        for _ in self.pieces():
            pass

    # --- answering ------------------------------------------------------------------------------------
    def carry_out(self, without=()):
        """The request at the real server, less the headers `without`: (upstream connection, answer)."""
        weather = self.weather
        upstream = http.client.HTTPConnection("127.0.0.1", weather.upstream_port, timeout=IDLE_S)
        upstream.putrequest(self.seen.method, self.seen.target, skip_host=True, skip_accept_encoding=True)
        for name, value in self.seen.fields:
            if name.lower() not in HOP_HEADERS and name.lower() not in without:
                upstream.putheader(name, value)
        upstream.endheaders()
        chunked = "transfer-encoding" in self.seen.headers
        for piece in self.pieces():
            # A server that has refused reads no further; its answer is there all the same.
            with contextlib.suppress(OSError):
                upstream.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            with contextlib.suppress(OSError):
                upstream.send(b"0\r\n\r\n")
        answer = upstream.getresponse()
        self.seen.upstream_status = answer.status
        return upstream, answer

    def forward(self, bytes_per_s=None, cut_after=None, without=()):
        """As if nobody stood between. Slowly, or only so many bytes of the answer's body."""
        upstream, answer = self.carry_out(without)
        with contextlib.closing(upstream):
            length = answer.getheader("content-length")
            bodiless = self.seen.method == "HEAD" or answer.status in (204, 304)
            fields = [(name, value) for name, value in answer.getheaders()
                      if name.lower() not in HOP_HEADERS | {"transfer-encoding"}]
            if length is None and not bodiless:
                fields.append(("Transfer-Encoding", "chunked"))
            self.send_head(answer.status, fields, answer.reason)
            sent, most = 0, min(PIECE_BYTES, max(1, bytes_per_s // 10)) if bytes_per_s else PIECE_BYTES
            while not bodiless and (piece := answer.read1(most)):
                if cut_after is not None:
                    piece = piece[:cut_after - sent]
                self.link.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if length is None and piece else piece)
                sent += len(piece)
                if sent == cut_after:
                    self.close()
                if bytes_per_s:
                    self.weather.pause(len(piece) / bytes_per_s)
            if length is None and not bodiless:
                self.link.sendall(b"0\r\n\r\n")

    def send_head(self, status, fields, reason=None):
        self.seen.status = status
        lines = [f"HTTP/1.1 {status} {reason or http.client.responses.get(status, 'Odd')}"]
        lines += [f"{name}: {value}" for name, value in fields]
        self.link.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def answer(self, status, body=b"", fields=None, length=None, drain=True):
        """An answer of our own. `length`: what Content-Length claims, if not the truth."""
        if drain:
            self.drain()
        data = body.encode() if isinstance(body, str) else body
        named = dict(fields or {})
        named.setdefault("Content-Type", "application/xml")
        named["Content-Length"] = len(data) if length is None else length
        if not drain:
            named["Connection"] = "close"
        self.send_head(status, named.items())
        if self.seen.method != "HEAD":
            self.link.sendall(data)
        if not drain:
            self.linger()
        if not drain or named["Content-Length"] != len(data):
            self.close()

    def linger(self, seconds=3):
        """Lets the other side read what was sent: closing with bytes unread would send RST."""
        self.link.shutdown(socket.SHUT_WR)
        self.link.settimeout(0.2)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.weather.stopping.is_set():
            with contextlib.suppress(TimeoutError):
                if not self.link.recv(PIECE_BYTES):
                    return

    def reset(self):
        raise Reset

    def close(self):
        raise Gone

    def stall(self, seconds=3600):
        self.weather.pause(seconds)


class Rule:
    """When what happens; `skip` matching requests pass first, then `times` are held (None: all)."""

    def __init__(self, act, method, path, query, headers, skip, times):
        self.act, self.method, self.skip, self.times = act, method, skip, times
        self.path, self.query = re.compile(path), re.compile(query)
        self.headers = {name.lower(): re.compile(value) for name, value in headers.items()}
        self.hits = 0  # requests it was applied to

    def matches(self, seen):
        return (self.method in (None, seen.method) and self.path.search(seen.key)
                and self.query.search(seen.raw_query)
                and all(name in seen.headers and value.search(seen.headers[name])
                        for name, value in self.headers.items()))

    def due(self):
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        self.hits += 1
        return True


class Weather(Listener):
    """In front of the gateway's plain port; upstream_port=None: what no rule answers gets 404."""

    def __init__(self, upstream_port=None, tls=None):
        self.upstream_port = upstream_port
        self.rules, self.requests = [], []
        self.under_way = self.most_under_way = 0
        super().__init__(tls)

    @property
    def endpoint(self):
        """As `endpoint` of cluster.yml, path style."""
        return f"127.0.0.1:{self.port}" if self.context else f"http://127.0.0.1:{self.port}"

    def when(self, act, method=None, path="", query="", headers=None, skip=0, times=1):
        """A rule; regular expressions search in the decoded path ("/bucket/folder/name"), the raw
        query and header values. The first rule that is due decides. Returns it, for `hits`."""
        rule = Rule(act, method, path, query, headers or {}, skip, times)
        with self.guard:
            self.rules.append(rule)
        return rule

    def clear(self):
        """Fine weather again; forgets what was recorded as well."""
        with self.guard:
            self.rules, self.requests = [], []
            self.most_under_way = self.under_way

    def calls(self, method=None, path="", query=""):
        """Recorded requests, in the order in which they came."""
        with self.guard:
            return [seen for seen in self.requests if method in (None, seen.method)
                    and re.search(path, seen.key) and re.search(query, seen.raw_query)]

    def serve(self, link):
        reader = Reader(link)
        while True:
            (method, target, _), fields = head_of(reader)
            if not self.handle(Exchange(self, link, reader, Seen(method, target, fields))):
                return

    def handle(self, exchange):
        """One request; whether the connection goes on."""
        seen = exchange.seen
        with self.guard:
            self.requests.append(seen)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            seen.rule = next((rule for rule in self.rules if rule.matches(seen) and rule.due()), None)
        try:
            if seen.rule:
                seen.rule.act(exchange)
            elif self.upstream_port is None:
                exchange.answer(404, "<Error><Code>NoSuchKey</Code></Error>")
            else:
                exchange.forward()
            exchange.drain()
            return exchange.keep
        finally:
            seen.ended = time.monotonic()
            with self.guard:
                self.under_way -= 1
