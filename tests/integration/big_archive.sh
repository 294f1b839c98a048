#!/bin/sh
# A snapshot of more than 4 GiB makes a zip64 archive that unzip and Python read back whole.
set -eu
cd "$(dirname "$0")/../.."
bytes=4563402752
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build/tests/zip_stream $bytes zip >"$work/big.zip"
unzip -tqq "$work/big.zip"
"${PYTHON:-/usr/bin/python3}" - "$work/big.zip" $bytes <<'PY'
import sys, zipfile
entry = zipfile.ZipFile(sys.argv[1]).infolist()[0]
assert entry.file_size == int(sys.argv[2]), entry.file_size
assert entry.filename.startswith("/backup/"), entry.filename
PY
