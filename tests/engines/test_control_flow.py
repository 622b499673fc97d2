"""Callbacks, exceptions, tail calls and helpers in Python: both engines go the same way, also where it ends badly."""

from __future__ import annotations

import pytest

from tests.support.corpus import OURS, Ran, Workbench, array
from tests.support.long_run import program
from tests.support.programs import VALUE_SIZE
from tests.support.runtimes import ROOT
from xdpsim import Sim
from xdpsim.engines.fault import FaultKind
from xdpsim.frames.capture import open_capture
from xdpsim.helpers import callbacks
from xdpsim.isa.asm import assemble
from xdpsim.maps.files import load_presets

LOOP = "r1 = {count}; r2 = func[cb]; r3 = r10; r3 += -8; r4 = {flags}; call 181; exit; cb: "
NESTED = "".join(
    f"{f'f{n}: ' if n else ''}r1 = 1; r2 = func[f{n + 1}]; r3 = 0; r4 = 0; call 181; {'r0 = 0; ' if n else ''}exit; "
    for n in range(8)
)
FRAMES = (
    # a callback sees its own stack, zeroed, and the caller's through the pointer that it is given
    "*(u64 *)(r10 -8) = 0; " + LOOP.format(count=5, flags=0) + "r0 = *(u64 *)(r10 -8); r3 = *(u64 *)(r2 +0); r3 += r1; "
    "*(u64 *)(r2 +0) = r3; *(u64 *)(r10 -8) = 1; exit"
)


def on(engine: str, asm: str, **options: int) -> Ran:
    return Workbench(engine, [array(8, 4)], **options).run(assemble(asm))


def both(asm: str, **options: int) -> Ran:
    """What both engines agree on."""
    interpreted, compiled = (on(engine, asm, **options) for engine in OURS)
    assert interpreted.what == compiled.what
    return compiled


@pytest.mark.parametrize(
    ("count", "flags", "body", "verdict"),
    [
        (0, 0, "r0 = 0; exit", 0),
        (7, 0, "r0 = 0; exit", 7),
        (7, 0, "r0 = 1; exit", 1),
        (7, 0, "r0 = r1; r0 s>>= 1; exit", 3),
        (7, 1, "r0 = 0; exit", -22 & 0xFFFF_FFFF),
        (callbacks.MAX_LOOPS + 1, 0, "r0 = 0; exit", -7 & 0xFFFF_FFFF),
        (-1, 0, "r0 = 0; exit", -7 & 0xFFFF_FFFF),
    ],
)
def test_loops(count: int, flags: int, body: str, verdict: int) -> None:
    assert both(LOOP.format(count=count, flags=flags) + body).verdict == verdict


def test_a_callback_has_a_stack_of_its_own() -> None:
    assert both(FRAMES).verdict == 5


def test_callbacks_nest_as_deep_as_calls() -> None:
    assert both(NESTED.replace("call 181; r0 = 0; exit; f7", "r0 = 0; exit; f7") + "f8: r0 = 0; exit").fault is None
    fault = both(NESTED + "f8: r0 = 0; exit").fault
    assert fault is not None
    assert (fault.kind, fault.slot) == (FaultKind.CALL_DEPTH, len(assemble(NESTED + "f8: exit")) - 1)


@pytest.mark.parametrize("value", ["0", "1 << 60", "0x1000000100000003 ll", "0x1000000100000001 ll", "r10"])
def test_what_is_no_function_is_not_called(value: str) -> None:
    asm = f"r2 = {value.replace('1 << 60', '0x1000000000000000 ll')}; r1 = 3; r3 = 0; r4 = 0; call 181; exit"
    fault = both(asm).fault
    assert fault is not None
    assert fault.kind is FaultKind.STRAY


def test_a_fault_in_a_callback_ends_the_program() -> None:
    for body in ("r0 = *(u8 *)(r1 +0); exit", "call sub; exit; sub: r0 = *(u8 *)(r2 +5000); exit"):
        fault = both(LOOP.format(count=9, flags=0) + body).fault
        assert fault is not None
        assert fault.kind is FaultKind.ACCESS


def test_endless_loops_of_callbacks_end() -> None:
    asm = LOOP.format(count=callbacks.MAX_LOOPS, flags=0) + "r0 = 0; exit"
    for engine in OURS:
        fault = on(engine, asm, budget=10_000).fault
        assert fault is not None
        assert fault.kind is FaultKind.BUDGET


@pytest.mark.parametrize("engine", OURS)
def test_what_a_helper_raises_reaches_the_user(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Workbench(engine)
    code = assemble("r1 = 7; r2 = r10; r2 += -8; *(u64 *)(r10 -8) = 0; r1 = r2; r2 = 1; call 6; r0 = 3; exit")
    monkeypatch.setattr(bench.machine, "emit", _raises)
    with pytest.raises(KeyboardInterrupt):
        bench.run(code)
    monkeypatch.undo()
    assert bench.run(code).verdict == 3


def _raises(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["counter", "firewall", "lb", "ratelimit", "dnsfilter", "parser_chain", "option_walk"])
def test_executed_insns_are_counted_alike(name: str) -> None:
    counts = []
    for engine in OURS:
        sim = Sim(engine=engine)
        loaded = sim.load(ROOT / "programs" / f"{name}.o")
        load_presets(loaded.maps, ROOT / "programs" / "presets" / f"{name}.json")
        with open_capture(ROOT / "pcaps" / "mixed.pcap") as capture:
            results = list(loaded[f"xdp_{name}"].replay(record for record, _ in zip(capture, range(300), strict=False)))
        counts.append([result.insns for result in results])
    assert counts[0] == counts[1]


@pytest.mark.parametrize("engine", OURS)
def test_a_branch_goes_where_linux_believes_it_goes(engine: str) -> None:
    """Linux 6.18 takes an insn of this random program for dead that is not, and cuts it out; seen in a long run."""
    code, bench = program(77, 198), Workbench(engine, [array(VALUE_SIZE)])
    assert bench.run(code).fault is None
    assert bench.value()[:8].hex() == "b3164ffebfb81c97"
    bench.set_value(bytes(VALUE_SIZE))
    bench.verify = True
    assert bench.run(code).fault is None
    assert bench.value()[:8].hex() == "291bde94a55a1ba6"
