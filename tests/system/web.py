"""What stands in for the world outside of the host: a bucket that refuses everything, a proxy that lets nothing
through, and a bucket that hangs. The first two note what they were asked."""
import http.server
import re
import threading

DENIED = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>AccessDenied</Code><Message>Access Denied</Message><RequestId>1</RequestId></Error>"""
BEGUN = b"""<?xml version="1.0" encoding="UTF-8"?>
<InitiateMultipartUploadResult><Bucket>backups</Bucket><Key>k</Key><UploadId>1</UploadId>
</InitiateMultipartUploadResult>"""


class Refusing:
    """Answers every request with 403. `status` and `body` are those of S3; a proxy's are up to its caller."""

    def __init__(self, body=DENIED, port=0):
        self.requests = []  # (method, path, Authorization header)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                outer.requests.append((self.command, self.path, self.headers.get("Authorization", "")))
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(403)
                self.send_header("Content-Type", "application/xml")
                self.send_header("Content-Length", str(0 if self.command == "HEAD" else len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_CONNECT = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.address = "127.0.0.1:%d" % self.server.server_address[1]
        self.url = "http://" + self.address
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def access_keys(self):
        """Those that requests were signed with (the scope of Signature Version 4 begins with the key)."""
        return {found.group(1) for _, _, header in self.requests
                if (found := re.search(r"Credential=([^/]+)/", header))}


class Hanging:
    """A bucket that begins every upload and then says nothing more: neither to its parts nor to the request to
    abort it."""

    def __init__(self):
        ended = self.ended = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status, body=b""):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_HEAD(self):
                self.answer(404)

            def do_POST(self):
                self.answer(200, BEGUN)

            def hang(self):
                ended.wait()
                self.close_connection = True

            do_GET = do_PUT = do_DELETE = hang

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()
