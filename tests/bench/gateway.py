"""An S3 server on loopback for the bench: the tests' own Ceph RADOS Gateway, and what the agent and
other people's tools have to be told to reach it over TLS with its private authority."""

import os
import shutil
import subprocess
import sys

from lab import TOP, LabError, cpu_s_of

# Before the packages: Ceph has a module rgw, too.
sys.path.insert(1, os.path.join(TOP, "tests", "integration"))
import rgw  # noqa: E402
import s3api  # noqa: E402

BUCKET = "bench"


class Gateway:
    """One for a whole measurement, as a context manager, with one empty bucket. Its objects are in
    memory: how fast its disk is, is not what is measured."""

    def __init__(self):
        self.server = rgw.Rgw()
        self.api = None

    def __enter__(self):
        try:
            self.server.start()
            self.api = self.server.api()
            self.api.create_bucket(BUCKET)
        except (RuntimeError, OSError, s3api.S3Error) as error:
            self.server.stop()
            raise LabError(f"no S3 gateway: {error}") from error
        except BaseException:
            self.server.stop()
            raise
        return self

    def __exit__(self, *_):
        self.server.stop()

    def cpu_s(self):
        """Of all its processes: monitor, object store, gateway."""
        return sum(cpu_s_of(process.pid) for process in self.server.processes)

    def sizes(self):
        """key -> bytes of what is there."""
        return self.api.list(BUCKET)

    def get(self, key):
        return self.api.get(BUCKET, key)

    def empty(self):
        """Takes everything away, for good: without this the gateway does the last of it by and by,
        in the time of what is measured next."""
        try:
            for key, upload in self.api.uploads(BUCKET):
                self.api.abort(BUCKET, key, upload)
            for key in self.sizes():
                self.api.delete(BUCKET, key)
            self.server.admin("gc", "process", "--include-all")
        except (RuntimeError, OSError, subprocess.SubprocessError, s3api.S3Error) as error:
            raise LabError(f"the bucket cannot be emptied: {error}") from error

    def connections(self):
        """How many are open to it over TLS just now."""
        suffix, count = f":{self.server.tls_port:04X}", 0
        with open("/proc/net/tcp", encoding="ascii") as table:
            for line in table:  # proc(5): number, local address, remote address, state (01: open)
                fields = line.split()
                count += fields[1].endswith(suffix) and fields[3] == "01"
        return count

    def policy(self, folder):
        """The s3backupconfig of cluster.yml."""
        authority = "".join(f"          {line}\n" for line in self.server.ca_text.strip().splitlines())
        return (f"      s3backupconfig:\n        bucket_name: {BUCKET}\n        folder: {folder}\n"
                f"        region: {self.server.region}\n        endpoint: {self.server.tls_endpoint}\n"
                f"        access_key: {rgw.LAB.access_key}\n        secret_key: {rgw.LAB.secret_key}\n"
                f"        custom_ca: |\n{authority}")

    def rclone(self, file_name, key):
        """Command and environment of a copy into the bucket, everything else as it comes."""
        return [packaged("rclone"), "copyto", file_name, f"bench:{BUCKET}/{key}"], {
            "RCLONE_CONFIG": os.devnull, "RCLONE_CA_CERT": self.server.ca,
            "RCLONE_CONFIG_BENCH_TYPE": "s3", "RCLONE_CONFIG_BENCH_PROVIDER": "Ceph",
            "RCLONE_CONFIG_BENCH_ENDPOINT": "https://" + self.server.tls_endpoint,
            "RCLONE_CONFIG_BENCH_ACCESS_KEY_ID": rgw.LAB.access_key,
            "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY": rgw.LAB.secret_key}

    def aws(self, file_name, key):
        return [packaged("aws"), "--endpoint-url", "https://" + self.server.tls_endpoint, "--ca-bundle",
                self.server.ca, "--region", self.server.region, "s3", "cp", "--no-progress", file_name,
                f"s3://{BUCKET}/{key}"], {
            "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_ACCESS_KEY_ID": rgw.LAB.access_key,
            "AWS_SECRET_ACCESS_KEY": rgw.LAB.secret_key}


def packaged(tool):
    """The distribution's, where pip or brew put another one before it; None where there is none."""
    return shutil.which(tool, path="/usr/bin:" + os.environ.get("PATH", ""))


def possible():
    """None, or why there can be no gateway here."""
    return rgw.possible()
