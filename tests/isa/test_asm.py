"""assemble: the inverse of disasm, with labels and names, and errors that say what was expected."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.instructions import code, every_kind
from xdpsim.errors import InputError
from xdpsim.isa.asm import assemble
from xdpsim.isa.disasm import disasm, disasm_all
from xdpsim.isa.insn import Code


def text_of(code: Code) -> list[str]:
    return [disasm(insn) for insn in code if insn is not None]


def test_reads_every_kind_back() -> None:
    for insn in every_kind():
        assert assemble(disasm(insn))[0] == insn


@given(code())
def test_is_the_inverse_of_disasm(code: Code) -> None:
    assert assemble("; ".join(text_of(code))) == code
    assert assemble("\n".join(disasm_all(code))) == code


@given(st.text(alphabet="rw0189 =+-*/(u8s64)pcgotifexlabcm[]#:;\n", max_size=40))
def test_any_text_assembles_or_is_refused(text: str) -> None:
    with contextlib.suppress(InputError):
        assemble(text)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("r1=*(u32*)(r2+4)", "r1 = *(u32 *)(r2 +4)"),
        ("r1 = *( u8 * )( r2 )", "r1 = *(u8 *)(r2 +0)"),
        ("r1 = *(u64 *)(r2 - 0x10)", "r1 = *(u64 *)(r2 -16)"),
        ("if r1 == -1 goto +3", "if r1 == 0xffffffff goto pc+3"),
        ("if w1 & 0xff goto pc-2", "if w1 & 0xff goto pc-2"),
        ("if r1 s>= r2 goto pc+0", "if r1 s>= r2 goto pc+0"),
        ("w1 = 0xffffffff", "w1 = -1"),
        ("*(u8 *)(r1 + 0) = 0xff", "*(u8 *)(r1 +0) = 255"),
        ("r1 s>>= 3", "r1 s>>= 3"),
        ("r1 = 0X10", "r1 = 16"),
        ("r1 = -1 ll", "r1 = 0xffffffffffffffff ll"),
        ("call bpf_map_lookup_elem#1", "call 1"),
        ("call kfunc bpf_xdp_metadata_rx_hash#70000", "call kfunc #70000"),
        ("12: (b7) r0 = 2", "r0 = 2"),
        ("12: r0 = 2 // two", "r0 = 2"),
        ("r0 = *(u8 *)skb[r1 + -2]", "r0 = *(u8 *)skb[r1 + -2]"),
    ],
)
def test_spellings(text: str, same: str) -> None:
    assert text_of(assemble(text)) == [same]


def test_labels_count_slots() -> None:
    code = assemble(
        """
        # a loop, and a function behind it
        start: again:
            r1 = 1 ll             // two slots
            if r1 > 5 goto end
            gotol again
        end:
            r2 = func[square]; call square
            exit
        square: r0 = r1; r0 *= r1; exit
        """
    )
    assert text_of(code)[1:6] == ["if r1 > 0x5 goto pc+1", "gotol pc-4", "r2 = func[3]", "call pc+1", "exit"]


def test_names_of_helpers_and_maps() -> None:
    code = assemble("r1 = map[acl]; r2 = map_value[acl]+4; call lookup", helpers={"lookup": 1}, maps={"acl": 2})
    assert text_of(code) == ["r1 = map[2]", "r2 = map_value[2]+4", "call 1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("r0 = 1\nr1 += w2", "line 2: 'r1 += w2': expected r2 for w2: here operands are 64 bits wide"),
        ("r11 = 0", "line 1: 'r11 = 0': expected a register r0 to r10 for r11"),
        (
            "r1 = 0x1ffffffff",
            "line 1: 'r1 = 0x1ffffffff': expected an immediate of -2147483648 to 2147483647 for 0x1ffffffff,"
            " or 'rN = 0x1ffffffff ll' before it",
        ),
        ("goto x", "line 1: 'goto x': expected a label for x; labels: none"),
        ("a: call lookup", "line 1: 'call lookup': expected a label or the name of a helper for lookup; labels: a"),
        ("a: a: exit", "line 1: 'a: a: exit': expected a new name: label a is that of slot 0"),
        (
            "if r1 => 3 goto a",
            "line 1: 'if r1 => 3 goto a': expected a comparison such as 'if r1 s> 5 goto label'"
            " or 'if w1 == w2 goto pc+3'",
        ),
        ("r0 = be16 r1", "line 1: 'r0 = be16 r1': expected r0 for r1: this operation changes one register in place"),
        ("lock *(u64 *)(r1 +0) *= r2", "line 1: 'lock *(u64 *)(r1 +0) *= r2': expected one of += |= &= ^= after lock"),
        ("r1 = map[acl]", "line 1: 'r1 = map[acl]': expected the number or the name of a map for acl; names: none"),
        ("r1 <<= 64", "line 1: 'r1 <<= 64': invalid shift 64: expected 0 to 63"),
        (
            "r1 = *(u32 *)(r2 +40000)",
            "line 1: 'r1 = *(u32 *)(r2 +40000)': expected an offset of -32768 to 32767 for +40000",
        ),
        (
            "goto pc+40000",
            "line 1: 'goto pc+40000': expected a target within 16 signed bits, or gotol: it is 40000 slots away",
        ),
        (
            "xyzzy",
            "line 1: 'xyzzy': expected an instruction such as 'r0 = 2', 'if r1 == 5 goto label', 'call 1' or 'exit'",
        ),
    ],
)
def test_errors_name_line_text_and_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(InputError) as refusal:
        assemble(text)
    assert refusal.value.message == message
