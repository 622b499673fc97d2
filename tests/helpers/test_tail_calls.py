"""bpf_tail_call: where it goes, when it falls through, how often it may, and what a subprogram's caller sees of it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

import pytest

from tests.support.corpus import OURS
from xdpsim import Sim, Unsupported
from xdpsim.btf.parse import parse
from xdpsim.btf.types import Btf
from xdpsim.engines.kernel.functions import with_functions
from xdpsim.isa.asm import assemble
from xdpsim.loader.model import Object, ProgramSpec, Subprogram
from xdpsim.maps.spec import MapSpec
from xdpsim.sim.program import LoadedObject

ENGINES = ["interpreter", "jit", pytest.param("kernel", marks=pytest.mark.live)]
JUMP = "r1 = r6; r2 = map[0]; r3 = {}; call 12;"
COUNT = "r7 = map_value[1]; r8 = *(u64 *)(r7 +0); r8 += 1; *(u64 *)(r7 +0) = r8;"
MAPS = (
    MapSpec("programs", "PROG_ARRAY", 4, 4, 4),
    MapSpec("count", "ARRAY", 4, 8, 1),
)
MAX_RUNS = 34  # the first run and 33 tail calls


@dataclass(frozen=True)
class Case:
    """Programs by name, the first of which runs; slots of the prog array by program; verdict and count afterwards."""

    name: str
    programs: dict[str, str]
    slots: dict[int, str]
    verdict: int
    count: int


CASES = (
    Case("goes there", {"a": f"r6 = r1; {JUMP.format(1)} r0 = 9; exit", "b": f"{COUNT} r0 = 3; exit"}, {1: "b"}, 3, 1),
    Case("empty slot", {"a": f"r6 = r1; {JUMP.format(1)} r0 = 9; exit", "b": f"{COUNT} r0 = 3; exit"}, {0: "b"}, 9, 0),
    Case("past the end", {"a": f"r6 = r1; {JUMP.format(4)} r0 = 9; exit"}, {}, 9, 0),
    Case("index of more than 32 bits", {"a": "r6 = r1; r1 = r6; r2 = map[0]; r3 = 0x100000001 ll; call 12; "
        "r0 = 9; exit",
         "b": f"{COUNT} r0 = 3; exit"}, {1: "b"}, 3, 1),
    Case("largest index", {"a": f"r6 = r1; {JUMP.format(-1)} r0 = 9; exit"}, {}, 9, 0),
    Case("itself", {"a": f"r6 = r1; {COUNT} {JUMP.format(0)} r0 = 9; exit"}, {0: "a"}, 9, MAX_RUNS),
    Case("each other", {"a": f"r6 = r1; {COUNT} {JUMP.format(1)} r0 = 8; exit", "b": f"r6 = r1; "
        f"{COUNT} {JUMP.format(0)} r0 = 9; exit"},
         {0: "a", 1: "b"}, 9, MAX_RUNS),
    Case("a chain", {"a": f"r6 = r1; {COUNT} {JUMP.format(1)} r0 = 9; exit", "b": f"r6 = r1; "
        f"{COUNT} {JUMP.format(2)} r0 = 9; exit",
         "c": f"{COUNT} r0 = 1; exit"}, {1: "b", 2: "c"}, 1, 3),
    Case("out of a subprogram: its caller goes on",
         {"a": f"r6 = 4; call f; r0 += r6; exit; f: r6 = r1; {JUMP.format(1)} r0 = 9; exit",
          "b": f"{COUNT} r0 = 3; exit"}, {1: "b"}, 7, 1),
    Case("falls through in a subprogram",
         {"a": f"r6 = 4; call f; r0 += r6; exit; f: r6 = r1; {JUMP.format(1)} r0 = 9; exit"}, {}, 13, 0),
    Case("again and again out of subprograms",
         {"a": f"call f; r0 += 1; exit; f: r6 = r1; {COUNT} {JUMP.format(0)} r0 = 100; "
             "exit"}, {0: "a"}, 100 + MAX_RUNS, MAX_RUNS),
    Case("the count is the packet's, not the program's",
         {"a": f"r6 = r1; call f; r1 = r6; call f; exit; f: r6 = r1; {COUNT} {JUMP.format(1)} r0 = 9; exit",
          "b": f"r6 = r1; {COUNT} {JUMP.format(1)} r0 = 5; exit"}, {1: "b"}, 9, MAX_RUNS + 1),
    Case("the stack is a new one", {"a": f"r6 = r1; *(u64 *)(r10 -8) = 7; {JUMP.format(1)} r0 = 9; exit",
         "b": f"{COUNT} *(u64 *)(r10 -8) = 2; r0 = *(u64 *)(r10 -8); exit"}, {1: "b"}, 2, 1),
)  # fmt: skip


def load(case: Case, engine: str, *, verify: bool = True) -> LoadedObject:
    """The case's programs in one object."""
    specs = {name: _spec(name, asm) for name, asm in case.programs.items()}
    loaded = Sim(engine=engine, verify=verify)._place(Object("case", specs, MAPS, BTF, "GPL"))
    for slot, name in case.slots.items():
        number = loaded[name].number
        assert loaded.maps["programs"].update_bytes(slot.to_bytes(4, "little"), number.to_bytes(4, "little"), 0) == 0
    return loaded


