"""Classic BPF: the ways to write a filter, the rules of Linux, and that ours are the same by recorded answers."""

from __future__ import annotations

import pytest

from tests.support import classic as oracle
from tests.support.oracle import golden
from xdpsim.errors import InputError
from xdpsim.isa.classic import ANCILLARY, OPS, ClassicInsn, decode_classic, encode_classic
from xdpsim.isa.classic_asm import assemble_classic, disasm_classic_all
from xdpsim.isa.classic_check import check_classic
from xdpsim.isa.classic_input import parse_classic

# `tcpdump -y EN10MB` on "tcp port 80", cut to its IPv4 half, in the forms that tcpdump prints.
TCPDUMP_D = """\
(000) ldh      [12]
(001) jeq      #0x800           jt 2\tjf 11
(002) ldb      [23]
(003) jeq      #0x6             jt 4\tjf 11
(004) ldh      [20]
(005) jset     #0x1fff          jt 11\tjf 6
(006) ldxb     4*([14]&0xf)
(007) ldh      [x + 14]
(008) jeq      #0x50            jt 10\tjf 9
(009) ldh      [x + 16]
(010) jeq      #0x50            jt 12\tjf 11
(011) ret      #0
(012) ret      #262144
"""
ROWS = [
    (40, 0, 0, 12),
    (21, 0, 9, 2048),
    (48, 0, 0, 23),
    (21, 0, 7, 6),
    (40, 0, 0, 20),
    (69, 5, 0, 8191),
    (177, 0, 0, 14),
    (72, 0, 0, 14),
    (21, 1, 0, 80),
    (72, 0, 0, 16),
    (21, 1, 0, 80),
    (6, 0, 0, 0),
    (6, 0, 0, 262144),
]
BPF_ASM = """\
        ldh [12]              ; EtherType
        jneq #0x800, drop     /* IPv4
                                 only */
        ldb [23]
        jne #6, drop
        ldh [20]
        jset #0x1fff, drop
        ldx 4*([14] & 0xf)    // header length
        ldh [%x + 14]
        jeq #80, keep
        ldh [x+16]
        jeq #0x50, keep
drop:   ret #0
keep:   ret #262144
"""
FILTER = tuple(ClassicInsn(*row) for row in ROWS)
NUMBERS = f"{len(ROWS)}\n" + "".join("{} {} {} {}\n".format(*row) for row in ROWS)
C_ARRAY = "".join(f"{{ {code:#x}, {jt}, {jf}, {k:#010x} }},\n" for code, jt, jf, k in ROWS)


@pytest.mark.parametrize(
    "source",
    [
        TCPDUMP_D,
        NUMBERS,
        NUMBERS.replace("\n", ",").rstrip(","),
        C_ARRAY,
        f"struct sock_filter code[] = {{ /* a comment */\n{C_ARRAY}}};\n",
        encode_classic(FILTER),
    ],
    ids=["tcpdump -d", "tcpdump -ddd", "xt_bpf", "tcpdump -dd", "C definition", "bytes"],
)
def test_every_form_gives_the_same_filter(source: str | bytes) -> None:
    assert parse_classic(source) == FILTER


def test_bpf_asm_with_comments_and_labels() -> None:
    code = parse_classic(BPF_ASM)
    assert [insn.k for insn in code] == [row[3] for row in ROWS]
    assert code[1] == ClassicInsn(0x15, 0, 9, 0x800)
    assert code[5] == ClassicInsn(0x45, 5, 0, 0x1FFF)


def test_braces_in_comments_make_no_c_array() -> None:
    assert parse_classic("/* { 6 */ ret a ; {") == (ClassicInsn(0x16),)


def test_long_lines_do_not_take_long() -> None:
    for text in ("jeq #1" + " " * 100_000 + "jt", "ld #" + "9" * 100_000, "1 " * 100_000, "{1,2,3,4}," * 10_000):
        with pytest.raises(InputError):
            parse_classic(text)


def test_disassembly_is_bpf_asm() -> None:
    assert disasm_classic_all(FILTER)[:2] == ["     ldh [12]", "     jneq #0x800, l11"]
    assert disasm_classic_all(FILTER)[11:] == ["l11: ret #0", "l12: ret #262144"]


def test_disasm_then_asm_is_the_identity() -> None:
    for seed in range(oracle.FILTERS):
        code = oracle.observed(oracle.random_filter(seed, ancillary=oracle.UNIX_ANCILLARY), 0)
        assert assemble_classic("\n".join(disasm_classic_all(code))) == code
        assert decode_classic(encode_classic(code)) == code


