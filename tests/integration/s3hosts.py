"""Hosts that keep their backups in a bucket: each with files, a runtime directory, a name and a clock of
its own. The clock runs ahead a little with each cycle, so that names differ and nothing has to wait."""
import datetime
import http.client
import os
import threading

import clocks
import rgw
import s3api
from agent import Agent, stamp
from case import SharedMember
from s3case import S3Case

MIB = 1 << 20
HOST = os.uname().nodename
NAMED = 'hostname "$1" || exit 125; shift; exec "$@"'


def old(days, host="", extension=".zip"):
    """The file name of a rolling snapshot, so many days old."""
    return f"{stamp(days)}_{host + '_' if host else ''}etcd{extension}"


def same_second():
    """Environment of runs whose clock stands still now."""
    return clocks.at(datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S"))


class Host(Agent):
    """`name`: what gethostname() says, if not the machine's (needs root)."""

    def __init__(self, root, endpoint, name=None):
        os.makedirs(root, exist_ok=True)
        super().__init__(root, endpoint)
        self.name, self.ahead_s = name, 0
        self.section("s3")["retries"] = 0

    def command(self, *args, program=None):
        command = super().command(*args, program=program)
        return ["unshare", "--uts", "sh", "-c", NAMED, "sh", self.name, *command] if self.name else command

    def start(self, *args, env=None, **options):
        """Under this host's clock, which is within what S3 tolerates."""
        return super().start(*args, env={**clocks.at(f"+{self.ahead_s}s"), **(env or {})}, **options)

    def cycle(self, after_s=2, **options):
        """A run, so much later than the one before."""
        self.ahead_s += after_s
        return self.run("run", **options)

    @property
    def files(self):
        """The snapshots here, oldest first."""
        names = os.listdir(self.directory) if os.path.isdir(self.directory) else []
        return sorted(name for name in names if not name.startswith("."))

    def read(self, name):
        with open(os.path.join(self.directory, name), "rb") as file:
            return file.read()


class BucketCase(S3Case, SharedMember):
    """`self.host()`: an agent with the bucket; over TLS, or through `weather`."""

    def host(self, bucket, weather=None, name=None, endpoint=None, **more):
        host = Host(self.path(name or "host"), endpoint or self.shared.endpoint, name)
        self.use_s3(host, bucket, weather.endpoint if weather else None, **more)
        return host

    def put_all(self, bucket, keys, data=b"of old"):
        """Many small objects."""
        keys, guard, failures = list(keys), threading.Lock(), []

        def work():
            link = http.client.HTTPConnection("127.0.0.1", self.s3.port, timeout=30)
            try:
                while True:
                    with guard:
                        if not keys:
                            return
                        key = keys.pop()
                    path = f"/{bucket}/{s3api.quote(key, '/')}"
                    link.request("PUT", path, data, s3api.signed_headers(
                        rgw.LAB, "PUT", f"127.0.0.1:{self.s3.port}", path, {}, {}, data))
                    answer = link.getresponse()
                    answer.read()
                    if answer.status != 200:
                        failures.append(f"{key}: {answer.status}")
                        return
            except (OSError, http.client.HTTPException) as failure:
                failures.append(failure)
            finally:
                link.close()
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def assertUploaded(self, result, host, bucket, folder=""):
        """Exit 0, created and uploaded, and the object is the file; the file's name."""
        self.assertExit(result, 0)
        self.assertEqual(result.messages("error") + result.messages("warning"), [], str(result))
        self.assertEqual(len(result.created), 1, str(result))
        self.assertEqual([line["name"] for line in result.named("Uploaded backup")], result.created)
        name, = [name for name in host.files if name in {result.created[0] + end for end in ("", ".zip", ".zst")}]
        self.assertInBucket(host, bucket, [name], folder)
        return name

    def assertInBucket(self, host, bucket, names, folder=""):
        """The objects of these names are there and are the files here."""
        there = self.api.list(bucket, folder)
        for name in names:
            self.assertIn(folder + name, there)
            self.assertTrue(self.api.get(bucket, folder + name) == host.read(name), f"{name} has other bytes")

    def assertSafeHere(self, result, codes=(76,)):
        """The bucket failed, and that was told; the snapshot is here."""
        self.assertExit(result, *codes)
        self.assertEqual(len(result.created), 1, str(result))
        self.assertEqual(result.named("Uploaded backup"), [], str(result))
        self.assertSays(result, "Backup is safe here, but not in the bucket", "error")

    def assertBehind(self, result):
        """This snapshot is there, others are not yet."""
        self.assertExit(result, 76)
        self.assertEqual([line["name"] for line in result.named("Uploaded backup")], result.created)
        self.assertSays(result, "The bucket is not up to date", "error")


class Gate:
    """An action of the weather that holds requests until it is opened, then lets them pass."""

    def __init__(self):
        self.event = threading.Event()
        self.open = self.event.set

    def __call__(self, exchange):
        while not self.event.wait(0.02):
            exchange.weather.pause(0)
        exchange.forward()


def object_puts(weather, path=""):
    """What sent bytes of an object: whole ones and parts."""
    return [seen for seen in weather.calls("PUT", path) if seen.body_bytes or "partNumber" in seen.query]


def sent_names(weather):
    """The last part of each key that bytes were sent to, in the order of the first request."""
    return list(dict.fromkeys(seen.key.rpartition("/")[2] for seen in object_puts(weather)))
