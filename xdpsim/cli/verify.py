"""`xdpsim verify`: judge every program of the objects, print rows, JSON or SARIF; docs/cli.md tells every field."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches

from xdpsim.cli.asked import VerifyOptions
from xdpsim.cli.errors import NOTHING_RAN, OK, UsageError, output_error, tell
from xdpsim.cli.output import emit
from xdpsim.cli.sarif import sarif_log
from xdpsim.cli.verify_json import report
from xdpsim.cli.verify_progress import VerifyProgress
from xdpsim.cli.verify_text import print_log, print_verdicts
from xdpsim.errors import InputError, Rejected, Unsupported
from xdpsim.loader.model import Object, ProgramSpec
from xdpsim.sim.judging import REJECTED, UNSUPPORTED, Conditions, Judgement, judge, read_for_judging
from xdpsim.verifier.env import ALL_CAPS
from xdpsim.versions import Linux


@dataclass
class Judged:
    """One object: its judgements, or why it cannot be read."""

    name: str
    judgements: list[Judgement] = field(default_factory=list)
    error: InputError | None = None


@dataclass
class Judgements:
    """All objects, and how long it took."""

    objects: list[Judged]
    linux: str
    elapsed_s: float

    def __iter__(self) -> Iterator[Judgement]:
        return (made for judged in self.objects for made in judged.judgements)

    def count(self, state: str) -> int:
        """How many programs are in that state."""
        return sum(made.state == state for made in self)


def run(options: VerifyOptions) -> int:
    """Do what the options say; the exit code."""
    conditions = _conditions(options)
    started = time.perf_counter()
    sources = [_load(path, options) for path in options.objects]
    chosen = _chosen([source for source in sources if isinstance(source, Object)], options)
    judged = []
    with VerifyProgress(sum(map(len, chosen.values()))) as progress:
        for path, source in zip(options.objects, sources, strict=True):
            row = Judged(path)
            judged.append(row)
            if isinstance(source, InputError):
                row.error = source
                continue
            for judgement in judge(source, chosen[id(source)], conditions, progress.watch):
                progress.done()
                row.judgements.append(judgement)
    made = Judgements(judged, options.linux, time.perf_counter() - started)
    _print(made, options)
    return _exit_code(made)


def _conditions(options: VerifyOptions) -> Conditions:
    if options.json and options.sarif:
        raise UsageError("--json and --sarif: both want standard output")
    try:
        if options.linux:
            Linux(options.linux)
    except InputError as err:
        raise UsageError(f"--linux {options.linux}: expected MAJOR.MINOR such as 5.15") from err
    return Conditions(_caps(options.caps), options.linux, options.strict_alignment, options.log_level)


def _caps(text: str) -> frozenset[str]:
    if not text:
        return ALL_CAPS
    words = {word.strip().lower().removeprefix("cap_") for word in text.split(",")} - {"none", ""}
    if not words <= ALL_CAPS:
        unknown = ", ".join(sorted(words - ALL_CAPS))
        raise UsageError(f"--caps {text}: unknown {unknown}", hint=f"some of {','.join(sorted(ALL_CAPS))}, or none")
    return frozenset(words)


def _load(path: str, options: VerifyOptions) -> Object | InputError:
    """The object, or why it is none: the others are judged all the same."""
    loading = options.loading
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as err:
        return InputError(f"{path}: {err.strerror}")
    try:
        return read_for_judging(data, path, options.linux, type=loading.type, set=loading.set, btf=loading.btf or None)
    except InputError as err:
        return err


def _chosen(sources: list[Object], options: VerifyOptions) -> dict[int, list[ProgramSpec]]:
    """The programs to judge, by the id() of their object; UsageError for a name that no object has."""
    known = dict.fromkeys(name for source in sources for name in source.programs)
    for name in options.programs if known else ():
        if name not in known:
            raise UsageError(f"-p {name}: no such program", hint=_near(name, known))
    wanted = options.programs or known
    return {id(source): [spec for name, spec in source.programs.items() if name in wanted] for source in sources}


def _near(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, 3)
    return f"did you mean {' or '.join(close)}?" if close else f"there is {', '.join(known)}"


def _print(made: Judgements, options: VerifyOptions) -> None:
    for judged in made.objects:
        if judged.error is not None:
            tell(judged.error.message, judged.error.hint)
    try:
        if options.json:
            emit(json.dumps(report(made)))
        elif options.sarif:
            emit(json.dumps(sarif_log(made), indent=2))
        else:
            for judged in made.objects:
                for judgement in judged.judgements:
                    print_log(judged.name, judgement, sys.stdout)
            print_verdicts(made, sys.stdout)
    except OSError as err:
        raise output_error(err) from err


def _exit_code(made: Judgements) -> int:
    """A refusal counts more than an object that cannot be read, and that more than a type that nobody verifies."""
    if any(judgement.state == REJECTED or judgement.lacks for judgement in made):
        return Rejected.exit_code
    if any(judged.error is not None for judged in made.objects):
        return InputError.exit_code
    if made.count(UNSUPPORTED):
        return Unsupported.exit_code
    return OK if any(judged.judgements for judged in made.objects) else NOTHING_RAN
