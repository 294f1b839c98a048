#!/bin/bash
# Builds the Debian packages of the sources as they are here into OUTPUT, and looks at them with
# lintian where that is installed.
#   tests/packages/build_deb.sh OUTPUT            on this host, with the packages it has
#   tests/packages/build_deb.sh OUTPUT SUITE      in a root of that suite made by mmdebstrap, with
#                                                 nothing but the build dependencies (root, network)
#   tests/packages/build_deb.sh OUTPUT --built    from what `make` has built: packs it only, in
#                                                 seconds; no tests, not the distribution's flags
# DEB_BUILD_OPTIONS as ever: nocheck, parallel=N. ROOT_TARBALL=FILE with SUITE: the root is kept in
# FILE and taken from there the next time.
set -euo pipefail
output=${1:?usage: tests/packages/build_deb.sh OUTPUT [SUITE | --built]}
how=${2:-}
here=$(realpath "$(dirname "$0")")
mkdir -p "$output"
output=$(realpath "$output")
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT

lint() {
    # --info: a finding explains itself; none of any severity that a reader of the log would see.
    lintian --allow-root --fail-on error,warning --info "$1"/*.changes
}

case $how in
    --built)
        tree=$("$here/source.sh" "$work" --built)
        (cd "$tree" && DEB_BUILD_OPTIONS="nocheck noautodbgsym ${DEB_BUILD_OPTIONS:-}" dpkg-buildpackage -us -uc -b -nc -d) >"$work/log" 2>&1 ||
            { cat "$work/log"; exit 1; }
        ;;
    '')
        tree=$("$here/source.sh" "$work")
        (cd "$tree" && dpkg-buildpackage -us -uc)
        ;;
    *)
        root=$work/root
        tarball=${ROOT_TARBALL:-$work/root.tar}
        # mk-build-deps would bring half of Perl; the field is simple enough to be read here.
        packages=$(sed -n '/^Build-Depends:/,/^$/p' "$here/../../debian/control" | sed '/^$/d; s/^Build-Depends://; s/ *<[^>]*>//g; s/ *|[^,]*//; s/ *([^)]*)//g' | tr -d ' \n')
        [ "$how" != bookworm ] || packages=${packages//systemd-dev/systemd}
        packages=${packages/debhelper-compat/debhelper}
        [ -s "$tarball" ] || mmdebstrap --variant=buildd --include="$packages,lintian" "$how" "$tarball"
        mkdir "$root"
        tar -xf "$tarball" -C "$root" --exclude=./dev
        mkdir -p "$root/build"
        "$here/source.sh" "$root/build" >/dev/null
        chown -R root:root "$root/build"
        # A namespace of its own: what is mounted there is gone with it.
        unshare --mount --pid --fork --kill-child bash -euc '
            mount -t proc proc "$1/proc"
            mount --rbind /dev "$1/dev" 2>/dev/null || { mkdir "$1/dev" && mount --rbind /dev "$1/dev"; }
            chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
                ${2:+DEB_BUILD_OPTIONS="$2"} ${3:+CCACHE_DIR=/ccache} \
                sh -euc "cd /build/etcd-snapshot-*; dpkg-buildpackage -us -uc; lintian --allow-root --fail-on error,warning --info ../*.changes"
        ' build "$root" "${DEB_BUILD_OPTIONS:-}" ""
        mv "$root/build"/*.* "$output" 
        ls -l "$output"
        exit
        ;;
esac
find "$work" -maxdepth 1 -type f ! -name log -exec mv -t "$output" {} +
if command -v lintian >/dev/null; then lint "$output"; fi
ls -l "$output"
