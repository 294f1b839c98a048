#!/bin/sh
# The units must be valid by themselves, and the sandbox must stay as tight as units/SANDBOX.md says.
# Run from the top of the source tree. Needs systemd-analyze 250 or later (--offline=).
set -eu

max_exposure=2.0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Verified with a program that exists; the manual pages are not installed here.
cp units/*.service units/*.timer "$scratch"
sed -i 's#^ExecStart=/usr/bin/etcd-snapshot #ExecStart=/bin/true #' "$scratch/etcd-snapshot.service"
said=$(systemd-analyze verify --man=no "$scratch"/*.service "$scratch"/*.timer 2>&1) || { printf '%s\n' "$said"; exit 1; }
if [ -n "$said" ]; then
    printf 'systemd-analyze verify:\n%s\n' "$said"
    exit 1
fi

# The example that tells of a failure, and the drop-in that starts it.
cp etc/systemd/etcd-snapshot-failed@.service "$scratch"
sed -i 's#^ExecStart=/usr/local/sbin/etcd-snapshot-notify #ExecStart=/bin/true #' "$scratch/etcd-snapshot-failed@.service"
mkdir "$scratch/etcd-snapshot.service.d"
sed -n 's/^#   //p' etc/systemd/etcd-snapshot-failed@.service >"$scratch/etcd-snapshot.service.d/failed.conf"
grep -q '^OnFailure=etcd-snapshot-failed@%n.service$' "$scratch/etcd-snapshot.service.d/failed.conf"
said=$(systemd-analyze verify --man=no "$scratch/etcd-snapshot-failed@etcd-snapshot.service.service" \
    "$scratch/etcd-snapshot.service" 2>&1) || { printf '%s\n' "$said"; exit 1; }
if [ -n "$said" ]; then
    printf 'systemd-analyze verify of the notification:\n%s\n' "$said"
    exit 1
fi

exposure=$(systemd-analyze security --offline=true --no-pager "$scratch/etcd-snapshot.service" |
    sed -n 's/.*exposure level for etcd-snapshot.service: \([0-9.]*\).*/\1/p')
awk -v have="$exposure" -v max="$max_exposure" 'BEGIN { exit !(have != "" && have <= max) }' || {
    echo "units/etcd-snapshot.service: exposure ${exposure:-unknown}, at most $max_exposure is accepted"
    exit 1
}
grep -q "exposure of $exposure\." units/SANDBOX.md || {
    echo "units/SANDBOX.md does not give the exposure of $exposure"
    exit 1
}

# Every directive of the sandbox has its reason.
sed -n 's/^\([A-Za-z]*\)=.*/\1/p' units/etcd-snapshot.service | sort -u | while read -r directive; do
    case $directive in
    Description | Documentation | After | Type | ExecStart | SyslogIdentifier | NotifyAccess | \
        RequiresMountsFor | StartLimitIntervalSec | RuntimeDirectoryMode | RuntimeDirectoryPreserve | \
        OnFailure | Conflicts | StateDirectoryMode | \
        TimeoutStartSec | TimeoutStopSec | SuccessExitStatus | TasksMax | IOSchedulingClass | SystemCallErrorNumber) continue ;;
    esac
    grep -q "\`${directive}[=\`]" units/SANDBOX.md || { echo "units/SANDBOX.md does not explain $directive="; exit 1; }
done

echo "units: valid, exposure $exposure"
