"""What a program may do wrong ends it, on both engines at the same insn and in the same words; all else goes on."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.support.corpus import OURS, PACKET, Ran, Workbench
from tests.support.hostile import MAPS
from xdpsim import Sim
from xdpsim.engines.fault import FaultKind
from xdpsim.frames.record import Record
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import SLOT, decode
from xdpsim.memory.batch import Stop

BUDGET = 5000
CTX_THROUGH_STACK = "*(u64 *)(r10 -8) = r1; r1 = r10; call f; exit; f: r2 = *(u64 *)(r1 -8); "


@dataclass(frozen=True)
class Bad:
    """A program and what becomes of it: where it ends, and the sentence about it."""

    name: str
    asm: str
    kind: FaultKind
    slot: int
    problem: str


A, C, ARG, STRAY = FaultKind.ACCESS, FaultKind.CONTEXT, FaultKind.ARGUMENT, FaultKind.STRAY
_LEFT = "execution left the program"
_REFUSED = "of the context, where no field allows that"
ROWS = (
    Bad("null", "r0 = *(u8 *)(r0 +0); exit", A, 0, "reads 1 byte at a null pointer"),
    Bad("small number", "r0 = *(u64 *)(r0 +40); exit", A, 0, "reads 8 bytes at the number 40, which is no pointer"),
    Bad("negative number", "*(u16 *)(r0 -2) = 1; exit", A, 0, "writes 2 bytes at the number -2, which is no pointer"),
    Bad("wild", "r1 = 0x123456789abcdef ll; r0 = *(u8 *)(r1 +0); exit", A, 2, "reads 1 byte at an address in no "
        "region"),
    Bad("packet end", "r1 = *(u32 *)(r1 +4); r0 = *(u8 *)(r1 +0); exit", A, 1, "reads 1 byte at packet+64, "
        "1 byte past its end"),
    Bad("across the packet's end", "r1 = *(u32 *)(r1 +0); r0 = *(u64 *)(r1 +60); exit", A, 1,
        "reads 8 bytes at packet+60, 4 bytes past its end"),
    Bad("before the packet", "r1 = *(u32 *)(r1 +0); *(u8 *)(r1 -1) = 0; exit", A, 1, "writes 1 byte at 1 byte "
        "before packet"),
    Bad("past the stack", "r0 = *(u64 *)(r10 -4); exit", A, 0, "reads 8 bytes at stack+508, 4 bytes past its end"),
    Bad("below the stack", "*(u8 *)(r10 -513) = 0; exit", A, 0, "writes 1 byte at 1 byte before stack"),
    Bad("the stack by a variable", "r1 = r10; r2 = 4; r1 += r2; *(u64 *)(r1 -8) = 0; exit", A, 3,
        "writes 8 bytes at stack+508, 4 bytes past its end"),
    Bad("past a value", "r1 = map_value[0]; r0 = *(u8 *)(r1 +72); exit", A, 2,
        "reads 1 byte at map map0[0].value+72, 1 byte past its end"),
    Bad("a map's header", "r1 = map[0]; r0 = *(u64 *)(r1 +0); exit", A, 2, "reads 8 bytes at map map0+0, "
        "8 bytes past its end"),
    Bad("atomic, unaligned", "r1 = 1; lock *(u64 *)(r10 -12) += r1; exit", A, 1, "writes 8 bytes at stack+500, "
        "which is not a multiple of 8"),
    Bad("atomic on nothing", "r1 = 1; lock *(u32 *)(r0 +0) += r1; exit", A, 1, "writes 4 bytes at a null pointer"),
    Bad("cmpxchg on nothing", "r1 = 1; r0 = 8; r2 = 8; r0 = atomic64_cmpxchg((u64 *)(r2 +0), r0, r1); exit", A, 3,
        "writes 8 bytes at the number 8, which is no pointer"),
    Bad("store_release", "r1 = 1; store_release((u32 *)(r0 +0), r1); exit", A, 1, "writes 4 bytes at a null pointer"),
    Bad("store to the context", "*(u32 *)(r1 +0) = 7; exit", C, 0, f"writes 4 bytes at offset 0 {_REFUSED}"),
    Bad("atomic on the context", "r2 = 1; lock *(u32 *)(r1 +12) += r2; exit", C, 1, f"writes 4 bytes at offset "
        f"12 {_REFUSED}"),
    Bad("odd context load", "r0 = *(u16 *)(r1 +0); exit", C, 0, f"reads 2 bytes at offset 0 {_REFUSED}"),
    Bad("egress_ifindex", "r0 = *(u32 *)(r1 +20); exit", C, 0, f"reads 4 bytes at offset 20 {_REFUSED}"),
    Bad("signed pointer", "r0 = *(s32 *)(r1 +4); exit", C, 0, f"reads 4 bytes at offset 4 {_REFUSED}"),
    Bad("ordered context load", "r0 = load_acquire((u32 *)(r1 +12)); exit", C, 0, f"reads 4 bytes at offset 12 "
        f"{_REFUSED}"),
    Bad("past the context", "r0 = *(u32 *)(r1 +24); exit", A, 0, "reads 4 bytes at context+24"),
    Bad("before the context", "r0 = *(u32 *)(r1 -4); exit", A, 0, "reads 4 bytes at 4 bytes before context"),
    Bad("context through the caller's stack", CTX_THROUGH_STACK + "r0 = *(u32 *)(r2 +2); exit", C, 5,
        f"reads 4 bytes at offset 2 {_REFUSED}"),
    Bad("store to it", CTX_THROUGH_STACK + "*(u32 *)(r2 +12) = 1; exit", C, 5, f"writes 4 bytes at offset 12 "
        f"{_REFUSED}"),
    Bad("lookup in no map", "r1 = 0; r2 = r10; r2 += -4; call 1; exit", ARG, 3,
        "argument 1 of bpf_map_lookup_elem is a null pointer: expected ARG_CONST_MAP_PTR"),
    Bad("lookup in a value", "r1 = map_value[0]; r2 = r10; r2 += -4; call 1; exit", ARG, 4,
        "argument 1 of bpf_map_lookup_elem is map map0[0].value+0: expected ARG_CONST_MAP_PTR"),
    Bad("key past the stack", "r1 = map[1]; r2 = r10; r2 += -2; call 1; exit", ARG, 4,
        "argument 2 of bpf_map_lookup_elem is stack+510: expected ARG_PTR_TO_MAP_KEY"),
    Bad("value past the packet", "r3 = *(u32 *)(r1 +4); r1 = map[1]; r2 = r10; r2 += -4; r3 += -8; r4 = 0; "
        "call 2; exit", ARG, 7,
        "argument 3 of bpf_map_update_elem is packet+56: expected ARG_PTR_TO_MAP_VALUE"),
    Bad("context of a helper", "r1 = r10; r2 = 0; call 44; exit", ARG, 2,
        "argument 1 of bpf_xdp_adjust_head is stack+512, 1 byte past its end: expected ARG_PTR_TO_CTX"),
    Bad("size beyond memory", "r1 = r10; r1 += -8; r2 = 12; r3 = 0; r4 = 0; r5 = 0; call 28; exit", ARG, 6,
        "argument 1 of bpf_csum_diff is stack+504: expected ARG_PTR_TO_MEM | PTR_MAYBE_NULL | MEM_RDONLY"),
    Bad("size of two gigabytes", "r1 = r10; r1 += -8; r2 = -4; r3 = 0; r4 = 0; r5 = 0; call 28; exit", ARG, 6,
        "argument 1 of bpf_csum_diff is stack+504: expected ARG_PTR_TO_MEM | PTR_MAYBE_NULL | MEM_RDONLY"),
    Bad("recursion", "r0 = 0; call f; exit; f: call f; exit", FaultKind.CALL_DEPTH, 3, "calls nest deeper than 8 "
        "frames"),
    Bad("loops", "r0 = 0; again: goto again", FaultKind.BUDGET, 1,
        f"gave up after {BUDGET} insns: the program does not seem to end"),
    Bad("falls off", "r0 = 0", STRAY, 1, _LEFT),
    Bad("a subprogram falls off", "call f; exit; f: r0 = 0", STRAY, 3, _LEFT),
)  # fmt: skip


def run(asm: str, engine: str) -> Ran:
    return Workbench(engine, MAPS, budget=BUDGET).run(assemble(asm))


@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_ends_in_this_fault(row: Bad, engine: str) -> None:
    ran = run(row.asm, engine)
    assert ran.stop is Stop.FAULT
    assert ran.fault is not None
    assert (ran.fault.kind, ran.fault.slot, ran.fault.problem) == (row.kind, row.slot, row.problem)
    assert (ran.verdict, ran.data) == (0, PACKET)


@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize("offset", [5, -3, 32767, -32768])
@pytest.mark.parametrize("opcode", [0x05, 0x15, 0xE5])
def test_jumps_outside_are_strays(engine: str, opcode: int, offset: int) -> None:
    code = decode(SLOT.pack(opcode, 0, offset, 0) + SLOT.pack(0x95, 0, 0, 0))
    ran = Workbench(engine).run(code)
    if opcode == 0xE5:  # may_goto falls through first
        assert ran.fault is None
        return
    assert ran.fault is not None
    assert (ran.fault.kind, ran.fault.slot) == (STRAY, len(code))


@pytest.mark.parametrize("engine", OURS)
def test_a_jump_into_the_middle_of_a_constant_is_a_stray(engine: str) -> None:
    code = decode(
        SLOT.pack(0x05, 0, 1, 0) + SLOT.pack(0x18, 0, 0, 1) + SLOT.pack(0, 0, 0, 0) + SLOT.pack(0x95, 0, 0, 0)
    )
    ran = Workbench(engine).run(code)
    assert ran.fault is not None
    assert (ran.fault.kind, ran.fault.slot) == (STRAY, len(code))


@pytest.mark.parametrize("engine", OURS)
def test_what_linux_allows_is_no_fault(engine: str) -> None:
    """A context pointer that went through the caller's stack; a sign-extended field; an address made of two halves."""
    assert run(CTX_THROUGH_STACK + "r0 = *(u32 *)(r2 +12); exit", engine).verdict == 1
    assert run("r0 = *(s32 *)(r1 +12); exit", engine).verdict == 1
    assert run("r2 = -8; r2 += r10; *(u64 *)(r2 +0) = 5; r0 = *(u64 *)(r10 -8); exit", engine).verdict == 5


