#!/bin/sh
# Installs what is missing of the packages that the build and the tests need. Debian and its
# relatives (apt-get), Fedora and its relatives (dnf).
#   tests/deps.sh [build] [test] [demo] [bench] [s3] [package]
set -eu

# systemd.pc moved into a package of its own after Debian 12.
systemd_dev() {
    [ "$(. /etc/os-release; echo "${VERSION_ID:-99}")" = 12 ] || echo systemd-dev
}

usage='usage: tests/deps.sh [build] [test] [demo] [bench] [s3] [package]'
missing=
for set in "${@:-build}"; do
    # prometheus: for promtool, 20 MB to fetch. Fedora's package has had more than one name.
    if command -v apt-get >/dev/null; then
        case $set in
            build) packages='g++ make pkgconf systemd libsystemd-dev libcurl4-openssl-dev libssl-dev
                libinih-dev libyaml-cpp-dev libisal-dev libarchive-dev nlohmann-json3-dev
                libcli11-dev libfmt-dev libpugixml-dev' ;;
            test) packages='libcpputest-dev etcd-server etcd-client zip unzip zstd openssl ca-certificates
                mandoc python3 python3-h2 mmdebstrap libfaketime mount procps
                systemd-container dpkg-dev debhelper
                radosgw ceph-mon ceph-osd python3-swift prometheus' ;;
            demo) packages='etcd-server etcd-client unzip' ;;
            bench) packages='etcd-server etcd-client zip unzip openssl python3 rclone awscli' ;;
            s3) packages='radosgw ceph-mon ceph-osd openssl python3' ;;
            package) packages='debhelper lintian rpm rpmlint debugedit elfutils libcpputest-dev unzip
                zstd mmdebstrap' ;;
            *) echo "$usage" >&2; exit 64 ;;
        esac
        [ "$set" != build ] || packages="$packages $(systemd_dev)"
        for package in $packages; do
            [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
                missing="$missing $package"
        done
    elif command -v dnf >/dev/null; then
        case $set in
            build) packages='gcc-c++ make pkgconf systemd-devel libcurl-devel openssl-devel inih-devel
                yaml-cpp-devel isa-l-devel libarchive-devel json-devel cli11-devel fmt-devel pugixml-devel' ;;
            test) packages='cpputest-devel libasan libubsan etcd zip unzip zstd openssl mandoc
                python3 python3-h2 mmdebstrap libfaketime util-linux procps-ng systemd-container
                ceph-radosgw ceph-mon ceph-osd /usr/bin/promtool' ;;
            demo) packages='etcd unzip' ;;
            bench) packages='etcd zip unzip openssl python3 rclone awscli2' ;;
            s3) packages='ceph-radosgw ceph-mon ceph-osd openssl python3' ;;
            package) packages='rpm-build rpmlint debugedit elfutils cpputest-devel libasan libubsan
                unzip zstd' ;;
            *) echo "$usage" >&2; exit 64 ;;
        esac
        for package in $packages; do
            rpm -q --whatprovides "$package" >/dev/null 2>&1 || missing="$missing $package"
        done
    else
        echo "tests/deps.sh: neither apt-get nor dnf is here: install the libraries by hand" >&2
        exit 1
    fi
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "These packages are missing:$missing" >&2
    echo "  run this command as root (sudo make ...), or install them yourself" >&2
    exit 1
fi
echo "Installing:$missing"
# shellcheck disable=SC2086 # a list of names
if command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    # Services that come with the packages do not start: an etcd of the distribution's would make
    # its data directory where another is to be. (invoke-rc.d asks this file.)
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap 'rm -f $policy' EXIT
        trap 'exit 1' INT TERM
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
    fi
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    dnf install -y -q $missing
fi
# The tests start etcds and Ceph daemons of their own; the services that came with the packages are
# nobody's wish.
disable() {
    if [ -d /run/systemd/system ]; then systemctl disable --quiet --now "$@"; fi
}
case $missing in *etcd-server*) disable etcd.service ;; esac
case $missing in *prometheus*) disable prometheus.service ;; esac
case $missing in *ceph-*) disable ceph-crash.service ;; esac
