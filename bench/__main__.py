"""Measures xdpsim against native C and the running kernel, all in one run, and prints tables: `python -m bench`.

`python -m bench verifier` prints those of the verifier only, `python -m bench packets` the others.
Figures are the best of a few attempts and hold for this machine at this moment; ratios are what to compare. Nothing
here asserts a time. See bench/README.md for what each row is.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterable, Sequence

from bench import measure, twin, verifier
from bench.programs import BUNDLED, TASKS, Task
from xdpsim.sysbpf.syscall import available

_ABSENT = "-"


def table(title: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Print aligned columns."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    print(f"\n{title}")
    for line in lines:
        print(
            "  "
            + "  ".join(
                cell.rjust(width) if at else cell.ljust(width)
                for at, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
        )


def number(value: float | None, digits: int = 1) -> str:
    return _ABSENT if value is None else f"{value:,.{digits}f}"


def ratio(value: float, base: float | None) -> str:
    return _ABSENT if not base else f"{value / base:.2f}x"


def hot_packets() -> None:
    """One hot packet: jit, interpreter, C, kernel."""
    library, no_kernel = twin.build(), available()

    def native(task: Task) -> float | None:
        return twin.nanoseconds(library, task.name) if library and task.name in twin.TASKS else None

    def kernel(task: Task) -> float | None:
        return None if no_kernel else measure.kernel_hot_packet_ns(task)

    rows = []
    floor: tuple[float, float | None] | None = None
    for task in TASKS:
        jit, in_c, linux = measure.hot_packet_ns("jit", task), native(task), kernel(task)
        interpreted = measure.hot_packet_ns("interpreter", task)
        floor = floor or (jit, linux)
        net = None if linux is None or floor[1] is None else linux - floor[1]
        net_ratio = _ABSENT if net is None or net <= 0 else f"{(jit - floor[0]) / net:.2f}x"
        cells = number(jit), number(in_c), ratio(jit, in_c), number(linux), ratio(jit, linux), net_ratio
        rows.append((task.name, *cells, number(interpreted, 0)))
    head = ("ns a packet", "jit", "C", "jit/C", "kernel", "jit/kernel", "net of pass", "interpreter")
    table("one hot packet of 64 bytes", head, rows)


def verifier_tables() -> None:
    """Insns walked a second, Linux's time for the same program, start-up."""
    rows = []
    for walk in verifier.walks():
        linux_ms = None if walk.linux_s is None else walk.linux_s * 1e3
        cells = number(walk.insns, 0), number(walk.insns_per_second, 0), number(walk.ours_s * 1e3), number(linux_ms)
        rows.append((walk.program, *cells, ratio(walk.ours_s, walk.linux_s)))
    head = ("program", "insns walked", "insns a second", "ms of CPU", "kernel ms", "ours/kernel")
    table("verifier, nothing remembered", head, rows)
    cold, warm = verifier.start_ms()
    rows = [
        ("dnsfilter not seen before", number(cold), _ABSENT),
        ("decision remembered", number(warm), ratio(warm, cold)),
    ]
    table("xdpsim run of one packet, whole process, milliseconds", ("process", "ms", "ratio"), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="?", choices=("all", "packets", "verifier"), default="all")
    what = parser.parse_args(arguments).what
    print(f"Python {platform.python_version()}, {platform.machine()}, kernel {platform.release().partition('-')[0]}")
    if what != "verifier":
        packet_tables()
    if what != "packets":
        verifier_tables()


def packet_tables() -> None:
    """Packets through engines, compile times, whole processes."""
    print(f"interpreter: {measure.interpreter_insns_per_second() / 1e6:.2f} million insns a second")
    hot_packets()
    engines = ["interpreter", "jit"] + ([] if available() else ["kernel"])
    rates = ((name, *(number(measure.replay_packets_per_second(e, name), 0) for e in engines)) for name in BUNDLED)
    table("replay of pcaps/mixed.pcap, packets a second", ("program", *engines), rates)
    compiled = ((name, str(slots), number(ms)) for name in BUNDLED for slots, ms in [measure.compile_ms(name)])
    table("jit compile time, milliseconds of CPU", ("program", "slots", "ms"), compiled)
    bare, imported = measure.process_ms("-c", "pass"), measure.process_ms("-c", "import xdpsim")
    demo = (
        "-m",
        "xdpsim",
        "run",
        "programs/firewall.o",
        "-r",
        "pcaps/mixed.pcap",
        "--maps",
        "programs/presets/firewall.json",
    )
    rows = (("python -c pass", number(bare), _ABSENT), ("import xdpsim", number(imported), number(imported - bare)),
            ("xdpsim run on the demo", number(measure.process_ms(*demo)), _ABSENT))  # fmt: skip
    table("whole processes, milliseconds", ("process", "ms", "above bare"), rows)


if __name__ == "__main__":
    main()
