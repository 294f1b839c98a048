#!/bin/sh
# The rooms of agent/, highest first: a file includes from its own room and from those below it.
# cycle.cc stands between the commands and the rest; main.cc and generator.cc stand above them all.
# And a library is known to its room alone.
set -u
cd "$(dirname "$0")/../.."
rooms="commands offsite pruning metrics run s3 store archive etcd systemd config base"
bad=0
# forbid PATTERN WHERE...: prints what matches.
forbid() {
    pattern=$1
    shift
    if grep -rnE "$pattern" "$@" --include='*.h' --include='*.cc'; then bad=1; fi
}
forbid '#include "commands/' agent/cycle.cc agent/cycle.h
# What a command needs stands in its row.
forbid '[!=]= ?"' agent/main.cc
above=
for room in $rooms; do
    [ -z "$above" ] || forbid "#include \"($above)" "agent/$room"
    above="${above:-cycle\.h}|$room/"
done
for folder in agent/*/; do
    case " $rooms " in
    *" $(basename "$folder") "*) ;;
    *) echo "$folder is not in the list of rooms" && bad=1 ;;
    esac
done
# The table in docs/architecture.md names the same rooms, in this order.
told=$(sed -n 's,^| `agent/\([a-z0-9]*\)` .*,\1,p' docs/architecture.md | tr '\n' ' ')
[ "$told" = "$rooms " ] || { echo "docs/architecture.md names the rooms: $told" && bad=1; }
for only in '<curl/ base' '<yaml-cpp/ config' '<ini.h> config' '<systemd/ systemd' '<archive archive|store' '<isa-l archive' '<openssl/ base' \
    '<pugixml s3' '<CLI/ commands'; do
    library=${only% *}
    folder=${only#* }
    if grep -rnF "#include $library" agent --include='*.h' --include='*.cc' |
        grep -vE "^agent/($folder)[/.]"; then bad=1; fi
done
[ $bad = 0 ] || echo "these includes go against the direction of the layout"
exit $bad
