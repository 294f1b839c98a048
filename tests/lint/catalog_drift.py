#!/usr/bin/python3
"""Message ids and journal catalog must match: every id of agent/systemd/message_ids.h is explained in
units/etcd-snapshot.catalog and the reverse, an explanation uses only the fields that the header says a
record carries, and every record with an id carries them. Run from the top of the source tree; prints what differs, exit status 1."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HEADER = pathlib.Path("agent/systemd/message_ids.h")
CATALOG = pathlib.Path("units/etcd-snapshot.catalog")
REQUIRED_HEADERS = ("Subject", "Defined-By", "Documentation")

problems = []

ids = {}
for fields, name, value in re.findall(
        r"Fields: ([^.]*)\.\ninline constexpr char (k\w+)\[\] = \"(\w+)\";", HEADER.read_text()):
    if not re.fullmatch(r"[0-9a-f]{32}", value):
        problems.append(f"{HEADER}: {name} is not 32 hexadecimal digits")
    if value in ids:
        problems.append(f"{HEADER}: {name} has the id of {ids[value][0]}")
    ids[value] = (name, {f.strip() for f in fields.split(",")} - {"none"})
constants = len(re.findall(r"\[\] = \"", HEADER.read_text()))
if constants != len(ids):
    problems.append(f"{HEADER}: {constants} constants, but {len(ids)} ids with a 'Fields:' comment")

entries = {}
for block in re.split(r"^-- ", CATALOG.read_text(), flags=re.M)[1:]:
    entry_id, _, rest = block.partition("\n")
    headers, _, text = rest.partition("\n\n")
    if entry_id in entries:
        problems.append(f"{CATALOG}: {entry_id} is there twice")
    entries[entry_id] = rest
    for header in REQUIRED_HEADERS:
        if not re.search(rf"^{header}: \S", headers, flags=re.M):
            problems.append(f"{CATALOG}: {entry_id} has no {header}:")
    if not text.strip():
        problems.append(f"{CATALOG}: {entry_id} has no text")
    for line in text.splitlines():
        if len(line) > 80:
            problems.append(f"{CATALOG}: longer than 80 characters: {line}")

for value, (name, fields) in ids.items():
    if value not in entries:
        problems.append(f"{CATALOG}: no entry for {name} ({value})")
        continue
    used = set(re.findall(r"@(\w+)@", entries[value]))
    known = {"ETCD_SNAPSHOT_" + f.upper() for f in fields}
    for field in sorted(used - known):
        problems.append(f"{CATALOG}: {name} uses @{field}@, which its record does not carry")
for value in entries.keys() - ids.keys():
    problems.append(f"{CATALOG}: {value} is not in {HEADER}")

# Records that are written out in one piece; one that gets its id or its fields from elsewhere is not
# seen here.
fields_of = {name: fields for name, fields in ids.values()}
records = 0
for path in sorted(pathlib.Path("agent").rglob("*.cc")):
    source = path.read_text()
    for form in (r"write\(\s*\{([^;]*?)\.message_id = (k\w+)\}",
                 r"\bwarn\(([^;]*?),\s+(k\w+)\);"):
        for match in re.finditer(form, source):
            records += 1
            carried = set(re.findall(r'\{"(\w+)",', match.group(1)))
            for field in sorted(fields_of.get(match.group(2), set()) - carried):
                problems.append(f"{path}: a record with the id {match.group(2)} has no field {field}")
if records < 20:
    problems.append(f"agent: only {records} records found; have they changed their form?")

# systemd's own reader, where it is there: it drops entries that it does not understand.
if shutil.which("journalctl"):
    with tempfile.TemporaryDirectory() as root:
        source = pathlib.Path(root, "usr/lib/systemd/catalog")
        source.mkdir(parents=True)
        pathlib.Path(root, "var/lib/systemd/catalog").mkdir(parents=True)
        shutil.copy(CATALOG, source)
        for arguments in (["--update-catalog"], ["--list-catalog"]):
            run = subprocess.run(["journalctl", f"--root={root}", *arguments],
                                 capture_output=True, text=True, check=False)
            if run.returncode != 0:
                problems.append(f"journalctl {arguments[0]}: {run.stderr.strip()}")
        listed = {line.split()[0] for line in run.stdout.splitlines() if line}
        if run.returncode == 0 and listed != ids.keys():
            problems.append(f"journalctl reads {len(listed & ids.keys())} of the {len(ids)} entries")

print("\n".join(problems) if problems else f"catalog: {len(ids)} messages, each explained")
sys.exit(1 if problems else 0)
