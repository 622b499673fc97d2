"""Fills in what Linux says of verifier cases, or checks it: `python -m tests.support.verifier_ask [--check] FILE...`

Authors write name, asm, maps and so on; the lines `accept`, `errno`, `message` and `processed` are written here, from
the answers of the running Linux 6.18. Without `--check` the answers that differ are written over and told; comments and
everything else stay as they are. Cases with `source = "read"` are left alone. `--print` shows the whole logs instead.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from pathlib import Path

from tests.support.oracle import live_reason
from tests.support.verifier_cases import FOLDER, Case, make_case
from tests.support.verifier_linux import LEVEL1, STATS, Answer, Asker, unprivileged_reason
from xdpsim.errors import InputError, Unsupported

LONG_WALK = 100_000
_ANSWER_LINE = re.compile(r"^(accept|errno|message|processed) = .*\n", re.MULTILINE)


def ask_case(asker: Asker, case: Case) -> Answer:
    """Linux's answer to a case."""
    return asker.ask(case.spec, case.maps, case.btf, caps=case.caps, flags=case.flag_bits, log_level=level_for(case))


def level_for(case: Case) -> int:
    """The log level to ask with: a long walk is told without its steps, which cost twenty times the walk."""
    return STATS if (case.processed or 0) > LONG_WALK else LEVEL1


def answer_lines(answer: Answer) -> str:
    """The lines of a case that hold an answer."""
    lines = [f"accept = {str(answer.accepted).lower()}"]
    if not answer.accepted:
        lines += [f'errno = "{answer.errno_name}"', f"message = {json.dumps(answer.message)}"]
    if answer.processed >= 0:
        lines.append(f"processed = {answer.processed}")
    return "\n".join(lines) + "\n"


def blocks(text: str) -> list[str]:
    """A file in pieces: what stands before the first case, then a piece for each case."""
    return re.split(r"^(?=\[\[case\]\]$)", text, flags=re.MULTILINE)


def fill(text: str, file: str, asker: Asker) -> tuple[str, list[str]]:
    """The file's text with Linux's answers in it, and what was said of cases whose answers are others."""
    head, *pieces = blocks(text)
    told = []
    for place, piece in enumerate(pieces):
        entry = tomllib.loads(piece)["case"][0]
        if entry.get("source") == "read":
            continue
        try:
            case = make_case(entry, file)
            if not case.caps & {"bpf"} and unprivileged_reason():
                told.append(f"{case}: not asked: {unprivileged_reason()}")
                continue
            new = answer_lines(ask_case(asker, case))
        except (InputError, Unsupported, ValueError, KeyError) as error:
            told.append(f"{file}: {entry.get('name')}: {error}")
            continue
        old = "".join(found[0] for found in _ANSWER_LINE.finditer(piece))
        if old != new:
            told.append(f"{case}\n{new}" + (f"  was\n{old}" if old else ""))
            body = _ANSWER_LINE.sub("", piece)
            pieces[place] = body.rstrip("\n") + "\n" + new + "\n"
    return head + "".join(pieces).rstrip("\n") + "\n", told


def main(arguments: list[str]) -> int:
    """Run it; 1 when `--check` found a difference or a case could not be asked."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.verifier_ask", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("files", nargs="*", type=Path, help="all of tests/cases/verifier when there is none")
    parser.add_argument("--check", action="store_true", help="only tell what differs")
    parser.add_argument("--print", action="store_true", help="print Linux's log of each case")
    options = parser.parse_args(arguments)
    if reason := live_reason():
        parser.error(reason)
    asker, differing = Asker(), 0
    for path in options.files or sorted(FOLDER.glob("*.toml")):
        if options.print:
            for piece in blocks(path.read_text())[1:]:
                case = make_case(tomllib.loads(piece)["case"][0], path.stem)
                print(f"--- {case}\n{ask_case(asker, case).log}")
            continue
        text, told = fill(path.read_text(), path.stem, asker)
        differing += len(told)
        print("\n".join(told))
        if not options.check:
            path.write_text(text)
    return 1 if options.check and differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
