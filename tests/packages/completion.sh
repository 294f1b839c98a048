#!/bin/bash
# The completion for bash: what it offers, in every place of a command line. Where the program is
# built (PROGRAM, default build/etcd-snapshot) its help and the completion must agree. Takes a second.
set -u
cd "$(dirname "$0")/../.." || exit 1
program=${PROGRAM:-build/etcd-snapshot}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
# No program may be found while it completes: it must start none.
# shellcheck source=/dev/null
source etc/etcd-snapshot.bash-completion
compopt() { :; }  # for real completions alone

# complete_line LINE: sets COMPREPLY as bash would have it for LINE, with the cursor at its end.
complete_line() {
    local rest=$1 word="" char quote="" i
    COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDS=()
    # As readline cuts it: at blanks, and around ":" and "=" outside of quotes.
    for ((i = 0; i < ${#rest}; i++)); do
        char=${rest:i:1}
        if [[ $quote ]]; then
            word+=$char
            [[ $char != "$quote" ]] || quote=
        elif [[ $char == \\ ]]; then
            i=$((i + 1))
            word+=$char${rest:i:1}
        elif [[ $char == [\'\"] ]]; then
            quote=$char word+=$char
        elif [[ $char == ' ' ]]; then
            [[ ! $word ]] || COMP_WORDS+=("$word")
            word=
        elif [[ $char == [:=] ]]; then
            [[ ! $word ]] || COMP_WORDS+=("$word")
            COMP_WORDS+=("$char")
            word=
        else
            word+=$char
        fi
    done
    # Behind a ":" or "=" the word under the cursor is that character.
    [[ ! $word && $rest == *[:=] ]] || COMP_WORDS+=("$word")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    COMPREPLY=()
    PATH=/nonexistent _etcd_snapshot etcd-snapshot 2>"$work/stderr"
    [[ ! -s $work/stderr ]] || COMPREPLY+=("stderr: $(<"$work/stderr")")
}

# expect LINE WORD...: exactly these are offered, in any order.
expect() {
    local line=$1 got want
    shift
    complete_line "$line"
    got=$(printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort)
    want=$(printf '%s\n' "$@" | LC_ALL=C sort)
    if [[ $got == "$want" ]]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED <%s>\n  expected: %s\n  offered:  %s\n' "$line" "${want//$'\n'/ | }" "${got//$'\n'/ | }"
    fi
}

mkdir "$work/snapshots" "$work/snapshots/directory.zip" "$work/empty" "$work/files"
touch "$work/snapshots/"{2018-05-04T18:40:16Z_etcd.zip,2018-05-04T18:41:16Z_etcd.zip,2018-06-01T00-00-00Z_etcd.zst} \
    "$work/snapshots/"{before-upgrade.zip,'with a space.zip','a&b.zip',rke_etcd_snapshot_2018-05-04T18:40:16Z} \
    "$work/snapshots/"{plain,.plain.manifest,notes.txt,pki.bundle.tar.gz,.etcd-snapshot.x.zip.partial} \
    "$work/files/one.conf" "$work/files/two.conf"
printf '[etcd]\ndirectory = /nowhere\n# directory = /no\n[snapshots]\r\ncompression = zip\ndirectory = %s \n[pki]\ndirectory = /nowhere' \
    "$work/snapshots" >"$work/host.conf"
printf '[snapshots]\ndirectory = %s\n' "$work/empty" >"$work/empty.conf"
global='--config --cluster-file --help'
delete="etcd-snapshot --config $work/host.conf delete"

# shellcheck disable=SC2086 # lists of words
{
    expect 'etcd-snapshot ' run save list prune delete check status
    expect 'etcd-snapshot l' list
    expect 'etcd-snapshot x' ''
    expect 'etcd-snapshot -' $global --version
    expect 'etcd-snapshot --c' --config --cluster-file
    expect 'etcd-snapshot list -' $global --json
    expect 'etcd-snapshot list ' ''
    expect 'etcd-snapshot prune -' $global --dry-run --accept-history
    expect 'etcd-snapshot prune --config list --d' --dry-run
    expect 'etcd-snapshot save --s3-' --s3-endpoint --s3-endpoint-ca
    expect 'etcd-snapshot save --name ' ''
    expect 'etcd-snapshot save --name list --j' ''
    expect 'etcd-snapshot check --j' ''
    expect 'etcd-snapshot status --' --config --cluster-file --help --json --max-age
    expect 'etcd-snapshot status --max-age ' ''
    expect 'etcd-snapshot status --max-age 30m --j' --json
    expect "etcd-snapshot --config $work/files/" "$work/files/one.conf" "$work/files/two.conf"
    expect "etcd-snapshot --config=$work/files/o" "$work/files/one.conf"
    expect "etcd-snapshot --cluster-file $work/files/o" "$work/files/one.conf"
    expect "$delete --f" --force
    expect "$delete b" before-upgrade.zip
    expect "$delete --s3 b" before-upgrade.zip
    expect "etcd-snapshot delete --config $work/host.conf b" before-upgrade.zip
    expect "etcd-snapshot delete --config=$work/host.conf b" before-upgrade.zip
    expect "etcd-snapshot delete b --config $work/host.conf b" before-upgrade.zip
    expect "$delete 2018-05" 2018-05-04T18:40:16Z_etcd.zip 2018-05-04T18:41:16Z_etcd.zip
    expect "$delete 2018-05-04T18:" 40:16Z_etcd.zip 41:16Z_etcd.zip
    expect "$delete 2018-05-04T18:41" 41:16Z_etcd.zip
    expect "$delete 2018-05-04T18:41:" 16Z_etcd.zip
    expect "$delete 2018-05-04T18:42:" ''
    expect "$delete '2018-05-04T18:41" 2018-05-04T18:41:16Z_etcd.zip
    expect "$delete 2018-06" 2018-06-01T00-00-00Z_etcd.zst
    expect "$delete w" 'with\ a\ space.zip'
    expect "$delete with\\ a" 'with\ a\ space.zip'
    expect "$delete \"with a" 'with a space.zip'
    expect "$delete a" 'a\&b.zip'
    expect "$delete r" rke_etcd_snapshot_2018-05-04T18:40:16Z
    expect "$delete p" plain
    expect "$delete n" ''
    expect "$delete d" ''
    expect "$delete ." ''
    expect "$delete *" ''
    expect "etcd-snapshot --config $work/empty.conf delete " ''
    expect "etcd-snapshot --config $work/none.conf delete nothing-is-called-so" ''
}

# The same flags as the program itself has.
if [[ -x $program ]]; then
    mapfile -t commands < <("$program" --help | sed -n '/^Subcommands:/,/^$/s/^  \([a-z]\{1,\}\) .*/\1/p')
    expect 'etcd-snapshot ' "${commands[@]}"
    for command in '' "${commands[@]}"; do
        # shellcheck disable=SC2086 # no word at all where there is no command
        # At the beginning of a line: texts name flags, too.
        mapfile -t flags < <({ "$program" --help; "$program" $command --help; } |
            sed -n 's/^ *\(-h,\)\{0,1\} *\(--[a-z0-9-]*\).*/\2/p' | sort -u)
        [[ ! $command ]] || mapfile -t flags < <(printf '%s\n' "${flags[@]}" | grep -vx -e --version)
        expect "etcd-snapshot $command -" "${flags[@]}"
    done
fi

# Through bash itself, where words are cut for real.
if command -v python3 >/dev/null; then
    if python3 - "$work/host.conf" <<'PYTHON'
import os, pty, re, select, sys, time

def typed(line):
    """What stands on bash's command line after LINE and a tab."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"],
                  {"PS1": "ready>", "TERM": "dumb", "PATH": os.environ["PATH"], "INPUTRC": "/dev/null",
                   "LC_ALL": "C.UTF-8", "HISTFILE": ""})
    out = b""

    def wait(pattern):
        nonlocal out
        end = time.monotonic() + 10
        while not re.search(pattern, out):
            if time.monotonic() > end:
                raise SystemExit(f"bash showed {out!r}")
            if select.select([terminal], [], [], 0.2)[0]:
                try:
                    out += os.read(terminal, 4096)
                except OSError:
                    break
        answer, out = out, b""
        return answer

    wait(rb"ready>")
    os.write(terminal, b"source etc/etcd-snapshot.bash-completion; stty cols 4000; bind 'set enable-bracketed-paste off'; PS1=now'>'\n")
    wait(rb"now>$")
    os.write(terminal, b"etcd-snapshot() { printf '<%s>' \"$@\"; }\n")
    wait(rb"now>$")
    os.write(terminal, line.encode() + b"\t\n")
    answer = wait(rb"<[^\n]*>now>")
    os.write(terminal, b"exit\n")
    os.close(terminal)
    os.waitpid(pid, 0)
    return re.findall(rb"<([^>]*)>", answer)[-1].decode()

for begun, name in (("2018-05-04T18:41", "2018-05-04T18:41:16Z_etcd.zip"),
                    ("2018-05-04T18:41:", "2018-05-04T18:41:16Z_etcd.zip"),
                    ("'2018-05-04T18:41", "2018-05-04T18:41:16Z_etcd.zip"),
                    ("w", "with a space.zip"), ("\"with a", "with a space.zip"), ("a", "a&b.zip"),
                    ("rke", "rke_etcd_snapshot_2018-05-04T18:40:16Z")):
    got = typed(f"etcd-snapshot --config {sys.argv[1]} delete {begun}")
    if got != name:
        raise SystemExit(f"<{begun}> became <{got}>, not <{name}>")
PYTHON
    then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED in bash itself"; fi
fi

echo "$passed passed, $failed failed"
[[ $failed == 0 && $passed -gt 0 ]]
