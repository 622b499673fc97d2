"""Instructions as text, in the words of Linux's verifier log (kernel/bpf/disasm.c); `isa.asm` reads them back.

Where Linux's words lose something, ours say it: `ll` behind a 64-bit immediate (Linux prints `r1 = 0x5` for both
forms of move), the kind of a relocated LD_IMM64, `kfunc` in front of a kfunc's id. `as_kernel=True` leaves these out.
Names of helpers, kfuncs and maps come from the caller, since their tables lie above this layer.
"""

from __future__ import annotations

from collections.abc import Callable

from xdpsim.bits import M32
from xdpsim.errors import XdpsimBug
from xdpsim.isa.insn import Code, Insn
from xdpsim.isa.rows import ALU, ATOMIC, BRANCH, Family, Imm64

Name = Callable[[int], str | None]
"""Number to name; None when there is none."""

IMM64_WORDS: dict[str, str] = {kind.name: kind.name.lower().removesuffix("_fd") for kind in Imm64}
"""How LD_IMM64 says what its immediate is: `r1 = map[0]`, `r1 = map_value[0]+8`, `r1 = func[12]`."""


def disasm(
    insn: Insn,
    *,
    helper_name: Name | None = None,
    kfunc_name: Name | None = None,
    map_name: Name | None = None,
    as_kernel: bool = False,
) -> str:
    """One instruction as text. Without names it is what `assemble` turns back into the same instruction."""
    match insn.family:
        case Family.CALL_HELPER:
            return _call_helper(insn, helper_name, as_kernel)
        case Family.CALL_KFUNC:
            return _call_kfunc(insn, kfunc_name, as_kernel)
        case Family.LD_IMM64:
            return _ld_imm64(insn, map_name, as_kernel)
        case Family.EXIT:
            return "exit" if as_kernel or not insn.off else f"exit off {insn.off}"
        case _:
            return _PLAIN[insn.family](insn)


def disasm_all(
    code: Code,
    *,
    helper_name: Name | None = None,
    kfunc_name: Name | None = None,
    map_name: Name | None = None,
    as_kernel: bool = False,
) -> list[str]:
    """A whole program, a line per instruction: `3: (b7) r0 = 2`, with the slot first as Linux's log has it."""
    return [
        f"{slot}: ({insn.opcode:02x}) "
        + disasm(insn, helper_name=helper_name, kfunc_name=kfunc_name, map_name=map_name, as_kernel=as_kernel)
        for slot, insn in enumerate(code)
        if insn is not None
    ]


def _letter(insn: Insn) -> str:
    return "r" if insn.bits == 64 else "w"


def _pointer(kind: str, insn: Insn, base: int) -> str:
    return f"({kind}{insn.width * 8} *)(r{base} {insn.off:+d})"


def _second(insn: Insn) -> str:
    return f"{_letter(insn)}{insn.src}" if insn.uses_reg else str(insn.imm)


def _alu(insn: Insn) -> str:
    return f"{_letter(insn)}{insn.dst} {ALU[insn.op].symbol} {_second(insn)}"


def _neg(insn: Insn) -> str:
    return f"{_letter(insn)}{insn.dst} = -{_letter(insn)}{insn.dst}"


def _mov(insn: Insn) -> str:
    return f"{_letter(insn)}{insn.dst} = {_second(insn)}"


def _movsx(insn: Insn) -> str:
    return f"{_letter(insn)}{insn.dst} = (s{insn.off}){_letter(insn)}{insn.src}"


def _endian(insn: Insn) -> str:
    return f"r{insn.dst} = {insn.op}{insn.bits} r{insn.dst}"


def _addr_space_cast(insn: Insn) -> str:
    return f"r{insn.dst} = addr_space_cast(r{insn.src}, {insn.imm >> 16}, {insn.imm & 0xFFFF})"


def _load(insn: Insn) -> str:
    return f"r{insn.dst} = *{_pointer('u', insn, insn.src)}"


def _load_sx(insn: Insn) -> str:
    return f"r{insn.dst} = *{_pointer('s', insn, insn.src)}"


