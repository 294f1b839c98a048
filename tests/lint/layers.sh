#!/bin/sh
# The way of the data is the way through the folders (etcd, archive, store, s3): a lower folder never
# includes a higher one, and a library is known to one folder only.
set -u
cd "$(dirname "$0")/../.."
bad=0
# forbid PATTERN WHERE...: prints what matches.
forbid() {
    pattern=$1
    shift
    if grep -rnE "$pattern" "$@" --include='*.h' --include='*.cc'; then bad=1; fi
}
top='(cycle|snapshot|prune|remote_prune|offsite|report|metrics|run_metrics|certificates|context)\.h'
forbid "#include \"($top|commands/|config/|etcd/|archive/|store/|s3/|systemd/)" agent/base
forbid "#include \"($top|commands/|etcd/|archive/|store/|s3/|systemd/)" agent/config
forbid "#include \"($top|commands/|archive/|store/|s3/|systemd/)" agent/etcd
forbid "#include \"($top|commands/|etcd/|store/|s3/|systemd/)" agent/archive
forbid "#include \"($top|commands/|etcd/|s3/|systemd/)" agent/store
forbid "#include \"($top|commands/|etcd/|systemd/)" agent/s3
forbid "#include \"($top|commands/|etcd/|archive/|store/|s3/)" agent/systemd
for only in '<curl/ base' '<yaml-cpp/ config' '<ini.h> config' '<systemd/ systemd' '<archive archive|store' '<isa-l archive' '<openssl/ base' \
    '<pugixml s3' '<CLI/ main'; do
    library=${only% *}
    folder=${only#* }
    if grep -rnF "#include $library" agent --include='*.h' --include='*.cc' |
        grep -vE "^agent/($folder)[/.]"; then bad=1; fi
done
[ $bad = 0 ] || echo "these includes go against the direction of the layout"
exit $bad
