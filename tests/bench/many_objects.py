"""A cycle of etcd-snapshot with a bucket that holds a hundred thousand snapshots, nearly all of them
expired: what it calls, and that its memory does not grow with their number."""

import json
import os
import shutil
import subprocess
import urllib.request

from lab import LabError, Stopwatch, cpu_s_of, end_process, with_parent

FRESH = 10  # of the counted objects; the server does not let them expire
# The bench's own server takes any signature.
POLICY = """services:
  etcd:
    backup_config:
      enabled: true
      interval_hours: 12
      retention: 24
      s3backupconfig:
        bucket_name: bench
        folder: hosts
        region: us-east-1
        endpoint: http://127.0.0.1:{port}
        access_key: bench
        secret_key: bench
"""


class CountedBucket:
    """The server of many_objects.cc, as a context manager."""

    def __init__(self, program, objects):
        self.arguments = [program, str(objects), "--fresh", str(FRESH)]
        self.process = self.port = None

    def __enter__(self):
        self.process = subprocess.Popen(with_parent(self.arguments), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            said = self.process.stdout.readline().split()
            if len(said) != 2 or said[0] != "port":
                raise LabError("many_objects did not start")
            self.port = int(said[1])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        end_process(self.process)
        self.process.stdout.close()

    def counts(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self.port}/counts", timeout=10) as answer:
            return json.load(answer)

    def cpu_s(self):
        return cpu_s_of(self.process.pid)


def one_cycle(options, etcd, directory, objects):
    """Figures of one cycle with so many objects in the bucket, and a fresh host."""
    shutil.rmtree(directory, ignore_errors=True)
    snapshots, runtime = (os.path.join(directory, name) for name in ("snapshots", "run"))
    os.makedirs(runtime)
    os.makedirs(snapshots, mode=0o700)
    watch = Stopwatch(os.path.join(options.directory, "measure"), directory)
    conf, cluster = (os.path.join(directory, name) for name in ("etcd-snapshot.conf", "cluster.yml"))
    # The last one is what the cycle uploads.
    with CountedBucket(os.path.join(options.directory, "many_objects"), objects - 1) as bucket:
        with open(conf, "w", encoding="utf-8") as text:
            text.write(etcd.section() + f"[snapshots]\ndirectory = {snapshots}\n")
        with open(cluster, "w", encoding="utf-8") as text:
            text.write(POLICY.format(port=bucket.port))
        os.chmod(cluster, 0o600)
        command = [options.program, "--config", conf, "--cluster-file", cluster]
        environment = {"RUNTIME_DIRECTORY": runtime}
        shown_kib = max(watch.run(command + ["list", *how], environment)["peak_kib"]
                        for how in ([], ["--json"]))
        before, before_cpu_s = bucket.counts(), bucket.cpu_s()
        figures = watch.run(command + ["run"], environment)
        figures.update({what: count - before[what] for what, count in bucket.counts().items()})
        figures.update(server_cpu_s=bucket.cpu_s() - before_cpu_s, shown_kib=shown_kib)
    expired = objects - 1 - FRESH - objects // 1000  # of a thousand one is no snapshot
    if figures["wrong"] or figures["removed"] != expired:
        raise LabError(f"of {objects} objects {figures['removed']} were deleted instead of {expired}, "
                       f"{figures['wrong']} of them wrongly:\n{watch.output()}")
    return figures


def measure(options, etcd, directory):
    """Objects in the bucket -> figures of each cycle; few and many in turns."""
    measured = {1000: [], options.objects: []}
    for number in range(min(options.rounds, 3)):
        for objects in measured:
            figures = one_cycle(options, etcd, directory, objects)
            figures["objects"] = objects
            measured[objects].append(figures)
            print(f"  round {number + 1}  {objects:7d} objects  {figures['wall_s']:7.2f} s  "
                  f"{figures['peak_kib'] / 1024:6.1f} MiB  {figures['list']} list calls, "
                  f"{figures['delete']} delete calls, {figures['removed']} deleted", flush=True)
    return measured
