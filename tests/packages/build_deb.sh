#!/bin/bash
# Builds the Debian packages of the sources as they are here into OUTPUT; a finding of lintian, where
# that is installed, is an error.
#   tests/packages/build_deb.sh OUTPUT            on this host, with the packages it has
#   tests/packages/build_deb.sh OUTPUT SUITE      in a root of that suite (bookworm, trixie, forky)
#                                                 which has nothing but the build dependencies:
#                                                 needs to be root, mmdebstrap and the network
#   tests/packages/build_deb.sh OUTPUT --built    from what `make` has built: packs it only, in
#                                                 seconds; no tests, not the distribution's flags
# DEB_BUILD_OPTIONS as ever (nocheck, parallel=N). With ROOT_TARBALL=FILE the root of SUITE is kept in
# FILE, and taken from there the next time.
set -euo pipefail
output=${1:?usage: tests/packages/build_deb.sh OUTPUT [SUITE | --built]}
how=${2:-}
here=$(realpath "$(dirname "$0")")
# What a make that started this was told is not meant for the one that builds the package.
unset MAKEFLAGS MFLAGS MAKELEVEL
mkdir -p "$output"
output=$(realpath "$output")
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT

# Build-Depends, by the first name of each, without versions and profiles; joined by commas.
build_dependencies() {
    sed -n '/^Build-Depends:/,/^$/p' "$here/../../debian/control" |
        sed 's/^Build-Depends://; s/^ *//; s/^debhelper-compat/debhelper/; s/[ ,].*//; /^$/d' | paste -sd,
}

build_on_this_host() {
    "$here/source.sh" "$work/build"
    (cd "$work"/build/etcd-snapshot-* && dpkg-buildpackage -us -uc)
}

pack_what_is_built() {
    "$here/source.sh" "$work/build" --built && cd "$work"/build/etcd-snapshot-* &&
        DEB_BUILD_OPTIONS="nocheck noautodbgsym ${DEB_BUILD_OPTIONS:-}" dpkg-buildpackage -us -uc -b -nc -d
}

build_in_a_root() {
    local suite=$1 tarball=${ROOT_TARBALL:-$work/root.tar} packages options=()
    packages=$(build_dependencies)
    # systemd.pc had no package of its own yet.
    [ "$suite" != bookworm ] || packages=${packages/,systemd-dev,/,systemd,}
    # Mirrors of a suite that is not released yet may be behind by more than its list is valid for.
    [ "$suite" != forky ] || options=(--aptopt='Acquire::Check-Valid-Until "false"')
    [ -s "$tarball" ] ||
        mmdebstrap --variant=buildd "${options[@]}" --include="$packages,lintian" "$suite" "$tarball"
    mkdir "$work/root"
    tar -xf "$tarball" -C "$work/root" --exclude='./dev/*'
    "$here/source.sh" "$work/root/build"
    chown -R root:root "$work/root/build"
    # What is mounted in a namespace of its own is gone with it, and so are processes.
    unshare --mount --pid --fork --kill-child sh -euc '
        mount -t proc proc "$1/proc"
        mount --rbind /dev "$1/dev"
        exec chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
            DEB_BUILD_OPTIONS="$2" sh -euc "
                cd /build/etcd-snapshot-*
                dpkg-buildpackage -us -uc
                lintian --allow-root --fail-on error,warning --info ../*.changes"
    ' sh "$work/root" "${DEB_BUILD_OPTIONS:-}"
    mv "$work/root/build" "$work/build"
}

case $how in
    '') build_on_this_host ;;
    --built) (pack_what_is_built) >"$work/log" 2>&1 || { cat "$work/log"; exit 1; } ;;
    -*) echo "$0: unknown: $how" >&2; exit 64 ;;
    *) build_in_a_root "$how" ;;
esac
if [[ ! $how || $how == --built ]] && command -v lintian >/dev/null; then
    lintian --allow-root --fail-on error,warning --info "$work"/build/*.changes
fi
find "$work/build" -maxdepth 1 -type f -exec mv -t "$output" {} +
ls -l "$output"
