#!/bin/bash
# Puts the sources as they are here (what git knows, and new files it does not ignore, with what is
# not committed yet) into DIRECTORY/etcd-snapshot-VERSION, and with --built what is built, too, with
# its times, so that make has nothing left to do. Prints the directory.
#   tests/packages/source.sh DIRECTORY [--built]
set -euo pipefail
output=$(realpath "${1:?usage: tests/packages/source.sh DIRECTORY [--built]}")
cd "$(dirname "$0")/../.."
version=$(sed -n 's/^VERSION := //p' Makefile)
tree=$output/etcd-snapshot-$version
mkdir -p "$tree"
# A file that is deleted but not committed so is still in the list.
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [ ! -e "$file" ] || printf '%s\0' "$file"
done | tar --null --files-from=- --format=posix -cf - | tar -xf - -C "$tree"
if [ "${2:-}" = --built ]; then
    mkdir "$tree/build"
    cp -a build/etcd-snapshot build/etcd-snapshot-generator build/release "$tree/build/"
fi
echo "$tree"
