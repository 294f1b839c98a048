#!/usr/bin/python3
"""Every error of S3, etcd and the directory that an operator may see says what to do: none is made without a hint.

Looks at the source, because no test reaches every path. An Error with kInternal (a bug) or kCancelled needs none.
system_error() has one of its own (base/errno_hint.h). The unit test Explain.HasAHintForEverything covers what
servers and libcurl say."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("agent/s3", "agent/etcd", "agent/store")
NO_HINT_NEEDED = ("kInternal", "kCancelled")
LEAST = {"braces": 6, "blocks": 5, "rows": 80}


def arguments(text, at):
    """What lies between the bracket at `at` and its partner, split at its own commas."""
    depth, start, found, quoted = 0, at + 1, [], False
    for i in range(at, len(text)):
        c = text[i]
        if c == '"' and text[i - 1] != "\\":
            quoted = not quoted
        elif quoted:
            continue
        elif c in "{([":
            depth += 1
        elif c in "})]":
            depth -= 1
            if depth == 0:
                return found + [text[start:i].strip()]
        elif c == "," and depth == 1:
            found.append(text[start:i].strip())
            start = i + 1
    return found


def faults(text, seen):
    """(line, what is wrong) of each construction without a hint; `seen` counts what was looked at."""
    line_of = lambda at: text.count("\n", 0, at) + 1
    # Error{kind, message, hint, ...}, also as `return {kind, ...}` or `fail({kind, ...})`
    for match in re.finditer(r"\{ErrorKind::(\w+)\s*,", text):
        seen["braces"] += 1
        parts = arguments(text, match.start())
        if match[1] in NO_HINT_NEEDED:
            continue
        if len(parts) < 3 or parts[2] in ('""', "{}", "std::string()"):
            yield line_of(match.start()), "an Error without a hint"
    # Error error; ... return error;
    for match in re.finditer(r"\n( +)Error (\w+);", text):
        seen["blocks"] += 1
        end = text.find("\n}", match.end())
        block = text[match.end():end]
        if not re.search(rf"\b{match[2]}(\.hint|\s*=)|\.hint", block) and "kInternal" not in block:
            yield line_of(match.start() + 1), f"the Error '{match[2]}' gets no hint"


def rows(text, seen):
    """The tables of meanings: what each row's hint is."""
    constants = dict(re.findall(r'constexpr char (k\w+)\[\] =\s*("(?:[^"\\]|\\.)*")', text))
    for match in re.finditer(r'\n    \{(?:"\w[\w.]*"|\d{3}), "', text):
        seen["rows"] += 1
        hint = arguments(text, match.start() + 5)[2]
        known = hint.startswith('"') and hint != '""' or constants.get(hint, '""') != '""' or hint == "kClockHint"
        if not known:
            yield text.count("\n", 0, match.start()) + 2, f"a row whose hint is {hint}"


def main():
    seen = dict.fromkeys(LEAST, 0)
    wrong = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob("*.cc")):
            text = re.sub(r"//[^\n]*", "", path.read_text())
            found = list(faults(text, seen))
            if path.name == "meanings.cc":
                found += rows(text, seen)
            wrong += [f"{path.relative_to(ROOT)}:{line}: {what}" for line, what in found]
    # A check that finds nothing must be able to find something, and must have looked.
    bad = ('\nvoid f() {\n  return Error{ErrorKind::kRemote, "x, y", ""};\n}\nvoid g() {\n  Error error;\n'
           '  return error;\n}\n'
           'x{ErrorKind::kRemote, "no third"};\n')
    if len(list(faults(bad, dict.fromkeys(LEAST, 0)))) != 3:
        wrong.append("tests/lint/hints.py does not see what is wrong with its own example")
    if len(list(rows('\n    {"Code", "", "", Again::kNo},\n', dict.fromkeys(LEAST, 0)))) != 1:
        wrong.append("tests/lint/hints.py does not see a row without a hint")
    wrong += [f"tests/lint/hints.py saw only {seen[kind]} {kind}" for kind in LEAST if seen[kind] < LEAST[kind]]
    print("\n".join(wrong), end="\n" if wrong else "")
    return bool(wrong)


sys.exit(main())
