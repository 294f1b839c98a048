"""etcd 3.5 from Debian 13 (3.5.16) and from the next Debian (3.5.30 or later), beside the host's own release.

mmdebstrap unpacks the packages into build/roots/SUITE-etcd (kept between runs). The programs are
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
SUITE, NEXT = "trixie", "forky"
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


def programs(suite=SUITE):
    """Programs of that suite's root; makes the root first where it is missing."""
    root = os.path.join(TOP, "build", "roots", suite + "-etcd")
    os.makedirs(os.path.dirname(root), exist_ok=True)
    with open(root + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two workers may want it at the same time
        if not os.path.exists(os.path.join(root, "usr/bin/etcd")):
            make_root(suite, root)
    libraries = glob.glob(os.path.join(root, "usr/lib/*-linux-gnu*"))
    loaders = glob.glob(os.path.join(root, "usr/lib/*-linux-gnu*/ld-linux*.so.*"))
    return Programs(os.path.join(root, "usr/bin"),
                    [loaders[0], "--library-path", ":".join(libraries)])


def make_root(suite, root):
    unfinished = root + ".new"
    shutil.rmtree(unfinished, ignore_errors=True)
    # A mirror that stands still has lists of the moving suite that are past their time.
    late = ["--aptopt=Acquire::Check-Valid-Until false"] if suite == NEXT else []
    subprocess.run(["mmdebstrap", "--quiet", "--variant=extract", "--include=etcd-server,etcd-client", *late,
                    suite, unfinished, mirror()], check=True, timeout=300)
    os.rename(unfinished, root)
