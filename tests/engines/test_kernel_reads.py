"""Loads of the kernel's memory give on both engines what Linux 6.18 gives: known members, and 0 where nothing is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.corpus import OURS
from tests.support.oracle import golden
from tests.support.record import recorder
from tests.support.verifier_cases import Case, make_case
from xdpsim import Sim, Unsupported
from xdpsim.loader.model import Object

PACKET = bytes(range(64))
CAST = "r2 = 0; call kfunc bpf_rdonly_cast; r1 = r0; r0 = 7"
QUEUE = "call kfunc bpf_cast_to_kern_ctx; r1 = *(u64 *)(r0 +32)"
DEVICE = f"{QUEUE}; r1 = *(u64 *)(r1 +0)"
DATA = "r2 = *(u32 *)(r1 +0); r3 = *(u32 *)(r1 +4); r4 = r2; r4 += 64; r0 = 1; if r4 > r3 goto out"
ARRAY = {"name": "m", "type": "ARRAY", "key_size": 4, "value_size": 200, "max_entries": 1}
RING = {"name": "r", "type": "RINGBUF", "key_size": 0, "value_size": 0, "max_entries": 4096}
ASM = {
    "null": f"r1 = 0; {CAST}; r0 = *(u64 *)(r1 +0); exit",
    "null by every width": f"""r1 = 0; {CAST}; r0 = *(u8 *)(r1 +1); r2 = *(u16 *)(r1 +2); r3 = *(u32 *)(r1 +1000)
r4 = *(u64 *)(r1 +8000); r0 |= r2; r0 |= r3; r0 |= r4; exit""",
    "null with a sign": f"""r1 = 0; {CAST}; r0 = *(s8 *)(r1 +1); r2 = *(s16 *)(r1 +2); r3 = *(s32 *)(r1 +1000)
r0 |= r2; r0 |= r3; exit""",
    "into its own pointer": f"r1 = 0; {CAST}; r1 = *(u64 *)(r1 +8); r0 = r1; r0 += 3; exit",
    "other registers stay": f"r1 = 0; {CAST}; r2 = 11; r3 = *(u64 *)(r1 +8); r0 += r2; r0 += r3; exit",
    "a number": f"r1 = 4096; {CAST}; r0 = *(u32 *)(r1 +4); exit",
    "a number around zero": f"r1 = -4; {CAST}; r0 = *(u64 *)(r1 +0); exit",
    "the last page": f"r1 = -4096; {CAST}; r0 = *(s32 *)(r1 +8); exit",
    "no canonical address": f"r1 = 0x1234567812345678 ll; {CAST}; r0 = *(u32 *)(r1 +8); exit",
    "read, cast and read again": f"r1 = 0; {CAST}; r1 = *(u64 *)(r1 +0); {CAST}; r0 = *(u16 *)(r1 +6); exit",
    "in a loop, now there, now not": f"""r6 = *(u32 *)(r1 +0); r7 = 0; r8 = 0
again: r1 = r6; if r7 & 1 goto on; r1 = 0; on: {CAST}; r1 = *(u32 *)(r1 +0); r8 += r1; r7 += 1; if r7 < 6 goto again
r0 = r8; exit""",
    "in a subprogram": f"r1 = 0; call f; r0 += 5; exit; f: {CAST}; r0 = *(u64 *)(r1 +8); exit",
    "packet": f"r3 = *(u32 *)(r1 +0); r1 = r3; {CAST}; r0 = *(u32 *)(r1 +8); exit",
    "stack": f"*(u64 *)(r10 -8) = 77; r1 = r10; r1 += -8; {CAST}; r0 = *(u32 *)(r1 +0); exit",
    "number of the device": f"{DEVICE}; r0 = *(u32 *)(r1 +224); exit",
    "a map by cast": f"r1 = map[m]; {CAST}; r0 = *(u32 *)(r1 +72); exit",
    "a record that was submitted": f"""r1 = map[r]; r2 = 8; r3 = 0; call bpf_ringbuf_reserve; if r0 == 0 goto out
