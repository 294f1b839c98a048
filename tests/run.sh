#!/bin/bash
# Runs every test that `make check` built and closes with "N passed, N failed". Each part prints
# such a line of its own, or is one test. Environment: MODULES, PYTHON, MANDOC; ONLY="part ..." runs
# these parts (unit, golden, pages, units, metrics, layout, packages, big, integration, system), FILTER= is a
# pattern for their tests (for system: names of scenarios, joined by commas). STARTED: when `make
# check` began and when it began to compile, in seconds since 1970, for the times at the end.
set -u
cd "$(dirname "$0")/.."
passed=0 failed=0 skipped=0
: "${MODULES:?}" "${PYTHON:=/usr/bin/python3}" "${MANDOC:=mandoc}" "${ONLY:=}" "${FILTER:=}" "${STARTED:=}"
log=$(mktemp)
system= system_log=$(mktemp)
base= base_log=$(mktemp)
times=()
trap 'kill $system $base 2>/dev/null; wait; rm -f "$log" "$system_log" "$base_log"*' EXIT
if [ -n "$STARTED" ]; then
    read -r check_began build_began <<<"$STARTED"
    times+=("$((build_began - check_began)) packages to install")
    times+=("$(($(date +%s) - build_began)) compiling")
fi

. tests/one.sh

wanted() { [ -z "$ONLY" ] || [[ " $ONLY " == *" $1 "* ]]; }

# suite NAME COMMAND...: prints as it goes and ends with its own count.
suite() {
    local name=$1 line status began=$SECONDS
    shift
    echo "--- $name"
    "$@" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
    if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
        # What was left out is told at the end too: it has not passed.
        [[ $line =~ ,\ ([0-9]+)\ skipped ]] && skipped=$((skipped + BASH_REMATCH[1]))
        [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]]
        [ "$status" = 0 ] || [ "${BASH_REMATCH[2]}" != 0 ] || failed=$((failed + 1))
    else
        echo "FAILED $name: it ended with status $status before it counted its tests"
        failed=$((failed + 1))
    fi
    times+=("$((SECONDS - began)) $name")
}

# beside NAME PID FILE: a suite that runs beside the others and writes into FILE, told at its end.
beside() {
    local began=$SECONDS status
    wait "$2"
    status=$?
    suite "$1" told "$3" $status
    times[-1]="$((SECONDS - began)) $1: waited for, it runs beside the rest"
}
told() {
    cat "$1"
    return "$2"
}

# A CppUTest program: "OK (25 tests, 25 ran, ...)" or "Errors (2 failures, 25 tests, 25 ran, ...)".
unit() {
    local program=build/asan/unit_$1 summary
    ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 "$program" ${FILTER:+-n "$FILTER"} 2>&1 | tee "$log"
    local status=${PIPESTATUS[0]}
    summary=$(grep -E '^(OK|Errors) \(' "$log" | tail -n 1)
    if [[ $summary =~ ^OK\ \(([0-9]+)\ tests,\ ([0-9]+)\ ran ]] && [ "$status" = 0 ]; then
        echo "${BASH_REMATCH[2]} passed, 0 failed"
    elif [[ $summary =~ ^Errors\ \(([0-9]+)\ failures,\ ([0-9]+)\ tests,\ ([0-9]+)\ ran ]]; then
        echo "$((BASH_REMATCH[3] - BASH_REMATCH[1])) passed, ${BASH_REMATCH[1]} failed"
        return 1
    else
        return 1  # died: a sanitizer's report is above
    fi
}

# The containers mostly wait, for minutes: they do it while everything else runs.
if wanted system; then
    filter=
    [ "$ONLY" != system ] || filter=$FILTER
    "$PYTHON" tests/system/run.py ${filter:+--scenario "$filter"} >"$system_log" 2>&1 &
    system=$!
fi

if wanted unit; then
    # Those of base mostly wait, for stalls and their bounds: they do it while the others run.
    (log=$base_log.summary && unit base) >"$base_log" 2>&1 &
    base=$!
    for module in $MODULES; do
        [ "$module" = base ] || suite "unit tests: $module" unit "$module"
    done
    beside "unit tests: base" $base "$base_log"
    base=
fi
if wanted golden; then
    GENERATOR=build/asan/etcd-snapshot-generator suite "the generator's drop-ins" tests/golden/run.sh
fi
if wanted pages; then
    for page in man/*.[58]; do one "mandoc -Tlint $page" "$MANDOC" -Tlint -Wwarning "$page"; done
    one "the manual names every option and key" "$PYTHON" tests/lint/manual_drift.py
    one "the catalog explains every message id" "$PYTHON" tests/lint/catalog_drift.py
    one "every error of S3, etcd and the directory has a hint" "$PYTHON" tests/lint/hints.py
fi
if wanted units; then one "systemd takes the units" tests/lint/units.sh; fi
if wanted metrics; then
    suite "metrics, alerts, dashboard, notification" tests/metrics/run.sh
    # Where all parts run, these do with their like.
    if [ "$ONLY" = metrics ]; then
        suite "metrics: what real runs write" "$PYTHON" tests/integration/run.py ${FILTER:-test_metrics}
    fi
fi
if wanted layout; then
    one "no room includes a higher one" tests/lint/layers.sh
    one "documents name files that exist" "$PYTHON" tests/lint/paths.py
fi
if wanted packages; then suite "packages" tests/packages/check.sh; fi
if wanted big; then one "an entry of more than 4 GiB" tests/integration/big_archive.sh; fi
if wanted integration; then
    suite "integration: real etcd" "$PYTHON" tests/integration/run.py ${FILTER:+"$FILTER"}
fi
if wanted system; then
    beside "the packages in a booted systemd" $system "$system_log"
    system=
fi

echo
for time in "${times[@]}"; do printf '%6d s  %s\n' "${time%% *}" "${time#* }"; done
if [ "$skipped" = 0 ]; then
    echo "$passed passed, $failed failed"
else
    echo "$passed passed, $failed failed, $skipped skipped"
fi
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
