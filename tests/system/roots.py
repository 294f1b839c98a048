"""What containers are made of: the base root of a suite, the package for it, and the layer that has the package
installed. Base roots and what was compiled are kept below build/, named by a hash of what went in.
"""
import contextlib
import fcntl
import glob
import hashlib
import os
import shutil
import sys
import time

from container import Cgroup, Failed, Overlay, nspawn

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROOTS = os.path.join(TOP, "build", "roots")
KEPT = os.path.join(TOP, "build", "system")
SUITES = ("bookworm", "trixie")
sys.path.insert(1, os.path.join(TOP, "tests", "integration"))
from etcd35 import mirror  # noqa: E402  (the path comes first)

# The package lists stay, so that apt needs no update.
MMDEBSTRAP = ("mmdebstrap", "--quiet", "--variant=minbase", "--skip=cleanup/apt/lists", "--include="
              "systemd,systemd-sysv,dbus,ca-certificates,python3,etcd-server,etcd-client,openssl,unzip")
# As debian/control has it, but for what only the unit tests need.
BUILD = ("g++ make pkgconf debhelper libarchive-dev libcli11-dev libcurl4-openssl-dev libfmt-dev libinih-dev "
         "libisal-dev libpugixml-dev libssl-dev libsystemd-dev libyaml-cpp-dev nlohmann-json3-dev")
APT = ("apt-get", "-o", "DPkg::Options::=--force-unsafe-io", "-o", "APT::Keep-Downloaded-Packages=false",
       "-qq", "-y", "--no-install-recommends", "install")


def digest(*parts):
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


