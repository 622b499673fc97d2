"""Measures xdpsim against native C and the running kernel, all in one run, and prints tables: `python -m bench`.

`python -m bench verifier` prints those of the verifier only, `python -m bench packets` the others.
Figures are the best of a few attempts and hold for this machine at this moment; ratios are what to compare. Nothing
here asserts a time. See bench/README.md for what each row is.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench import measure, twin, verifier
from bench.captures import write as write_capture
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


def captures(gigabytes: float) -> None:
    """From capture files to counts."""
    with tempfile.TemporaryDirectory(prefix="xdpsim-bench-") as folder:
        path = Path(folder) / "flows.pcap"
        write_capture(path)
        names = ("pass", "acl", "lpm", "firewall")
        tasks = [task for task in TASKS if task.name in names]
        rates = {task.name: measure.sweep_packets_per_second(task, path) for task in tasks}
        target = Path(folder) / "out.pcapng"
        written = {task.name: measure.written_packets_per_second(task, path, target) for task in tasks}
    rows = ((name, number(rates[name]), number(written[name])) for name in names)
    head = ("program", "million packets a second", "with the output written")
    table("sweep of 1,000,000 packets of 64 bytes, 20,000 flows", head, rows)
    if gigabytes:
        acl = next(task for task in TASKS if task.name == "acl")
        seconds, grown = measure.sweep_memory(acl, gigabytes)
        text = f"{number(seconds)} s of CPU, peak {number(measure.peak_mb())} MB, {number(grown)} MB above its start"
        print(f"\nsweep of {number(gigabytes)} GB through acl: {text}")


def compile_times() -> None:
    """How long programs take to get ready."""
    rows = []
    for name in (*BUNDLED, "nat64"):
        slots, verified = measure.compile_ms(name)
        _, unverified = measure.compile_ms(name, verified=False)
        rows.append((name, str(slots), number(verified), number(unverified), number(measure.cached_ms(name))))
    head = ("program", "slots", "verified", "unverified", "from the cache")
    table("jit: milliseconds of CPU until a program is ready", head, rows)


def processes() -> None:
    """Whole processes."""
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure xdpsim on this machine.")
    parser.add_argument("what", nargs="?", choices=("all", "packets", "verifier"), default="all")
    parser.add_argument("--gigabytes", type=float, default=10.0, help="size of the capture that memory is measured on")
    options = parser.parse_args(arguments)
    print(f"Python {platform.python_version()}, {platform.machine()}, kernel {platform.release().partition('-')[0]}")
    if options.what != "verifier":
        packet_tables(options.gigabytes)
    if options.what != "packets":
        verifier_tables()


def packet_tables(gigabytes: float) -> None:
    """Packets through engines, compile times, whole processes."""
    print(f"interpreter: {measure.interpreter_insns_per_second() / 1e6:.2f} million insns a second")
    hot_packets()
    lookup = number(measure.random_lookups_ns())
    print(f"\nLPM, 1,000,000 prefixes of 16 to 32 bits, random addresses: {lookup} ns a lookup")
    captures(gigabytes)
    engines = ["interpreter", "jit"] + ([] if available() else ["kernel"])
    rates = ((name, *(number(measure.replay_packets_per_second(e, name), 0) for e in engines)) for name in BUNDLED)
    table("replay of pcaps/mixed.pcap, a result a packet, packets a second", ("program", *engines), rates)
    compile_times()
    processes()


if __name__ == "__main__":
    main()
