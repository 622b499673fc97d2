"""Tables of questions about helpers: one program each, put to Linux once and to xdpsim's engines ever after.

A question is a body in assembler. Before it r6 is the context and r7 the value of the map `out` (OUT_BYTES of zeroes,
of which the first eight later take r0); `given` is a read-only map as a .rodata section is. The answer is r0, what
`out` holds behind it, and the packet. Some bodies Linux refuses: then the answer is the verifier's last word.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.oracle import bytes_spec, golden, ramp
from tests.support.replay import HELPER_MODULES, KTIME_NS, TAI_NS
from xdpsim.engines.interpreter.engine import InterpreterEngine
from xdpsim.engines.jit.engine import JitEngine
from xdpsim.engines.kernel.engine import KernelEngine
from xdpsim.engines.protocol import Engine
from xdpsim.errors import Rejected
from xdpsim.isa.asm import assemble
from xdpsim.isa.insn import Code
from xdpsim.loader.model import ProgramSpec, Subprogram
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import BPF_F_RDONLY_PROG
from xdpsim.memory.batch import Batch, Stop
from xdpsim.net.machine import EmulatedMachine

OUT_BYTES = 264
ENGINES: dict[str, Callable[[EmulatedMachine], Engine]] = {
    "interpreter": InterpreterEngine,
    "jit": JitEngine,
    "kernel": KernelEngine,
}
_BEFORE = "r6 = r1; r7 = map_value[out]+0\n"
_AFTER = "\nr7 = map_value[out]+0; *(u64 *)(r7 + 0) = r0; r0 = 2; exit"
assert HELPER_MODULES


@dataclass(frozen=True)
class Ask:
    """One question. `maps` are further maps, by the name that the body gives them, `values` what they hold."""

    name: str
    body: str
    packet: bytes = ramp(64)
    given: bytes = b""
    frags: bool = False
    maps: Mapping[str, MapSpec] = field(default_factory=dict)
    values: Mapping[str, Mapping[bytes, bytes]] = field(default_factory=dict)
    licence: str = "GPL"
    out_bytes: int = OUT_BYTES

    @property
    def names(self) -> tuple[str, ...]:
        """The maps' names, in the order of their indices."""
        return ("out", "given", *self.maps)

    @property
    def code(self) -> Code:
        """The whole program."""
        return assemble(_BEFORE + self.body + _AFTER, maps={name: n for n, name in enumerate(self.names)})


def run(
    ask: Ask, engine_name: str, machine: EmulatedMachine | None = None, *, later_ns: int = 0, ifindex: int = 1
) -> dict[str, Any]:
    """The answer as a golden file holds it: `r0`, `out` without trailing zeroes, `packet` where it was changed."""
    machine = machine or EmulatedMachine(cpus=2, seed=1)
    engine = ENGINES[engine_name](machine)
    given = ask.given or bytes(1)
    read_only = {"flags": BPF_F_RDONLY_PROG, "initial": given, "read_only": True}
    specs = [MapSpec("out", "ARRAY", 4, ask.out_bytes, 1), MapSpec("given", "ARRAY", 4, len(given), 1, **read_only)]
    maps = tuple(machine.add_map(spec) for spec in (*specs, *ask.maps.values()))
    for name, values in ask.values.items():
        for key, value in values.items():
            assert maps[ask.names.index(name)].update_bytes(key, value, 0) == 0
    parts = (Subprogram("prog", 0),), (), ask.licence
    spec = ProgramSpec("prog", "xdp", "XDP", 0, ask.code, *parts, frags=ask.frags)
    try:
        runner = engine.load(machine.add_program(spec, maps, None))
    except Rejected as refused:
        return {"name": ask.name, "refused": last_word(refused.log)}
    batch = Batch(1)
    at = batch.append(machine.pool.put(ask.packet), ktime_ns=KTIME_NS + later_ns, tai_ns=TAI_NS + later_ns)
    batch.ifindex[at], batch.has_frags[at] = ifindex, int(batch.length[at] < len(ask.packet))
    _, stop = runner.run_batch(batch, 0)
    if stop is not Stop.END:
        return {"name": ask.name, "stop": stop.name}
    assert batch.verdict[at] == 2, ask.name
    out = maps[0].lookup_bytes(bytes(4))
    assert out is not None
    answer: dict[str, Any] = {"name": ask.name, "r0": int.from_bytes(out[:8], "little")}
    if left := out[8:].rstrip(b"\0"):
        answer["out"] = left.hex() if ask.out_bytes == OUT_BYTES else bytes_spec(left)
    packet = machine.pool.get(batch.frame[at], batch.start[at], batch.length[at])
    if packet != ask.packet:
        answer["packet"] = bytes_spec(packet)
    return answer


def last_word(log: str) -> str:
    """The line of a verifier's log that says why."""
    lines = [line for line in log.splitlines() if line and not line.startswith(("processed ", "verification time"))]
    return lines[-1] if lines else ""


def record(asks: Iterable[Ask]) -> dict[str, Any]:
    """What the running Linux answers, for a recorder to return."""
    rows = [run(ask, "kernel") for ask in asks]
    names = [row["name"] for row in rows]
    assert len(set(names)) == len(names), "two questions of one name"
    return {"rows": rows}


@functools.cache
def recorded(theme: str) -> dict[str, dict[str, Any]]:
    """The golden answers of a theme, by the question's name."""
    return {row["name"]: row for row in golden(f"helpers_{theme}")["rows"]}


def ask_name(ask: Ask) -> str:
    """For `pytest.mark.parametrize(ids=)`."""
    return ask.name.replace(" ", "-")


def check(ask: Ask, engine: str, theme: str) -> None:
    """The engine answers as Linux did.

    A program that Linux's verifier refuses has no answer: ours may do anything but raise.
    """
    found, expected = run(ask, engine), recorded(theme)[ask.name]
    assert found == expected or "refused" in expected
