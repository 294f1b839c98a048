#!/usr/bin/python3
"""The manual pages must say what the program does: every key of both configuration files with its
default and range, every command, option and exit code. Run from the top of the source tree after a
build; prints what differs, exit status 1.  manual_drift.py [PROGRAM]"""

import pathlib
import re
import subprocess
import sys

PAGE = pathlib.Path("man/etcd-snapshot.8")
CONF_PAGE = pathlib.Path("man/etcd-snapshot.conf.5")
HOST_INI = pathlib.Path("agent/config/host_ini.cc")
CLUSTER_KEYS = pathlib.Path("agent/config/cluster_keys.cc")
SETTINGS = pathlib.Path("agent/config/settings.h")
EXIT_CODES = pathlib.Path("agent/base/exit_code.h")

problems = []
page = PAGE.read_text()
conf_page = CONF_PAGE.read_text()


def sections_of(text):
    """Section of the page -> key -> its text."""
    found = {}
    for title, body in re.findall(r"^\.Sh THE SECTION \[(\w+)\]\n(.*?)(?=^\.Sh)", text,
                                  flags=re.M | re.S):
        keys = found.setdefault(title, {})
        # The choices of a key stand in a compact list of their own, and are no keys.
        body = re.sub(r"^\.Bl [^\n]*-compact\n.*?^\.El\n", "", body, flags=re.M | re.S)
        for names, item in re.findall(r"^\.It ([^\n]*)\n(.*?)(?=^\.It |^\.El)", body,
                                      flags=re.M | re.S):
            for name in re.findall(r"Ic (\S+)", names):
                keys[name] = item
    return found


# --- etcd-snapshot.conf ---------------------------------------------------------------------
source = HOST_INI.read_text()
table = source[source.index("kKeys = {"):source.index("return kKeys;")]
keys = re.findall(r'\{"(\w+)",\s*"(\w+)",\s*(.*?)(?=\},\n\s*\{"|\},\n\s*\};)', table, flags=re.S)
if len(keys) < 30:
    problems.append(f"{HOST_INI}: only {len(keys)} keys found; has the table changed its form?")
described = sections_of(conf_page)
struct_of = {"etcd": "EtcdSettings", "snapshots": "SnapshotSettings", "s3": "S3Settings",
             "pki": "PkiSettings"}
settings = SETTINGS.read_text()
for section, key, setter in keys:
    item = described.get(section, {}).get(key)
    if item is None:
        problems.append(f"{CONF_PAGE}: [{section}] {key} is missing")
        continue
    flat = re.sub(r"\n\.?(Ic|Pa|Li|Pq)? ?", " ", item)
    if "Default:" not in flat:
        problems.append(f"{CONF_PAGE}: [{section}] {key} has no default")
    for low, high in re.findall(r"whole_number\(.*?, (\d+), ([\d']+)\)", setter, flags=re.S):
        wanted = f"From {low} to {high.replace(chr(39), '')}."
        if wanted not in flat:
            problems.append(f"{CONF_PAGE}: [{section}] {key} does not say '{wanted}'")
    for word in re.findall(r'\{"([\w:]+)",', setter):
        if word not in re.findall(r"[\w:]+", conf_page):
            problems.append(f"{CONF_PAGE}: [{section}] {key}: '{word}' is missing")
    struct = re.search(rf"struct {struct_of.get(section, 'none')} \{{(.*?)^\}};", settings,
                       flags=re.S | re.M)
    number = struct and re.search(rf"\bint {key} = (\d+);", struct.group(1))
    if number and f"Default: {number.group(1)}." not in flat:
        problems.append(f"{CONF_PAGE}: [{section}] {key}: the default is {number.group(1)}")
in_source = {(section, key) for section, key, _ in keys}
for section, items in described.items():
    for key in items:
        if (section, key) not in in_source:
            problems.append(f"{CONF_PAGE}: [{section}] {key} is not in {HOST_INI}")

# --- cluster.yml ----------------------------------------------------------------------------
yaml_keys = set()
lists = re.findall(r"constexpr ClusterKey k\w+\[\] = \{(.*?)\};", CLUSTER_KEYS.read_text(), flags=re.S)
for text in lists:
    # The first name of each; other spellings are in braces of their own.
    yaml_keys.update(re.findall(r'(?:^|[\s{,])\{"(\w+)"', re.sub(r'\{("\w+"(, )?)+\}\}', "}", text)))
yaml_keys -= {"services", "etcd"}  # the way to them
if len(lists) < 5:
    problems.append(f"{CLUSTER_KEYS}: the lists of keys are not where they were")
policy_text = page[page.index(".Sh CLUSTER.YML"):page.index(".Sh SNAPSHOT NAMES")]
for key in sorted(yaml_keys):
    if not re.search(rf"^\.(It )?Ic {key}\b", policy_text, flags=re.M):
        problems.append(f"{PAGE}: {key} of cluster.yml is missing")

# --- exit codes -----------------------------------------------------------------------------
codes = set(re.findall(r"constexpr int kExit\w+ = (\d+);", EXIT_CODES.read_text()))
status = page[page.index(".Sh EXIT STATUS"):page.index(".Sh EXAMPLES")]
in_page = set(re.findall(r"^\.It (\d+)$", status, flags=re.M))
for code in sorted(codes ^ in_page, key=int):
    problems.append(f"{PAGE}: exit status {code} is "
                    + ("missing" if code in codes else f"not in {EXIT_CODES}"))

# --- the command line -----------------------------------------------------------------------
program = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/etcd-snapshot")


def help_of(*arguments):
    run = subprocess.run([program, *arguments, "--help"], capture_output=True, text=True,
                         check=False)
    if run.returncode != 0:
        problems.append(f"{' '.join(arguments)} --help: exit status {run.returncode}")
    return run.stdout


def options_in(text):
    """The options that a help lists, which are those that begin a line."""
    return set(re.findall(r"^ +(?:-\w,)?--([a-z][a-z0-9-]*)", text, flags=re.M))


if program.exists():
    commands = re.findall(r"^\.It Cm ([a-z]+)", page, flags=re.M)
    documented = set(re.findall(r"Fl Fl ([a-z][a-z0-9-]*)", page))
    summary = help_of()
    options = options_in(summary)
    for command in commands:
        own = options_in(help_of(command))
        options |= own
        # In the item of the command, which ends where that of the next one begins.
        item = re.search(rf"^\.It Cm {command}\b.*?(?=^\.It Cm |^\.Sh )", page, flags=re.M | re.S)
        for option in sorted(own - {"help"} - set(re.findall(r"Fl Fl ([a-z0-9-]+)", item.group(0)))):
            problems.append(f"{PAGE}: {command} does not tell of --{option}")
    for option in sorted(options - documented):
        problems.append(f"{PAGE}: --{option} is missing")
    for option in sorted(documented - options):
        # Options of etcdctl in the text about restoring.
        if option not in ("initial-cluster", "initial-advertise-peer-urls"):
            problems.append(f"{PAGE}: --{option} is not in --help")
    listed = set(re.findall(r"^  ([a-z]+)(?:\s|$)", summary, flags=re.M))
    for command in sorted(set(commands) ^ listed):
        problems.append(f"{PAGE}: the command {command} is "
                        + ("missing" if command in listed else "not in --help"))
else:
    problems.append(f"{program} is not there; build it first")

print("\n".join(problems) if problems else
      f"manual: {len(keys)} keys of etcd-snapshot.conf, {len(yaml_keys)} of cluster.yml, "
      f"{len(codes)} exit codes, {len(commands)} commands")
sys.exit(1 if problems else 0)
