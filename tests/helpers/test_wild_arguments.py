"""Helpers and kernel functions with wild arguments, in chains: a run ends in a verdict or a fault, never otherwise.

No verifier stands before these programs. Arguments are numbers, pointers of all kinds (a little off, too), function
handles, and whatever earlier calls returned.
"""

from __future__ import annotations

import random

import pytest

from tests.support.csuite import suite_object
from xdpsim.btf.types import Btf, Kind, Struct
from xdpsim.helpers.kinds import Arg
from xdpsim.helpers.rows import HELPERS, KFUNCS, Control, Helper, helper_for
from xdpsim.isa.asm import assemble
from xdpsim.loader.model import Object, ProgramSpec, Subprogram
from xdpsim.maps.spec import MapSpec
from xdpsim.memory.native import NativeFunction
from xdpsim.sim.program import Program
from xdpsim.sim.sim import Sim

PROGRAMS = 250
CHAIN = 12
MODULES = frozenset(
    {"callbacks", "dynptr", "events", "locks", "timers", "map_ops", "xdp_packet", "xdp_bytes", "printf"}
)


def module_of(row: Helper) -> str:
    body = row.body
    return (body.module if isinstance(body, NativeFunction) else getattr(body, "__module__", "")).rpartition(".")[2]


HELPER_IDS = sorted(
    number for (number, type_), row in HELPERS.items() if type_ in ("XDP", "*") and module_of(row) in MODULES
)
KFUNC_NAMES = tuple(
    sorted(name for name, row in KFUNCS.items() if row.control is Control.NONE and module_of(row) != "kfuncs_conntrack")
)


def world() -> tuple[Btf | None, list[MapSpec]]:
    """Types with lists, trees and timers in them, and a map of every kind that is there."""
    graph = Sim().load(suite_object("graph")).source
    timers = Sim().load(suite_object("timers")).source
    plain = [
        MapSpec("hash", "HASH", 4, 32, 8),
        MapSpec("array", "ARRAY", 4, 64, 2),
        MapSpec("ring", "RINGBUF", 0, 0, 4096),
        MapSpec("perf", "PERF_EVENT_ARRAY", 4, 4, 2),
        MapSpec("queue", "QUEUE", 0, 8, 4),
        MapSpec("filter", "BLOOM_FILTER", 0, 8, 8),
        MapSpec("percpu", "PERCPU_ARRAY", 4, 16, 2),
        MapSpec("lru", "LRU_HASH", 8, 8, 8),
    ]
    typed = [spec for source in (graph, timers) for spec in source.maps if spec.type in ("HASH", "ARRAY")]
    return graph.btf, [*plain, *typed]


def wild(rng: random.Random, register: int, maps: int) -> list[str]:
    """Any value in a register, often a little off."""
    kind = rng.randrange(9)
    if kind == 0:
        text = f"= {rng.choice((0, 0, 1, 2, 3, 8, 16, 24, 64, -1, 4096, 1 << 20))}"
    elif kind == 1:
        text = f"= {rng.getrandbits(64):#x} ll"
    elif kind == 2:
        text = f"= map[{rng.randrange(maps)}]"
    elif kind == 3:
        text = "= func[callback]"
    else:
        text = f"= r{rng.choice((6, 7, 8, 9, 10))}"
    lines = [f"r{register} {text}"]
    if rng.random() < 0.4:
        lines.append(f"r{register} += {rng.choice((-8, -16, -24, -32, -64, 1, 8, 16, 24))}")
    return lines


def fitting(rng: random.Random, register: int, kind: Arg, maps: int) -> list[str]:
    """A value that the kind of argument may well be."""
    if kind is Arg.CONST_MAP_PTR:
        return [f"r{register} = map[{rng.randrange(maps)}]"]
    if kind is Arg.CTX:
        return [f"r{register} = r6"]
    if kind is Arg.FUNC:
        return [f"r{register} = func[callback]"]
    if kind in (Arg.TIMER, Arg.SPIN_LOCK, Arg.KPTR_XCHG_DEST):
        return [f"r{register} = r8", f"r{register} += {rng.choice((0, 8, 8, 16))}"]
    if kind is Arg.RINGBUF_MEM or kind.base in ("ARG_PTR_TO_BTF_ID", "ARG_PTR_TO_PERCPU_BTF_ID"):
        if register == 1 and rng.random() < 0.5:
            return ["r1 = r8", f"r1 += {rng.choice((0, 8))}"]
        return [f"r{register} = r9", f"r{register} += {rng.choice((0, 0, 8, 32))}"]
    if kind in (Arg.SIZE, Arg.SIZE_OR_ZERO, Arg.ALLOC_SIZE_OR_ZERO):
        return [f"r{register} = {rng.choice((0, 1, 4, 8, 16, 24, 64))}"]
    if kind.base == "ARG_PTR_TO_DYNPTR":
        return [f"r{register} = r10", f"r{register} += {rng.choice((-16, -32, -32, -64))}"]
    if kind is Arg.ANYTHING:
        return [f"r{register} = {rng.choice((0, 0, 0, 1, 2, 4, 7, 10, 30))}"]
    return [f"r{register} = r10", f"r{register} += {rng.choice((-192, -128, -96, -64))}"]


