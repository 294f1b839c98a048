"""A web proxy on loopback, as `proxy =` of etcd-snapshot.conf names it."""
import base64
import http.client
import select
import socket
import urllib.parse

from s3_weather import PIECE_BYTES, Listener, Reader, head_of


class ForwardProxy(Listener):
    """CONNECT, and plain HTTP in absolute form. Whatever host is asked for, it goes to
    127.0.0.1. With `password` it wants Basic credentials; `refuse`: the status it answers to all."""

    def __init__(self, user=None, password=None, refuse=None, tls=None):
        self.wanted, self.refuse = None, refuse
        if password is not None:
            self.wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.asked = []  # (method, "host:port", whether it was let through)
        super().__init__(tls)

    @property
    def targets(self):
        """host:port of all that was let through."""
        return [target for _, target, let in self.asked if let]

    def serve(self, link):
        reader = Reader(link)
        (method, target, _), fields = head_of(reader)
        headers = {name.lower(): value for name, value in fields}
        parts = urllib.parse.urlsplit(target if method != "CONNECT" else "//" + target)
        let = self.refuse is None and self.wanted in (None, headers.get("proxy-authorization"))
        self.asked.append((method, f"{parts.hostname}:{parts.port or 80}", let))
        if not let:
            status, more = (self.refuse, "") if self.refuse else (407, 'Proxy-Authenticate: Basic realm="lab"\r\n')
            body = f"<html><body>{http.client.responses[status]}</body></html>"
            link.sendall((f"HTTP/1.1 {status} {http.client.responses[status]}\r\n{more}Content-Type: text/html\r\n"
                          f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}").encode())
            return
        with socket.create_connection(("127.0.0.1", parts.port or 80), 10) as server:
            if method == "CONNECT":
                link.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:  # one request each: the next one on this connection may be for another host
                path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
                kept = [f"{name}: {value}" for name, value in fields
                        if name.lower() not in ("connection", "proxy-connection", "proxy-authorization")]
                head = "\r\n".join([f"{method} {path} HTTP/1.1", *kept, "Connection: close"])
                server.sendall((head + "\r\n\r\n").encode("latin-1"))
            server.sendall(reader.rest)
            self.relay(link, server)

    def relay(self, link, server):
        other = {link: server, server: link}
        while not self.stopping.is_set():
            # What TLS has decrypted already select() does not see.
            pending = [link] if self.context and link.pending() else []
            for source in pending or select.select([link, server], [], [], 0.2)[0]:
                data = source.recv(PIECE_BYTES)
                if not data:
                    return
                other[source].sendall(data)
