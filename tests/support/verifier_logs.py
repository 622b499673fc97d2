"""Where our log leaves Linux's: `python -m tests.support.verifier_logs FILE [NAME]` (a .toml of cases or an object).

Both verifiers tell each state of the walk (log level 2); the first line that differs is printed below the lines before
it that are the same. What can differ is taken out: addresses of maps, ids of kernel functions, the time.
"""

from __future__ import annotations

import argparse
import re
import sys
from itertools import zip_longest
from pathlib import Path

from tests.support.oracle import live_reason
from tests.support.verifier_linux import LEVEL2, STATS, Asker
from tests.support.verifier_ours import ask_ours
from tests.support.verifier_sources import Question, ask_linux, of_file

_CHANGES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), by)
    for pattern, by in (
        (r"\(18\) r(\d+) = 0x[0-9a-f]+", r"(18) r\1 = 64 bits"),
        (r"(call [A-Za-z_]\w*)#\d+", r"\1#id"),
        (r"[ \t]+", " "),
        (r" +$", ""),
        (r"mark_read \d+", "mark_read"),
    )
)
_SOURCE_LINE = re.compile(r"; ")


def comparable(log: str, *, has_lines: bool = True) -> list[str]:
    """The lines of a log without what need not be equal; `has_lines` keeps the lines of source between them."""
    lines = []
    for raw in log.split("\n"):
        line = raw
        for pattern, by in _CHANGES:
            line = pattern.sub(by, line)
        if line and not line.startswith("verification time") and (has_lines or not _SOURCE_LINE.match(line)):
            lines.append(line)
    return lines


def first_difference(theirs: list[str], ours: list[str], before: int = 12, behind: int = 3) -> str:
    """Empty when both are equal; else the lines before the first that differs, and some from there on of each."""
    for place, (a, b) in enumerate(zip_longest(theirs, ours)):
        if a != b:
            same = [f"       {line}" for line in theirs[max(place - before, 0) : place]]
            linux = [f"LINUX  {line}" for line in theirs[place : place + behind]]
            mine = [f"OURS   {line}" for line in ours[place : place + behind]]
            return "\n".join([f"line {place + 1}", *same, *linux, *mine])
    return ""


def compare(asker: Asker, question: Question, *, has_lines: bool = True) -> str:
    """The first difference between both logs of one program, or empty."""
    linux = ask_linux(asker, question, LEVEL2 | STATS)
    q = question
    ours = ask_ours(q.spec, q.maps, q.btf, caps=q.caps, flags=q.flags, log_level=LEVEL2 | STATS)
    return first_difference(comparable(linux.log, has_lines=has_lines), comparable(ours.log, has_lines=has_lines))


def main(arguments: list[str]) -> int:
    """Run it; 1 when any log differs."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.verifier_logs", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("name", nargs="?", default="", help="a part of the name of a case or program")
    parser.add_argument("--before", type=int, default=12, help="how many equal lines to show")
    parser.add_argument("--no-lines", action="store_true", help="do not compare lines of source")
    parser.add_argument("--dump", type=Path, help="write both logs to DUMP.linux and DUMP.ours")
    options = parser.parse_args(arguments)
    if reason := live_reason():
        parser.error(reason)
    asker, differing = Asker(), 0
    for question in of_file(options.file, asker, options.name):
        q, has_lines = question, not options.no_lines
        linux = ask_linux(asker, q, LEVEL2 | STATS)
        ours = ask_ours(q.spec, q.maps, q.btf, caps=q.caps, flags=q.flags, log_level=LEVEL2 | STATS)
        logs = [comparable(answer.log, has_lines=has_lines) for answer in (linux, ours)]
        if options.dump:
            for which, lines in zip(("linux", "ours"), logs, strict=True):
                options.dump.with_suffix(f".{which}").write_text("\n".join(lines) + "\n")
        difference = first_difference(*logs, options.before)
        differing += bool(difference)
        print(f"=== {q.name}: {difference or f'equal, {len(logs[0])} lines'}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
