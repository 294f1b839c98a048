"""A small client of S3 for the tests themselves, so that what the agent did is seen through other eyes.

Signature Version 4, header form (AWS, "Create a signed AWS API request"), with nothing but Python's own
library. One connection per request; every address is looked for on loopback.
"""
import base64
import datetime
import hashlib
import hmac
import http.client
import itertools
import socket
import ssl
import urllib.parse
import xml.etree.ElementTree
import xml.sax.saxutils

TIMEOUT_S = 60


class Keys:
    """Whose requests they are. `token`: of temporary credentials."""

    def __init__(self, access_key, secret_key, token=None, expires=None):
        self.access_key, self.secret_key, self.token, self.expires = access_key, secret_key, token, expires


class S3Error(Exception):
    """What the server refused; `code` is S3's word, empty where there was no body."""

    def __init__(self, status, body):
        self.status, self.body = status, body
        self.code = text_of(body, "Code") or ""
        super().__init__(f"{status} {self.code} {text_of(body, 'Message') or body[:200]!r}")


def elements(body, name):
    """Elements of this name anywhere below, whatever their namespace."""
    try:
        tree = xml.etree.ElementTree.fromstring(body)
    except xml.etree.ElementTree.ParseError:
        return []
    return [element for element in tree.iter() if element.tag.rpartition("}")[2] == name]


def text_of(body, name):
    """Text of the first element of this name, or None."""
    return next((element.text or "" for element in elements(body, name)), None)


def child(element, name):
    """Text of a child, "" where there is none."""
    return next((below.text or "" for below in element if below.tag.rpartition("}")[2] == name), "")


def quote(text, safe=""):
    return urllib.parse.quote(text, safe=safe + "-._~")


