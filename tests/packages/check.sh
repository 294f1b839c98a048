#!/bin/bash
# The packages, from what `make` has built: both are made and looked at by their linters, and have the
# same contents; the RPM installs and erases; purge and completion do as they should.
# Needs debhelper, lintian, rpm, rpmlint, debugedit and elfutils; without the first two (Fedora) what is
# about the Debian package is skipped. Takes under a minute, and compiles nothing. Full builds, with the
# unit tests, are build_deb.sh and build_rpm.sh beside it.
set -u
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0 log=$work/log
. tests/one.sh

# script FILE: a script that counts its own tests.
script() {
    local line
    line=$("$1" 2>&1 | tee "$log" | tail -n 1)
    grep -v '^[0-9]* passed, ' "$log"
    if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
    else
        failed=$((failed + 1))
    fi
}

notices_a_difference() {
    local change=$1 expected=$2 said
    rm -rf "$work/changed"
    dpkg-deb --raw-extract "$work"/deb/etcd-snapshot_*.deb "$work/changed" &&
        (cd "$work/changed" && eval "$change") &&
        dpkg-deb -Znone --root-owner-group --build "$work/changed" "$work/changed.deb" || return 1
    said=$(tests/packages/compare.py "$work/changed.deb" "$rpm")
    [[ $? == 1 && $said == *"$expected"* ]] || { echo "$said"; return 1; }
}

in_root() { rpm --root "$work/root" --nodeps --noscripts "$@"; }

install_and_erase() {
    local conf=$work/root/etc/etcd-snapshot/etcd-snapshot.conf left
    mkdir -p "$work/root"
    in_root -i "$rpm" || return 1
    "$work/root/usr/bin/etcd-snapshot" --version && [[ -x $work/root/usr/lib/systemd/system-generators/etcd-snapshot-generator ]] || return 1
    echo 'services: {}' >"$work/root/etc/etcd-snapshot/cluster.yml"
    echo '# mine' >>"$conf"
    in_root -U --force "$rpm" && grep -qx '# mine' "$conf" || return 1
    in_root -e etcd-snapshot || return 1
    left=$(cd "$work/root" && find . -name '*etcd-snapshot*' ! -path './var/*' -o -path './etc/etcd-snapshot/*' | LC_ALL=C sort | tr '\n' ' ')
    echo "left: $left"
    [[ $left == './etc/etcd-snapshot ./etc/etcd-snapshot/cluster.yml ./etc/etcd-snapshot/etcd-snapshot.conf.rpmsave ' ]]
}

# built STATUS: what the build in the background said, and how it ended.
built() {
    cat "$work/deb.log"
    return "$1"
}

one 'versions, what is built with and installed' tests/lint/packages.sh
script tests/packages/purge.sh
script tests/packages/completion.sh
if command -v dh >/dev/null && command -v lintian >/dev/null; then with_deb=1; else with_deb="" skipped=6; fi
if [ $with_deb ]; then
    # Both at once, on two cores.
    tests/packages/build_deb.sh "$work/deb" --built >"$work/deb.log" 2>&1 &
fi
one 'the RPM package is made, rpmlint finds nothing' tests/packages/build_rpm.sh "$work/rpm" --built
rpm=$(find "$work/rpm" -name 'etcd-snapshot-[0-9]*.rpm')
one 'the RPM package installs and erases' install_and_erase
if [ $with_deb ]; then
    wait $!
    one 'the Debian package is made, lintian finds nothing' built $?
    one 'both install the same' tests/packages/compare.py "$work"/deb/etcd-snapshot_*.deb "$rpm"
    one 'a missing file is noticed' notices_a_difference 'rm usr/share/man/man5/*' 'etcd-snapshot.conf.5 is in the RPM package alone'
    one 'another mode is noticed' notices_a_difference 'chmod 755 etc/etcd-snapshot' 'mode 0o755'
    one 'another content is noticed' notices_a_difference 'echo >>usr/lib/tmpfiles.d/etcd-snapshot.conf' 'tmpfiles.d/etcd-snapshot.conf: content'
    one 'a lost conffile is noticed' notices_a_difference ': >DEBIAN/conffiles' 'etcd-snapshot.conf is configuration in one'
fi

if [ $skipped = 0 ]; then
    echo "$passed passed, $failed failed"
else
    echo "$passed passed, $failed failed, $skipped skipped"
fi
[[ $failed == 0 ]]
