"""Certificates made with the openssl command: a good set, and one bad specimen of each kind."""
import os
import subprocess

EXTENSIONS = """subjectAltName=IP:127.0.0.1,DNS:localhost
extendedKeyUsage=serverAuth,clientAuth
"""


class Pair:
    """Paths of a certificate and its key."""

    def __init__(self, cert, key):
        self.cert, self.key = cert, key


class Pki:
    """A private CA with a server and a client certificate, in `root`. Bad ones are made on demand.
    `names`: DNS names of the server besides localhost and 127.0.0.1."""

    def __init__(self, root, client_name="client", names=()):
        self.root = root
        os.makedirs(root, exist_ok=True)
        with open(self.path("ext"), "w") as extensions:
            extensions.write(EXTENSIONS.replace("\n", "".join(",DNS:" + name for name in names) + "\n", 1))
        with open(self.path("elsewhere.ext"), "w") as extensions:
            extensions.write("subjectAltName=DNS:elsewhere.example\nextendedKeyUsage=serverAuth,clientAuth\n")
        self.ca, self.ca_key = self.path("ca.pem"), self.path("ca-key.pem")
        self.authority(self.ca, self.ca_key, "private CA")
        self.server = self.issue("server", "server")
        self.client = self.issue("client", client_name)

    def path(self, name):
        return os.path.join(self.root, name)

    @staticmethod
    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, timeout=30, stdout=subprocess.DEVNULL,
                       stderr=subprocess.PIPE)

    def key(self, path):
        self.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)
        os.chmod(path, 0o600)

    def authority(self, cert, key, name):
        self.key(key)
        self.openssl("req", "-x509", "-new", "-key", key, "-out", cert, "-subj", "/CN=" + name,
                     "-days", "90")

    def issue(self, file_name, common_name, ca=None, ca_key=None, extensions="ext", validity=("-days", "90")):
        pair = Pair(self.path(file_name + ".pem"), self.path(file_name + "-key.pem"))
        request = self.path(file_name + ".csr")
        self.key(pair.key)
        self.openssl("req", "-new", "-key", pair.key, "-out", request, "-subj", "/CN=" + common_name)
        self.openssl("x509", "-req", "-in", request, "-CA", ca or self.ca, "-CAkey", ca_key or self.ca_key,
                     "-set_serial", str(int.from_bytes(os.urandom(8), "big") >> 1),
                     "-extfile", self.path(extensions), "-out", pair.cert, *validity)
        return pair

    def expired(self):
        """A client certificate that ended on 2 January 2020."""
        database = self.path("ca.db")
        with open(database, "w"):
            pass
        config = self.path("ca.cnf")
        with open(config, "w") as out:
            out.write(f"[ca]\ndefault_ca=d\n[d]\ndatabase={database}\nnew_certs_dir={self.root}\n"
                      "default_md=sha256\npolicy=p\nrand_serial=yes\n[p]\ncommonName=supplied\n")
        pair = Pair(self.path("expired.pem"), self.path("expired-key.pem"))
        request = self.path("expired.csr")
        self.key(pair.key)
        self.openssl("req", "-new", "-key", pair.key, "-out", request, "-subj", "/CN=client")
        self.openssl("ca", "-batch", "-config", config, "-in", request, "-cert", self.ca, "-keyfile",
                     self.ca_key, "-extfile", self.path("ext"), "-startdate", "20200101000000Z",
                     "-enddate", "20200102000000Z", "-notext", "-out", pair.cert)
        return pair

    def other_authority(self):
        """Another CA's certificate and a client certificate it issued: (ca, Pair)."""
        ca, ca_key = self.path("other-ca.pem"), self.path("other-ca-key.pem")
        self.authority(ca, ca_key, "other CA")
        return ca, self.issue("stranger", "client", ca, ca_key)

    def mismatched(self):
        """The good certificate with somebody else's key."""
        key = self.path("unrelated-key.pem")
        self.key(key)
        return Pair(self.client.cert, key)

    def encrypted(self):
        """The good certificate with its key behind a pass phrase."""
        key = self.path("encrypted-key.pem")
        self.openssl("pkcs8", "-topk8", "-in", self.client.key, "-out", key, "-passout", "pass:sesame")
        return Pair(self.client.cert, key)

    def elsewhere(self):
        """A server certificate of the right CA for another host."""
        return self.issue("elsewhere", "elsewhere.example", extensions="elsewhere.ext")
