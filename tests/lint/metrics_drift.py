#!/usr/bin/python3
"""The metrics that the program writes are those of the manual, and README, alert rules and dashboard
name no others. Every expression of the dashboard is one that promtool takes. Run from the top of the
source tree; prints what differs, exit status 1."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path("agent/metrics/metrics.cc")
PAGE = pathlib.Path("man/etcd-snapshot.8")
README = pathlib.Path("README.md")
RULES = pathlib.Path("etc/prometheus/etcd-snapshot.rules.yml")
DASHBOARD = pathlib.Path("etc/grafana/etcd-snapshot.json")
NAME = re.compile(r"\betcd_snapshot_\w+")

problems = []
written = set(NAME.findall(SOURCE.read_text()))
if len(written) < 15:
    problems.append(f"{SOURCE}: only {len(written)} names found; have they moved?")
phases = set(re.findall(r'return "(\w+)";', SOURCE.read_text())) - {"other"}

page = PAGE.read_text()
section = page[page.index(".Sh METRICS"):page.index(".Sh NOTIFICATION")]
explained = re.findall(r"^\.It Ic (etcd_snapshot_\w+)$", section, flags=re.M)
for name in sorted(written ^ set(explained)):
    problems.append(f"{PAGE}: {name} is " + ("missing" if name in written else f"not in {SOURCE}"))
for phase in sorted(phases ^ set(re.findall(r"^\.It Ic (?!etcd_snapshot_)(\w+)$", section, flags=re.M))):
    problems.append(f"{PAGE}: phase {phase} is " + ("missing" if phase in phases else f"not in {SOURCE}"))

for path in (README, RULES, DASHBOARD):
    used = set(NAME.findall(path.read_text()))
    if not used:
        problems.append(f"{path}: names no metric")
    for name in sorted(used - written):
        problems.append(f"{path}: {name} is not in {SOURCE}")

# --- the dashboard
dashboard = json.loads(DASHBOARD.read_text())
variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
if variables.get("datasource", {}).get("type") != "datasource" or "instance" not in variables:
    problems.append(f"{DASHBOARD}: the variables datasource and instance are missing")
if dashboard.get("id") is not None or "__inputs" in dashboard:
    problems.append(f"{DASHBOARD}: is an export of one Grafana")
panels = dashboard["panels"]
if len({panel["id"] for panel in panels}) != len(panels):
    problems.append(f"{DASHBOARD}: two panels have the same id")
expressions = []
cells = set()
for panel in panels:
    title, grid = panel["title"], panel["gridPos"]
    own = {(x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])}
    if own & cells or grid["x"] + grid["w"] > 24:
        problems.append(f"{DASHBOARD}: '{title}' lies on another panel, or sticks out")
    cells |= own
    if not panel["targets"]:
        problems.append(f"{DASHBOARD}: '{title}' shows nothing")
    for target in panel["targets"]:
        if target["datasource"].get("uid") != "${datasource}" or panel["datasource"].get("uid") != "${datasource}":
            problems.append(f"{DASHBOARD}: '{title}' has a data source of its own")
        for name in NAME.findall(target["expr"]):
            if f'{name}{{instance=~"$instance"}}' not in target["expr"]:
                problems.append(f"{DASHBOARD}: '{title}': {name} is not asked of $instance")
        expressions.append(target["expr"].replace("$instance", ".*"))

with tempfile.NamedTemporaryFile("w", suffix=".yml") as rules:
    # JSON is YAML.
    json.dump({"groups": [{"name": "dashboard", "rules": [
        {"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions)]}]}, rules)
    rules.flush()
    run = subprocess.run(["promtool", "check", "rules", rules.name], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        problems.append(f"{DASHBOARD}: {run.stdout}{run.stderr}")

print("\n".join(problems) if problems else
      f"metrics: {len(written)} in the manual, {len(expressions)} expressions in the dashboard")
sys.exit(1 if problems else 0)
