"""A way to etcd that can be narrowed or shut in the middle of a stream: passes TLS on as it is, byte by
byte, and counts what etcd sends. With it "in the middle" is a place and no matter of luck.

    with Valve(rate=8 << 20) as valve:        # 8 MiB a second
    with Valve(hold_after=16 << 20) as valve: # nothing more after 16 MiB, until valve.open()
        valve.url                             # for [etcd] endpoints
        valve.held.wait(30)
"""
import contextlib
import socket
import threading
import time

PIECE = 64 << 10


class Valve:
    def __init__(self, host="127.0.0.1", port=2379, rate=None, hold_after=None):
        self.target, self.rate, self.hold_after = (host, port), rate, hold_after
        self.passed = 0  # bytes from etcd, of all connections
        self.held, self.opened = threading.Event(), threading.Event()
        self.connections = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.open()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # close() alone would let accept() go on
        self.listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def open(self):
        """Lets everything through from now on, as fast as it comes."""
        self.rate = self.hold_after = None
        self.opened.set()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target)
            except OSError:
                client.close()
                continue
            # What waits in buffers on the way has been asked of etcd, but not seen by the agent.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
            self.connections += [client, server]
            threading.Thread(target=self.carry, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self.carry, args=(server, client, True), daemon=True).start()

    def carry(self, source, sink, counted):
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                if counted:
                    self.account(len(piece))
                sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def account(self, count):
        self.passed += count
        if self.hold_after is not None and self.passed > self.hold_after:
            self.held.set()
            self.opened.wait()
        if self.rate:
            time.sleep(count / self.rate)
