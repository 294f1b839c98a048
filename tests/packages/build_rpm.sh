#!/bin/bash
# Builds the RPM packages of the sources as they are here into OUTPUT, with whatever rpm this
# distribution has, and looks at spec and package with rpmlint where that is installed.
#   tests/packages/build_rpm.sh OUTPUT            compiles, and runs the unit tests
#   tests/packages/build_rpm.sh OUTPUT --built    from what `make` has built: packs it only, in seconds
# On Debian: packages rpm, debugedit, elfutils.
set -euo pipefail
output=${1:?usage: tests/packages/build_rpm.sh OUTPUT [--built]}
here=$(realpath "$(dirname "$0")")
# What a make that started this was told is not meant for the one that builds the package.
unset MAKEFLAGS MFLAGS MAKELEVEL
for tool in rpmbuild find-debuginfo eu-strip; do
    # Without the last two rpmbuild goes on, and leaves the symbols in the programs.
    command -v "$tool" >/dev/null || { echo "$0: $tool is missing" >&2; exit 1; }
done
mkdir -p "$output"
output=$(realpath "$output")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

tree=$("$here/source.sh" "$work" ${2:+"$2"})
options=(--define "_topdir $work/rpmbuild")
[ "${2:-}" != --built ] || options+=(--without tests --define '_binary_payload w1.gzdio')
if [ ! -e /etc/redhat-release ]; then
    # The names of Fedora's packages mean nothing to another distribution's rpm.
    options+=(--nodeps)
    # Written for bash, and started by sh: with Debian's dash it compresses no manual page.
    options+=(--define '__brp_compress /bin/bash %{_rpmconfigdir}/brp-compress %{?_prefix}')
fi
# posix: times to the nanosecond, which make compares.
tar --format=posix -C "$work" --owner=0 --group=0 -czf "$tree.tar.gz" "$(basename "$tree")"
rpmbuild -tb "${options[@]}" "$tree.tar.gz" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
if command -v rpmlint >/dev/null; then
    # Not the debug symbols, which are all rpm's own doing.
    find "$work/rpmbuild/RPMS" -name '*.rpm' ! -name '*-debug*' -exec \
        rpmlint --strict --rpmlintrc "$tree/rpm/rpmlintrc" "$tree/rpm/etcd-snapshot.spec" {} +
fi
find "$work/rpmbuild/RPMS" -name '*.rpm' -exec mv -t "$output" {} +
ls -l "$output"
