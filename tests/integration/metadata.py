"""Where a machine's own credentials come from, as fakes on loopback: EC2's instance metadata (version
2 and 1), the container endpoint of ECS and EKS, and STS' AssumeRoleWithWebIdentity.

`keys` is what they hand out; for a real gateway to take them with their token they have to be its
own: rgw.Server.api().assume_role(). Change attributes between requests as the world would.

Sources: Amazon EC2 User Guide, "Use the Instance Metadata Service" and "Retrieve security credentials";
Amazon ECS Developer Guide, "IAM roles for tasks"; AWS STS API Reference, AssumeRoleWithWebIdentity.
"""
import contextlib
import datetime
import http.server
import json
import os
import ssl
import threading
import time
import urllib.parse


def expiry(seconds):
    """So many seconds from now, as all of them write it."""
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


class Request:
    """One request: header names in lower case, body as text."""

    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body


class Fake:
    """Answers one request after another; reply(request) returns (status, body) or (status, body,
    headers). `override`: a function of the request that is asked first (None: nothing to say);
    `delay_s`: before each answer; tls: a pki.Pair."""

    def __init__(self, keys, lifetime_s=3600, tls=None):
        self.keys, self.lifetime_s = keys, lifetime_s
        self.requests, self.handed_out = [], 0
        self.override, self.delay_s = None, 0
        self.failures = []  # what broke inside: a test must look
        self.stopping = threading.Event()
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def answer(self):
                fake.handle(self)
            do_GET = do_PUT = do_POST = answer

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                pass  # a client that went away, or that did not like the certificate
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.cert, tls.key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def handle(self, http_request):
        length = int(http_request.headers.get("content-length") or 0)
        request = Request(http_request.command, http_request.path,
                          {name.lower(): value for name, value in http_request.headers.items()},
                          http_request.rfile.read(length).decode())
        self.requests.append(request)
        if self.stopping.wait(self.delay_s):
            return
        try:
            answer = self.override(request) if self.override else None
            status, body, *more = answer or self.reply(request)
        except Exception as failure:
            self.failures.append(failure)
            status, body, more = 500, "", []
        data = body.encode() if isinstance(body, str) else body
        if status == 0:  # nothing at all
            self.stopping.wait(3600)
            http_request.close_connection = True
            return
        with contextlib.suppress(OSError):
            http_request.send_response(status)
            for name, value in (more[0] if more else {}).items():
                http_request.send_header(name, value)
            http_request.send_header("Content-Length", str(len(data)))
            http_request.end_headers()
            http_request.wfile.write(data)

    def reply(self, request):
        raise NotImplementedError

    def credentials(self):
        """The JSON that EC2 and the container endpoint share."""
        self.handed_out += 1
        return {"AccessKeyId": self.keys.access_key, "SecretAccessKey": self.keys.secret_key,
                "Token": self.keys.token or "", "Expiration": expiry(self.lifetime_s)}

    def calls(self, method=None, path=""):
        return [request for request in self.requests
                if method in (None, request.method) and request.path.startswith(path)]

    def stop(self):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Ec2(Fake):
    """mode: "both" (version 1 answers without token), "v2" (401 without), "v1" (no tokens: 404),
    "refused" (tokens: 403, as where metadata is switched off), "hop" (the answer to a request for a
    token never arrives: more hops than allowed). role=None: the machine has none."""

    TOKEN, ROLES = "/latest/api/token", "/latest/meta-data/iam/security-credentials/"

    def __init__(self, keys, mode="v2", role="lab-role", lifetime_s=3600):
        self.mode, self.role = mode, role
        self.tokens = {}  # token -> when it ends
        super().__init__(keys, lifetime_s)

    def reply(self, request):
        if request.path == self.TOKEN:
            return self.token(request)
        if self.mode == "refused":
            return 403, ""
        given = request.headers.get("x-aws-ec2-metadata-token")
        if self.mode != "v1" and given is not None and self.tokens.get(given, 0) < time.monotonic():
            return 401, ""
        if self.mode in ("v2", "hop") and given is None:
            return 401, ""
        if request.path in (self.ROLES, self.ROLES[:-1]):
            return (200, self.role) if self.role else (404, "")
        if self.role and request.path == self.ROLES + self.role:
            return 200, json.dumps({"Code": "Success", "LastUpdated": expiry(0), "Type": "AWS-HMAC",
                                    **self.credentials()}, indent=2)
        return 404, ""

    def token(self, request):
        if self.mode == "hop":
            return 0, ""
        if self.mode in ("v1", "refused"):
            return (404 if self.mode == "v1" else 403), ""
        seconds = request.headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
        if request.method != "PUT":
            return 405, ""
        if not seconds.isdigit() or not 1 <= int(seconds) <= 21600 or "x-forwarded-for" in request.headers:
            return 400, ""
        token = "imds-token-" + os.urandom(8).hex()
        self.tokens[token] = time.monotonic() + int(seconds)
        return 200, token, {"X-aws-ec2-metadata-token-ttl-seconds": seconds}


