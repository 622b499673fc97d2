"""Classic BPF, declared once: its instructions, its addressing forms and its ancillary loads (SKF_AD_*).

What `tcpdump -ddd`, SO_ATTACH_FILTER and xt_bpf speak: an accumulator A, an index register X, sixteen words M[].
Follows Documentation/networking/filter.rst and include/uapi/linux/filter.h; what Linux allows is checked by
classic_check.py, text is read and written by classic_asm.py, and loader/classic.py turns filters into eBPF.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

from xdpsim.errors import InputError

MAX_INSNS = 4096
"""BPF_MAXINSNS."""
MEMWORDS = 16
"""BPF_MEMWORDS: words of scratch memory."""
AD_OFF = 0xFFFF_F000
"""SKF_AD_OFF (-0x1000), unsigned: absolute loads from here on are ancillary."""

_SLOT = struct.Struct("<HBBI")


class Form(Enum):
    """How an instruction says what it works on; the value is how it is written, `{k}` being its number."""

    ABSOLUTE = "[{k}]"
    INDIRECT = "[x + {k}]"
    LENGTH = "#len"
    NUMBER = "#{k}"
    MEMORY = "M[{k}]"
    HEADER = "4*([{k}]&0xf)"
    INDEX = "x"
    ACCUMULATOR = "a"
    NOTHING = ""
    TARGET = "{k}"


@dataclass(frozen=True, slots=True)
class ClassicOp:
    """One opcode; a `branch` compares A and has two targets."""

    code: int
    name: str
    form: Form
    branch: bool = False


_ALU = ("add", "sub", "mul", "div", "or", "and", "lsh", "rsh", "neg", "mod", "xor")
_BRANCH = ("jeq", "jgt", "jge", "jset")
_NUMBER_OR_INDEX = ((0x00, Form.NUMBER), (0x08, Form.INDEX))

OPS: dict[int, ClassicOp] = {
    op.code: op
    for op in (
        ClassicOp(0x20, "ld", Form.ABSOLUTE),
        ClassicOp(0x28, "ldh", Form.ABSOLUTE),
        ClassicOp(0x30, "ldb", Form.ABSOLUTE),
        ClassicOp(0x40, "ld", Form.INDIRECT),
        ClassicOp(0x48, "ldh", Form.INDIRECT),
        ClassicOp(0x50, "ldb", Form.INDIRECT),
        ClassicOp(0x80, "ld", Form.LENGTH),
        ClassicOp(0x00, "ld", Form.NUMBER),
        ClassicOp(0x60, "ld", Form.MEMORY),
        ClassicOp(0x81, "ldx", Form.LENGTH),
        ClassicOp(0xB1, "ldxb", Form.HEADER),
        ClassicOp(0x01, "ldx", Form.NUMBER),
        ClassicOp(0x61, "ldx", Form.MEMORY),
        ClassicOp(0x02, "st", Form.MEMORY),
        ClassicOp(0x03, "stx", Form.MEMORY),
        *(
            ClassicOp(0x04 + 0x10 * at + bit, name, form)
            for at, name in enumerate(_ALU)
            for bit, form in _NUMBER_OR_INDEX
            if name != "neg"
        ),
        ClassicOp(0x84, "neg", Form.NOTHING),
        ClassicOp(0x05, "ja", Form.TARGET),
        *(
            ClassicOp(0x15 + 0x10 * at + bit, name, form, branch=True)
            for at, name in enumerate(_BRANCH)
            for bit, form in _NUMBER_OR_INDEX
        ),
        ClassicOp(0x06, "ret", Form.NUMBER),
        ClassicOp(0x16, "ret", Form.ACCUMULATOR),
        ClassicOp(0x07, "tax", Form.NOTHING),
        ClassicOp(0x87, "txa", Form.NOTHING),
    )
}
WIDTHS: dict[str, int] = {"ld": 4, "ldh": 2, "ldb": 1}
"""Bytes that a load from the packet takes."""


@dataclass(frozen=True, slots=True)
class Ancillary:
    """SKF_AD_`name`: a load at AD_OFF + `offset`. `words` are bpf_asm's, the first is the one we write."""

    name: str
    offset: int
    words: tuple[str, ...] = ()


ANCILLARY: dict[int, Ancillary] = {
    AD_OFF + row.offset: row
    for row in (
        Ancillary("PROTOCOL", 0, ("proto",)),
        Ancillary("PKTTYPE", 4, ("type",)),
        Ancillary("IFINDEX", 8, ("ifidx",)),
        Ancillary("NLATTR", 12, ("nla",)),
        Ancillary("NLATTR_NEST", 16, ("nlan",)),
        Ancillary("MARK", 20, ("mark",)),
        Ancillary("QUEUE", 24, ("queue",)),
        Ancillary("HATYPE", 28, ("hatype",)),
        Ancillary("RXHASH", 32, ("rxhash",)),
        Ancillary("CPU", 36, ("cpu",)),
        Ancillary("ALU_XOR_X", 40),
        Ancillary("VLAN_TAG", 44, ("vlan_tci",)),
        Ancillary("VLAN_TAG_PRESENT", 48, ("vlan_avail", "vlan_pr")),
        Ancillary("PAY_OFFSET", 52, ("poff",)),
        Ancillary("RANDOM", 56, ("rand",)),
        Ancillary("VLAN_TPID", 60, ("vlan_tpid",)),
    )
}


@dataclass(frozen=True, slots=True)
class ClassicInsn:
    """struct sock_filter: 16-bit `code`, jump distances `jt` and `jf`, unsigned 32-bit `k`."""

    code: int
    jt: int = 0
    jf: int = 0
    k: int = 0

    @property
    def op(self) -> ClassicOp | None:
        """What its code means; None when Linux knows no such code."""
        return OPS.get(self.code)

    @property
    def ancillary(self) -> Ancillary | None:
        """The SKF_AD row when it is an ancillary load."""
        return ANCILLARY.get(self.k) if self.op is not None and self.op.form is Form.ABSOLUTE else None


ClassicCode = tuple[ClassicInsn, ...]
"""A filter; jumps count instructions, from the one behind."""


def decode_classic(raw: bytes) -> ClassicCode:
    """A filter from an array of struct sock_filter (little-endian); InputError when it is no multiple of 8 bytes."""
    if len(raw) % _SLOT.size:
        raise InputError(f"{len(raw)} bytes of classic BPF: expected a multiple of 8")
    return tuple(ClassicInsn(*fields) for fields in _SLOT.iter_unpack(raw))


def encode_classic(code: ClassicCode) -> bytes:
    """The array of struct sock_filter; inverse of `decode_classic`."""
    return b"".join(_SLOT.pack(insn.code, insn.jt, insn.jf, insn.k) for insn in code)


def targets(insn: ClassicInsn, at: int) -> tuple[int, ...]:
    """Where execution may go on behind the instruction at `at`: none for ret, (true, false) for a branch."""
    op = insn.op
    if op is None or op.name == "ret":
        return ()
    if op.name == "ja":
        return (at + 1 + insn.k,)
    return (at + 1 + insn.jt, at + 1 + insn.jf) if op.branch else (at + 1,)