def test_every_instruction_and_every_word_can_be_written() -> None:
    for op in OPS.values():
        jumps = (1, 1) if op.branch else (0, 0)
        code = (ClassicInsn(op.code, *jumps), ClassicInsn(0x06), ClassicInsn(0x06))
        assert assemble_classic("\n".join(disasm_classic_all(code))) == code, op
    for k, row in ANCILLARY.items():
        for word in row.words:
            assert assemble_classic(f"ld {word}\nldh #{word}\nldb [{word}]") == tuple(
                ClassicInsn(code, k=k) for code in (0x20, 0x28, 0x30)
            )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ldq [0]", "line 1: 'ldq [0]': expected one of add and"),
        ("ret a\n ld foo", "line 2: 'ld foo': expected an operand such as #5"),
        ("ret x", "expected behind ret one of: #number, a"),
        ("jeq #1", "expected 'jeq #number, label' or '.., label, label'"),
        ("jneq #1, a, b", "expected 'jneq #number, label'"),
        ("jeq #1, out\nret a", "expected a label for 'out'; labels: none"),
        ("l: ld #1\nja l", "expected a target behind the jump: l is insn 0"),
        ("x1: ld #1\nx1: ret a", "expected a new name: label x1 is that of insn 0"),
        ("ld #4294967296", "expected a number of 32 bits, not 4294967296"),
        ("ld #08", "expected a number, not 08"),
        ("jeq #1, far\n" + "tax\n" * 300 + "far: ret a", "expected a target at most 255 insns ahead: it is 300 away"),
        ("3\n6 0 0 0", "line 1: 3 where the number of insns stands, 1 lines follow"),
        ("1\n6 0 0", "line 2: 3 numbers, expected code, jt, jf and k"),
        ("1\n6 300 0 0", "line 2: jt is 300, expected 0 to 255"),
        ("{ 6, 0, 0, zero },", "entry 0: k is 'zero', expected a number"),
        ("{ 6, 0, 0, 0 }, more", "'more': expected entries such as"),
        ("", "classic filter of 0 insns: expected 1 to 4096"),
        ("tax\n" * 4096 + "ret a", "classic filter of 4097 insns"),
        ("ld #1", r"insn 0 (ld #1): the last insn must be a ret"),
        ("div #0\nret a", "insn 0 (div #0): division by zero"),
        ("lsh #32\nret a", "insn 0 (lsh #32): shift by 32: expected 0 to 31"),
        ("ld M[16]\nret a", "insn 0 (ld M[16]): there is no M[16]"),
        ("ld M[2]\nret a", "insn 0 (ld M[2]): M[2] is not set on every way here"),
        ("ld [0xfffff001]\nret a", "insn 0 (ld [0xfffff001]): no ancillary load at SKF_AD_OFF + 1"),
        ("2\n21 0 1 0,6 0 0 0", "insn 0 (jneq #0x0, l2): jumps 1 insns ahead, out of the filter: expected below 1"),
        ("2\n5 0 0 1,6 0 0 0", "insn 0 (ja l2): jumps 1 insns ahead, out of the filter: expected below 1"),
        ("1\n14 0 0 0", "insn 0: unknown code 0x000e"),
    ],
)
def test_mistakes_are_told(text: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_classic(text)
    assert problem in caught.value.message


def test_bytes_come_in_eights() -> None:
    with pytest.raises(InputError, match="12 bytes of classic BPF: expected a multiple of 8"):
        parse_classic(bytes(12))


def accepted(seed: int) -> bool:
    try:
        check_classic(oracle.mutated(seed))
    except InputError:
        return False
    return True


@pytest.mark.golden
def test_takes_and_refuses_what_linux_does() -> None:
    ours = "".join("01"[accepted(seed)] for seed in range(oracle.MUTATIONS))
    assert ours == golden(oracle.NAME)["accepts"]


@pytest.mark.golden
def test_the_reference_evaluator_answers_as_linux_did() -> None:
    recorded = golden(oracle.NAME)["passed"]
    for number, code, packet in oracle.cases():
        ours = [min(oracle.evaluate(oracle.observed(code, byte), packet), oracle.PACKET_BYTES) for byte in range(4)]
        assert ours == recorded[number], f"case {number}"


@pytest.mark.live
def test_linux_still_answers_so() -> None:
    assert oracle.record_classic() == golden(oracle.NAME)
