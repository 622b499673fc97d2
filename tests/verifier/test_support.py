"""The tools that compare both verifiers: types from text, messages from logs, differences between logs."""

from __future__ import annotations

import pytest

from tests.support.btf_text import compile_btf
from tests.support.verifier_ask import blocks
from tests.support.verifier_cases import make_case
from tests.support.verifier_linux import answer_of, message_of
from tests.support.verifier_logs import comparable, first_difference
from xdpsim.btf.parse import parse
from xdpsim.btf.types import FuncProto, Kind, Struct

STATISTICS = "processed 3 insns (limit 1000000) max_states_per_insn 1 total_states 2 peak_states 2 mark_read 0\n"


def test_a_struct_is_laid_out_as_in_c() -> None:
    text = compile_btf(
        "struct v { u8 a; struct bpf_spin_lock lock; u64 b[3]; struct v __kptr *next; union { u16 c; u8 d; }; };"
    )
    btf = parse(text.raw)
    row = btf.types[text.types["v"]]
    assert isinstance(row, Struct)
    assert row.size == 48
    assert [member.bit_offset // 8 for member in row.members] == [0, 4, 8, 32, 40]
    assert btf.by_name("kptr", Kind.TYPE_TAG) is not None


def test_functions_have_linkage_arguments_and_tags() -> None:
    text = compile_btf(
        "typedef u32 n; int f(struct xdp_md *ctx, n a, void *p __arg_nonnull) __exception_cb(g); static u64 g(void);"
    )
    btf = parse(text.raw)
    proto = btf.types[text.functions["f"] - 1]
    assert isinstance(proto, FuncProto)
    assert [parameter.name for parameter in proto.params] == ["ctx", "a", "p"]
    assert {row.name for row in btf.types if row.kind is Kind.DECL_TAG} == {"arg:nonnull", "exception_callback:g"}


@pytest.mark.parametrize("text", ["int f(", "struct a { u99 x; };", "u32 a __strange;"])
def test_what_is_no_declaration_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="btf text"):
        compile_btf(text)


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("0: R1=ctx() R10=fp0\n0: (95) exit\nR0 !read_ok\n", "R0 !read_ok"),
        ("last insn is not an exit or jmp\n", "last insn is not an exit or jmp"),
        ("1: (85) call pc+1\nR1 is not a scalar\nCaller is wrong\n", "R1 is not a scalar\nCaller is wrong"),
        ("1: (55) if r1 != 0x5 goto pc-1 infinite loop\ncur state: R0=0\n", "infinite loop\ncur state: R0=0"),
        ("1: (55) if r1 != 0x5 goto pc-1 1: R0=0 R10=fp0\n2: (95) exit\nbad\n", "bad"),
        ("1: (85) call bpf_tail_call#12\nno map", "no map"),
    ],
)
def test_the_message_is_what_stands_behind_the_last_state(log: str, message: str) -> None:
    assert message_of(log + STATISTICS) == message
    assert answer_of(22, log + STATISTICS).processed == 3


def test_logs_are_compared_without_addresses() -> None:
    theirs = "0: (18) r1 = 0xffff888100000000       ; R1=map_ptr()\nverification time 8 usec\n1: (95) exit\n"
    ours = "0: (18) r1 = 0x0 ; R1=map_ptr()\n1: (95) exit\n"
    assert comparable(theirs) == comparable(ours)
    assert first_difference(["a", "b", "c"], ["a", "b", "d"]).splitlines()[-1] == "OURS   d"


def test_unknown_keys_of_a_case_are_told() -> None:
    with pytest.raises(ValueError, match="unknown keys"):
        make_case({"name": "n", "asm": "exit", "acept": True})


def test_a_file_is_cut_into_its_cases() -> None:
    assert len(blocks('# head\n[[case]]\nname = "a"\n\n[[case]]\nname = "b"\n')) == 3