class Container(Fake):
    """`token`: what it wants in Authorization (AWS_CONTAINER_AUTHORIZATION_TOKEN, or the _FILE); None:
    nothing."""

    PATH = "/v2/credentials/lab"

    def __init__(self, keys, token=None, lifetime_s=3600):
        self.token = token
        super().__init__(keys, lifetime_s)

    @property
    def full_uri(self):
        """For AWS_CONTAINER_CREDENTIALS_FULL_URI."""
        return self.url + self.PATH

    def reply(self, request):
        if request.method != "GET" or request.path != self.PATH:
            return 404, json.dumps({"code": "NotFound", "message": "no such credentials"})
        if self.token is not None and request.headers.get("authorization") != self.token:
            return 401, json.dumps({"code": "AccessDenied", "message": "wrong authorization token"})
        return 200, json.dumps({"RoleArn": "arn:aws:iam::123456789012:role/lab", **self.credentials()})


class Sts(Fake):
    """AssumeRoleWithWebIdentity. `identity`: the only web identity token it takes; `role`: the only ARN."""

    def __init__(self, keys, identity, role="arn:aws:iam::123456789012:role/lab", lifetime_s=3600, tls=None):
        self.identity, self.role = identity, role
        super().__init__(keys, lifetime_s, tls)

    def reply(self, request):
        text = request.body if request.method == "POST" else urllib.parse.urlsplit(request.path).query
        asked = dict(urllib.parse.parse_qsl(text))
        if asked.get("Action") != "AssumeRoleWithWebIdentity" or asked.get("Version") != "2011-06-15":
            return self.fault(400, "InvalidAction", "Could not find operation or version")
        if not asked.get("RoleSessionName"):
            return self.fault(400, "ValidationError", "RoleSessionName is missing")
        if asked.get("WebIdentityToken") != self.identity:
            return self.fault(400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account")
        if asked.get("RoleArn") != self.role:
            return self.fault(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
        given = self.credentials()
        return 200, (
            '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            f"<AssumeRoleWithWebIdentityResult><AssumedRoleUser><Arn>{self.role}/x</Arn></AssumedRoleUser>"
            f"<Credentials><SessionToken>{given['Token']}</SessionToken>"
            f"<SecretAccessKey>{given['SecretAccessKey']}</SecretAccessKey><Expiration>{given['Expiration']}"
            f"</Expiration><AccessKeyId>{given['AccessKeyId']}</AccessKeyId></Credentials>"
            "</AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>sts-request</RequestId>"
            "</ResponseMetadata></AssumeRoleWithWebIdentityResponse>"), {"Content-Type": "text/xml"}

    @staticmethod
    def fault(status, code, message):
        return status, (
            '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
            f"<Code>{code}</Code><Message>{message}</Message></Error><RequestId>sts-request</RequestId>"
            "</ErrorResponse>"), {"Content-Type": "text/xml"}