@pytest.mark.parametrize("engine", OURS)
def test_the_next_packet_runs_as_if_nothing_had_been(engine: str) -> None:
    asm = "r2 = *(u32 *)(r1 +0); r3 = *(u8 *)(r2 +0); r2 += r3; r0 = *(u8 *)(r2 +0); exit"
    program = Sim(engine=engine, verify=False).load_insns(asm, "XDP")
    outcomes = [program.run(bytes([first]) + bytes(range(1, 64))) for first in (2, 200, 3)]
    assert [outcome.value for outcome in outcomes] == [2, 0, 3]
    assert [outcome.fault is not None for outcome in outcomes] == [False, True, False]
    assert outcomes[1].action.name == "ABORTED"
    assert (
        str(outcomes[1].fault)
        == "insns: insn 3 (r0 = *(u8 *)(r2 +0)): reads 1 byte at 136 bytes past the end of packet"
    )


@pytest.mark.parametrize("batch_size", [1, 3, 1024])
@pytest.mark.parametrize("engine", OURS)
def test_a_fault_stops_its_own_packet_only(engine: str, batch_size: int) -> None:
    asm = "r2 = *(u32 *)(r1 +0); r3 = *(u8 *)(r2 +0); r2 += r3; r0 = *(u8 *)(r2 +0); exit"
    hook = Sim(engine=engine, verify=False).load_insns(asm, "XDP").hook(batch_size)
    packets = [bytes([n % 70]) + bytes(range(1, 64)) for n in range(140)]
    results = list(hook.run(Record(n, None, data, len(data)) for n, data in enumerate(packets, start=1)))
    assert [result.fault is not None for result in results] == [data[0] >= 64 for data in packets]
    assert hook.totals.faults == sum(data[0] >= 64 for data in packets)
    assert [result.verdict for result in results if not result.fault] == [data[0] for data in packets if data[0] < 64]
