#!/bin/bash
# The demonstration: real cycles of etcd-snapshot against a real etcd, in under two minutes; with S3=1
# and a real bucket beside it in about three.
#
# Everything happens in a temporary directory; nothing of the system is changed. An etcd that answers on
# http://127.0.0.1:2379 and holds keys is used, and only read; else a throwaway one from the
# distribution's packages is started on free loopback ports and filled.
#
#   S3=1                 with a bucket, in a throwaway Ceph RADOS Gateway over TLS
#   DEMO_ENDPOINT=URL    use this etcd (https with DEMO_CACERT=, DEMO_CERT=, DEMO_KEY=)
#   DEMO_CYCLES=N        cycles to run (6, with S3 7);  DEMO_PAUSE=SECONDS  between their starts (13)
#   KEEP=1               keep the temporary directory
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
agent=${DEMO_AGENT:-$top/build/etcd-snapshot}
fill=$top/build/bench/fill
s3=${S3:-}
cycles=${DEMO_CYCLES:-$((${s3:+1} + 6))}
pause=${DEMO_PAUSE:-13}
export ETCDCTL_API=3

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
  bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
else
  bold='' dim='' plain=''
fi
step_number=0
step() {
  step_number=$((step_number + 1))
  printf '\n%s%d. %s%s\n' "$bold" "$step_number" "$1" "$plain"
}
say() { printf '   %s\n' "$*"; }
# Shows a command without the demo's long paths, runs it, indents what it prints.
show() {
  local line="$*"
  line=${line//"$agent --config $work/etcd-snapshot.conf --cluster-file $work/cluster.yml"/etcd-snapshot}
  printf '   %s$ %s%s\n' "$dim" "${line//$work\//}" "$plain"
  "$@" 2>&1 | sed -u "s|$work/||g; s/^/   /"
}
work=$(mktemp -d "${TMPDIR:-/tmp}/etcd-snapshot-demo.XXXXXX")
export RUNTIME_DIRECTORY=$work/run  # where the agent keeps its lock and state, as systemd tells it
pids=()
clean_up() {
  local status=$? pid
  trap - EXIT INT TERM
  for pid in "${pids[@]}"; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  if ((status != 0)); then
    printf '\ndemo: stopped in step %d (exit %d)\n' "$step_number" "$status" >&2
    tail -n 3 "$work"/etcd-*.log "$work"/s3.log 2>/dev/null >&2 || true
  fi
  if [[ -n ${KEEP:-} ]]; then
    printf 'Kept: %s\n' "$work"
  else
    rm -rf "$work"
  fi
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

snapshot_agent() {
  show "$agent" --config "$work/etcd-snapshot.conf" --cluster-file "$work/cluster.yml" "$@"
}

need() {  # need TOOL PACKAGE
  command -v "$1" >/dev/null || {
    echo "demo: '$1' is missing; install it with 'sudo make deps' (Debian package $2)" >&2
    exit 69
  }
}
need etcd etcd-server
need etcdctl etcd-client
need unzip unzip
[[ -z $s3 ]] || need radosgw radosgw
for program in "$agent" "$fill"; do
  [[ -x $program ]] || {
    echo "demo: $program is not built yet: run 'make demo', which builds it first" >&2
    exit 69
  }
done

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}
# start_etcd NAME DATA-DIRECTORY CLIENT-PORT PEER-PORT: on loopback; waits until it is healthy.
start_etcd() {
  env -i PATH="$PATH" etcd --name "$1" --data-dir "$2" \
    --listen-client-urls "http://127.0.0.1:$3" --advertise-client-urls "http://127.0.0.1:$3" \
    --listen-peer-urls "http://127.0.0.1:$4" --initial-advertise-peer-urls "http://127.0.0.1:$4" \
    --initial-cluster "$1=http://127.0.0.1:$4" --logger zap --log-level warn \
    >"$work/etcd-$1.log" 2>&1 &
  pids+=($!)
  local try
  for ((try = 0; try < 100; ++try)); do
    etcdctl --endpoints "http://127.0.0.1:$3" --command-timeout 2s endpoint health \
      >/dev/null 2>&1 && return
    kill -0 "${pids[-1]}" 2>/dev/null || break
    sleep 0.2
  done
  echo "demo: the throwaway etcd does not start:" >&2
  tail -n 5 "$work/etcd-$1.log" >&2
  return 1
}
# field NAME ENDPOINT [FLAG...]: "count" or "revision" from the answer to a look at all keys. The first
# key alone is asked for: etcdctl 3.4 has no --count-only, but each answer carries the whole count.
field() {
  local name=$1 endpoint=$2 answer
  shift 2
  answer=$(etcdctl --endpoints "$endpoint" "${tls[@]}" --command-timeout 20s get '' --prefix \
    --keys-only --limit 1 --write-out json "$@" 2>/dev/null) || return 0
  [[ $answer =~ \"$name\":([0-9]+) ]] && echo "${BASH_REMATCH[1]}" || echo 0  # a 0 is left out
}
# etcd 3.5 moved the work on snapshot files to etcdutl.
if command -v etcdutl >/dev/null; then snapshot_tool=etcdutl; else snapshot_tool=etcdctl; fi

step "An etcd to take snapshots of"
tls=() throwaway='' endpoint=${DEMO_ENDPOINT:-http://127.0.0.1:2379}
[[ -z ${DEMO_CACERT:-} ]] || tls+=(--cacert "$DEMO_CACERT")
[[ -z ${DEMO_CERT:-} ]] || tls+=(--cert "$DEMO_CERT" --key "${DEMO_KEY:?DEMO_CERT needs DEMO_KEY}")
if etcdctl --endpoints "$endpoint" "${tls[@]}" --command-timeout 3s endpoint health >/dev/null 2>&1; then
  keys=$(field count "$endpoint")
  if [[ -n ${DEMO_ENDPOINT:-} || ${keys:-0} -gt 0 ]]; then
    say "$endpoint answers; keys in it: ${keys:-unknown}. It is only read."
  else
    say "$endpoint answers, but it is empty: a throwaway etcd with data in it shows more."
    throwaway=yes
  fi
elif [[ -n ${DEMO_ENDPOINT:-} ]]; then
  echo "demo: no etcd answers at DEMO_ENDPOINT=$DEMO_ENDPOINT (for https: DEMO_CACERT, DEMO_CERT, DEMO_KEY)" >&2
  exit 69
else
  say "None answers on $endpoint: a throwaway etcd is started on loopback."
  throwaway=yes
fi
if [[ -n $throwaway ]]; then
  port=$(free_port)
  endpoint=http://127.0.0.1:$port
  start_etcd demo "$work/etcd-data" "$port" "$(free_port)"
  say "$(etcd --version | head -n 1), $endpoint. Filling it with Kubernetes-like objects:"
  show "$fill" "$endpoint" 64M 2>&1 | sed -u "s|$top/||g"
fi

# The server answers each line with one.
s3_server() {
  local answer=''
  [[ -z ${1:-} ]] || echo "$1" >&"${server_in}"
  read -r -t 90 answer <&"${server_out}" || true
  [[ $answer == ready || $answer == "done" ]] && return
  echo "demo: the S3 server does not ${1:-start}: ${answer:-no answer}" >&2
  return 1
}
if [[ -n $s3 ]]; then
  step "A bucket: Ceph's RADOS Gateway on loopback, with a certificate of a private authority"
  mkdir -m 700 "$work/s3"
  coproc "${PYTHON:-/usr/bin/python3}" "$top/tests/demo/s3_server.py" "$work/s3" demo 2>"$work/s3.log"
  pids+=("$COPROC_PID") server_out=${COPROC[0]} server_in=${COPROC[1]}
  s3_server
  say "$(radosgw --version | sed 's/ ([0-9a-f]*)//'), https://$(<"$work/s3/endpoint"), bucket demo"
fi

step "The configuration: cluster.yml is the policy, etcd-snapshot.conf is this host"
mkdir -m 700 "$work/snapshots" "$work/run"
cat >"$work/cluster.yml" <<END
services:
  etcd:
    backup_config:
      enabled: true
      interval_hours: 1m   # a whole number is hours, with an m it is minutes
      retention: 1m        # so short that you see it at work here
END
if [[ -n $s3 ]]; then
  cat >>"$work/cluster.yml" <<END
      s3backupconfig:
        bucket_name: demo
        folder: this-cluster
        region: us-east-1
        endpoint: $(<"$work/s3/endpoint")
        access_key: $(<"$work/s3/access_key")
        secret_key: $(<"$work/s3/secret_key")
        custom_ca: |
$(sed 's/^/          /' "$work/s3/ca.pem")
END
  chmod 600 "$work/cluster.yml"
fi
{
  printf '[etcd]\nendpoints = %s\n' "$endpoint"
  [[ -z ${DEMO_CACERT:-} ]] || printf 'ca_file = %s\n' "$(realpath "$DEMO_CACERT")"
  [[ -z ${DEMO_CERT:-} ]] ||
    printf 'cert_file = %s\nkey_file = %s\n' "$(realpath "$DEMO_CERT")" "$(realpath "$DEMO_KEY")"
  printf '\n[snapshots]\ndirectory = %s\n' "$work/snapshots"
  [[ -z $s3 ]] || printf '\n[s3]\nretries = 1\n'
} >"$work/etcd-snapshot.conf"
chmod 600 "$work/etcd-snapshot.conf"
for file in cluster.yml etcd-snapshot.conf; do
  printf '   %s--- %s%s\n' "$dim" "$file" "$plain"
  sed -E "s|$work/||g; s/(secret_key: ).*/\1(not shown)/; /BEGIN CERT/,/END CERT/{/CERT/!d}; s/^/   /" "$work/$file"
done

step "check looks at everything and changes nothing"
snapshot_agent check
[[ -z $s3 ]] || say "(The authority of this demonstration is made for a month.)"

step "$cycles cycles, $pause seconds apart (on a host the timer starts them); the log as the journal gets it"
say "From the moment on that a snapshot is older than a minute, the next cycle prunes it."
# The bucket is away: the snapshot is taken, told is what failed, and the next cycle makes up for it.
cycle_without_bucket() {
  local status=0 before after
  s3_server stop
  say "Now the bucket is away."
  before=$(find "$work/snapshots" -name '*_etcd*' -type f | wc -l)
  snapshot_agent run || status=$?
  after=$(find "$work/snapshots" -name '*_etcd*' -type f | wc -l)
  if ((status != 76 || after != before + 1)); then
    echo "demo: exit $status and $((after - before)) snapshots instead of 76 and one" >&2
    return 1
  fi
  say "Exit 76, which stands for the bucket. The snapshot is here and proven, nothing was lost."
  s3_server start
  say "The bucket is back; the next cycle brings what it lacks."
}
echo "not a snapshot" >"$work/snapshots/notes-of-the-operator.txt"
next=$SECONDS
for ((cycle = 1; cycle <= cycles; ++cycle)); do
  ((SECONDS >= next)) || sleep $((next - SECONDS))
  next=$((SECONDS + pause))
  [[ -z $throwaway ]] || etcdctl --endpoints "$endpoint" put "/demo/cycle-$cycle" "$(date -u)" >/dev/null
  if [[ -n $s3 ]] && ((cycle == 3 && cycles > 3)); then
    cycle_without_bucket
  else
    snapshot_agent run
  fi
done

step "list: what is there now"
snapshot_agent list
left=$(find "$work/snapshots" -name '*_etcd*' -type f | wc -l)
if ((left < cycles)); then
  say "$cycles were taken, $left are left: the older ones were pruned, each after a newer one was proven."
fi
[[ -e $work/snapshots/notes-of-the-operator.txt ]] ||
  { echo "demo: a file that is no snapshot was removed" >&2; exit 1; }
say "notes-of-the-operator.txt is still there: what does not carry a snapshot's name is never touched."

if [[ -n $s3 ]]; then
  there=$("$agent" --config "$work/etcd-snapshot.conf" --cluster-file "$work/cluster.yml" list |
    grep -c ' local, bucket ' || true)
  if ((there != left)); then
    echo "demo: $left snapshots are here, but only $there of them in the bucket" >&2
    exit 1
  fi
  say "All of them are in the bucket, too, and what was pruned here was pruned there."
fi

step "Other people's tools take the newest archive"
newest=$(find "$work/snapshots" -name '*_etcd.zip' -type f | sort | tail -n 1)
[[ -n $newest ]] || { echo "demo: no snapshot in $work/snapshots" >&2; exit 1; }
show unzip -t "$newest"
unzip -p "$newest" >"$work/restored.db"
show "$snapshot_tool" snapshot status "$work/restored.db" --write-out table

step "The proof of a backup is a restore: the newest one, into an etcd of its own"
port=$(free_port) peer=$(free_port)
"$snapshot_tool" snapshot restore "$work/restored.db" --data-dir "$work/restored" --name restored \
  --initial-cluster "restored=http://127.0.0.1:$peer" \
  --initial-advertise-peer-urls "http://127.0.0.1:$peer" >"$work/restore.log" 2>&1 ||
  { cat "$work/restore.log" >&2; exit 1; }
start_etcd restored "$work/restored" "$port" "$peer"
source_tls=("${tls[@]}") tls=()
revision=$(field revision "http://127.0.0.1:$port")
restored_keys=$(field count "http://127.0.0.1:$port")
tls=("${source_tls[@]}")
source_keys=$(field count "$endpoint" --rev "$revision")
say "restored: ${restored_keys:-?} keys at revision ${revision:-?}"
say "source:   ${source_keys:-?} keys at the same revision"
if [[ -z $restored_keys || $restored_keys != "$source_keys" ]]; then
  echo "demo: the restored etcd does not hold what the source holds" >&2
  exit 1
fi
say "The same."

step "prune --dry-run: what would go next, and why"
oldest=$(find "$work/snapshots" -name '*_etcd*' -type f | sort | head -n 1)
wait_s=$((62 - $(date +%s) + $(stat -c %Y "$oldest")))
if ((left > 1 && wait_s > 0 && wait_s < 20)); then
  say "$wait_s seconds later, when the oldest has passed its minute:"
  sleep "$wait_s"
fi
snapshot_agent prune --dry-run

step "What next"
cat <<END
   sudo make install                                      the programs, units and manual pages
   sudo install -D -m 600 CLUSTER.YML /etc/etcd-snapshot/cluster.yml
                                                          yours from RKE, or the five lines above
   sudo etcd-snapshot check                               finds etcd and its certificates, says what is wrong
   sudo systemctl daemon-reload
   sudo systemctl enable --now etcd-snapshot.timer        the first cycle starts at once
   journalctl -t etcd-rolling-snapshots -o cat -f         what you saw above
   man etcd-snapshot                                      all of it
END
