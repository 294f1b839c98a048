#!/bin/bash
# What purging the Debian package removes, and what it leaves: debian/etcd-snapshot.postrm in scratch
# roots. Takes a second.
set -u
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# after ACTION NAME FILE...: a root that has these files (a name with / at its end: a directory), and
# what is left of them after the script; those with + before them have to be, and nothing else.
after() {
    local action=$1 name=$2 root=$work/$2 file want left
    shift 2
    mkdir -p "$root"
    for file in "$@"; do
        file=$root/${file#+}
        if [[ $file == */ ]]; then mkdir -p "$file"; else mkdir -p "${file%/*}" && echo secret >"$file"; fi
    done
    want=$(for file in "$@"; do [[ $file != +* ]] || echo "${file#+}"; done | sed 's,/$,,' | LC_ALL=C sort)
    if ! DPKG_ROOT=$root sh debian/etcd-snapshot.postrm "$action" >"$work/log" 2>&1; then
        failed=$((failed + 1))
        echo "FAILED $name: $(<"$work/log")"
        return
    fi
    # Files, and directories that are empty, but for those at the top.
    left=$(find "$root" \( ! -type d -o -empty -path "$root/*/*" \) -printf '/%P\n' | LC_ALL=C sort)
    if [[ $left == "$want" ]]; then
        passed=$((passed + 1))
        echo "ok $name"
    else
        failed=$((failed + 1))
        printf 'FAILED %s\n  expected: %s\n  left:     %s\n' "$name" "${want//$'\n'/ }" "${left//$'\n'/ }"
    fi
}

other="+/etc/hosts"
after purge 'configuration and state go' $other \
    /etc/etcd-snapshot/cluster.yml /etc/etcd-snapshot/s3-secret-key /etc/etcd-snapshot/pki/client.key \
    /run/etcd-snapshot/lock /run/etcd-snapshot/bucket.json \
    /var/lib/etcd-snapshot/cluster.yml /var/lib/etcd-snapshot/etcd-snapshot.conf +/var/lib/dpkg/status
after purge 'snapshots stay' $other /etc/etcd-snapshot/cluster.yml \
    +/opt/rke/etcd-snapshots/2018-05-04T18:40:16Z_etcd.zip +/opt/rke/etcd-snapshots/pki.bundle.tar.gz \
    +/opt/rke/etcd-snapshots/.etcd-snapshot.history +/srv/etcd-snapshots/before-upgrade.zip
after purge 'an empty directory goes' $other /opt/rke/etcd-snapshots/
after purge 'the directory of another program stays' $other /opt/rke/etcd-snapshots/ +/opt/rke/other/
for snapshot in before-upgrade.zip 2018-05-04T18:40:16Z_etcd 2018-05-04T18-40-16Z_etcd.zst \
    rke_etcd_snapshot_2018-05-04T18:40:16Z .plain.manifest pki.bundle.tar.gz; do
    after purge "$snapshot beside the configuration stays" $other /etc/etcd-snapshot/cluster.yml \
        "+/etc/etcd-snapshot/snapshots/$snapshot" /run/etcd-snapshot/lock
done
after purge 'nothing is there any more' $other
for action in remove upgrade failed-upgrade abort-install abort-upgrade disappear; do
    after $action "$action removes nothing" +/etc/etcd-snapshot/cluster.yml +/run/etcd-snapshot/lock \
        +/var/lib/etcd-snapshot/cluster.yml +/opt/rke/etcd-snapshots/
done

# The configuration is a link to elsewhere: the link goes.
mkdir -p "$work/linked/etc" "$work/linked/elsewhere"
echo secret >"$work/linked/elsewhere/cluster.yml"
ln -s ../elsewhere "$work/linked/etc/etcd-snapshot"
after purge linked +/elsewhere/cluster.yml

echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
