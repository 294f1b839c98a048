"""A model of S3 that speaks its dialects: buckets in memory behind plain HTTP, and a switch for each way
in which real servers were seen to answer. What no switch says is done as S3's API Reference has it. Checks
the digests of what it is sent, not signatures. Path style and, where the host begins with a bucket's name
and a point, that bucket's own host.

SWITCHES names them all, with where each was seen.
"""
import base64
import hashlib
import http.server
import threading
import urllib.parse
import uuid
import xml.etree.ElementTree
import xml.sax.saxutils

XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
PROBE = ".etcd-snapshot-probe-"
SWITCHES = {
    "delete_is_html": "OpenStack Swift: DeleteObjects with XML as text/html",
    "no_batch_501": "Google, storage.googleapis.com: NotImplemented (supabase/storage#898)",
    "no_batch_400": "Google: InvalidArgument (longhorn/longhorn#1404)",
    "no_batch_405": "MethodNotAllowed (offen/docker-volume-backup#539)",
    "etag_ozone": "apache/ozone#5162: MD5 over the parts' ETags as text",
    "etag_weak": "a proxy that compresses: W/ in front",
    "etag_gzip": "nginx and Apache: -gzip behind",
    "etag_upper": "upper case, without quotes",
    "no_expect": "417 on Expect (cloudfoundry/bosh-s3cli#16, rustfs/rustfs#336)",
    "head_no_length": "HEAD without Content-Length",
    "wants_md5": "Object Lock: PutObject and UploadPart want Content-MD5, in words of its own",
    "sse_ignored": "x-amz-server-side-encryption is taken and not done",
    "complete_409": "ConditionalRequestConflict, once: S3 says to start the upload again",
    "once_enforced": "a policy that refuses writes without If-None-Match",
    "once_unknown": "If-None-Match: NotImplemented",
    "once_ignored": "If-None-Match is taken and not done",
    "no_colon": "MinIO on Windows (minio/minio#9798)",
}


class Model(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, bucket, *switches):
        unknown = set(switches) - set(SWITCHES)
        if unknown:
            raise ValueError(f"no such switch: {unknown}")
        self.on, self.bucket = set(switches), bucket
        self.objects, self.uploads, self.calls = {}, {}, []
        self.host_names_bucket = True  # False: "bkt.localhost" is the server's own name
        self.fail_once = None          # (method, part of the query): answered with AccessDenied
        self.hold = None               # (part of the query, event): not answered before
        self.conflicts = 1 if "complete_409" in switches else 0
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def stop(self):
        self.shutdown()
        self.server_close()

    def put(self, key, data):
        self.objects[key] = (data, hashlib.md5(data).hexdigest(), {})

    def handle_error(self, request, client_address):
        pass  # a client that went away


