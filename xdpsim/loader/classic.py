"""Classic filters as eBPF programs of type SOCKET_FILTER: what bpf_convert_filter() of net/core/filter.c means.

A is r0, X r7, the context r6, M[] the stack. Where Linux's conversion reads struct sk_buff, ours reads __sk_buff, so
that the result is an ordinary program that Linux's verifier takes as well. For what __sk_buff does not show (payload
offset, netlink attributes, hardware type) it calls functions of the kernel by their names in net/core/filter.c, as
Linux's conversion does; they are in `kfuncs`. Instructions that no way reaches are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xdpsim.bits import signed
from xdpsim.helpers.ids import HELPERS_BY_ID
from xdpsim.isa.asm import assemble
from xdpsim.isa.classic import MEMWORDS, WIDTHS, ClassicCode, ClassicInsn, ClassicOp, Form, targets
from xdpsim.isa.classic_check import check_classic
from xdpsim.isa.insn import Code
from xdpsim.loader.model import ProgramSpec, Subprogram
from xdpsim.progtypes.skb import skb_context

PROGRAM_TYPE = "SOCKET_FILTER"
KFUNCS = ("bpf_skb_get_pay_offset", "bpf_skb_get_nlattr", "bpf_skb_get_nlattr_nest", "bpf_skb_get_hatype")
"""Called with (skb, A, X). Linux reads the last, dev->type, in place and has no name for it."""
_CONTEXT = skb_context(PROGRAM_TYPE)
_HELPERS = {row.name: row.id for row in HELPERS_BY_ID.values()}
_BRANCHES = {"jeq": "==", "jgt": ">", "jge": ">=", "jset": "&"}
_OPPOSITES = {"jeq": "!=", "jgt": "<=", "jge": "<"}
_ALU = {"add": "+=", "sub": "-=", "mul": "*=", "or": "|=", "and": "&=", "lsh": "<<=", "rsh": ">>=", "xor": "^="} | {
    "div": "/=",
    "mod": "%=",
}


@dataclass(frozen=True)
class Converted:
    """The eBPF of a filter; `starts[i]` is the first slot of classic instruction i, None where no way leads."""

    code: Code
    starts: tuple[int | None, ...]
    kfuncs: tuple[str, ...]


def convert(code: ClassicCode) -> Converted:
    """The filter as eBPF; InputError where Linux refuses it."""
    check_classic(code)
    alive = _reachable(code)
    lines = ["w0 = 0", "w7 = 0", "r6 = r1"]
    starts: list[int | None] = []
    for at, insn in enumerate(code):
        starts.append(len(lines) if at in alive else None)
        if at in alive:
            body = _body(at, insn)
            lines += [f"c{at}: {body[0]}", *body[1:]] if body else [f"c{at}: goto +0"]
    used = tuple(name for name in KFUNCS if f"call {name}" in lines)
    numbers = {f"call {name}": f"call kfunc #{index}" for index, name in enumerate(used)}
    return Converted(assemble("\n".join(numbers.get(line, line) for line in lines)), tuple(starts), used)


def classic_program(code: ClassicCode, name: str = "filter") -> ProgramSpec:
    """A program that filters as `code` does, as the loader makes programs of object files."""
    made = convert(code)
    subprograms = (Subprogram(name, 0),)
    return ProgramSpec(name, "socket", PROGRAM_TYPE, 0, made.code, subprograms, (), "GPL", kfuncs=made.kfuncs)


def _reachable(code: ClassicCode) -> set[int]:
    seen, left = {0}, [0]
    while left:
        at = left.pop()
        for target in targets(code[at], at):
            if target not in seen:
                seen.add(target)
                left.append(target)
    return seen


def _body(at: int, insn: ClassicInsn) -> list[str]:
    """The statements of one instruction, none for one without effect; each fills one slot."""
    op = insn.op
    assert op is not None
    if op.name == "ja":
        return [f"goto c{targets(insn, at)[0]}"] if insn.k else []
    if op.branch:
        return _branch(at, insn, op)
    if op.name == "ret":
        return ["exit"] if op.form is Form.ACCUMULATOR else [f"w0 = {_number(insn)}", "exit"]
    if op.name in _ALU:
        return _arithmetic(insn, op)
    if insn.ancillary is not None:
        return _ANCILLARY[insn.ancillary.name]
    return _OTHERS[op.name, op.form](insn)


def _branch(at: int, insn: ClassicInsn, op: ClassicOp) -> list[str]:
    if_true, if_false = targets(insn, at)
    if if_true == if_false:
        return [f"goto c{if_true}"] if insn.jt else []
    second = "w7" if op.form is Form.INDEX else str(_number(insn))
    if insn.jt == 0 and op.name in _OPPOSITES:
        return [f"if w0 {_OPPOSITES[op.name]} {second} goto c{if_false}"]
    jump = [f"if w0 {_BRANCHES[op.name]} {second} goto c{if_true}"]
    return [*jump, f"goto c{if_false}"] if insn.jf else jump


def _arithmetic(insn: ClassicInsn, op: ClassicOp) -> list[str]:
    if op.form is Form.NUMBER:
        return [f"w0 {_ALU[op.name]} {_number(insn)}"]
    plain = f"w0 {_ALU[op.name]} w7"
    # A division by X = 0 ends the filter with 0; eBPF's would go on.
    return ["if w7 != 0 goto +2", "w0 = 0", "exit", plain] if op.name in ("div", "mod") else [plain]


def _number(insn: ClassicInsn) -> int:
    return signed(insn.k, 32)


def _word(insn: ClassicInsn) -> str:
    return f"*(u32 *)(r10 {4 * (insn.k - MEMWORDS)})"


def _field(name: str, register: str = "r0") -> str:
    return f"{register} = *(u32 *)(r6 +{_CONTEXT.field(name).offset})"


def _packet(width: int, place: str) -> str:
    return f"r0 = *(u{width * 8} *)skb[{place}]"


def _header_length(insn: ClassicInsn) -> list[str]:
    """X = 4 * (low half of a byte of the packet), with A kept."""
    return ["r8 = r0", _packet(1, str(_number(insn))), "w0 &= 15", "w0 <<= 2", "r7 = r0", "r0 = r8"]


_OTHERS: dict[tuple[str, Form], Callable[[ClassicInsn], list[str]]] = {
    **{
        (name, form): lambda insn, w=width, i=start: [_packet(w, f"{i}{_number(insn)}")]  # type: ignore[misc]
        for name, width in WIDTHS.items()
        for form, start in ((Form.ABSOLUTE, ""), (Form.INDIRECT, "r7 + "))
    },
    ("ld", Form.LENGTH): lambda insn: [_field("len")],
    ("ld", Form.NUMBER): lambda insn: [f"w0 = {_number(insn)}"],
    ("ld", Form.MEMORY): lambda insn: [f"r0 = {_word(insn)}"],
    ("ldx", Form.LENGTH): lambda insn: [_field("len", "r7")],
    ("ldx", Form.NUMBER): lambda insn: [f"w7 = {_number(insn)}"],
    ("ldx", Form.MEMORY): lambda insn: [f"r7 = {_word(insn)}"],
    ("ldxb", Form.HEADER): _header_length,
    ("st", Form.MEMORY): lambda insn: [f"{_word(insn)} = r0"],
    ("stx", Form.MEMORY): lambda insn: [f"{_word(insn)} = r7"],
    ("neg", Form.NOTHING): lambda insn: ["w0 = -w0"],
    ("tax", Form.NOTHING): lambda insn: ["r7 = r0"],
    ("txa", Form.NOTHING): lambda insn: ["r0 = r7"],
}


def _calls(name: str) -> list[str]:
    return ["r1 = r6", "r2 = r0", "r3 = r7", f"call {name}"]


# Without a device the filter ends with what A held.
_NEEDS_DEVICE = [_field("ifindex", "r8"), "if w8 != 0 goto +1", "exit"]

_ANCILLARY: dict[str, list[str]] = {
    "PROTOCOL": [_field("protocol"), "r0 = be16 r0"],
    "PKTTYPE": [_field("pkt_type")],
    "IFINDEX": [*_NEEDS_DEVICE, "r0 = r8"],
    "NLATTR": _calls("bpf_skb_get_nlattr"),
    "NLATTR_NEST": _calls("bpf_skb_get_nlattr_nest"),
    "MARK": [_field("mark")],
    "QUEUE": [_field("queue_mapping")],
    "HATYPE": [*_NEEDS_DEVICE, *_calls("bpf_skb_get_hatype")],
    "RXHASH": [_field("hash")],
    "CPU": [f"call {_HELPERS['bpf_get_smp_processor_id']}"],
    "ALU_XOR_X": ["w0 ^= w7"],
    "VLAN_TAG": [_field("vlan_tci")],
    "VLAN_TAG_PRESENT": [_field("vlan_present")],
    "PAY_OFFSET": _calls("bpf_skb_get_pay_offset"),
    "RANDOM": [f"call {_HELPERS['bpf_get_prandom_u32']}"],
    "VLAN_TPID": [_field("vlan_proto"), "r0 = be16 r0"],
}
