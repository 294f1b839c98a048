#!/usr/bin/python3
"""Documents name files that exist: every path in backticks in them, from the top of the source tree, from
agent/ or from tests/. Run from the top of the source tree; prints what does not exist, exit status 1."""

import pathlib
import re
import sys

DOCUMENTS = ("docs/architecture.md", "CONTRIBUTING.md", "tests/README.md")
ROOTS = ("", "agent", "tests", "tests/unit", "tests/integration")
PATH = re.compile(r"`([a-z0-9_]+(?:/[a-z0-9_]+)*(?:\.(?:cc|h|py|sh|md)|/))`")

problems = []
seen = 0
for document in DOCUMENTS:
    for number, line in enumerate(pathlib.Path(document).read_text(encoding="utf-8").splitlines(), 1):
        for path in PATH.findall(line):
            seen += 1
            if not any((pathlib.Path(root) / path).exists() for root in ROOTS):
                problems.append(f"{document}:{number}: {path} does not exist")
if seen < 50:
    problems.append(f"only {seen} paths were found in {', '.join(DOCUMENTS)}: is the pattern right?")
print(*problems, sep="\n")
sys.exit(bool(problems))
