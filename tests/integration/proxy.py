"""A TCP proxy between the agent and a real etcd: slow, or dying in the middle.

Works on bytes alone, so it does for TLS as well. Rates and limits hold for the way from etcd to the
agent; small socket buffers keep what is in flight small.
"""
import contextlib
import socket
import threading
import time

BUFFER_BYTES = 16 << 10


class Proxy:
    """Listens on a port of its own. `bytes_per_s`: the rate of one connection. `die_after`: bytes
    after which a connection is cut; `deaths`: how many connections die so (None: every one).
    `hold_after`: bytes after which nothing comes any more on a connection that stays."""

    def __init__(self, target_port, bytes_per_s=None, die_after=None, deaths=None, hold_after=None):
        self.target_port, self.bytes_per_s = target_port, bytes_per_s
        self.die_after, self.deaths, self.hold_after = die_after, deaths, hold_after
        self.connections = 0
        self.forwarded = 0  # bytes from etcd to the agent, all connections
        self.stopping = threading.Event()
        self.guard = threading.Lock()
        self.open = set()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(16)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def endpoint(self, scheme="http"):
        return f"{scheme}://127.0.0.1:{self.port}"

    def accept(self):
        while True:
            try:
                agent, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket()
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            try:
                server.connect(("127.0.0.1", self.target_port))
            except OSError:
                agent.close()
                server.close()
                continue
            with self.guard:
                self.connections += 1
                self.open |= {agent, server}
            threading.Thread(target=self.forward, args=(agent, server), daemon=True).start()
            threading.Thread(target=self.throttle, args=(server, agent), daemon=True).start()

    def forward(self, source, sink):
        with contextlib.suppress(OSError):
            while piece := source.recv(BUFFER_BYTES):
                sink.sendall(piece)
        self.close(source, sink)

    def throttle(self, source, sink):
        began, sent = time.monotonic(), 0
        with contextlib.suppress(OSError):
            while piece := source.recv(BUFFER_BYTES):
                if self.hold_after is not None:
                    piece = piece[:self.hold_after - sent]
                sink.sendall(piece)
                sent += len(piece)
                with self.guard:
                    self.forwarded += len(piece)
                    if self.die_after is not None and sent >= self.die_after and self.deaths != 0:
                        self.deaths = None if self.deaths is None else self.deaths - 1
                        break
                if sent == self.hold_after:
                    self.stopping.wait()
                    break
                if self.bytes_per_s:
                    ahead = sent / self.bytes_per_s - (time.monotonic() - began)
                    if ahead > 0 and self.stopping.wait(ahead):
                        break
        self.close(source, sink)

    def close(self, *sockets):
        for end in sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            with self.guard:
                self.open.discard(end)
            end.close()

    def stop(self):
        self.stopping.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.guard:
            rest = list(self.open)
        self.close(*rest)