def _store_imm(insn: Insn) -> str:
    return f"*{_pointer('u', insn, insn.dst)} = {insn.imm}"


def _store_reg(insn: Insn) -> str:
    return f"*{_pointer('u', insn, insn.dst)} = r{insn.src}"


def _atomic(insn: Insn) -> str:
    pointer, row = _pointer("u", insn, insn.dst), ATOMIC[insn.op]
    if not row.fetch:
        return f"lock *{pointer} {ALU[insn.op].symbol} r{insn.src}"
    function = f"atomic{'64' if insn.bits == 64 else ''}_{insn.op}"
    if insn.op == "cmpxchg":
        return f"r0 = {function}({pointer}, r0, r{insn.src})"
    return f"r{insn.src} = {function}({pointer}, r{insn.src})"


def _load_acquire(insn: Insn) -> str:
    return f"r{insn.dst} = load_acquire({_pointer('u', insn, insn.src)})"


def _store_release(insn: Insn) -> str:
    return f"store_release({_pointer('u', insn, insn.dst)}, r{insn.src})"


def _ld_packet(insn: Insn) -> str:
    index = str(insn.imm) if insn.op == "abs" else f"r{insn.src} + {insn.imm}"
    return f"r0 = *(u{insn.width * 8} *)skb[{index}]"


def _ld_imm64(insn: Insn, map_name: Name | None, as_kernel: bool) -> str:
    start = f"r{insn.dst} = "
    if insn.op == Imm64.VALUE.name or as_kernel:
        return f"{start}{insn.imm64:#x}" + ("" if as_kernel else " ll")
    name = map_name(insn.imm) if map_name and insn.op.startswith("MAP") else None
    return f"{start}{IMM64_WORDS[insn.op]}[{name or insn.imm}]" + (f"{insn.next_imm:+d}" if insn.next_imm else "")


def _jump(insn: Insn) -> str:
    return f"{insn.op} pc{insn.jump_offset:+d}"


def _branch(insn: Insn) -> str:
    second = f"{_letter(insn)}{insn.src}" if insn.uses_reg else f"{insn.imm & M32:#x}"
    return f"if {_letter(insn)}{insn.dst} {BRANCH[insn.op].symbol} {second} goto pc{insn.off:+d}"


def _call_helper(insn: Insn, name: Name | None, as_kernel: bool) -> str:
    if name is None and not as_kernel:
        return f"call {insn.imm}"
    return f"call {(name and name(insn.imm)) or 'unknown'}#{insn.imm}"


def _call_local(insn: Insn) -> str:
    return f"call pc{insn.imm:+d}"


def _call_kfunc(insn: Insn, name: Name | None, as_kernel: bool) -> str:
    text = (name and name(insn.imm)) or ("kernel-function" if as_kernel else "")
    if as_kernel:
        return f"call {text}#{insn.imm}"
    return f"call kfunc {text}#{insn.imm}" + (f" off {insn.off}" if insn.off else "")


def _impossible(insn: Insn) -> str:
    raise XdpsimBug(f"an instruction of family {insn.family.name} reached the disassembler: decode makes none")


_PLAIN: dict[Family, Callable[[Insn], str]] = {
    Family.ALU: _alu,
    Family.NEG: _neg,
    Family.MOV: _mov,
    Family.MOVSX: _movsx,
    Family.ENDIAN: _endian,
    Family.ADDR_SPACE_CAST: _addr_space_cast,
    Family.LOAD: _load,
    Family.LOAD_SX: _load_sx,
    Family.STORE_IMM: _store_imm,
    Family.STORE_REG: _store_reg,
    Family.ATOMIC: _atomic,
    Family.LOAD_ACQUIRE: _load_acquire,
    Family.STORE_RELEASE: _store_release,
    Family.LD_PACKET: _ld_packet,
    Family.JUMP: _jump,
    Family.MAY_GOTO: _jump,
    Family.BRANCH: _branch,
    Family.CALL_LOCAL: _call_local,
    Family.CALL_REG: _impossible,
}