class Maker:
    """Makes what containers of one suite need; `work` is this run's own directory, `log` takes what the
    tools print."""

    def __init__(self, suite, processes, work):
        self.suite, self.processes, self.work = suite, processes, work
        self.log = os.path.join(work, f"{suite}.log")

    @contextlib.contextmanager
    def alone(self):
        """Two runs must not make the same root."""
        os.makedirs(ROOTS, exist_ok=True)
        os.makedirs(KEPT, exist_ok=True)
        with open(os.path.join(ROOTS, f"system-{self.suite}.lock"), "w") as lock:
            while not self.processes.stopped:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(0.5)
            yield

    def keep(self, kind, recipe, make):
        """The directory of this kind and recipe; `make` fills it where it is missing, and others go."""
        path = os.path.join(ROOTS, f"system-{self.suite}-{kind}-{digest(recipe)}")
        if not os.path.isdir(path):
            for old in glob.glob(os.path.join(ROOTS, f"system-{self.suite}-{kind}-*")):
                shutil.rmtree(old)
            make(path + ".new")
            os.rename(path + ".new", path)
        return path

    def inside(self, root, name, *command, options=()):
        """Runs a command in a root, without booting it, with the host's network."""
        with Cgroup(name) as cgroup:
            self.processes.run(cgroup.enter(nspawn(
                root, name, "--resolv-conf=replace-host", "--as-pid2", "--console=pipe",
                "--setenv=DEBIAN_FRONTEND=noninteractive", "--setenv=LC_ALL=C.UTF-8", *options, *command)), self.log)

    def install(self, root, name, *packages, options=()):
        """apt-get install; the lists may have grown too old for the mirror."""
        try:
            self.inside(root, name, *APT, *packages, options=options)
        except Failed:
            self.inside(root, name, "apt-get", "-qq", "update")
            self.inside(root, name, *APT, *packages, options=options)

    def base(self):
        """A minimal Debian with systemd and the distribution's etcd."""
        return self.keep("base", " ".join(MMDEBSTRAP) + BASE_FILES + mirror(), self.make_base)

    def make_base(self, path):
        self.processes.run([*MMDEBSTRAP, self.suite, path, mirror()], self.log)
        self.processes.run(["chroot", path, "sh", "-ec", BASE_FILES], self.log)

    def packages(self, base):
        """A directory with the package for this suite."""
        with open("/etc/os-release") as release:
            native = f"VERSION_CODENAME={self.suite}\n" in release.read()
        path = os.path.join(KEPT, f"{self.suite}-packages-{digest('' if native else BUILD + COMPILE, sources(native))}")
        if not os.path.isdir(path):
            for old in glob.glob(os.path.join(KEPT, f"{self.suite}-packages-*")):
                shutil.rmtree(old)
            (self.pack_what_is_built if native else self.compile)(base, path + ".new")
            os.rename(path + ".new", path)
        return path

    def pack_what_is_built(self, _, path):
        self.processes.run([os.path.join(TOP, "tests/packages/build_deb.sh"), path, "--built"], self.log)

    def compile(self, base, path):
        """In a root of the suite; objects are kept, so that make compiles what has changed."""
        def make_layer(layer):
            with Overlay(layer + ".overlay", [base]) as overlay:
                self.install(overlay.root, f"{self.suite}-tools", *BUILD.split(), *self.systemd_dev())
            os.rename(overlay.upper, layer)
            shutil.rmtree(overlay.path)

        tools = self.keep("tools", base + BUILD, make_layer)
        tree = os.path.join(KEPT, f"{self.suite}-build")
        # What an earlier packing left would tell debhelper that it has nothing to do.
        for old in glob.glob(os.path.join(tree, "*", "debian")):
            shutil.rmtree(old)
        os.makedirs(tree, exist_ok=True)
        self.processes.run([os.path.join(TOP, "tests/packages/source.sh"), tree], self.log)
        with Overlay(os.path.join(self.work, f"{self.suite}-compile"), [tools, base]) as overlay:
            self.inside(overlay.root, f"{self.suite}-compile", "sh", "-ec", COMPILE, options=[f"--bind={tree}:/build"])
        os.mkdir(path)
        for package in glob.glob(os.path.join(tree, "*.deb")):
            shutil.move(package, path)

    def systemd_dev(self):
        # systemd.pc moved into a package of its own after Debian 12.
        return [] if self.suite == "bookworm" else ["systemd-dev"]

    def installed(self, base, packages):
        """A layer over the base: apt has installed the package and what it depends on."""
        with Overlay(os.path.join(self.work, f"{self.suite}-installed"), [base]) as overlay:
            # apt wants a path, and no host's shell has looked into /packages.
            package = glob.glob(os.path.join(packages, "etcd-snapshot_*.deb"))
            if len(package) != 1:
                raise Failed(f"{packages} should hold one package: {os.listdir(packages)}")
            self.install(overlay.root, f"{self.suite}-install", "/packages/" + os.path.basename(package[0]),
                         options=[f"--bind-ro={packages}:/packages"])
        return overlay.upper


def sources(native):
    """A digest of what the package is made from: with `native` of what make has built, too."""
    files = ["Makefile", "README.md", "LICENSE", "tests/packages/build_deb.sh"]
    files += ["build/etcd-snapshot", "build/etcd-snapshot-generator"] if native else []
    for top in ("agent", "units", "man", "etc", "debian"):
        for directory, _, names in os.walk(os.path.join(TOP, top)):
            files += [os.path.join(os.path.relpath(directory, TOP), name) for name in names]
    total = hashlib.sha256()
    for name in sorted(files):
        with open(os.path.join(TOP, name), "rb") as file:
            total.update(name.encode() + b"\0" + hashlib.sha256(file.read()).digest())
    return total.hexdigest()


# etcd is the scenarios' to start; what would run by itself now and then is off.
BASE_FILES = """
systemctl disable --quiet etcd.service
systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
mkdir -p /var/log/journal
rm -f /etc/apt/apt.conf.d/*mmdebstrap*
"""
# The distribution's flags but for the optimization, which takes most of the time and shows nothing here. A module
# at a time: file by file is how the package for the other suite was compiled.
COMPILE = """
export RELEASE_UNITY=1
rm -f /build/*.deb
cd /build/etcd-snapshot-*
make --no-print-directory -j"$(nproc)" OPTIMIZE='-O1' all
DEB_BUILD_OPTIONS='nocheck noautodbgsym' dpkg-buildpackage -us -uc -b -nc -d
"""
