#!/bin/bash
# Golden tests of the generator: each directory here is a case.
#   CASE/etc/...           the configuration
#   CASE/prepare           optional, run by sh inside a copy of CASE: what git cannot keep
#   CASE/expected/...      what must be in the output directory, exactly
#   CASE/expected-stderr   what must be on standard error, with [PID]; such a case must exit with 1
# GENERATOR is the program (default build/etcd-snapshot-generator). With UPDATE=1 the expected files
# are written from what the program did, to be looked at with git diff.
set -u
cd "$(dirname "$0")/../.." || exit 1
generator=$(realpath "${GENERATOR:-build/etcd-snapshot-generator}")
golden=$PWD/tests/golden
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

run_case() {
  local name=$1 tree=$work/$1 status
  cp -r "$golden/$name" "$tree" || return 1
  mkdir -p "$tree/expected" "$tree/out" "$tree/early" "$tree/late" || return 1
  if [ -e "$tree/prepare" ]; then (cd "$tree" && sh ./prepare) || return 1; fi
  # An empty environment: the variables of systemd would send the messages to the kernel's log.
  env -i ETCD_SNAPSHOT_ROOT="$tree" timeout 10 \
    "$generator" "$tree/out" "$tree/early" "$tree/late" >"$tree/stdout" 2>"$tree/stderr" </dev/null
  status=$?
  sed -i -e 's/\[[0-9]*\]: /[PID]: /' -e "s,$tree,ROOT,g" "$tree/stderr"
  if [ "${UPDATE:-}" = 1 ]; then
    rm -rf "$golden/$name/expected" "$golden/$name/expected-stderr"
    if [ -n "$(ls -A "$tree/out")" ]; then cp -r "$tree/out" "$golden/$name/expected"; fi
    if [ -s "$tree/stderr" ]; then cp "$tree/stderr" "$golden/$name/expected-stderr"; fi
    return 0
  fi
  diff -u --recursive "$tree/expected" "$tree/out" || return 1
  if [ -n "$(find "$tree/early" "$tree/late" -mindepth 1)" ]; then
    echo "$name: something was written into the early or late directory"
    return 1
  fi
  if [ -s "$tree/stdout" ]; then echo "$name: standard output is not empty"; return 1; fi
  if [ -e "$tree/expected-stderr" ]; then
    diff -u "$tree/expected-stderr" "$tree/stderr" || return 1
    [ "$status" -eq 1 ] || { echo "$name: exit status $status instead of 1"; return 1; }
  else
    diff -u /dev/null "$tree/stderr" || return 1
    [ "$status" -eq 0 ] || { echo "$name: exit status $status instead of 0"; return 1; }
  fi
  check_files "$tree/out" || return 1
}

# Modes, and whether systemd itself reads the timespans.
check_files() {
  local file span
  while IFS= read -r -d '' file; do
    [ "$(stat -c %a "$file")" = 644 ] || { echo "$file: mode is not 644"; return 1; }
    command -v systemd-analyze >/dev/null || continue
    while IFS= read -r span; do
      systemd-analyze timespan "$span" >/dev/null || return 1
    done < <(sed -n 's/^On[A-Za-z]*Sec=\(..*\)/\1/p' "$file")
  done < <(find "$1" -type f -print0)
}

count() {
  if [ "$1" -eq 0 ]; then
    passed=$((passed + 1))
    echo "ok $2"
  else
    failed=$((failed + 1))
    echo "FAILED $2"
  fi
}

for directory in "$golden"/*/; do
  name=$(basename "$directory")
  run_case "$name"
  count $? "$name"
done

# By hand: the texts, and what is no call of systemd's.
"$generator" --help | grep -q '^Usage: etcd-snapshot-generator '
count $? help
"$generator" --version | grep -q '^etcd-snapshot-generator [0-9]'
count $? version
"$generator" >/dev/null 2>&1; [ $? -eq 64 ]
count $? no-arguments
"$generator" "$work" "$work" >/dev/null 2>&1; [ $? -eq 64 ]
count $? two-arguments

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
