#!/bin/sh
# What a reviewer should not have to say: white space, clang-tidy's findings, manual pages, folders.
set -u
cd "$(dirname "$0")/../.."
bad=0
need() {
    command -v "$1" >/dev/null || { echo "make lint needs $1 (package $2)" >&2; exit 1; }
}
need "${CLANG_FORMAT:=clang-format}" clang-format
need "${CLANG_TIDY:=clang-tidy}" clang-tidy
need "${MANDOC:=mandoc}" mandoc
sources=$(git ls-files 'agent/*.cc' 'agent/*.h' 'tests/*.cc' 'tests/*.h')
# shellcheck disable=SC2086 # a list of names
"$CLANG_FORMAT" --dry-run --Werror $sources || bad=1
for file in $(git ls-files 'agent/*.cc'); do
    "$CLANG_TIDY" --quiet "$file" -- -std=c++20 -Iagent -DETCD_SNAPSHOT_VERSION='"lint"' 2>/dev/null || bad=1
done
for page in man/*.[58]; do "$MANDOC" -Tlint -Wwarning "$page" || bad=1; done
tests/lint/layers.sh || bad=1
exit $bad
