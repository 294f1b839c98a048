"""A second real S3 server, which has nothing in common with Ceph's: OpenStack Swift with its s3api, all of it in
one process on loopback, objects in memory, everything else in a temporary directory. Path style only.

As a program (`swift.py DIRECTORY PORT`) it is the server, and ends with its standard input.
"""
import http.client
import os
import subprocess
import sys
import time

if __name__ == "__main__":  # the module of Swift has this file's name
    sys.path = [path for path in sys.path if path and os.path.abspath(path) != os.path.dirname(os.path.abspath(__file__))]
else:
    import s3api
    from etcd import free_port

    # Swift's account and user, and the user's key (tempauth).
    LAB = s3api.Keys("lab:tester", "LabSecretKey000000000000000000000000001")

START_TIMEOUT_S = 60
PROXY = """[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
swift_dir = {directory}
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:9
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_lab_tester = LabSecretKey000000000000000000000000001 .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
minimum_segment_size = 1
[filter:dlo]
use = egg:swift#dlo
"""


def possible():
    """None, or why there can be no Swift here."""
    found = any(os.path.isdir(os.path.join(path, "swift", "proxy"))
                for path in ("/usr/lib/python3/dist-packages", *sys.path))
    return None if found else "not installed: python3-swift"


class Swift:
    def __init__(self, directory):
        self.directory, self.port, self.process = directory, free_port(), None

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def api(self):
        return s3api.S3(LAB, self.port)

    def start(self):
        os.makedirs(self.directory)
        with open(self.path("log"), "wb") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "/usr/bin/python3", os.path.abspath(__file__), self.directory,
                 str(self.port)], stdin=subprocess.PIPE, stdout=log, stderr=log,
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": self.directory})
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self.api().request("GET")
                return self
            except (OSError, http.client.HTTPException, s3api.S3Error) as failure:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"no answer: {failure}\n{self.tail()}") from failure
            time.sleep(0.05)

    def path(self, name):
        return os.path.join(self.directory, name)

    def tail(self):
        with open(self.path("log"), errors="replace") as log:
            return log.read()[-3000:]

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait(20)
            self.process.stdin.close()


def serve(directory, port):
    import array

    import eventlet
    import eventlet.wsgi
    eventlet.monkey_patch()
    from swift.account.server import AccountController
    from swift.common import utils, wsgi
    from swift.common.ring import RingData
    from swift.container.server import ContainerController
    from swift.obj.mem_server import ObjectController

    utils.HASH_PATH_SUFFIX = b"lab"
    devices = os.path.join(directory, "devices")
    os.makedirs(os.path.join(devices, "one"))
    conf = {"devices": devices, "swift_dir": directory, "mount_check": "false", "bind_ip": "127.0.0.1"}
    pool = eventlet.GreenPool(1000)

    def listen(app, at=0):
        listening = eventlet.listen(("127.0.0.1", at))
        pool.spawn(eventlet.wsgi.server, listening, app, log_output=False)
        return listening.getsockname()[1]

    def ring(name, at):
        device = {"id": 0, "zone": 0, "region": 1, "device": "one", "ip": "127.0.0.1", "port": at, "weight": 1,
                  "replication_ip": "127.0.0.1", "replication_port": at}
        RingData([array.array("H", [0])], [device], 32).save(os.path.join(directory, name + ".ring.gz"))
    for name, kind in (("account", AccountController), ("container", ContainerController),
                       ("object", ObjectController)):
        ring(name, listen(kind(conf)))
    with open(os.path.join(directory, "proxy.conf"), "w") as out:
        out.write(PROXY.format(directory=directory))
    listen(wsgi.loadapp(os.path.join(directory, "proxy.conf")), port)
    eventlet.tpool.execute(sys.stdin.buffer.read)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
