"""disasm: word for word what Linux's verifier log prints."""

from __future__ import annotations

import pytest

from tests.support import disassembly
from tests.support.disassembly import fields, golden_lines, kernel_text, samples
from tests.support.instructions import every_kind, one
from tests.support.rawbpf import needs_kernel
from xdpsim.errors import XdpsimBug
from xdpsim.isa.asm import assemble
from xdpsim.isa.disasm import disasm, disasm_all
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import Family

HELPERS = {1: "bpf_map_lookup_elem", 5: "bpf_ktime_get_ns"}


def test_prints_what_linux_printed() -> None:
    for entry, text in golden_lines():
        insn = one(*entry)
        assert insn is not None, entry
        assert disasm(insn, helper_name=HELPERS.get, as_kernel=True) == text


def test_the_recording_covers_every_kind() -> None:
    recorded = [entry for entry, _ in golden_lines()]
    missing = [insn for insn in samples() if fields(insn) not in recorded]
    # A local call to before the program's first instruction is refused before it is printed.
    assert [(insn.family, insn.imm) for insn in missing] == [(Family.CALL_LOCAL, -5)]


@needs_kernel
def test_the_running_kernel_prints_the_recording() -> None:
    recorded = {tuple(entry): text for entry, text in golden_lines()}
    for insn in disassembly.samples():
        assert kernel_text(insn) == recorded.get(tuple(fields(insn)), "")


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("r1 = 5 ll", "r1 = 0x5 ll"),
        ("r1 = map[3]", "r1 = map[3]"),
        ("r1 = map_value[3]+8", "r1 = map_value[3]+8"),
        ("r1 = map_idx_value[0] - 8", "r1 = map_idx_value[0]-8"),
        ("r1 = btf_id[7]", "r1 = btf_id[7]"),
        ("r1 = func[2]", "r1 = func[2]"),
        ("call 1", "call 1"),
        ("call kfunc #7", "call kfunc #7"),
        ("call kfunc #7 off 2", "call kfunc #7 off 2"),
        ("exit", "exit"),
        ("exit off 3", "exit off 3"),
    ],
)
def test_what_linux_leaves_out(text: str, printed: str) -> None:
    insn = assemble(text)[0]
    assert insn is not None
    assert disasm(insn) == printed


def test_names_come_from_the_caller() -> None:
    code = assemble("r1 = map[0]; call 1; call 999; call kfunc #7; exit")
    names = {"helper_name": HELPERS.get, "kfunc_name": {7: "bpf_rdonly_cast"}.get, "map_name": {0: "counts"}.get}
    assert disasm_all(code, **names) == [
        "0: (18) r1 = map[counts]",
        "2: (85) call bpf_map_lookup_elem#1",
        "3: (85) call unknown#999",
        "4: (85) call kfunc bpf_rdonly_cast#7",
        "5: (95) exit",
    ]


def test_callx_never_gets_here() -> None:
    assert all(insn.family is not Family.CALL_REG for insn in every_kind())
    with pytest.raises(XdpsimBug, match="CALL_REG"):
        disasm(Insn(0x8D, 0, 0, 0, 0, Family.CALL_REG))
