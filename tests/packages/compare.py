#!/usr/bin/python3
"""Whether the Debian package and the RPM package install the same: paths, modes, owners, contents,
and which files are configuration.

    tests/packages/compare.py ETCD-SNAPSHOT.deb ETCD-SNAPSHOT.rpm

Programs are compiled separately for each and are compared by path and mode alone. Needs dpkg-deb,
rpm and rpm2archive (package rpm). Takes a second or two.
"""

import gzip
import io
import re
import subprocess
import sys
import tarfile

# What only one of them has by its own rules: licence and change log, the linter's overrides, the
# links of RPM's debug symbols.
OF_ONE_ALONE = re.compile(
    r"/usr/share/doc/etcd-snapshot/(copyright|changelog(\.Debian)?(\.gz)?)$"
    r"|/usr/share/licenses/|/usr/share/lintian/|/usr/lib/\.build-id(/|$)"
)
# Directories that are the package's own; a Debian package lists those of the system, too.
OWN_DIRECTORY = re.compile(r"etcd-snapshot(/|$)")


def output_of(*command, stdin=None):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stdin=stdin).stdout


def normalised(path, content):
    """The path and the content, without what differs by the distribution's custom."""
    path = "/" + path.removeprefix("./").strip("/")
    path = re.sub(r"^/lib/", "/usr/lib/", path)  # Debian before /usr was merged
    if path.endswith(".gz"):
        path, content = path[:-3], gzip.decompress(content)
    if content.startswith(b"\x7fELF"):
        content = b"a program"
    return path, content


def contents(archive):
    """path -> (kind, mode, owner, content) of a tar archive."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            data = tar.extractfile(member).read() if member.isfile() else b""
            path, data = normalised(member.name, data)
            if OF_ONE_ALONE.search(path) or (member.isdir() and not OWN_DIRECTORY.search(path)):
                continue
            kind = "directory" if member.isdir() else "file" if member.isfile() else "link"
            owner = f"{member.uname or 'root'}:{member.gname or 'root'}"
            found[path] = (kind, oct(member.mode & 0o7777), owner, data or member.linkname.encode())
    return found


def of_deb(package):
    conffiles = output_of("dpkg-deb", "--info", package, "conffiles").decode().split("\n")
    return contents(output_of("dpkg-deb", "--fsys-tarfile", package)), set(filter(None, conffiles))


def of_rpm(package):
    with open(package, "rb") as file:
        archive = output_of("rpm2archive", "-n", "-", stdin=file)
    config = output_of("rpm", "-qp", "--configfiles", package).decode().split("\n")
    return contents(archive), set(filter(None, config))


def shown(data):
    return f"{len(data)} bytes" if len(data) > 60 else repr(data)


def differences(deb, rpm):
    (deb_files, deb_config), (rpm_files, rpm_config) = deb, rpm
    for path in sorted(deb_files.keys() | rpm_files.keys()):
        if path not in rpm_files:
            yield f"{path} is in the Debian package alone"
        elif path not in deb_files:
            yield f"{path} is in the RPM package alone"
        else:
            for what, one, other in zip(("kind", "mode", "owner", "content"), deb_files[path], rpm_files[path]):
                if one != other:
                    if what == "content":
                        one, other = shown(one), shown(other)
                    yield f"{path}: {what} {one} in the Debian package, {other} in the RPM package"
    for path in sorted(deb_config ^ rpm_config):
        yield f"{path} is configuration in one of them alone"


def main():
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} ETCD-SNAPSHOT.deb ETCD-SNAPSHOT.rpm")
    deb, rpm = of_deb(sys.argv[1]), of_rpm(sys.argv[2])
    if not deb[0]:
        sys.exit(f"{sys.argv[1]}: nothing in it")
    found = list(differences(deb, rpm))
    for line in found:
        print(line)
    if found:
        sys.exit(1)
    print(f"{len(deb[0])} paths are the same in both packages")


if __name__ == "__main__":
    main()
