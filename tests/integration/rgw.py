"""A real S3 server on loopback: Ceph's RADOS Gateway with one monitor and one OSD, all in a temporary
directory, without Ceph's own authentication. It checks signatures and rights as S3 does.

Path style: 127.0.0.1 as endpoint. Virtual-host style: BUCKET.s3.lab.test (names.py). An endpoint with
any other name is taken for a bucket itself.

One for a whole test run is enough: shared(). run.py starts it where tests want it (`needs_s3`) and
stops it; a test has a bucket of its own in it (s3case.py). With store="memstore" all objects are in
memory: buckets have to be emptied after use.
"""
import atexit
import http.client
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

import pki
import s3api
from etcd import free_port

DOMAIN = "s3.lab.test"
VARIABLE = "ETCD_SNAPSHOT_TEST_S3"  # where the shared one is, as JSON
START_TIMEOUT_S, ATTEMPTS = 60, 3
FSID, OSD_ID = "5e1ab000-0000-4000-8000-000000000001", "5e1ab000-0000-4000-8000-0000000000a0"
PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")

# The first owns the buckets, the second has rights nowhere.
LAB = s3api.Keys("LABACCESSKEY00000001", "LabSecretKey000000000000000000000000001")
OTHER = s3api.Keys("LABACCESSKEY00000002", "LabSecretKey000000000000000000000000002")
# Of another tenant, whose buckets have names of their own: "acme:bucket".
TENANT, ACME = "acme", s3api.Keys("LABACCESSKEY00000003", "LabSecretKey000000000000000000000000003")
ROLE, KMS_KEY = "arn:aws:iam:::role/lab", "testkey-1"

# crc: without it the gateway never gets through to the monitor. local before sts: otherwise a wrong
# secret is answered with AccessDenied. Short proposals: users and pools appear at once.
CONF = """[global]
fsid = {fsid}
mon_host = v2:127.0.0.1:{mon_port}
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr1 = false
ms_bind_port_min = {osd_port}
ms_bind_port_max = {osd_port_max}
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
ms_mon_service_mode = crc
ms_mon_cluster_mode = crc
run_dir = {run}
admin_socket = {run}/$name.asok
log_file = {run}/$name.log
crash_dir = {run}
mon_cluster_log_file = {run}/cluster.log
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 2000
[mon.a]
mon_data = {data}/mon.a
mon_data_avail_crit = 1
mon_data_avail_warn = 2
mon_initial_members = a
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
[osd.0]
osd_data = {data}/osd.0
osd_objectstore = {store}
memstore_device_bytes = {store_bytes}
bluestore_block_create = true
bluestore_block_size = {store_bytes}
osd_memory_target = 939524096
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:{port} ssl_endpoint=127.0.0.1:{tls_port} {certificate}
rgw_dns_name = {domain}
rgw_data = {data}/rgw
rgw_thread_pool_size = 64
rgw_s3_auth_use_sts = true
rgw_s3_auth_order = local, sts
rgw_sts_key = abcdefghijklmnop
rgw_crypt_require_ssl = false
rgw_crypt_s3_kms_backend = testing
rgw_crypt_s3_kms_encryption_keys = {kms_key}=YmluCmJvb3N0CmJvb3N0LWJ1aWxkCmNlcGguY29uZgo=
rgw_override_bucket_index_max_shards = 1
rgw_run_sync_thread = false
rgw_gc_obj_min_wait = 5
rgw_gc_processor_period = 5
rgw_gc_processor_max_time = 5
"""
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["sts:AssumeRole"], "Principal": {
    "AWS": ["arn:aws:iam:::user/lab"]}}]}
RIGHTS = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*"],
                                                  "Resource": "arn:aws:s3:::*"}]}

LEAST_RIGHTS = ("s3:ListBucket", "s3:PutObject", "s3:GetObject", "s3:DeleteObject")


def bucket_policy(bucket, actions=LEAST_RIGHTS):
    """For s3api.S3.put_policy: the second account may do this in the bucket, and nothing else."""
    return json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/other"]}, "Action": list(actions),
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]}]})


def possible():
    """None, or why there can be no gateway here."""
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    return "not installed: " + ", ".join(missing) if missing else None


class Server:
    """Where a running gateway is."""

    def __init__(self, port, tls_port, ca, region):
        self.port, self.tls_port, self.ca, self.region = port, tls_port, ca, region

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_endpoint(self):
        """As `endpoint` of cluster.yml in path style: https goes without saying."""
        return f"127.0.0.1:{self.tls_port}"

    @property
    def dns_endpoint(self):
        return f"{DOMAIN}:{self.tls_port}"

    @property
    def ca_text(self):
        with open(self.ca) as text:
            return text.read()

    def api(self, keys=LAB, tls=False, dns=False):
        """The tests' own client of it."""
        return s3api.S3(keys, self.tls_port if tls else self.port, self.ca if tls else None,
                        DOMAIN if dns else None, self.region)

    def address(self):
        return {"port": self.port, "tls_port": self.tls_port, "ca": self.ca, "region": self.region}