def _spec(name: str, asm: str) -> ProgramSpec:
    code = assemble(asm)
    calls = [
        slot + 1 + insn.imm
        for slot, insn in enumerate(code)
        if insn is not None and insn.op == "call" and insn.src == 1
    ]
    subprograms = tuple(Subprogram(f"f{slot}", slot) for slot in dict.fromkeys(calls))
    func_info = ((0, MAIN_TYPE), *((sub.slot, SUB_TYPE) for sub in subprograms))
    return ProgramSpec(name, "xdp", "XDP", 0, code, (Subprogram(name, 0), *subprograms), (), "GPL", func_info=func_info)


def _btf() -> tuple[Btf, int, int]:
    """Types of a main function and a subprogram: Linux wants them where a subprogram makes a tail call."""
    empty = parse(struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 0, 0, 1) + b"\0")
    raw, (main, sub) = with_functions(empty, ["main", "sub"])
    return parse(raw), main, sub


BTF, MAIN_TYPE, SUB_TYPE = _btf()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_tail_calls(case: Case, engine: str) -> None:
    loaded = load(case, engine)
    for run in (1, 2):
        outcome = loaded["a"].run(bytes(64))
        assert outcome.fault is None
        assert (outcome.value, loaded.maps["count"].lookup_bytes(bytes(4))) == (
            case.verdict,
            (case.count * run).to_bytes(8, "little"),
        )


@pytest.mark.parametrize("engine", OURS)
def test_a_fault_names_the_program_that_it_is_in(engine: str) -> None:
    case = Case(
        "", {"a": f"r6 = r1; {JUMP.format(1)} r0 = 9; exit", "b": "r2 = 0; r0 = *(u8 *)(r2 +3); exit"}, {1: "b"}, 0, 0
    )
    fault = load(case, engine, verify=False)["a"].run(bytes(64)).fault
    assert str(fault) == "b: insn 1 (r0 = *(u8 *)(r2 +3)): reads 1 byte at the number 3, which is no pointer"


@pytest.mark.parametrize("engine", OURS)
def test_a_program_that_does_not_run_is_refused_by_name_when_it_is_reached(engine: str) -> None:
    specs = {"a": _spec("a", f"r6 = r1; {JUMP.format(1)} r0 = 9; exit"),
             "b": replace(_spec("b", "r0 = 1; exit"), unsupported="b: no engine runs it")}  # fmt: skip
    loaded = Sim(engine=engine)._place(Object("case", specs, MAPS, BTF, "GPL"))
    assert loaded["a"].run(bytes(64)).value == 9
    loaded.maps["programs"].update_bytes(
        (1).to_bytes(4, "little"), loaded._programs["b"].number.to_bytes(4, "little"), 0
    )
    for _ in range(2):
        with pytest.raises(Unsupported, match="no engine runs it"):
            loaded["a"].run(bytes(64))
