"""Classic filters as eBPF: Linux takes what we make of them, and both let the same through."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support import classic as oracle
from tests.support.rawbpf import load
from xdpsim.errors import InputError
from xdpsim.isa.classic import AD_OFF, ANCILLARY, OPS, ClassicCode, ClassicInsn
from xdpsim.isa.classic_asm import assemble_classic
from xdpsim.isa.decode import decode, encode_all
from xdpsim.isa.disasm import disasm_all
from xdpsim.loader.classic import KFUNCS, classic_program, convert

CALLS_KERNEL = {"NLATTR", "NLATTR_NEST", "HATYPE", "PAY_OFFSET"}
PLAIN = tuple(row.offset for row in ANCILLARY.values() if row.name not in CALLS_KERNEL | {"RANDOM"})
HEADERS = bytes.fromhex("0180c2000001 020304050607")
FRAMES = [
    HEADERS + bytes.fromhex("8100 a123 0800 45000020") + bytes(range(200)),
    HEADERS + bytes.fromhex("0800 46000020") + bytes(range(220)),
    HEADERS + bytes.fromhex("86dd 60000000") + bytes(range(100, 40, -1)),
]


def test_reads_as_one_expects() -> None:
    made = convert(assemble_classic("ldh [12]\njeq #0x800, keep\nret #0\nkeep: ld #len\nret a"))
    assert disasm_all(made.code) == [
        "0: (b4) w0 = 0",
        "1: (b4) w7 = 0",
        "2: (bf) r6 = r1",
        "3: (28) r0 = *(u16 *)skb[12]",
        "4: (16) if w0 == 0x800 goto pc+2",
        "5: (b4) w0 = 0",
        "6: (95) exit",
        "7: (61) r0 = *(u32 *)(r6 +0)",
        "8: (95) exit",
    ]
    assert made.starts == (3, 4, 5, 7, 8)


def test_what_no_way_reaches_is_left_out() -> None:
    made = convert(assemble_classic("ja end\nld nla\nend: ret #1"))
    assert made.starts == (3, None, 4)
    assert made.kfuncs == ()


def test_kernel_functions_are_called_by_name() -> None:
    spec = classic_program(assemble_classic("ld nlan\nld poff\nld hatype\nld nla\nld nlan\nret a"), "watch")
    assert (spec.name, spec.type, spec.kfuncs) == ("watch", "SOCKET_FILTER", KFUNCS)
    called = [insn.imm for insn in spec.code if insn is not None and insn.op == "call"]
    assert [spec.kfuncs[index] for index in called] == [KFUNCS[at] for at in (2, 0, 3, 1, 2)]


def test_what_linux_refuses_is_not_converted() -> None:
    with pytest.raises(InputError, match="the last insn must be a ret"):
        convert((ClassicInsn(0),))


def test_the_longest_filter_converts() -> None:
    body = [ClassicInsn(0x20, k=AD_OFF + 28)] * 4094
    made = convert((ClassicInsn(0x05, k=4094), *body, ClassicInsn(0x06)))
    assert len(made.code) == 6
    made = convert((ClassicInsn(0x00), *body, ClassicInsn(0x06)))
    assert decode(encode_all(made.code)) == made.code


def single(insn: ClassicInsn) -> ClassicCode:
    stored = ClassicInsn(0x02, k=insn.k if insn.code in (0x60, 0x61) else 0)
    return (stored, insn, ClassicInsn(0x06), ClassicInsn(0x16))


@pytest.mark.live
def test_linux_takes_every_instruction() -> None:
    codes = [
        single(ClassicInsn(op.code, *((1, 0) if op.branch else ()), k=1 * (op.name != "ja"))) for op in OPS.values()
    ]
    codes += [single(ClassicInsn(0x28, k=k)) for k, row in ANCILLARY.items() if row.name not in CALLS_KERNEL]
    for code in codes:
        answer = load(encode_all(convert(code).code), prog_type="SOCKET_FILTER", log_level=1)
        assert answer.accepted, f"{code}: {answer.log}"
        os.close(answer.fd)


@pytest.fixture
def one_cpu() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.live
@pytest.mark.usefixtures("one_cpu")
def test_datagrams_pass_as_the_classic_filter_lets_them() -> None:
    with oracle.datagrams() as classic, oracle.datagrams() as ours:
        for seed in range(150):
            code = oracle.observed(oracle.random_filter(1000 + seed, ancillary=PLAIN), seed % 4)
            oracle.attach_classic(classic[1], code)
            oracle.attach_ebpf(ours[1], encode_all(convert(code).code))
            packet = oracle.random_packet(seed)
            assert oracle.passed(*ours, packet) == oracle.passed(*classic, packet), f"filter {seed}"


@pytest.mark.live
@pytest.mark.usefixtures("one_cpu")
def test_frames_on_a_device_pass_as_the_classic_filter_lets_them() -> None:
    """With device, protocol, mark, packet type and VLAN tag, each seen once going out and once coming in."""
    filters = [oracle.random_filter(seed, ancillary=PLAIN, high=seed % 2 == 1) for seed in range(100)]
    filters += [(ClassicInsn(0x20, k=AD_OFF + offset),) for offset in PLAIN]
    lo = oracle.Loopback()
    try:
        for number, code in enumerate(filters):
            for byte in range(4) if number >= 100 else (number % 4,):
                for frame in FRAMES:
                    oracle.attach_classic(lo.receiver, oracle.observed(code, byte))
                    classic = lo.passed(frame)
                    oracle.attach_ebpf(lo.receiver, encode_all(convert(oracle.observed(code, byte)).code))
                    assert lo.passed(frame) == classic, f"filter {number}"
    finally:
        lo.close()