def call(rng: random.Random, maps: int) -> list[str]:
    """One call, with one wild argument now and then."""
    number = rng.randrange(len(HELPER_IDS) + len(KFUNC_NAMES))
    is_kfunc = number >= len(HELPER_IDS)
    at = number - len(HELPER_IDS)
    row = KFUNCS[KFUNC_NAMES[at]] if is_kfunc else helper_for(HELPER_IDS[number], "XDP")
    assert row is not None
    off = rng.randrange(1, 80)
    lines = []
    for register in range(1, 6):
        known = register <= len(row.args) and register != off
        lines += fitting(rng, register, row.args[register - 1], maps) if known else wild(rng, register, maps)
    return [*lines, f"call kfunc#{at}" if is_kfunc else f"call {row.id}"]


def program(rng: random.Random, maps: int, types: list[int]) -> str:
    """A chain of calls; r6 is the context, r7 a packet, r8 a map's value, r9 what a call returned."""
    lines = ["r6 = r1", "r7 = *(u32 *)(r1 + 0)", "r9 = 0", "r2 = r10", "r2 += -4"]
    lines += [f"*(u64 *)(r10 - {at}) = {rng.choice((0, 0, 1, 5, -1))}" for at in range(8, 200, 8)]
    lines += ["*(u32 *)(r10 - 4) = 0", f"r1 = map[{rng.choice((1, maps - 1, maps - 2))}]", "call 1", "r8 = r0"]
    lines += ["if r8 != 0 goto +1", "r8 = r10"]
    for _ in range(CHAIN):
        lines += call(rng, maps)
        if rng.random() < 0.3:
            lines.append("r9 = r0")
        elif rng.random() < 0.3:
            made = KFUNC_NAMES.index("bpf_obj_new_impl")
            lines += [f"r1 = {rng.choice(types)}", f"call kfunc#{made}", "if r0 == 0 goto +1", "r9 = r0"]
        elif rng.random() < 0.2:
            lines += ["r1 = map[2]", "r2 = 16", "r3 = 0", "call 131", "if r0 == 0 goto +1", "r9 = r0"]
        if rng.random() < 0.1:
            lines += ["if r9 == 0 goto +1", f"*(u64 *)(r9 + {rng.choice((0, 8, 16))}) = {rng.choice((0, 7))}"]
    return "\n".join([*lines, "r0 = 2", "exit", "callback:", "r0 = r1", "r0 &= 1", "exit"])


@pytest.mark.parametrize("seed", range(4))
def test_a_run_ends_in_a_verdict_or_a_fault(seed: int) -> None:
    rng = random.Random(seed)
    btf, specs = world()
    assert btf is not None
    types = [row.id for row in btf.types if isinstance(row, Struct) and row.kind is Kind.STRUCT]
    called = 0
    for number in range(PROGRAMS // 4):
        sim = Sim(verify=False)
        code = assemble(program(rng, len(specs), types))
        spec = ProgramSpec(
            *("wild", "xdp", "XDP", 0, code, (Subprogram("wild", 0),), (), "GPL"), kfuncs=KFUNC_NAMES, frags=True
        )
        loaded = sim._place(Object("wild", {"wild": spec}, tuple(specs), btf, "GPL"))
        wild: Program = loaded["wild"]
        for length in (64, 6000):
            outcome = wild.run(bytes(length))
            called += outcome.insns > CHAIN
            if outcome.fault:
                assert outcome.fault.slot < len(code)
                assert "0x" not in outcome.fault.problem, f"seed {seed}, program {number}: an address is shown"
        sim.advance(1_000_000)
    assert called > PROGRAMS // 4
