"""The ways to get a snapshot, and into a bucket, each measured from a synced disk to its last byte."""

import os
import re
import subprocess
import threading
import time

from lab import LabError, Stopwatch, machine_cpu_s

TITLES = {
    "drain": "bare drain of the stream, to nowhere",
    "zip1": "etcdctl snapshot save, zip -1",
    "zip6": "etcdctl snapshot save, zip -6",
    "zip": "etcd-snapshot run, zip",
    "zstd": "etcd-snapshot run, zstd",
    "none": "etcd-snapshot run, no compression",
    "s3": "etcd-snapshot run, zip, to the bucket",
    "rclone": "etcdctl, zip -6, rclone copyto",
    "aws": "etcdctl, zip -6, aws s3 cp",
}
AGENT_STEPS = ("zip", "zstd", "none", "s3")
BUCKET_STEPS = ("s3", "rclone", "aws")
FOLDER = "hosts"


class Steps:
    """`gateway`: where the steps with a bucket put theirs; None without such steps."""

    def __init__(self, options, certificates, etcd, directory, gateway=None):
        self.options, self.certificates, self.etcd = options, certificates, etcd
        self.directory, self.gateway = directory, gateway
        os.makedirs(directory, exist_ok=True)
        self.watch = Stopwatch(os.path.join(options.directory, "measure"), directory)
        # With retention 0 a cycle prunes the snapshot of the one before: a full disk is avoided as a
        # host avoids it, and the pruning is part of what is measured.
        self.folders = {}
        for step in AGENT_STEPS:
            self._configure(step, step, "zip" if step == "s3" else step, 0, step == "s3")

    def _configure(self, step, folder, compression, retention, to_bucket):
        snapshots = self.folders[step] = os.path.join(self.directory, "snapshots-" + folder)
        for path in (snapshots, os.path.join(self.directory, "run-" + step)):
            os.makedirs(path, mode=0o700, exist_ok=True)
        with open(os.path.join(self.directory, step + ".conf"), "w", encoding="utf-8") as conf:
            conf.write(self.etcd.section()
                       + f"[snapshots]\ndirectory = {snapshots}\ncompression = {compression}\n"
                       + "\n[s3]\nlookup = path\n")
        policy = os.path.join(self.directory, step + ".yml")
        with open(policy, "w", encoding="utf-8") as cluster:
            cluster.write("services:\n  etcd:\n    backup_config:\n      enabled: true\n"
                          f"      interval_hours: 1\n      retention: {retention}\n")
            if to_bucket and self.gateway:
                cluster.write(self.gateway.policy(FOLDER))
        os.chmod(policy, 0o600)

    def run(self, step):
        """One measured step: its figures, with what etcd itself, the gateway and other processes
        used."""
        os.sync()
        etcd_before, gateway_before, machine_before = self.etcd.cpu_s(), self._gateway_cpu_s(), machine_cpu_s()
        figures = getattr(self, "_agent" if step in AGENT_STEPS else "_" + step)(step)
        figures["etcd_cpu_s"] = self.etcd.cpu_s() - etcd_before
        figures["gateway_cpu_s"] = self._gateway_cpu_s() - gateway_before
        figures["other_cpu_s"] = max(0.0, machine_cpu_s() - machine_before - figures["cpu_s"]
                                     - figures["etcd_cpu_s"] - figures["gateway_cpu_s"])
        if step in BUCKET_STEPS:
            self._look_at_bucket(step, figures["bytes"])
            self.gateway.empty()
        return figures

    def _gateway_cpu_s(self):
        return self.gateway.cpu_s() if self.gateway else 0.0

    def _look_at_bucket(self, step, size_bytes):
        found = self.gateway.sizes()
        if list(found.values()) != [size_bytes]:
            raise LabError(f"{step}: the bucket holds {found} instead of one object of {size_bytes} bytes")

    def _drain(self, _step):
        figures = self.watch.run([os.path.join(self.options.directory, "drain"), self.etcd.endpoint]
                                 + self.certificates.flags())
        figures["bytes"] = int(self.watch.output().split()[0])
        return figures

    def _etcdctl(self, level, upload=None):
        """`upload`: makes command and environment that take a file to a key of the bucket."""
        database, archive = (os.path.join(self.directory, name) for name in ("etcdctl.db", "etcdctl.zip"))
        try:
            parts = [self.watch.run(
                ["etcdctl", "--endpoints", self.etcd.endpoint] + self.certificates.flags()
                + ["snapshot", "save", database], {"ETCDCTL_API": "3"}),
                self.watch.run(["zip", "-q", "-j", f"-{level}", archive, database])]
            if upload:
                parts.append(self.watch.run(*upload(archive, FOLDER + "/etcdctl.zip")))
            return {"wall_s": sum(part["wall_s"] for part in parts),
                    "cpu_s": sum(part["cpu_s"] for part in parts),
                    "peak_kib": max(part["peak_kib"] for part in parts),
                    "bytes": os.path.getsize(archive), "save_s": parts[0]["wall_s"],
                    "upload_s": parts[-1]["wall_s"]}
        finally:
            for name in (database, archive):
                if os.path.exists(name):
                    os.remove(name)

    def _zip1(self, _step):
        return self._etcdctl(1)

    def _zip6(self, _step):
        return self._etcdctl(6)

    def _rclone(self, _step):
        return self._etcdctl(6, self.gateway.rclone)

    def _aws(self, _step):
        return self._etcdctl(6, self.gateway.aws)

    def _agent(self, step):
        before = set(self.archives(step))
        figures = self.watch.run(
            [self.options.program, "--config", os.path.join(self.directory, step + ".conf"),
             "--cluster-file", os.path.join(self.directory, step + ".yml"), "run"],
            {"RUNTIME_DIRECTORY": os.path.join(self.directory, "run-" + step)})
        new = set(self.archives(step)) - before
        if len(new) != 1:
            raise LabError(f"etcd-snapshot run wrote {len(new)} snapshots instead of one:\n"
                           + self.watch.output())
        figures["bytes"] = os.path.getsize(new.pop())
        waited = re.search(r'msg="Uploaded backup".* runtime="?([0-9.hmsµn]+)"?', self.watch.output())
        figures["upload_s"] = go_seconds(waited.group(1)) if waited else 0.0
        return figures

    def archives(self, step):
        folder = self.folders[step]
        return [os.path.join(folder, name) for name in os.listdir(folder)
                if not name.startswith(".") and "_etcd" in name and not name.endswith(".json")]

    def prove(self):
        """What is measured is worth nothing unless the archives are good: others must take one."""
        archive = max(self.archives("zip"))
        database = os.path.join(self.directory, "proved.db")
        self.watch.run(["unzip", "-qq", "-t", archive])
        with open(database, "wb") as output:
            subprocess.run(["unzip", "-p", archive], stdin=subprocess.DEVNULL, stdout=output, check=False)
        self.watch.run(["etcdctl", "snapshot", "status", database], {"ETCDCTL_API": "3"})
        os.remove(database)
        print("  an archive of the agent passes unzip -t, and etcdctl snapshot status takes what is in it")

    def backlog(self):
        """Peak memory where a whole archive waits for its upload: all its parts are there to be sent,
        so as many are on their way at a time as the agent sends at most."""
        for step, to_bucket in (("alone", False), ("backlog", True)):  # as if it had been away before
            self._configure(step, "backlog", "zip", 24, to_bucket)
        self._agent("alone")
        time.sleep(1.1)  # names carry whole seconds
        over, most = threading.Event(), [0]

        def look():
            while not over.wait(0.02):
                most[0] = max(most[0], self.gateway.connections())
        looker = threading.Thread(target=look)
        looker.start()
        try:
            figures = self._agent("backlog")
        finally:
            over.set()
            looker.join()
        here = {os.path.basename(path): path for path in self.archives("backlog")}
        there = {key.partition("/")[2] for key in self.gateway.sizes()}
        if set(here) != there or len(there) != 2:
            raise LabError(f"the bucket holds {sorted(there)} instead of {sorted(here)}:\n" + self.watch.output())
        for name, path in here.items():
            with open(path, "rb") as archive:
                if archive.read() != self.gateway.get(f"{FOLDER}/{name}"):
                    raise LabError(f"{name}: what is in the bucket is something else")
        self.gateway.empty()
        print("  what the agent put into the bucket is, byte for byte, what it wrote here")
        return {"peak_kib": figures["peak_kib"], "connections": most[0]}


def go_seconds(text):
    """Seconds of a duration as Go writes it."""
    units = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([0-9.]+)(h|ms|µs|ns|m|s)", text))
