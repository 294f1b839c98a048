"""What stands in for the world outside of the host: a bucket that refuses everything, a proxy that lets nothing
through, a bucket that hangs, and one that works. The first two note what they were asked."""
import hashlib
import http.server
import re
import threading
import urllib.parse

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


class Keeping:
    """A bucket that works, in memory: what an upload in parts, a list and a delete need, and no more. Path-style;
    `objects` is what it holds, by key."""

    def __init__(self):
        objects, uploads = self.objects, self.uploads = {}, {}

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status, body=b"", **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def asked(self):
                url = urllib.parse.urlsplit(self.path)
                parts = urllib.parse.unquote(url.path).lstrip("/").split("/", 1)
                query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
                return (parts[1] if len(parts) > 1 else ""), query

            def body(self):
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))

            def xml(self, text):
                self.answer(200, b'<?xml version="1.0" encoding="UTF-8"?>\n' + text.encode(),
                            Content_Type="application/xml")

            def do_PUT(self):
                (key, query), data = self.asked(), self.body()
                tag = hashlib.md5(data).hexdigest()
                if "partNumber" in query:
                    uploads[query["uploadId"]][int(query["partNumber"])] = data
                else:
                    objects[key] = (data, tag)
                self.answer(200, ETag=f'"{tag}"')

            def do_POST(self):
                (key, query), data = self.asked(), self.body()
                if "uploads" in query:
                    name = str(len(uploads) + 1)
                    uploads[name] = {}
                    self.xml(f"<InitiateMultipartUploadResult><Bucket>backups</Bucket><Key>{key}</Key>"
                             f"<UploadId>{name}</UploadId></InitiateMultipartUploadResult>")
                elif "uploadId" in query:
                    parts = [part for _, part in sorted(uploads.pop(query["uploadId"]).items())]
                    tags = b"".join(hashlib.md5(part).digest() for part in parts)
                    tag = f"{hashlib.md5(tags).hexdigest()}-{len(parts)}"
                    objects[key] = (b"".join(parts), tag)
                    self.xml(f"<CompleteMultipartUploadResult><Bucket>backups</Bucket><Key>{key}</Key>"
                             f"<ETag>&quot;{tag}&quot;</ETag></CompleteMultipartUploadResult>")
                else:
                    gone = re.findall(r"<Key>(.*?)</Key>", data.decode())
                    for name in gone:
                        objects.pop(name, None)
                    self.xml("<DeleteResult>" + "".join(f"<Deleted><Key>{name}</Key></Deleted>" for name in gone)
                             + "</DeleteResult>")

            def do_GET(self):
                key, query = self.asked()
                if "uploads" in query:
                    self.xml("<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>"
                             "</ListMultipartUploadsResult>")
                elif not key:
                    found = sorted((name, *kept) for name, kept in objects.items()
                                   if name.startswith(query.get("prefix", "")))
                    self.xml("<ListBucketResult><IsTruncated>false</IsTruncated>" + "".join(
                        f"<Contents><Key>{name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                        f"<ETag>&quot;{tag}&quot;</ETag><Size>{len(data)}</Size></Contents>"
                        for name, data, tag in found) + "</ListBucketResult>")
                elif key not in objects:
                    self.answer(404)
                elif wanted := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range") or ""):
                    data, tag = objects[key]
                    first, last = wanted.groups()
                    begin = int(first) if first else max(len(data) - int(last), 0)
                    end = min(int(last) + 1 if first and last else len(data), len(data))
                    self.answer(206, data[begin:end], ETag=f'"{tag}"',
                                Content_Range=f"bytes {begin}-{end - 1}/{len(data)}")
                else:
                    self.answer(200, objects[key][0], ETag=f'"{objects[key][1]}"')

            def do_HEAD(self):
                key, _ = self.asked()
                if key not in objects:
                    self.answer(404)
                else:
                    self.answer(200, objects[key][0], ETag=f'"{objects[key][1]}"')

            def do_DELETE(self):
                key, query = self.asked()
                (uploads.pop(query["uploadId"], None) if "uploadId" in query else objects.pop(key, None))
                self.answer(204)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
