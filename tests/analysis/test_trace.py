"""Steps of a traced program: functions, callbacks and tail calls nest and come back as they should."""

from __future__ import annotations

from tests.support.corpus import PACKET
from xdpsim.analysis.trace import Return, Step, Tracer
from xdpsim.sim.program import Program
from xdpsim.sim.sim import Sim


def traced(sim: Sim, program: Program) -> list[Step | Return]:
    told: list[Step | Return] = []
    tracer = Tracer(sim.engine.cpu, told.append)  # type: ignore[attr-defined]
    sim.engine.observer = tracer.observe  # type: ignore[attr-defined]
    program.run(PACKET)
    tracer.finish()
    return told


def shape(told: list[Step | Return]) -> list[tuple[int, int, str]]:
    return [(one.slot, one.depth, "back" if isinstance(one, Return) else "") for one in told]


def test_functions_nest() -> None:
    sim = Sim()
    text = "r6 = 5; call f; r0 += r6; exit; f: r0 = r1; r6 = 9; call g; r0 += 1; exit; g: r0 = 1; exit"
    told = traced(sim, sim.load_insns(text, "XDP"))
    assert shape(told) == [
        (0, 0, ""),
        (1, 0, ""),
        (4, 1, ""),
        (5, 1, ""),
        (6, 1, ""),
        (9, 2, ""),
        (10, 2, ""),
        (6, 1, "back"),
        (7, 1, ""),
        (8, 1, ""),
        (1, 0, "back"),
        (2, 0, ""),
        (3, 0, ""),
    ]
    back = told[10]
    assert isinstance(back, Return)
    assert back.changes == {"r0": "2"}
    assert told[11].changes == {"r0": "7"}


def test_callbacks_nest_in_the_call_that_makes_them() -> None:
    sim = Sim(verify=False)  # Linux takes callbacks of objects with BTF only
    text = "r1 = 2; r2 = func[5]; r3 = 0; r4 = 0; call 181; exit; r0 = r1; r0 = 0; exit"
    told = traced(sim, sim.load_insns(text, "XDP"))
    call = 5
    assert shape(told)[4:] == [
        (call, 0, ""),
        *[(slot, 1, "") for _ in range(2) for slot in (7, 8, 9)],
        (call, 0, "back"),
        (6, 0, ""),
    ]
    step, back = told[4], told[-2]
    assert isinstance(step, Step)
    assert isinstance(back, Return)
    assert step.call == "bpf_loop(2, function at slot 7, 0, 0)"
    assert back.result == "2"


def test_a_tail_call_goes_on_elsewhere() -> None:
    sim = Sim()
    target = sim.load_insns("r0 = 3; exit", "XDP", name="behind")
    maps = [{"type": "PROG_ARRAY", "key_size": 4, "value_size": 4, "max_entries": 2, "name": "jumps"}]
    program = sim.load_insns("r2 = map[0]; r3 = 1; call 12; r0 = 1; exit", "XDP", maps=maps, name="before")
    missed = traced(sim, program)
    assert [one.result for one in missed if isinstance(one, Step) and one.call] == ["no program there"]
    sim.machine.programs[program.number - 1].maps[0][1] = target.number
    told = traced(sim, program)
    jump = told[2]
    assert isinstance(jump, Step)
    assert (jump.call, jump.result) == ("bpf_tail_call(ctx, map jumps, 1)", "goes on in program behind")
    assert [(one.program, one.slot) for one in told[3:]] == [("behind", 0), ("behind", 1)]


def test_atomics_show_both_sides() -> None:
    sim = Sim()
    text = "r0 = 5; *(u32 *)(r10 -4) = 5; r1 = 9; r0 = atomic_cmpxchg((u32 *)(r10 -4), r0, r1); r0 = 2; exit"
    told = traced(sim, sim.load_insns(text, "XDP"))
    assert str(told[3].access) == "changes fp-4: 05 00 00 00 -> 09 00 00 00"  # type: ignore[union-attr]


def test_another_functions_stack_is_told_by_its_frame() -> None:
    sim = Sim()
    text = "*(u64 *)(r10 -8) = 7; r1 = r10; r1 += -8; call f; exit; f: r0 = *(u64 *)(r1 +0); exit"
    told = traced(sim, sim.load_insns(text, "XDP"))
    step = told[4]
    assert isinstance(step, Step)
    assert str(step.access) == "reads fp[0]-8: 07 00 00 00 00 00 00 00"