def signed_headers(keys, method, host, path, query, headers, body, region="us-east-1", service="s3"):
    """`headers` and what signing adds. `path` encoded, `query` a dict."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    signed = {name.lower(): value for name, value in headers.items()}
    signed.update({"host": host, "x-amz-date": now, "x-amz-content-sha256": digest})
    if keys.token:
        signed["x-amz-security-token"] = keys.token
    names = ";".join(sorted(signed))
    request = "\n".join([method, path, canonical_query(query),
                         *(f"{name}:{' '.join(signed[name].split())}" for name in sorted(signed)), "",
                         names, digest])
    scope = f"{now[:8]}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = ("AWS4" + keys.secret_key).encode()
    for part in (now[:8], region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    signed["authorization"] = (f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope}, "
                               f"SignedHeaders={names}, Signature={signature}")
    return signed


def canonical_query(query):
    return "&".join(sorted(f"{quote(name)}={quote(str(value))}" for name, value in query.items()))


class TlsConnection(http.client.HTTPSConnection):
    """To 127.0.0.1, whatever name the certificate is checked for."""

    def __init__(self, name, port, context):
        super().__init__(name, port, timeout=TIMEOUT_S, context=context)
        self.name, self.context = name, context

    def connect(self):
        plain = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.sock = self.context.wrap_socket(plain, server_hostname=self.name)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body  # header names in lower case


class S3:
    """Requests of one account. `ca`: file of the CA, for https. `dns_name`: the domain below which
    buckets are host names ("s3.lab.test"); None: path style."""

    def __init__(self, keys, port, ca=None, dns_name=None, region="us-east-1"):
        self.keys, self.port, self.dns_name, self.region = keys, port, dns_name, region
        self.context = ssl.create_default_context(cafile=ca) if ca else None

    def request(self, method, bucket="", key="", query=None, body=b"", headers=None):
        """One signed request. Raises S3Error outside 2xx."""
        query = query or {}
        name = "127.0.0.1" if self.dns_name is None else f"{bucket}.{self.dns_name}" if bucket else self.dns_name
        path = "/" + quote(key, "/")
        if self.dns_name is None and bucket:
            path = f"/{bucket}" + (path if key else "")
        sent = signed_headers(self.keys, method, f"{name}:{self.port}", path, query, headers or {}, body, self.region)
        return self.send(name, method, path, query, body, sent)

    def send(self, name, method, path, query, body, headers):
        if self.context:
            link = TlsConnection(name, self.port, self.context)
        else:
            link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            link.request(method, path + ("?" + canonical_query(query) if query else ""), body, headers)
            answer = link.getresponse()
            data = answer.read()
            if not 200 <= answer.status < 300:
                raise S3Error(answer.status, data)
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, data)
        finally:
            link.close()

    def assume_role(self, arn="arn:aws:iam:::role/lab", seconds=900):
        """Temporary keys of a role, from the server's own STS."""
        body = urllib.parse.urlencode({"Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": arn,
                                       "RoleSessionName": "lab", "DurationSeconds": seconds}).encode()
        headers = signed_headers(self.keys, "POST", f"127.0.0.1:{self.port}", "/", {},
                                 {"content-type": "application/x-www-form-urlencoded"}, body, self.region, "sts")
        answer = self.send("127.0.0.1", "POST", "/", {}, body, headers).body
        return Keys(*(text_of(answer, name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken",
                                                         "Expiration")))

    # --- buckets ------------------------------------------------------------------------------------
    def create_bucket(self, bucket, lock=False):
        """`lock`: objects in it can be locked, and are versioned."""
        self.request("PUT", bucket, headers={"x-amz-bucket-object-lock-enabled": "true"} if lock else {})

    def put_policy(self, bucket, document):
        self.request("PUT", bucket, query={"policy": ""}, body=document.encode())

    def exists(self, bucket):
        try:
            self.request("HEAD", bucket)
        except S3Error as failure:
            if failure.status == 404:
                return False
            raise
        return True

    def remove_bucket(self, bucket, missing_ok=False):
        """With everything in it, also versions under a governance lock and uploads in progress."""
        try:
            while uploads := self.uploads(bucket):
                for key, upload in uploads:
                    self.abort(bucket, key, upload)
            while versions := list(itertools.islice(self.versions(bucket), 1000)):
                self.delete_many(bucket, versions)
            self.request("DELETE", bucket)
        except S3Error as failure:
            if not missing_ok or failure.code != "NoSuchBucket":
                raise

    # --- objects ------------------------------------------------------------------------------------
    def put(self, bucket, key, data=b"", **headers):
        """Headers as keywords: x_amz_storage_class="COLD". Returns the ETag."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = data.encode() if isinstance(data, str) else data
        return self.request("PUT", bucket, key, body=body, headers=named).headers["etag"].strip('"')

    def get(self, bucket, key):
        return self.request("GET", bucket, key).body

    def head(self, bucket, key):
        """Headers of the object, or None."""
        try:
            return self.request("HEAD", bucket, key).headers
        except S3Error as failure:
            if failure.status == 404:
                return None
            raise

    def delete(self, bucket, key):
        self.request("DELETE", bucket, key)

    def pages(self, bucket, prefix, page_keys):
        query = {"list-type": 2, "prefix": prefix, "max-keys": page_keys}
        while True:
            body = self.request("GET", bucket, query=query).body
            yield body
            if text_of(body, "IsTruncated") != "true":
                return
            query["continuation-token"] = text_of(body, "NextContinuationToken")

    def list(self, bucket, prefix="", page_keys=1000):
        """key -> size in bytes, in the server's order."""
        return {child(entry, "Key"): int(child(entry, "Size"))
                for body in self.pages(bucket, prefix, page_keys) for entry in elements(body, "Contents")}

    def keys_of(self, bucket, prefix=""):
        return list(self.list(bucket, prefix))

    def delete_many(self, bucket, versions):
        """(key, version id) of at most 1,000, in one request. Raises for the first that stays."""
        items = "".join(f"<Object><Key>{xml.sax.saxutils.escape(key)}</Key><VersionId>{version}</VersionId></Object>"
                        for key, version in versions)
        body = f"<Delete><Quiet>true</Quiet>{items}</Delete>".encode()
        answer = self.request("POST", bucket, query={"delete": ""}, body=body, headers={
            "content-md5": base64.b64encode(hashlib.md5(body).digest()).decode(),
            "x-amz-bypass-governance-retention": "true"})
        if elements(answer.body, "Error"):
            raise S3Error(answer.status, answer.body)

    def versions(self, bucket):
        """(key, version id) of all there is, markers of deletions too."""
        query = {"versions": ""}
        while True:
            body = self.request("GET", bucket, query=query).body
            for entry in elements(body, "Version") + elements(body, "DeleteMarker"):
                yield child(entry, "Key"), child(entry, "VersionId")
            if text_of(body, "IsTruncated") != "true":
                return
            query.update({"key-marker": text_of(body, "NextKeyMarker"),
                          "version-id-marker": text_of(body, "NextVersionIdMarker") or ""})

    # --- multipart ----------------------------------------------------------------------------------
    def create_upload(self, bucket, key):
        return text_of(self.request("POST", bucket, key, {"uploads": ""}).body, "UploadId")

    def put_part(self, bucket, key, upload, number, data):
        return self.request("PUT", bucket, key, {"partNumber": number, "uploadId": upload},
                            data).headers["etag"].strip('"')

    def uploads(self, bucket):
        """(key, upload id) of those in progress; the first thousand."""
        body = self.request("GET", bucket, query={"uploads": ""}).body
        return [(child(entry, "Key"), child(entry, "UploadId")) for entry in elements(body, "Upload")]

    def abort(self, bucket, key, upload):
        self.request("DELETE", bucket, key, {"uploadId": upload})