r6 = r0; *(u64 *)(r0 +0) = 1234; r1 = r0; {CAST}; r7 = r1; r1 = r6; r2 = 0; call bpf_ringbuf_submit
r0 = *(u64 *)(r7 +0); out: exit""",
    "a byte of a map's member": "r1 = map[m]; r0 = *(u8 *)(r1 +72); exit",
    "a byte of it with its sign": "r1 = map[m]; r0 = *(s8 *)(r1 +72); exit",
    "half of it": "r1 = map[m]; r0 = *(u16 *)(r1 +74); exit",
}
MISSING = {
    f"{DEVICE}; r0 = *(u32 *)(r1 +56); exit": "insn 3 .*: struct net_device.mtu is not emulated",
    f"{QUEUE}; r0 = *(u32 *)(r1 +12); exit": "struct xdp_rxq_info.reg_state is",
    "call kfunc bpf_cast_to_kern_ctx; r1 = *(u64 *)(r0 +40); r0 = 2; exit": "struct xdp_buff.txq is",
    "r1 = map[m]; r0 = *(u64 *)(r1 +40); r0 = 2; exit": "struct bpf_map.ops is",
    "r1 = map[m]; r0 = *(u32 *)(r1 +296); exit": "byte 296 of the kernel's struct of a map",
}
"""Known to be reached when the program is verified."""
MISSING_AT_RUN = {
    f"{DEVICE}; {CAST}; r0 = *(u32 *)(r1 +56); exit": "insn 7 .*: struct net_device.mtu is not emulated",
    f"{DEVICE}; {CAST}; r0 = *(u64 *)(r1 +224); exit": "struct net_device.ifindex.0, 4 bytes past its end as",
    f"r1 = map[m]; {CAST}; r0 = *(u32 *)(r1 +40); exit": "struct bpf_map.ops is",
    f"r1 = map[m]; {CAST}; r0 = *(u32 *)(r1 +296); exit": "byte 296 of the kernel's struct of a map",
    f"r1 = map_value[m]+192; {CAST}; r0 = *(u64 *)(r1 +4); exit": r"map m\[.*\+196, 4 bytes past its end as",
    f"{CAST}; r0 = *(u32 *)(r1 +0); exit": r"context\+0 as the kernel has it is",
    f"r3 = *(u32 *)(r1 +4); r1 = r3; {CAST}; r0 = *(u32 *)(r1 +8); exit": "around the packet, 8 bytes past the end",
}
SIZES = {
    **dict.fromkeys(("HASH", "PERCPU_HASH", "LRU_HASH", "LRU_PERCPU_HASH"), (8, 24, 5, 0)),
    **dict.fromkeys(("ARRAY", "PERCPU_ARRAY"), (4, 12, 3, 0)),
    **dict.fromkeys(("PROG_ARRAY", "DEVMAP", "DEVMAP_HASH", "CPUMAP", "XSKMAP", "PERF_EVENT_ARRAY"), (4, 4, 7, 0)),
    **dict.fromkeys(("QUEUE", "STACK", "BLOOM_FILTER"), (0, 8, 4, 0)),
    "LPM_TRIE": (8, 3, 9, 1),
    "RINGBUF": (0, 0, 4096, 0),
}
FLAGGED = {
    "HASH": (4, 4, 9, 1 << 0 | 1 << 6),  # BPF_F_NO_PREALLOC, BPF_F_ZERO_SEED
    "LRU_PERCPU_HASH": (4, 4, 9, 1 << 1),  # BPF_F_NO_COMMON_LRU
    "ARRAY": (4, 4, 9, 1 << 3 | 1 << 10),  # BPF_F_RDONLY, BPF_F_MMAPABLE
    "PERCPU_ARRAY": (4, 4, 9, 1 << 4),  # BPF_F_WRONLY
}
MEMBERS = {"map_type": 64, "key_size": 68, "value_size": 72, "max_entries": 76, "map_flags": 88}
MAPS = [(kind, *sizes) for table in (SIZES, FLAGGED) for kind, sizes in table.items()]


def cases() -> list[Case]:
    """Programs that answer with their value, and for maps one that writes all members into the packet."""
    copies = "; ".join(f"r5 = *(u32 *)(r1 +{at}); *(u32 *)(r2 +{4 * n}) = r5" for n, at in enumerate(MEMBERS.values()))
    made = [case(name, asm) for name, asm in ASM.items()]
    for kind, key, value, entries, flags in MAPS:
        row = {"name": "m", "type": kind, "key_size": key, "value_size": value, "max_entries": entries, "flags": flags}
        asm = f"{DATA}; r1 = map[m]; {copies}; r0 = 2; out: exit"
        made.append(make_case({"name": f"{kind} flags {flags}", "asm": asm, "maps": [row]}))
    return made


def case(name: str, asm: str) -> Case:
    maps = [row for row in (ARRAY, RING) if f"[{row['name']}]" in asm]
    return make_case({"name": name, "asm": asm, "maps": maps})


def answer(case: Case, engine: str) -> dict[str, Any]:
    """Value and head of the packet."""
    placed = Sim(engine=engine)._place(Object("made", {"p": case.spec}, case.maps, case.btf, "GPL"))
    out = placed["p"].run(PACKET)
    assert out.fault is None
    return {"name": case.name, "value": out.value, "head": out.packet[: 4 * len(MEMBERS)].hex()}


CASES = cases()


@recorder("kernel_reads")
def record_answers() -> dict[str, Any]:
    return {"rows": [answer(case, "kernel") for case in CASES]}


def recorded(name: str) -> dict[str, Any]:
    (row,) = (row for row in golden("kernel_reads")["rows"] if row["name"] == name)
    return dict(row)


@pytest.mark.golden
@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_the_answer_is_linuxs(case: Case, engine: str) -> None:
    assert answer(case, engine) == recorded(case.name)


@pytest.mark.live
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_linux_still_answers_so(case: Case) -> None:
    assert answer(case, "kernel") == recorded(case.name)


@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize("asm", MISSING)
def test_a_missing_member_is_unsupported_when_the_program_is_taken(asm: str, engine: str) -> None:
    made = case("missing", asm)
    placed = Sim(engine=engine)._place(Object("made", {"p": made.spec}, made.maps, made.btf, "GPL"))
    with pytest.raises(Unsupported, match=MISSING[asm]):
        placed["p"]


@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize("asm", MISSING_AT_RUN)
def test_a_missing_member_behind_a_cast_is_unsupported_when_it_is_read(asm: str, engine: str) -> None:
    made = case("missing", asm)
    placed = Sim(engine=engine)._place(Object("made", {"p": made.spec}, made.maps, made.btf, "GPL"))
    program = placed["p"]
    for _ in range(2):
        with pytest.raises(Unsupported, match=MISSING_AT_RUN[asm]):
            program.run(PACKET)


@pytest.mark.parametrize("engine", OURS)
def test_unverified_programs_fault(engine: str) -> None:
    """Nobody has said that their loads are of the kernel's memory."""
    made = case("null", ASM["null"])
    placed = Sim(engine=engine, verify=False)._place(Object("made", {"p": made.spec}, made.maps, made.btf, "GPL"))
    assert "reads 8 bytes at a null pointer" in str(placed["p"].run(PACKET).fault)
