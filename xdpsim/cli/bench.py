"""`xdpsim bench`: nanoseconds a packet of one program, beside the kernel's where it is asked."""

from __future__ import annotations

import json
import platform
from itertools import islice
from pathlib import Path
from typing import Any

from xdpsim.cli.asked import BenchOptions
from xdpsim.cli.choose import choose_program
from xdpsim.cli.errors import NOTHING_RAN, OK, tell
from xdpsim.cli.output import emit
from xdpsim.cli.refused import rejections
from xdpsim.frames.capture import open_capture
from xdpsim.maps.files import load_presets
from xdpsim.memory.batch import DEFAULT_BATCH
from xdpsim.net.datapath import refusal
from xdpsim.sim.program import Program
from xdpsim.sim.sim import Sim
from xdpsim.sim.timing import Timing, time_in_kernel, time_nothing, time_program

_ETHERNET = bytes.fromhex("020000000001 020000000002 0800")
_UDP = _ETHERNET + bytes.fromhex("4500003200010000 40110000 0a010203 c6336401 04d20035 001e0000") + bytes(22)
"""64 bytes: what is sent where no capture is given."""
_VULNERABILITIES = Path("/sys/devices/system/cpu/vulnerabilities")


def run(options: BenchOptions) -> int:
    """Time the program and print what came out; the exit code."""
    options.loading.warn(options.engine)
    with rejections(options.json):
        return _run(options)


def _run(options: BenchOptions) -> int:
    packets = _packets(options)
    if not packets:
        tell("no packet to time", "the capture holds none that reaches the program")
        return NOTHING_RAN
    program = _opened(options, options.engine)
    timing = time_program(program, packets, options.seconds)
    found: dict[str, Any] = {
        "object": options.object,
        "program": program.name,
        "engine": options.engine,
        "packets": len(packets),
        "ns_per_packet": round(timing.ns_per_packet, 2),
        "insns_per_packet": round(timing.insns_per_packet, 1),
        "percentiles": timing.percentiles,
    }
    if options.against:
        found |= _against(options, packets, timing)
    emit(json.dumps(found) if options.json else _text(found))
    return OK


def _packets(options: BenchOptions) -> list[bytes]:
    if not options.read:
        return [_UDP]
    with open_capture(options.read) as capture:
        runnable = (record.data for record in capture if not refusal(record.data))
        return list(islice(runnable, DEFAULT_BATCH))


def _opened(options: BenchOptions, engine: str) -> Program:
    loading = options.loading
    sim = Sim(engine=engine, verify=loading.verify)
    obj = sim.load(options.object, type=loading.type, set=loading.set, btf=loading.btf or None)
    for presets in options.maps:
        load_presets(obj.maps, presets)
    return obj[choose_program(obj.source, options.program)]


def _against(options: BenchOptions, packets: list[bytes], timing: Timing) -> dict[str, Any]:
    """The other engine's time and the two ratios: of all, and with an empty program's cost off both sides."""
    other, floor = time_in_kernel(_opened(options, options.against), packets)
    net, other_net = timing.ns_per_packet - time_nothing(options.engine), other - floor
    return {
        "against": {"engine": options.against, "ns_per_packet": round(other, 2)},
        "ratio": round(timing.ns_per_packet / other, 3) if other else None,
        "ratio_net": round(max(net, 0) / other_net, 3) if other_net > 0 else None,
        "kernel": platform.release(),
        "mitigations": _mitigations(),
    }


def _mitigations() -> dict[str, str]:
    """What the kernel does about the CPU's flaws, by flaw; those that do not concern this CPU are left out."""
    if not _VULNERABILITIES.is_dir():
        return {}
    said = {path.name: path.read_text().strip() for path in sorted(_VULNERABILITIES.iterdir())}
    return {name: text for name, text in said.items() if text != "Not affected"}


def _text(found: dict[str, Any]) -> str:
    percentiles = ", ".join(f"{name} {value}" for name, value in found["percentiles"].items())
    lines = [
        f"{found['object']}: {found['program']}, engine {found['engine']}: {found['ns_per_packet']} ns a packet "
        f"({percentiles}), {found['insns_per_packet']} insns a packet"
    ]
    if "against" in found:
        other = found["against"]
        lines.append(
            f"{other['engine']} ({found['kernel']}): {other['ns_per_packet']} ns a packet, ratio {found['ratio']}, "
            f"{found['ratio_net']} net of an empty program"
        )
        lines += [f"  mitigation {name}: {text}" for name, text in found["mitigations"].items()]
    return "\n".join(lines)