def xml_error(code, message="made by the model"):
    return f"{XML}<Error><Code>{code}</Code><Message>{message}</Message><RequestId>M</RequestId></Error>"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def is_on(self, switch):
        return switch in self.server.on

    def handle_expect_100(self):
        if self.is_on("no_expect"):
            self.server.calls.append("417")
            self.send_error(417)
            self.close_connection = True
            return False
        return super().handle_expect_100()

    def answer(self, status, body="", kind="application/xml", **fields):
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in fields.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", kind)
        if "Content_Length" not in fields:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refuse(self, status, code, message="made by the model"):
        self.answer(status, xml_error(code, message))

    def etag(self, plain):
        if self.is_on("etag_weak"):
            return f'W/"{plain}"'
        if self.is_on("etag_gzip"):
            return f'"{plain}-gzip"'
        return plain.upper() if self.is_on("etag_upper") else f'"{plain}"'

    def work(self):
        server = self.server
        path, _, raw = self.path.partition("?")
        self.query = dict(urllib.parse.parse_qsl(raw, keep_blank_values=True))
        name = urllib.parse.unquote(path)[1:]
        if server.host_names_bucket and self.headers.get("Host", "").startswith(server.bucket + "."):
            bucket, self.key = server.bucket, name
        else:
            bucket, _, self.key = name.partition("/")
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server.calls.append(f"{self.command} {self.key}?{raw}")
        if server.hold and server.hold[0] in raw:
            server.hold[1].wait(60)
        with server.lock:
            if server.fail_once and self.command == server.fail_once[0] and server.fail_once[1] in raw and (
                    PROBE in self.key + str(self.body[:200]) + raw):
                server.fail_once = None
                return self.refuse(403, "AccessDenied")
            if not bucket:
                return self.answer(200, XML + "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>")
            if bucket != server.bucket:
                return self.refuse(404, "NoSuchBucket")
            if hashlib.sha256(self.body).hexdigest() != self.headers.get("x-amz-content-sha256"):
                return self.refuse(400, "XAmzContentSHA256Mismatch")
            if self.is_on("no_colon") and ":" in self.key:
                return self.refuse(400, "XMinioInvalidObjectName", "Object name contains unsupported characters.")
            return getattr(self, "on_" + self.command.lower())()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = work

    # --- writing --------------------------------------------------------------------------------------
    def may_write(self):
        """Conditions and digests; answers itself where not."""
        condition = self.headers.get("If-None-Match")
        if condition and self.is_on("once_unknown"):
            self.refuse(501, "NotImplemented", "A header you provided implies functionality that is not implemented")
        elif not condition and self.is_on("once_enforced") and "partNumber" not in self.query:
            self.refuse(403, "AccessDenied", "explicit deny in a resource-based policy")
        elif condition and self.key in self.server.objects and not self.is_on("once_ignored"):
            self.refuse(412, "PreconditionFailed")
        elif self.is_on("wants_md5") and self.command == "PUT" and "Content-MD5" not in self.headers:
            self.refuse(400, "InvalidArgument", "Missing required header for this request: Content-MD5")
        elif self.headers.get("Content-MD5", self.md5_text()) != self.md5_text():
            self.refuse(400, "BadDigest")
        else:
            return True
        return False

    def md5_text(self):
        return base64.b64encode(hashlib.md5(self.body).digest()).decode()

    def kept(self):
        sse = self.headers.get("x-amz-server-side-encryption")
        return {"x-amz-server-side-encryption": sse} if sse and not self.is_on("sse_ignored") else {}

    def on_put(self):
        if not self.may_write():
            return None
        plain = hashlib.md5(self.body).hexdigest()
        fields = {}
        if "partNumber" in self.query:
            if self.query["uploadId"] not in self.server.uploads:
                return self.refuse(404, "NoSuchUpload")
            self.server.uploads[self.query["uploadId"]]["parts"][int(self.query["partNumber"])] = (self.body, plain)
        else:
            fields = self.kept()
            self.server.objects[self.key] = (self.body, plain, fields)
        return self.answer(200, ETag=self.etag(plain), **fields)

    def on_post(self):
        if "delete" in self.query:
            return self.delete_many()
        if "uploads" in self.query:
            upload = uuid.uuid4().hex
            self.server.uploads[upload] = {"key": self.key, "parts": {}, "fields": self.kept()}
            return self.answer(200, f"{XML}<InitiateMultipartUploadResult><UploadId>{upload}</UploadId>"
                                    "</InitiateMultipartUploadResult>", **self.kept())
        return self.complete()

    def complete(self):
        server, upload = self.server, self.query["uploadId"]
        if upload not in server.uploads:
            return self.refuse(404, "NoSuchUpload")
        if not self.may_write():
            return None
        if server.conflicts:
            server.conflicts -= 1
            del server.uploads[upload]
            return self.refuse(409, "ConditionalRequestConflict")
        parts = server.uploads[upload]["parts"]
        told = [element.text.strip('"') for element in xml.etree.ElementTree.fromstring(self.body).iter()
                if element.tag.endswith("ETag")]
        # What a proxy adds on the way back the server behind it does not know.
        wanted = [self.etag(parts[number][1]).removeprefix("W/").strip('"').removesuffix("-gzip")
                  for number in sorted(parts)]
        if told != wanted:
            return self.refuse(400, "InvalidPart")
        if any(len(parts[number][0]) < 5 << 20 for number in sorted(parts)[:-1]):
            return self.refuse(400, "EntityTooSmall")
        digests = [parts[number][1] for number in sorted(parts)]
        whole = "".join(digests).encode() if self.is_on("etag_ozone") else bytes.fromhex("".join(digests))
        plain = f"{hashlib.md5(whole).hexdigest()}-{len(digests)}"
        data = b"".join(parts[number][0] for number in sorted(parts))
        server.objects[self.key] = (data, plain, server.uploads.pop(upload)["fields"])
        return self.answer(200, f"{XML}<CompleteMultipartUploadResult><ETag>"
                                f"{xml.sax.saxutils.escape(self.etag(plain))}</ETag></CompleteMultipartUploadResult>")

    def delete_many(self):
        for switch, status, code in (("no_batch_501", 501, "NotImplemented"), ("no_batch_400", 400, "InvalidArgument"),
                                     ("no_batch_405", 405, "MethodNotAllowed")):
            if self.is_on(switch):
                return self.refuse(status, code)
        for element in xml.etree.ElementTree.fromstring(self.body).iter():
            if element.tag.endswith("Key"):
                self.server.objects.pop(element.text, None)
        return self.answer(200, XML + "<DeleteResult></DeleteResult>",
                           "text/html; charset=UTF-8" if self.is_on("delete_is_html") else "application/xml")

    def on_delete(self):
        if "uploadId" in self.query:
            self.server.uploads.pop(self.query["uploadId"], None)
        else:
            self.server.objects.pop(self.key, None)
        return self.answer(204)

    # --- reading --------------------------------------------------------------------------------------
    def on_head(self):
        if self.key not in self.server.objects:
            return self.answer(404)
        data, plain, fields = self.server.objects[self.key]
        if self.is_on("head_no_length"):
            self.close_connection = True
            return self.answer(200, ETag=self.etag(plain), Content_Length=None, **fields)
        return self.answer(200, ETag=self.etag(plain), Content_Length=str(len(data)), **fields)

    def on_get(self):
        if not self.key:
            return self.list_uploads() if "uploads" in self.query else self.list()
        if self.key not in self.server.objects:
            return self.refuse(404, "NoSuchKey")
        data, plain, fields = self.server.objects[self.key]
        span = self.headers.get("Range")
        if not span:
            return self.answer(200, data, "application/octet-stream", ETag=self.etag(plain), **fields)
        first, _, last = span.removeprefix("bytes=").partition("-")
        piece = data[int(first):int(last) + 1]
        if not piece:
            return self.refuse(416, "InvalidRange")
        return self.answer(206, piece, "application/octet-stream", ETag=self.etag(plain),
                           Content_Range=f"bytes {first}-{int(first) + len(piece) - 1}/{len(data)}", **fields)

    def list(self):
        prefix, most = self.query.get("prefix", ""), int(self.query.get("max-keys", 1000))
        after = self.query.get("continuation-token", "")
        keys = sorted(key for key in self.server.objects
                      if key.startswith(prefix) and key > after and "/" not in key[len(prefix):])
        entries = "".join(
            f"<Contents><Key>{urllib.parse.quote(key)}</Key><Size>{len(self.server.objects[key][0])}</Size><ETag>"
            f"{xml.sax.saxutils.escape(self.etag(self.server.objects[key][1]))}</ETag></Contents>"
            for key in keys[:most])
        more = len(keys) > most
        token = f"<NextContinuationToken>{urllib.parse.quote(keys[most - 1])}</NextContinuationToken>" if more else ""
        return self.answer(200, f"{XML}<ListBucketResult><Name>{self.server.bucket}</Name><EncodingType>url"
                                f"</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}"
                                "</ListBucketResult>")

    def list_uploads(self):
        entries = "".join(f"<Upload><Key>{xml.sax.saxutils.escape(upload['key'])}</Key><UploadId>{name}</UploadId>"
                          "<Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>"
                          for name, upload in self.server.uploads.items())
        return self.answer(200, f"{XML}<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{entries}"
                                "</ListMultipartUploadsResult>")
