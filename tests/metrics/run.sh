#!/bin/bash
# What belongs to the metrics and needs no run of the agent: alert rules, dashboard, the example that
# notifies of a failure. Real runs are in tests/integration/test_metrics.py. Needs promtool.
set -u
cd "$(dirname "$0")/../.." || exit 1
: "${PYTHON:=/usr/bin/python3}"
passed=0 failed=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
. tests/one.sh

# promtool ends with 0 for an alert that says nothing.
annotated() {
    "$PYTHON" - <<'END'
import re, sys
text = open("etc/prometheus/etcd-snapshot.rules.yml").read()
bad = [block.splitlines()[0] for block in re.split(r"^ +- alert: ", text, flags=re.M)[1:]
       for word in ("severity:", "summary:", "description:", "for:") if word not in block]
print(*bad)
sys.exit(bool(bad))
END
}

one "promtool takes the alert rules" promtool check rules etc/prometheus/etcd-snapshot.rules.yml
one "each alert has a summary, a description and a severity" annotated
one "the alerts fire when they should, and only then" promtool test rules tests/metrics/rules_test.yml
one "manual, README, alerts and dashboard name what is written" "$PYTHON" tests/lint/metrics_drift.py
one "a failure is told by mail and webhook" tests/metrics/notify.sh

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
