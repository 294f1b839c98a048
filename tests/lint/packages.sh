#!/bin/sh
# What can be seen of the packages without building them: their versions, what they build with, and
# that the spec lists what `make install` installs. (The Debian package takes all of it.) Run from the
# top of the source tree.
set -eu
spec=rpm/etcd-snapshot.spec
bad=0
complain() {
    echo "$1"
    bad=1
}

# --- versions
make=$(sed -n 's/^VERSION := //p' Makefile)
deb=$(sed -n '1s/^etcd-snapshot (\(.*\)) .*/\1/p' debian/changelog)
rpm=$(sed -n 's/^Version: *//p' $spec)
logged=$(sed -n '/^%changelog/,$s/^\* .* - \([^ -]*\)-[^ ]*$/\1/p' $spec | head -n 1)
if [ -z "$make" ] || [ "$make" != "$deb" ] || [ "$make" != "$rpm" ] || [ "$make" != "$logged" ]; then
    complain "versions: Makefile $make, debian/changelog $deb, $spec $rpm, its change log $logged"
fi
for file in $spec rpm/README; do
    grep -q -e "--prefix=etcd-snapshot-$make/" "$file" || complain "$file names the tarball of another version"
done

# --- what is built with: the sets of tests/deps.sh, in the order apt, dnf
names() {
    # The N-th list called build.
    awk -v want="$1" -v RS="'" '/build\) packages=$/ { n++; if (n == want) { getline; print; exit } }' tests/deps.sh
}
for name in $(names 1); do
    # build-essential is always there; systemd-dev stands for systemd where that has systemd.pc.
    case $name in g++ | make | systemd) continue ;; esac
    grep -q "^\(Build-Depends:\)\? *.*\<$name\>" debian/control || complain "debian/control: Build-Depends lacks $name"
done
for name in $(names 2); do
    grep -q "^BuildRequires:  $name\(-pkg-config\)\?$" $spec || complain "$spec: BuildRequires lacks $name"
done
if [ -z "$(names 1)" ] || [ -z "$(names 2)" ]; then
    complain "tests/deps.sh: no list of packages to build with"
fi

# --- what is installed
installed=$(sed -n '/^INSTALLED :=/,/[^\\]$/p' Makefile | tr -d '\\' | sed 's/^INSTALLED :=//')
[ -n "$installed" ] || complain "Makefile: no INSTALLED"
for path in $installed; do
    case $path in
    '$(docdir)/examples/'*) continue ;; # a directory in the spec
    esac
    macro=$(printf '%s\n' "$path" | sed 's,$(systemdsystemunitdir),%{_unitdir},
        s,$(systemdsystemgeneratordir),%{_systemdgeneratordir},
        s,$(catalogdir),%{_journalcatalogdir},
        s,$(completionsdir),%{bash_completions_dir},
        s,$(\([a-z]*\)),%{_\1},')
    sed -n '/^%files/,/^%changelog/p' $spec | grep -qxF -e "$macro" -e "$macro*" ||
        complain "$spec: %files lacks $macro"
done
[ $bad = 0 ] || exit 1
echo "packages: version $make, what they need and install agrees"
