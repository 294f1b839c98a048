#!/bin/sh
# The example etc/systemd/etcd-snapshot-notify with a journal, a mail server and a curl of the test's
# own: what is sent, and that the webhook's address stays off the command line.
set -eu
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/bin"
fake() {
    cat >"$scratch/bin/$1"
    chmod 755 "$scratch/bin/$1"
}
fake systemctl <<END
#!/bin/sh
echo "systemctl \$*" >>"$scratch/calls"
case \$* in
*InvocationID*) echo 0123456789abcdef0123456789abcdef ;;
*InactiveExit*) echo "Fri 2018-05-04 18:40:16 UTC" ;;
*SyslogIdentifier*) echo etcd-rolling-snapshots ;;
*) echo Result=exit-code; echo ExecMainStatus=69 ;;
esac
END
fake journalctl <<END
#!/bin/sh
echo "journalctl \$*" >>"$scratch/calls"
[ "\$*" = --sync ] || cat "$scratch/journal"
END
fake sendmail <<END
#!/bin/sh
echo "sendmail \$*" >>"$scratch/calls"
cat >"$scratch/mail"
END
fake curl <<END
#!/bin/sh
echo "curl \$*" >>"$scratch/calls"
cat >"$scratch/config"
for argument; do case \$argument in @*) cp "\${argument#@}" "$scratch/body" ;; esac; done
exit \$(cat "$scratch/curl-status")
END
echo 0 >"$scratch/curl-status"
cat >"$scratch/journal" <<'END'
time="2018-05-04T18:40:16Z" level=error msg="Backup failed" error="a \"quoted\" \\ word: ü" hint="look"
a	tab $(touch /tmp/no) `no` %s \n
END
sed "s,/usr/sbin/sendmail,$scratch/bin/sendmail," etc/systemd/etcd-snapshot-notify >"$scratch/notify"
notify() {
    rm -f "$scratch/calls" "$scratch/mail" "$scratch/body" "$scratch/config"
    env -i PATH="$scratch/bin:$PATH" "$@" sh "$scratch/notify" etcd-snapshot.service
}
die() {
    echo "$1"
    cat "$scratch/calls" "$scratch/mail" "$scratch/body" 2>/dev/null
    exit 1
}
url=https://hooks.example.com/services/secret

notify MAIL_TO=root WEBHOOK_URL=$url || die "both: failed"
grep -q '^To: root$' "$scratch/mail" || die "the mail is to nobody"
grep -q '^Subject: etcd-snapshot.service failed on ' "$scratch/mail" || die "the mail has no subject"
[ "$(grep -cxF -f "$scratch/journal" "$scratch/mail")" = 2 ] || die "the mail lacks the log"
grep -q '^ExecMainStatus=69$' "$scratch/mail" || die "the mail lacks the status"
grep -q _SYSTEMD_INVOCATION_ID=0123456789abcdef0123456789abcdef "$scratch/calls" || die "another run's log"
grep -q "since Fri 2018-05-04 18:40:16 UTC .* SYSLOG_IDENTIFIER=etcd-rolling-snapshots$" "$scratch/calls" ||
    die "what a process said that ended at once is missing"
grep -q "^journalctl --sync" "$scratch/calls" || die "the last lines may not be in the journal yet"
python3 - "$scratch" <<'END' || die "the webhook's body is not what it should be"
import json, sys
with open(sys.argv[1] + "/body") as body, open(sys.argv[1] + "/journal") as journal:
    body = json.load(body)
    assert list(body) == ["text"] and journal.read().replace("\t", " ") in body["text"], body
END
[ "$(cat "$scratch/config")" = "url = \"$url\"" ] || die "the address is not in curl's configuration"
! grep -q secret "$scratch/calls" "$scratch/mail" "$scratch/body" || die "the address is seen"

notify MAIL_TO=root MONITOR_INVOCATION_ID=feedfeedfeedfeedfeedfeedfeedfeed || die "mail alone: failed"
grep -q _SYSTEMD_INVOCATION_ID=feedfeedfeedfeedfeedfeedfeedfeed "$scratch/calls" || die "systemd's word was passed over"
! grep -q ^curl "$scratch/calls" || die "nobody asked for curl"
notify WEBHOOK_URL=$url || die "webhook alone: failed"
[ ! -e "$scratch/mail" ] || die "nobody asked for mail"

echo 22 >"$scratch/curl-status"
! notify WEBHOOK_URL=$url MAIL_TO=root || die "a webhook that fails was a success"
[ -s "$scratch/mail" ] || die "a webhook that fails keeps the mail"
! notify A=b 2>"$scratch/said" || die "nothing is set, and that was a success"
grep -q notify.conf "$scratch/said" || die "it does not say what to do"
