"""The known differences from Linux that docs/fidelity.md lists: a test here fails once one of them is gone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.corpus import OURS
from tests.support.verifier_cases import Case, make_case
from xdpsim import XDP, Sim, Unsupported
from xdpsim.maps.types import BPF_F_WRONLY
from xdpsim.verifier.main import verify

PAGE = Path(__file__).parent.parent / "docs" / "fidelity.md"
PACKET = bytes(64)
COUNTER = {"type": "HASH", "key_size": 4, "value_size": 4, "max_entries": 64}


def value_of(code: str, engine: str = "interpreter", seed: int = 0, verify: bool = True) -> int:
    return Sim(engine=engine, seed=seed, verify=verify).load_insns(code, "XDP").run(PACKET).value


def unverified_programs_fault() -> None:
    code = "r1 = *(u32 *)(r1 +0); r0 = *(u8 *)(r1 +64); exit"
    out = Sim(verify=False).load_insns(code, "XDP").run(PACKET)
    assert out.action is XDP.ABORTED
    assert "past its end" in str(out.fault)


def unwritten_reads_zero() -> None:
    assert value_of("r0 = *(u64 *)(r10 -8); r0 += r7; r0 += 2; exit", verify=False) == 2
    assert value_of("r0 = *(u64 *)(r10 -8); r0 += 2; exit") == 2


def random_is_seeded() -> None:
    code = "call 7; exit"
    assert value_of(code) == value_of(code) != value_of(code, seed=1)


def hash_order_repeats() -> None:
    def keys() -> list[bytes]:
        sim = Sim()
        map_ = sim.load_insns("r0 = 2; exit", "XDP", maps=[COUNTER]).maps["map0"]
        for number in range(32):
            map_.update_bytes(number.to_bytes(4, "little"), bytes(4))
        return list(map_.keys_bytes())

    assert keys() == keys()


def may_goto_counts() -> None:
    assert value_of("r0 = 0\nagain: may_goto done\nr0 += 1\ngoto again\ndone: exit", "jit") == 8 * 1024 * 1024


def budget() -> None:
    out = Sim(engine="jit", verify=False).load_insns("again: goto again", "XDP").run(PACKET)
    assert "gave up after 16777216" in str(out.fault)


def clock_stands_while_running() -> None:
    code = "call 5; r6 = r0; r1 = 1000\nagain: r1 -= 1; if r1 != 0 goto again; call 5; r0 -= r6; exit"
    assert value_of(code) == 0


COOKIE = """
*(u64 *)(r10 -48) = 0; *(u64 *)(r10 -40) = 0; *(u64 *)(r10 -32) = 0; *(u64 *)(r10 -24) = 0; *(u64 *)(r10 -16) = 0
*(u8 *)(r10 -48) = 69; *(u8 *)(r10 -39) = 6; *(u8 *)(r10 -12) = 80
r1 = r10; r1 += -48; r2 = r10; r2 += -24; r3 = 20; call 204; exit
"""


def cookie_secret_is_ours() -> None:
    cookie = value_of(COOKIE)
    assert cookie < 0xFFFF_FF00  # no errno
    assert cookie == value_of(COOKIE, seed=1)


def signals_are_not_delivered() -> None:
    sigkill = 9
    assert value_of(f"r1 = {sigkill}; call 109; exit") == 0


def kernel_variables_are_unsupported() -> None:
    with pytest.raises(Unsupported, match="btf_id references do not run yet"):
        Sim().load_insns(bytes.fromhex("1830000001000000 0000000000000000 9500000000000000"), "XDP")


def wronly_is_readable() -> None:
    sim = Sim()
    map_ = sim.load_insns("r0 = 2; exit", "XDP", maps=[{**COUNTER, "flags": BPF_F_WRONLY}]).maps["map0"]
    assert map_.update_bytes(bytes(4), bytes(4)) == 0
    assert map_.lookup_bytes(bytes(4)) == bytes(4)


def accepted(**entry: object) -> Case:
    """A case that our verifier accepts."""
    case = make_case({"name": "x", **entry})
    verdict = verify(case.spec, case.maps, case.btf)
    assert verdict.accepted, verdict.message
    return case


def fault_of(case: Case, engine: str) -> str:
    sim = Sim(engine=engine)
    maps = tuple(sim.machine.add_map(spec) for spec in case.maps)
    return str(sim.take(sim.machine.add_program(case.spec, maps, case.btf)).run(PACKET).fault)


def value_of_case(case: Case, engine: str) -> int:
    sim = Sim(engine=engine)
    maps = tuple(sim.machine.add_map(spec) for spec in case.maps)
    out = sim.take(sim.machine.add_program(case.spec, maps, case.btf)).run(PACKET)
    assert out.fault is None
    return out.value


def missing_kernel_members_are_unsupported() -> None:
    device = "call kfunc bpf_cast_to_kern_ctx; r1 = *(u64 *)(r0 +32); r1 = *(u64 *)(r1 +0)"
    texts = {
        f"{device}; r0 = *(u32 *)(r1 +56); exit": "struct net_device.mtu is not emulated",
        "call bpf_get_current_task_btf; r0 = *(u64 *)(r0 +32); r0 = 2; exit": "struct task_struct.stack is not",
        "r1 = map[m]; r0 = *(u64 *)(r1 +40); r0 = 2; exit": "struct bpf_map.ops is not emulated",
        "r2 = 0; call kfunc bpf_rdonly_cast; r0 = *(u32 *)(r0 +0); exit": "context.0 as the kernel has it",
    }
    for asm, text in texts.items():
        case = accepted(asm=asm, maps=[{"name": "m", "type": "ARRAY"}] if "map[m]" in asm else [])
        for engine in OURS:
            with pytest.raises(Unsupported, match=text):
                value_of_case(case, engine)


def other_kernel_memory_reads_zero() -> None:
    case = accepted(
        asm="call bpf_get_current_task_btf; r1 = r0; r2 = 0; call kfunc bpf_rdonly_cast; r0 = *(u32 *)(r0 +32); exit"
    )
    for engine in OURS:
        assert value_of_case(case, engine) == 0


def map_ids_count_from_one() -> None:
    case = accepted(asm="r1 = map[m]; r0 = *(u32 *)(r1 +92); exit", maps=[{"name": "m", "type": "ARRAY"}])
    for engine in OURS:
        assert value_of_case(case, engine) == 1


def log_tells_no_addresses() -> None:
    case = make_case({"name": "x", "asm": "r1 = map[m]; r0 = 2; exit", "maps": [{"name": "m", "type": "ARRAY"}]})
    log = verify(case.spec, case.maps, case.btf, log_level=2).log
    assert "0: (18) r1 = 0xffff000000000000" in log


def tracing_is_not_verified() -> None:
    with pytest.raises(Unsupported, match="programs of type KPROBE do not run yet"):
        Sim().load_insns("r0 = *(u64 *)(r1 +9999); exit", "KPROBE")


def null_passes_for_nonnull() -> None:
    types = "int main(struct xdp_md *ctx); struct rec { u64 a; u64 b; }; int f(struct rec *r __arg_nonnull);"
    case = accepted(asm="r1 = 0; call f; r0 = 0; exit; f: r0 = *(u64 *)(r1 +8); exit", btf=types)
    for engine in OURS:
        assert "reads 8 bytes at the number 8, which is no pointer" in fault_of(case, engine)


def frame_is_forgotten() -> None:
    case = accepted(asm="r0 = 0; call f; exit; f: r1 = -8; r1 += r10; *(u64 *)(r1 +0) = 7; r0 = *(u64 *)(r10 -8); exit")
    log = verify(case.spec, case.maps, case.btf, log_level=2).log
    assert "R1_w=fp[0]-8" in log or "R1=fp[0]-8" in log


DIFFERENCES = (
    unverified_programs_fault,
    unwritten_reads_zero,
    random_is_seeded,
    hash_order_repeats,
    may_goto_counts,
    budget,
    clock_stands_while_running,
    cookie_secret_is_ours,
    signals_are_not_delivered,
    kernel_variables_are_unsupported,
    wronly_is_readable,
    missing_kernel_members_are_unsupported,
    other_kernel_memory_reads_zero,
    map_ids_count_from_one,
    log_tells_no_addresses,
    tracing_is_not_verified,
    null_passes_for_nonnull,
    frame_is_forgotten,
)


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.__name__)
def test_known_difference_still_stands(difference: object) -> None:
    assert callable(difference)
    difference()


def test_the_page_lists_exactly_these() -> None:
    listed = re.findall(r"\| `(\w+)` \|$", PAGE.read_text(), re.MULTILINE)
    assert listed == [difference.__name__ for difference in DIFFERENCES]
