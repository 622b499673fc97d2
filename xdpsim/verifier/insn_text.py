"""An insn as Linux's verifier log prints it, opcode in front: `(b7) r0 = 0`.

Follows print_bpf_insn of kernel/bpf/disasm.c with the callbacks of verbose_insn. Linux prints the address of a map
where LD_IMM64 names one; there is none here, so the pointer is POINTER whatever the map.
"""

from __future__ import annotations

from collections.abc import Callable

from xdpsim.helpers.ids import HELPERS_BY_ID
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import ALU, ATOMIC, BRANCH, Family, Imm64
from xdpsim.verifier.env import Env

POINTER = 0xFFFF_0000_0000_0000
_MAP_KINDS = (Imm64.MAP_FD.value, Imm64.MAP_VALUE.value, Imm64.MAP_IDX.value, Imm64.MAP_IDX_VALUE.value)


def insn_text(env: Env, insn: Insn) -> str:
    """One insn, without slot number and newline."""
    return f"({insn.opcode:02x}) {_PRINT[insn.family](env, insn)}"


def helper_name(number: int) -> str:
    """The name that messages give to the helper of that number (func_id_name)."""
    known = HELPERS_BY_ID.get(number)
    if known is not None:
        return known.name
    return "unknown" if number else "bpf_unspec"


def _letter(insn: Insn) -> str:
    return "r" if insn.bits == 64 else "w"


def _alu(env: Env, insn: Insn) -> str:
    letter, symbol = _letter(insn), ALU[insn.op].symbol
    right = f"{letter}{insn.src}" if insn.uses_reg else f"{insn.imm}"
    return f"{letter}{insn.dst} {symbol} {right}"


def _neg(env: Env, insn: Insn) -> str:
    letter = _letter(insn)
    return f"{letter}{insn.dst} = -{letter}{insn.dst}"


def _mov(env: Env, insn: Insn) -> str:
    letter = _letter(insn)
    return f"{letter}{insn.dst} = " + (f"{letter}{insn.src}" if insn.uses_reg else f"{insn.imm}")


def _movsx(env: Env, insn: Insn) -> str:
    letter = _letter(insn)
    return f"{letter}{insn.dst} = (s{insn.off}){letter}{insn.src}"


def _endian(env: Env, insn: Insn) -> str:
    kind = insn.op.removeprefix("to_")
    return f"r{insn.dst} = {kind}{insn.imm} r{insn.dst}"


def _addr_space_cast(env: Env, insn: Insn) -> str:
    return f"r{insn.dst} = addr_space_cast(r{insn.src}, {(insn.imm >> 16) & 0xFFFF}, {insn.imm & 0xFFFF})"


def _place(insn: Insn, register: int, sign: str = "u") -> str:
    return f"({sign}{insn.width * 8} *)(r{register} {insn.off:+d})"


def _load(env: Env, insn: Insn) -> str:
    return f"r{insn.dst} = *{_place(insn, insn.src, 's' if insn.family is Family.LOAD_SX else 'u')}"


def _store_imm(env: Env, insn: Insn) -> str:
    return f"*{_place(insn, insn.dst)} = {insn.imm}"


def _store_reg(env: Env, insn: Insn) -> str:
    return f"*{_place(insn, insn.dst)} = r{insn.src}"


def _atomic(env: Env, insn: Insn) -> str:
    place, wide = _place(insn, insn.dst), "64" if insn.width == 8 else ""
    if insn.op == "cmpxchg":
        return f"r0 = atomic{wide}_cmpxchg({place}, r0, r{insn.src})"
    if ATOMIC[insn.op].fetch:
        return f"r{insn.src} = atomic{wide}_{insn.op}({place}, r{insn.src})"
    return f"lock *{place} {ALU[insn.op].symbol} r{insn.src}"


def _load_acquire(env: Env, insn: Insn) -> str:
    return f"r{insn.dst} = load_acquire({_place(insn, insn.src)})"


def _store_release(env: Env, insn: Insn) -> str:
    return f"store_release({_place(insn, insn.dst)}, r{insn.src})"


def _ld_imm64(env: Env, insn: Insn) -> str:
    value = insn.imm64
    if insn.src in _MAP_KINDS:
        value = POINTER if env.allow_ptr_leaks else 0
    return f"r{insn.dst} = 0x{value:x}"


def _ld_packet(env: Env, insn: Insn) -> str:
    index = f"r{insn.src} + {insn.imm}" if insn.opcode & 0xE0 == 0x40 else f"{insn.imm}"
    return f"r0 = *(u{insn.width * 8} *)skb[{index}]"


def _jump(env: Env, insn: Insn) -> str:
    return f"{'gotol' if insn.op == 'gotol' else 'goto'} pc{insn.jump_offset:+d}"


def _branch(env: Env, insn: Insn) -> str:
    letter = _letter(insn)
    right = f"{letter}{insn.src}" if insn.uses_reg else f"0x{insn.imm & 0xFFFF_FFFF:x}"
    return f"if {letter}{insn.dst} {BRANCH[insn.op].symbol} {right} goto pc{insn.off:+d}"


def _may_goto(env: Env, insn: Insn) -> str:
    return f"may_goto pc{insn.off:+d}"


def _call_helper(env: Env, insn: Insn) -> str:
    return f"call {helper_name(insn.imm)}#{insn.imm}"


def _call_local(env: Env, insn: Insn) -> str:
    return f"call pc{insn.imm:+d}"


def _call_kfunc(env: Env, insn: Insn) -> str:
    """The number is the id in the kernel's BTF, which differs between builds: the index into the program's kfuncs."""
    return f"call {env.spec.kfuncs[insn.imm]}#{insn.imm}"


def _exit(env: Env, insn: Insn) -> str:
    return "exit"


_PRINT: dict[Family, Callable[[Env, Insn], str]] = {
    Family.ALU: _alu,
    Family.NEG: _neg,
    Family.MOV: _mov,
    Family.MOVSX: _movsx,
    Family.ENDIAN: _endian,
    Family.ADDR_SPACE_CAST: _addr_space_cast,
    Family.LOAD: _load,
    Family.LOAD_SX: _load,
    Family.STORE_IMM: _store_imm,
    Family.STORE_REG: _store_reg,
    Family.ATOMIC: _atomic,
    Family.LOAD_ACQUIRE: _load_acquire,
    Family.STORE_RELEASE: _store_release,
    Family.LD_IMM64: _ld_imm64,
    Family.LD_PACKET: _ld_packet,
    Family.JUMP: _jump,
    Family.BRANCH: _branch,
    Family.MAY_GOTO: _may_goto,
    Family.CALL_HELPER: _call_helper,
    Family.CALL_LOCAL: _call_local,
    Family.CALL_KFUNC: _call_kfunc,
    Family.EXIT: _exit,
}
