"""Clock, randomness and place: what an instrumented program sees is what xdpsim's helpers give."""

from __future__ import annotations

import struct

import pytest

from tests.engines.kernel.rig import KTIME_NS, TAI_NS, Rig
from xdpsim.bits import M32, M64
from xdpsim.btf.parse import parse
from xdpsim.btf.types import Btf, Func, FuncProto, Kind
from xdpsim.engines.kernel.functions import with_functions
from xdpsim.engines.kernel.instrument import STAND_INS, bind_maps, instrument, maps_used
from xdpsim.helpers import world
from xdpsim.helpers.rows import helper_for
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import decode, encode_all
from xdpsim.isa.rows import Family

STORE_RESULT = """
r6 = r1
{before}
call {helper}
*(u64 *)(r10 - 8) = r0
*(u32 *)(r10 - 12) = 0
r1 = map[m0]
r2 = r10
r2 += -12
r3 = r10
r3 += -8
r4 = 0
call 2
r0 = 2
exit
"""


def raw_btf() -> bytes:
    """BTF of `static int f(void)` (type 3) and `int g(int)`, global (type 5)."""
    strings = b"\0int\0f\0g\0x\0"
    types = struct.pack("<IIII", 1, Kind.INT << 24, 4, 1 << 24 | 32)
    types += struct.pack("<III", 0, Kind.FUNC_PROTO << 24, 1)
    types += struct.pack("<III", 5, Kind.FUNC << 24, 2)
    types += struct.pack("<III", 0, Kind.FUNC_PROTO << 24 | 1, 1) + struct.pack("<II", 9, 1)
    types += struct.pack("<III", 7, Kind.FUNC << 24 | 1, 4)
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    return header + types + strings


@pytest.fixture
def btf() -> Btf:
    return parse(raw_btf())


def stored(rig: Rig, helper: int, packets: int = 1, before: str = "") -> int:
    """What the helper gave for the last of so many packets."""
    results = rig.map("ARRAY", 4, 8, 1)
    runner = rig.program(STORE_RESULT.format(helper=helper, before=before), results)
    assert [left.value for left in rig.run(runner, [bytes(64)] * packets)] == [2] * packets
    value = results.lookup_bytes(bytes(4))
    assert value is not None
    return int.from_bytes(value, "little")


@pytest.mark.live
@pytest.mark.parametrize("helper", STAND_INS)
def test_stand_ins_give_what_our_helpers_give(helper: int) -> None:
    rig = Rig(seed=7)
    state = rig.machine.run_state
    state.numa_node = 3
    found = stored(rig, helper, packets=2)
    other = Rig(seed=7)
    ours = other.machine.run_state
    ours.ktime_ns, ours.tai_ns, ours.numa_node = KTIME_NS + 1000, TAI_NS + 1000, 3
    row = helper_for(helper, "XDP")
    assert row is not None
    body = row.body
    assert body is not None
    if helper == 7:
        body(ours.address)
    assert found == body(ours.address)
    assert state.random == ours.random


@pytest.mark.live
def test_the_generator_goes_on_from_batch_to_batch() -> None:
    rig = Rig(seed=3)
    runner = rig.program("call 7; exit")
    first = [left.value for left in rig.run(runner, [bytes(64)] * 3)] + [rig.value(runner)]
    together = Rig(seed=3)
    assert [left.value for left in together.run(together.program("call 7; exit"), [bytes(64)] * 4)] == first
    assert len(set(first)) == 4


@pytest.mark.live
def test_a_refused_packet_takes_no_random_number() -> None:
    rig, other = Rig(seed=3), Rig(seed=3)
    left = rig.run(rig.program("call 7; exit"), [bytes(13), bytes(64)])
    assert left[0].errno == 22
    assert left[1].value == other.value(other.program("call 7; exit"))


@pytest.mark.live
def test_a_cpu_number_stays_a_proven_index() -> None:
    rig = Rig()
    table = rig.map("ARRAY", 4, 512, 1)
    program = "call 8; r1 = map_value[m0]+0 ll; r1 += r0; r0 = *(u8 *)(r1 + 0); r0 += 5; exit"
    assert rig.value(rig.program(program.replace(" ll", ""), table)) == 5


@pytest.mark.live
def test_a_program_with_global_functions_keeps_its_types(btf: Btf) -> None:
    rig = Rig()
    text = "r1 = 4; call g; exit\ng: r6 = r1; call 5; r0 <<= 32; r0 >>= 32; r0 += r6; exit"
    code = assemble(text)
    at = next(n for n, insn in enumerate(code) if insn is not None and insn.family is Family.EXIT) + 1
    runner = rig.program(text, btf=btf, func_info=((0, 3), (at, 5)))
    assert rig.value(runner) == (KTIME_NS + 4) & M32


@pytest.mark.live
def test_ld_abs_and_a_clock_go_together() -> None:
    rig = Rig()
    runner = rig.program("r6 = r1; call 5; r7 = r0; r0 = *(u8 *)skb[0]; r0 += r7; exit", kind="SCHED_CLS")
    assert rig.run(runner, [b"\5" + bytes(63)])[0].value == (KTIME_NS + 5) & M32


def test_no_slot_moves() -> None:
    code = assemble("call 5; if r0 == 0 goto end; call 7; call 5; end: exit")
    copy = instrument(code, 0, 2)
    assert [name for name, _ in copy.added] == ["xdpsim_ktime_get_ns", "xdpsim_get_prandom_u32"]
    assert copy.code[1] == code[1]
    calls = [n for n in range(len(code)) if (insn := copy.code[n]) and insn.family is Family.CALL_LOCAL]
    assert calls == [0, 2, 3]
    starts = [n + 1 + copy.code[n].imm for n in calls]  # type: ignore[union-attr]
    assert starts == [copy.added[0][1], copy.added[1][1], copy.added[0][1]]
    assert decode(encode_all(copy.code)) == copy.code


def test_a_program_without_such_calls_stays_as_it_is() -> None:
    code = assemble("call 1; exit")
    assert instrument(code, 0, 2).code == code


def test_map_indices_become_descriptors() -> None:
    code = assemble("r1 = map[0]; r2 = map_value[2]+4; exit")
    assert maps_used(code) == [0, 2]
    assert decode(bind_maps(code, [40, -1, 42])) == assemble("r1 = map[40]; r2 = map_value[42]+4; exit")


def test_added_functions_leave_the_other_types_alone(btf: Btf) -> None:
    raw, ids = with_functions(btf, ["one", "two"])
    grown = parse(raw)
    assert grown.types[: len(btf.types)] == btf.types
    for number, name in zip(ids, ("one", "two"), strict=True):
        function = grown.types[number]
        assert isinstance(function, Func)
        assert (function.name, function.linkage) == (name, 0)
        proto = grown.types[function.type_id]
        assert isinstance(proto, FuncProto)
        assert grown.size_of(proto.return_id) == 8


def test_the_formulas_are_the_helpers() -> None:
    assert world.TICK_NS == 4_000_000
    assert world.JIFFIES_AT_BOOT == 4294892296
    assert world.RANDOM_MULTIPLIER < M64
