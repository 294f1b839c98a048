"""etcd 3.5 from Debian 13, beside the host's own release.

mmdebstrap unpacks the packages into build/roots/trixie-etcd (kept between runs). The programs are
started through that root's own dynamic loader, so they find their C library without a chroot: no
privileges, no bind mounts, and the paths of certificates and data stay those of the host.
"""
import fcntl
import glob
import os
import shutil
import subprocess

from etcd import Programs

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROOT = os.path.join(TOP, "build", "roots", "trixie-etcd")
SUITE = "trixie"
DEFAULT_MIRROR = "http://deb.debian.org/debian"


def mirror():
    """The mirror this machine's apt uses for Debian itself."""
    files = glob.glob("/etc/apt/sources.list.d/*") + ["/etc/apt/sources.list"]
    for path in filter(os.path.isfile, files):
        with open(path, errors="replace") as source:
            for line in source:
                for word in line.split("#")[0].split():
                    if word.startswith("http") and word.rstrip("/").endswith("/debian"):
                        return word.rstrip("/")
    return DEFAULT_MIRROR


def programs():
    """Programs of the Debian 13 root; makes the root first where it is missing."""
    os.makedirs(os.path.dirname(ROOT), exist_ok=True)
    with open(ROOT + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two workers may want it at the same time
        if not os.path.exists(os.path.join(ROOT, "usr/bin/etcd")):
            make_root()
    libraries = glob.glob(os.path.join(ROOT, "usr/lib/*-linux-gnu*"))
    loaders = glob.glob(os.path.join(ROOT, "usr/lib/*-linux-gnu*/ld-linux*.so.*"))
    return Programs(os.path.join(ROOT, "usr/bin"),
                    [loaders[0], "--library-path", ":".join(libraries)])


def make_root():
    unfinished = ROOT + ".new"
    shutil.rmtree(unfinished, ignore_errors=True)
    subprocess.run(["mmdebstrap", "--quiet", "--variant=extract", "--include=etcd-server,etcd-client",
                    SUITE, unfinished, mirror()], check=True, timeout=300)
    os.rename(unfinished, ROOT)
