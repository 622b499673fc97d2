"""Both verifiers on whole objects: `python -m tests.support.verifier_objects [FILE or FOLDER...]`, else programs/.

A row for each program: verdict, insns and states walked here and on Linux, how long it took here. `--linux-only` asks
Linux alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.oracle import live_reason
from tests.support.verifier_linux import STATS, Answer, Asker
from tests.support.verifier_ours import ask_ours
from tests.support.verifier_sources import Question, ask_linux, ask_linux_shortly, of_object
from xdpsim.errors import InputError, Unsupported
from xdpsim.loader.load import load_object

_PROGRAMS = Path(__file__).parents[2] / "programs"


def objects(places: list[Path]) -> Iterator[Path]:
    """The object files that are meant by files and folders."""
    for place in places:
        yield from sorted(place.rglob("*.o")) if place.is_dir() else [place]


def questions(asker: Asker, path: Path) -> Iterator[tuple[str, Question | None, str]]:
    """Name, question and, where there is none, why."""
    try:
        loaded = load_object(path.read_bytes(), path.name)
    except (InputError, Unsupported) as error:
        yield path.name, None, error.message
        return
    for question in of_object(loaded, asker):
        yield question.name, question, question.spec.unsupported


def row(name: str, linux: Answer, ours: Answer | None, seconds: float) -> str:
    """One line of the table."""
    text = f"{name:44} Linux {linux.errno_name or 'ok':7} {linux.processed:7} insns {linux.total_states:5} states"
    if ours is None:
        return text + (f"  {last_line(linux)}" if linux.errno else "")
    same = verdict_of(linux) == verdict_of(ours)
    same_count = same_walk(linux, ours)
    rate = ours.processed / max(seconds, 1e-9)
    text += f" | ours {ours.errno_name or 'ok':7} {ours.processed:7} insns {ours.total_states:5} states"
    text += f" {seconds:6.2f} s {rate:8.0f} insns/s  {'' if same else 'DIFFERS '}{'' if same_count else 'COUNT'}"
    if not same:
        text += f"\n    Linux: {last_line(linux)}\n    ours:  {last_line(ours)}"
    return text


def verdict_of(answer: Answer) -> tuple[object, ...]:
    """What must be the same for two answers to agree."""
    return answer.accepted, answer.errno, answer.message if answer.errno else ""


def same_walk(linux: Answer, ours: Answer) -> bool:
    """Whether both walked as many insns and kept as many states."""
    return (linux.processed, linux.total_states, linux.peak_states) == (
        ours.processed,
        ours.total_states,
        ours.peak_states,
    )


def last_line(answer: Answer) -> str:
    """The end of a message."""
    return answer.message.rsplit("\n", 1)[-1]


def main(arguments: list[str]) -> int:
    """Run it; 1 when any verdict or count differs."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.verifier_objects", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("places", nargs="*", type=Path, default=[_PROGRAMS])
    parser.add_argument("--linux-only", action="store_true")
    options = parser.parse_args(arguments)
    if reason := live_reason():
        parser.error(reason)
    asker, differing, walked, took = Asker(), 0, 0, 0.0
    accepted = alike = 0
    for path in objects(options.places):
        for name, question, why in questions(asker, path):
            if question is None or why:
                print(f"{name:44} not asked: {why}")
                continue
            try:
                linux = _ask(asker, question)
            except (InputError, Unsupported) as error:
                print(f"{name:44} not asked: {error.message}")
                continue
            ours, seconds = (None, 0.0) if options.linux_only else _timed(question)
            if ours is not None:
                differing += verdict_of(linux) != verdict_of(ours) or linux.processed != ours.processed
                walked, took = walked + ours.processed, took + seconds
                accepted += linux.accepted
                alike += linux.accepted and ours.accepted and linux.processed == ours.processed
            print(row(name, linux, ours, seconds))
    if took:
        print(f"{walked} insns in {took:.2f} s: {walked / took:.0f} a second; {differing} differ")
        print(
            f"of {accepted} that Linux accepts {alike} are walked as far here: {100 * alike / max(accepted, 1):.1f} %"
        )
    return 1 if differing else 0


def ask_both(asker: Asker, question: Question, most: int) -> tuple[Answer, Answer | None]:
    """Linux's answer and ours; None when Linux walks more than `most` insns."""
    linux = ask_linux_shortly(asker, question)
    return linux, None if linux.processed > most else _timed(question)[0]


def _ask(asker: Asker, question: Question) -> Answer:
    """Statistics alone where it is accepted, with the message where it is not."""
    answer = ask_linux(asker, question, STATS)
    return ask_linux(asker, question) if answer.errno else answer


def _timed(question: Question) -> tuple[Answer, float]:
    q = question
    began = time.process_time()
    ours = ask_ours(q.spec, q.maps, q.btf, caps=q.caps, flags=q.flags, log_level=0)
    took = time.process_time() - began
    if ours.errno:
        ours = ask_ours(q.spec, q.maps, q.btf, caps=q.caps, flags=q.flags)
    return ours, took


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