class Rgw(Server):
    """A gateway that this process started. store: "memstore", or "bluestore" for many gigabytes."""

    def __init__(self, store="memstore", region="us-east-1", store_bytes=8 << 30):
        super().__init__(None, None, None, region)
        self.store, self.store_bytes = store, store_bytes
        self.root, self.processes = None, []

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        for attempt in range(ATTEMPTS):  # somebody else may have taken one of the ports meanwhile
            try:
                self.begin()
                return self
            except (RuntimeError, subprocess.SubprocessError) as failure:
                said = self.tails()
                self.stop()
                if attempt + 1 == ATTEMPTS:
                    raise RuntimeError(f"the gateway did not start: {failure}\n{said}") from failure
            except BaseException:
                self.stop()
                raise

    def begin(self):
        self.root = tempfile.mkdtemp(prefix="es-rgw-")
        certificates = pki.Pki(self.path("pki"), names=(DOMAIN, "*." + DOMAIN))
        self.ca, self.port, self.tls_port = certificates.ca, free_port(), free_port()
        mon_port, osd_port = free_port(), free_port()
        for folder in ("run", "data/mon.a", "data/osd.0"):
            os.makedirs(self.path(folder))
        with open(self.path("ceph.conf"), "w") as conf:
            conf.write(CONF.format(
                fsid=FSID, mon_port=mon_port, osd_port=osd_port, osd_port_max=osd_port + 99, domain=DOMAIN,
                run=self.path("run"), data=self.path("data"), store=self.store, store_bytes=self.store_bytes,
                port=self.port, tls_port=self.tls_port, kms_key=KMS_KEY, certificate=f"ssl_certificate="
                f"{certificates.server.cert} ssl_private_key={certificates.server.key}"))
        self.call("monmaptool", "--create", "--clobber", "--fsid", FSID, "--addv", "a",
                  f"[v2:127.0.0.1:{mon_port}]", "--enable-all-features", self.path("run/monmap"), conf=False)
        self.call("ceph-mon", "-i", "a", "--mkfs", "--monmap", self.path("run/monmap"))
        self.background("ceph-mon", "-i", "a", "-f")
        self.call("ceph", "osd", "new", OSD_ID, "0")
        self.call("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", OSD_ID)
        self.background("ceph-osd", "-i", "0", "-f")
        self.users()
        self.background("radosgw", "-n", "client.rgw", "-f")
        self.wait_ready()

    def users(self):
        for name, keys, tenant in (("lab", LAB, ""), ("other", OTHER, ""), ("acme", ACME, TENANT)):
            self.admin("user", "create", "--tenant", tenant, "--uid", name, "--display-name", name, "--access-key", keys.access_key,
                       "--secret-key", keys.secret_key)
        group = json.loads(self.admin("zonegroup", "get", "--rgw-zonegroup=default"))
        group["api_name"] = self.region  # what GetBucketLocation answers
        with open(self.path("run/zonegroup.json"), "w") as out:
            json.dump(group, out)
        self.admin("zonegroup", "set", "--rgw-zonegroup=default", "--infile", self.path("run/zonegroup.json"))
        self.admin("role", "create", "--role-name=lab", "--assume-role-policy-doc", json.dumps(TRUST))
        self.admin("role-policy", "put", "--role-name=lab", "--policy-name=all", "--policy-doc", json.dumps(RIGHTS))

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    @staticmethod
    def environment():
        return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": "/nonexistent"}

    def call(self, program, *args, conf=True):
        """A command that ends by itself; its standard output."""
        command = [program, *(["-c", self.path("ceph.conf")] if conf else []), *args]
        done = subprocess.run(command, env=self.environment(), text=True, timeout=START_TIMEOUT_S, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            raise RuntimeError(f"{program} {' '.join(args[:2])}: exit {done.returncode}: {done.stderr[-1000:]}")
        return done.stdout

    def admin(self, *args):
        """radosgw-admin; its standard output."""
        return self.call("radosgw-admin", *args)

    def background(self, program, *args):
        # A group of its own: Ctrl-C in the terminal must not take it from under the tests. The kernel
        # ends it if this process dies before it could stop it.
        with open(self.path("run", program + ".out"), "ab") as log:
            self.processes.append(subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", program, "-c", self.path("ceph.conf"), *args],
                env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True))

    def wait_ready(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            for process in self.processes:
                if process.poll() is not None:
                    raise RuntimeError(f"{process.args[3]} ended by itself with {process.returncode}")
            try:
                self.api().request("GET")
                self.api(tls=True).request("GET")
                return
            except (OSError, http.client.HTTPException, s3api.S3Error) as failure:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"no answer: {failure}") from failure
            time.sleep(0.02)

    def tails(self):
        """The last words of all that ran, for messages."""
        said = []
        for folder, _, names in os.walk(self.path("run")) if self.root else ():
            for name in sorted(names):
                if name.endswith((".out", ".log")):
                    with open(os.path.join(folder, name), errors="replace") as log:
                        said.append(f"--- {name}\n{log.read()[-1500:]}")
        return "\n".join(said)

    def memory_kib(self):
        """Resident memory of all its processes."""
        total = 0
        for process in self.processes:
            with open(f"/proc/{process.pid}/status") as status:
                total += sum(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
        return total

    def stop(self):
        """At once: nothing of it is kept."""
        for process in reversed(self.processes):
            if process.poll() is None:
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    process.kill()  # not yet in a group of its own
                process.wait(20)
        self.processes = []
        if self.root:
            shutil.rmtree(self.root, ignore_errors=True)
        self.root = None


def publish(server):
    """Lets shared() of this process and of those it forks find it."""
    os.environ[VARIABLE] = json.dumps(server.address())


def shared():
    """The gateway of this test run; starts one where nobody did, until this process ends."""
    if VARIABLE not in os.environ:
        server = Rgw()
        atexit.register(server.stop)
        publish(server.start())
    return Server(**json.loads(os.environ[VARIABLE]))
