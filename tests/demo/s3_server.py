#!/usr/bin/python3
"""s3_server.py DIRECTORY BUCKET
The S3 server of the demonstration: the tests' Ceph RADOS Gateway on loopback, with an empty bucket.
Writes `endpoint`, `ca.pem`, `access_key` and `secret_key` into the directory. Takes commands from
standard input, one a line, and answers each with a line: "stop" (it goes away, what it holds stays),
"start". Ends, and everything of it, with standard input."""
import os
import shutil
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Before the packages: Ceph has a module rgw, too.
sys.path.insert(1, os.path.join(TOP, "tests", "integration"))
import rgw  # noqa: E402


class Gateway(rgw.Rgw):
    def pause(self):
        """Ends the gateway alone, in good order: one that was killed is waited for by the next."""
        process = self.processes.pop()
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def resume(self):
        self.background("radosgw", "-n", "client.rgw", "-f")
        self.wait_ready()


def write(directory, name, text):
    with open(os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CREAT, 0o600), "w",
              encoding="utf-8") as out:
        out.write(text)


def main(directory, bucket):
    if reason := rgw.possible():
        print(f"no S3 gateway: {reason}; sudo tests/deps.sh s3 installs it", flush=True)
        return 69
    # Ctrl-C is the demo's, which closes our input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Gateway() as gateway:
        gateway.api().create_bucket(bucket)
        write(directory, "endpoint", gateway.tls_endpoint)
        write(directory, "access_key", rgw.LAB.access_key)
        write(directory, "secret_key", rgw.LAB.secret_key)
        shutil.copy(gateway.ca, os.path.join(directory, "ca.pem"))
        print("ready", flush=True)
        for line in sys.stdin:
            {"stop": gateway.pause, "start": gateway.resume}[line.strip()]()
            print("done", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
