"""What `xdpsim verify` prints for people: a row for each program, then each refusal with all that is known of it.

Columns are made here, not by rich: a message is never folded into its column, and lines can be searched.
"""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, TextIO

from xdpsim.analysis.needs import Need
from xdpsim.analysis.readable import printable
from xdpsim.cli.render import console_for
from xdpsim.sim.judging import ACCEPTED, REJECTED, UNSUPPORTED, Judgement
from xdpsim.verifier.explain import INSTEAD, Explanation
from xdpsim.versions import DEFAULT

if TYPE_CHECKING:
    from rich.console import Console

    from xdpsim.cli.verify import Judgements

_STYLES = {ACCEPTED: "green", REJECTED: "bold red", UNSUPPORTED: "yellow"}
MESSAGE = "message"
Row = tuple[list[str], str, str]
"""Cells of a row, its verdict's style, its message."""


def print_log(name: str, judgement: Judgement, target: TextIO) -> None:
    """Linux's log of one program, where one was asked for."""
    if judgement.log:
        target.write(printable(f"{name}: {judgement.spec.name}") + f"\n{judgement.log}\n")


def print_verdicts(made: Judgements, target: TextIO) -> None:
    """The table, what is refused and why, and the totals."""
    text = StringIO()
    console = console_for(target if target.isatty() else text)
    _print_table(console, made)
    for judged in made.objects:
        for judgement in judged.judgements:
            refusal = judgement.decision.refusal if judgement.decision else None
            if refusal is not None:
                _print_refusal(console, f"{judged.name}: {judgement.spec.name}", refusal)
            if judgement.lacks:
                _print_lacks(console, f"{judged.name}: {judgement.spec.name}", made.linux, judgement)
    _print_totals(console, made)
    target.write("".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines()))


def _print_table(console: Console, made: Judgements) -> None:
    has_many = len(made.objects) > 1
    heads = [*(["object"] if has_many else []), "program", "verdict", "insns", "states", "peak", "stack"]
    heads += ["needs"] if made.linux else []
    rows: list[Row] = []
    for judged in made.objects:
        for judgement in judged.judgements:
            names = [*([judged.name] if has_many else []), judgement.spec.name]
            rows.append(_row(list(map(printable, names)), judgement, made.linux))
    if not rows:
        if not any(judged.error for judged in made.objects):
            console.print("no programs")
        return
    verdict = heads.index("verdict")
    widths = [max(len(cells[at]) for cells in (heads, *(row[0] for row in rows))) for at in range(len(heads))]
    if not has_many:
        console.print(printable(made.objects[0].name), style="bold")
    _print_row(console, _padded(heads, widths, verdict), MESSAGE if any(row[2] for row in rows) else "", "bold", -1)
    for cells, style, message in rows:
        _print_row(console, _padded(cells, widths, verdict), message, style, verdict)


def _row(names: list[str], judgement: Judgement, linux: str) -> Row:
    decision, state = judgement.decision, judgement.state
    numbers = ["", "", "", ""]
    if decision is not None:
        counts = (decision.insns, decision.states, decision.peak_states)
        stack = "" if state == REJECTED and not decision.peak_stack else str(decision.peak_stack)
        numbers = [*(f"{count:,}" for count in counts), stack]
    needs = [judgement.kernel_needed] if linux else []
    verdict, style = (state, _STYLES[state]) if judgement.may_load or state != ACCEPTED else ("too new", "bold red")
    return [*names, verdict, *numbers, *needs], style, _message(judgement, linux)


def _message(judgement: Judgement, linux: str) -> str:
    refusal = judgement.decision.refusal if judgement.decision else None
    if refusal is not None:
        return printable(f"{refusal.errno_name}: {refusal.message.splitlines()[0]}")
    if judgement.state == UNSUPPORTED:
        return printable(judgement.reason)
    if judgement.lacks:
        more = f" and {len(judgement.lacks) - 1} more" if len(judgement.lacks) > 1 else ""
        return printable(f"Linux {linux} has no {judgement.lacks[0].what}{more}")
    return ""


def _padded(cells: list[str], widths: list[int], verdict: int) -> list[str]:
    """Names and the verdict to the left, numbers to the right."""
    return [
        cell.ljust(width) if at <= verdict else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]


def _print_row(console: Console, cells: list[str], message: str, style: str, styled: int) -> None:
    from rich.text import Text

    line = Text()
    for at, cell in enumerate(cells):
        line.append(cell, style if at == styled or styled < 0 else "")
        line.append("  ")
    line.append(message, "bold" if styled < 0 else "")
    line.rstrip()
    console.print(
        line, no_wrap=True, overflow="ellipsis" if console.is_terminal else "ignore", crop=console.is_terminal
    )


def _print_refusal(console: Console, name: str, refusal: Explanation) -> None:
    _print_title(console, f"{name}: rejected ({refusal.errno_name})")
    for line in refusal.message.splitlines():
        _print_line(console, f"  {line}", "red")
    for line in refusal.lines():
        _print_line(console, f"  {line}", "bold" if line.startswith(INSTEAD) else "")


def _print_lacks(console: Console, name: str, linux: str, judgement: Judgement) -> None:
    _print_title(console, f"{name}: needs Linux {judgement.kernel_needed}; what {linux} has not:")
    rows = [(need.since, need.what, _need_place(need)) for need in judgement.lacks]
    widths = [max(len(row[at]) for row in rows) for at in (0, 1)]
    for since, what, place in rows:
        _print_line(console, f"  {since.rjust(widths[0])}  {what.ljust(widths[1])}  {place}".rstrip())


def _need_place(need: Need) -> str:
    if need.line is not None:
        return f"{need.line.file}:{need.line.line}  {need.line.text.strip()}"
    return f"insn {need.slot}" if need.slot >= 0 else ""


def _print_title(console: Console, text: str) -> None:
    console.print()
    _print_line(console, text, "bold")


def _print_line(console: Console, text: str, style: str = "") -> None:
    console.print(printable(text), style=style, soft_wrap=True)


def _print_totals(console: Console, made: Judgements) -> None:
    programs = list(made)
    if made.linux and programs:
        console.print()
        asked = f"What the programs use was compared with Linux {made.linux}"
        _print_line(console, f"{asked}; whether its verifier follows them as that of {DEFAULT} does was not.", "dim")
    if len(programs) < 2:
        return
    parts = [f"{made.count(state)} {state}" for state in (ACCEPTED, REJECTED, UNSUPPORTED) if made.count(state)]
    late = sum(bool(judgement.lacks) for judgement in programs)
    parts += [f"{late} too new for Linux {made.linux}"] if late else []
    insns = sum(judgement.decision.insns for judgement in programs if judgement.decision)
    known = sum(bool(judgement.decision and judgement.decision.remembered) for judgement in programs)
    walked = f"{insns:,} insns walked in {made.elapsed_s:.2f} s"
    remembered = f", {known} of the decisions remembered" if known else ""
    console.print()
    console.print(f"{len(programs)} programs: {', '.join(parts)}; {walked}{remembered}")
