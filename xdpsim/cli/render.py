"""The report for people: what ran, verdicts, maps, faults, the first drops, and what to do next.

Colour and bold only on a terminal; rich leaves both out elsewhere and under NO_COLOR.
"""

from __future__ import annotations

import os
import shlex
from io import StringIO
from typing import TYPE_CHECKING, TextIO

from xdpsim.analysis.counters import Describer
from xdpsim.analysis.readable import Leaf, printable
from xdpsim.analysis.report import EntryRow, MapRow, RunReport, Tally
from xdpsim.cli.jsonform import Finished
from xdpsim.cli.options import RunOptions
from xdpsim.progtypes.rows import verdict_name

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDE = 160
"""Columns where no terminal says how many there are: nothing is folded that need not be."""
MAX_FIELDS = 4
NUMBER_WIDTH = 9
KEY_WIDTH = 24
FAULTS_SHOWN = 3
CHANGES_SHOWN = 3
_STYLES = {"XDP_DROP": "red", "XDP_ABORTED": "bold red", "XDP_PASS": "green"}
_WIRESHARK_DROP = "frame.verdict.ebpf_xdp == 1"


def print_report(run: Finished, maps: list[MapRow], describer: Describer, options: RunOptions, target: TextIO) -> None:
    """Print the whole report on `target`; away from a terminal without the blanks that pad lines."""
    text = StringIO()
    console = console_for(target if target.isatty() else text)
    _print_head(console, run)
    _print_verdicts(console, run.report)
    _print_maps(console, maps)
    _print_faults(console, run.report)
    _print_never_ran(console, run.report)
    _print_drops(console, run.report, describer)
    _print_next(console, run, options)
    target.write("".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines()))


def console_for(target: TextIO) -> Console:
    """A console on `target`: plain, without markup, wide where no terminal says how wide."""
    from rich.console import Console

    console = Console(file=target, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDE
    return console


def _table(*numbers: str, first: str, width: int = 0) -> Table:
    """A table without lines: a left-aligned column of at least `width`, then right-aligned ones."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(first, overflow="fold", min_width=width)
    for number in numbers:
        table.add_column(number, justify="right", overflow="fold", min_width=NUMBER_WIDTH)
    return table


def _print_head(console: Console, run: Finished) -> None:
    names = f"{run.object}: {run.program} on {run.capture}, engine {run.engine}"
    console.print(printable(names), style="bold")
    report = run.report
    rate = f", {report.packets / run.elapsed_s:,.0f} packets a second" if run.elapsed_s else ""
    console.print(f"{_packets(report.packets)}, {report.bytes:,} bytes in {run.elapsed_s:.2f} s{rate}")


def _packets(count: int) -> str:
    return f"{count:,} packet" + ("" if count == 1 else "s")


def _print_verdicts(console: Console, report: RunReport) -> None:
    rows = [(verdict_name("XDP", value), report.verdicts[value]) for value in sorted(report.verdicts)]
    rows += [("fault", report.faults)] if report.faults.packets else []
    never = report.errors.values()
    if never:
        rows.append(("never ran", Tally(sum(t.packets for t in never), sum(t.bytes for t in never))))
    if not rows:
        return
    table = _table("packets", "share", "bytes", first="verdict", width=KEY_WIDTH)
    for name, tally in rows:
        share = f"{100 * tally.packets / report.packets:.1f} %"
        table.add_row(name, f"{tally.packets:,}", share, f"{tally.bytes:,}", style=_STYLES.get(name, ""))
    console.print()
    console.print(table)


def _print_maps(console: Console, rows: list[MapRow]) -> None:
    keys = [len(entry.key) + 2 for row in rows for entry in row.changed]
    width = min(max(keys, default=0), KEY_WIDTH)
    for row in rows:
        if row.changed:
            console.print()
            console.print(_map_table(row, width))
            _print_rest(console, row)
    quiet = [row for row in rows if not row.changed]
    if quiet:
        console.print()
        same = [_entries(row) for row in quiet if row.is_listed]
        large = [_entries(row) for row in quiet if not row.is_listed]
        if same:
            console.print(f"unchanged: {', '.join(same)}")
        if large:
            console.print(f"too large to list: {', '.join(large)}; --save-maps DIR writes them")


def _entries(row: MapRow) -> str:
    return f"{printable(row.name)} ({row.entries:,})"


def _map_table(row: MapRow, width: int) -> Table:
    fields = list(dict.fromkeys(field for entry in row.changed for field in entry.fields))[:MAX_FIELDS]
    table = _table(*(printable(field) or "value" for field in fields), first=printable(row.name), width=width)
    for entry in row.changed:
        table.add_row(f"  {entry.key}", *(_cell(entry, field) for field in fields))
    return table


def _cell(entry: EntryRow, field: str) -> str:
    if entry.note:
        return entry.note
    leaf: Leaf = entry.fields.get(field, "")
    return f"{leaf:,}" if isinstance(leaf, int) else leaf


def _print_rest(console: Console, row: MapRow) -> None:
    parts = [f"{row.more:,} more changed"] if row.more else []
    parts += [f"{row.zero:,} zero"] if row.zero else []
    parts += [f"{row.same:,} unchanged"] if row.same else []
    if parts:
        console.print(f"  and {', '.join(parts)}", style="dim")


def _print_faults(console: Console, report: RunReport) -> None:
    if not report.faults.packets:
        return
    console.print()
    console.print(f"The program did something that Linux would not let run, on {_packets(report.faults.packets)}:")
    _print_numbered(console, [(s.n, [s.summary, str(s.fault)]) for s in report.fault_samples[:FAULTS_SHOWN]])


def _print_never_ran(console: Console, report: RunReport) -> None:
    for reason, tally in report.errors.items():
        console.print()
        console.print(f"{_packets(tally.packets)} never reached the program: {reason}; the first is #{tally.first}")


def _print_drops(console: Console, report: RunReport, describer: Describer) -> None:
    if not report.drops:
        return
    console.print()
    looked = any(drop.changes for drop in report.drops)
    console.print(
        "First drops, one for each set of map entries they changed:" if looked else "First drops:", style="bold"
    )
    rows = []
    for drop in report.drops:
        name = "" if drop.verdict == "XDP_DROP" else f"{drop.verdict}: "
        changes = describer.sentences(drop.changes or [])
        more = [f"and {len(changes) - CHANGES_SHOWN} more entries"] if len(changes) > CHANGES_SHOWN else []
        rows.append((drop.n, [name + drop.summary, *changes[:CHANGES_SHOWN], *more]))
    _print_numbered(console, rows)


def _print_numbered(console: Console, rows: list[tuple[int, list[str]]]) -> None:
    """Packets by number, what there is to say of each in lines beside it."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", style="bold")
    table.add_column(overflow="fold")
    for number, (first, *others) in rows:
        lines = [Text(printable(first))]
        lines += [Text(f"  {printable(other)}", style="cyan") for other in others]
        table.add_row(f"  #{number}", Text("\n").join(lines))
    console.print(table)


def _print_next(console: Console, run: Finished, options: RunOptions) -> None:
    console.print()
    if options.write and options.write != "-":
        command = f"wireshark -Y '{_WIRESHARK_DROP}' {shlex.quote(options.write)}"
    elif options.write or not options.words:
        return
    else:
        command = f"xdpsim {shlex.join(options.words)} -w out.pcapng"
    console.print(f"next: {printable(command)}", soft_wrap=True)
    if not options.write:
        console.print(f"      then in Wireshark: {_WIRESHARK_DROP} (XDP_DROP)", soft_wrap=True)
