"""eBPF instructions as LLVM IR, one small function per family, one line of data per operation.

Nothing is inherited from LLVM's undefined cases: divisors and INT_MIN / -1 are guarded, shift counts masked, loads and
stores have alignment 1, and no `nsw` or `nuw` appears (HOUSE_STYLE: emitted code).
"""

from __future__ import annotations

from collections.abc import Callable

from xdpsim.bits import mask
from xdpsim.engines.jit.access import atomic, load, load_packet, store
from xdpsim.engines.jit.calls import call_helper, call_local
from xdpsim.engines.jit.function import FunctionEmitter
from xdpsim.engines.limits import MAY_GOTO_LIMIT
from xdpsim.engines.resolve import only_way
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import Family
from xdpsim.verifier.cfg import successors

AluEmitter = Callable[[FunctionEmitter, str, str, int], str]


def _plain(opcode: str) -> AluEmitter:
    return lambda f, a, b, bits: f.value(f"{opcode} i{bits} {a}, {b}")


def _shift(opcode: str) -> AluEmitter:
    def emit(f: FunctionEmitter, a: str, b: str, bits: int) -> str:
        count = f.value(f"and i{bits} {b}, {bits - 1}")
        return f.value(f"{opcode} i{bits} {a}, {count}")

    return emit


def _division(opcode: str, *, remainder: bool, is_signed: bool) -> AluEmitter:
    """A zero divisor gives 0, or the dividend as remainder; INT_MIN / -1 gives INT_MIN, remainder 0."""

    def emit(f: FunctionEmitter, a: str, b: str, bits: int) -> str:
        zero = f.value(f"icmp eq i{bits} {b}, 0")
        unsafe = zero
        if is_signed:
            minus_one = f.value(f"icmp eq i{bits} {b}, -1")
            unsafe = f.value(f"or i1 {zero}, {minus_one}")
        divisor = f.value(f"select i1 {unsafe}, i{bits} 1, i{bits} {b}")
        result = f.value(f"{opcode} i{bits} {a}, {divisor}")
        if is_signed:
            negated = "0" if remainder else f.value(f"sub i{bits} 0, {a}")
            result = f.value(f"select i1 {minus_one}, i{bits} {negated}, i{bits} {result}")
        return f.value(f"select i1 {zero}, i{bits} {a if remainder else '0'}, i{bits} {result}")

    return emit


EMIT: dict[str, AluEmitter] = {
    "add": _plain("add"),
    "sub": _plain("sub"),
    "mul": _plain("mul"),
    "div": _division("udiv", remainder=False, is_signed=False),
    "sdiv": _division("sdiv", remainder=False, is_signed=True),
    "or": _plain("or"),
    "and": _plain("and"),
    "lsh": _shift("shl"),
    "rsh": _shift("lshr"),
    "mod": _division("urem", remainder=True, is_signed=False),
    "smod": _division("srem", remainder=True, is_signed=True),
    "xor": _plain("xor"),
    "arsh": _shift("ashr"),
}
"""Same keys as isa.rows.ALU."""

EMIT_BRANCH: dict[str, str] = {
    "jeq": "eq",
    "jgt": "ugt",
    "jge": "uge",
    "jset": "jset",
    "jne": "ne",
    "jsgt": "sgt",
    "jsge": "sge",
    "jlt": "ult",
    "jle": "ule",
    "jslt": "slt",
    "jsle": "sle",
}
"""Same keys as isa.rows.BRANCH: LLVM's comparison, `jset` being a test of bits."""


def _operand(f: FunctionEmitter, insn: Insn) -> str:
    return f.register(insn.src, insn.bits) if insn.uses_reg else str(insn.imm & mask(insn.bits))


def alu(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """dst = dst op (src | imm)."""
    result = EMIT[insn.op](f, f.register(insn.dst, insn.bits), _operand(f, insn), insn.bits)
    f.set_register(insn.dst, result, insn.bits)
    return False


def neg(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """dst = -dst."""
    f.set_register(insn.dst, f.value(f"sub i{insn.bits} 0, {f.register(insn.dst, insn.bits)}"), insn.bits)
    return False


def mov(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """dst = src | imm."""
    f.set_register(insn.dst, _operand(f, insn), insn.bits)
    return False


def movsx(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """dst = the low bits of src, sign-extended."""
    value = f.value(f"sext i{insn.off} {f.register(insn.src, insn.off)} to i{insn.bits}")
    f.set_register(insn.dst, value, insn.bits)
    return False


def endian(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """Truncation for `le`, a byte swap for `be` and `bswap`: all machines that we run on are little-endian."""
    value = f.register(insn.dst, insn.bits)
    if insn.op != "le":
        value = f.value(f"call i{insn.bits} @llvm.bswap.i{insn.bits}(i{insn.bits} {value})")
    f.set_register(insn.dst, value, insn.bits)
    return False


def jump(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """goto and gotol."""
    f.count_block()
    f.jump(slot, successors(f.program.spec.code, slot)[0])
    return True


def branch(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """Conditional jumps; one whose two ways meet at once is a plain jump, which keeps LLVM's phi nodes simple."""
    f.count_block()
    following, target = successors(f.program.spec.code, slot)
    way = only_way(f.program, slot, insn)
    if way is not None:
        f.count_jump("true" if way == target else "false")
        f.jump(slot, way)
        return True
    left, right = f.register(insn.dst, insn.bits), _operand(f, insn)
    if following == target:
        f.jump(slot, target)
        return True
    f.save_registers()
    comparison = EMIT_BRANCH[insn.op]
    if comparison == "jset":
        left, right, comparison = f.value(f"and i{insn.bits} {left}, {right}"), "0", "ne"
    taken = f.value(f"icmp {comparison} i{insn.bits} {left}, {right}")
    f.count_jump(taken)
    f.line(f"br i1 {taken}, label %{f.branch_target(slot, target)}, label %{f.branch_target(slot, following)}")
    f.flush_edges()
    return True


def may_goto(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """Falls through a limited number of times, then jumps."""
    f.count_block()
    following, target = successors(f.program.spec.code, slot)
    used = f.value(f"load i64, ptr %goto{slot}")
    f.line(f"store i64 {f.value(f'add i64 {used}, 1')}, ptr %goto{slot}")
    f.save_registers()
    spent = f.value(f"icmp uge i64 {used}, {MAY_GOTO_LIMIT}")
    f.count_jump(spent)
    f.line(f"br i1 {spent}, label %{f.branch_target(slot, target)}, label %{f.branch_target(slot, following)}")
    f.flush_edges()
    return True


def ld_imm64(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """A constant, or an address: an external symbol, so that the code holds no address."""
    if insn.op == "VALUE":
        f.set_register(insn.dst, str(insn.imm64))
    elif insn.op in ("MAP_FD", "MAP_IDX"):
        f.set_register(insn.dst, f.map_header(insn.imm))
    else:
        f.needs.addresses[f"at{slot}"] = slot
        f.set_register(insn.dst, f.value(f"ptrtoint ptr @at{slot} to i64"))
    return False


def exit_(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """Return r0."""
    f.leave(f.register(0), f.insns_up_to(slot))
    return True


EMIT_FAMILY: dict[Family, Callable[[FunctionEmitter, int, Insn], bool]] = {
    Family.ALU: alu,
    Family.NEG: neg,
    Family.MOV: mov,
    Family.MOVSX: movsx,
    Family.ENDIAN: endian,
    Family.LOAD: load,
    Family.LOAD_SX: load,
    Family.LOAD_ACQUIRE: load,
    Family.STORE_IMM: store,
    Family.STORE_REG: store,
    Family.STORE_RELEASE: store,
    Family.ATOMIC: atomic,
    Family.LD_IMM64: ld_imm64,
    Family.LD_PACKET: load_packet,
    Family.JUMP: jump,
    Family.BRANCH: branch,
    Family.MAY_GOTO: may_goto,
    Family.CALL_HELPER: call_helper,
    Family.CALL_KFUNC: call_helper,
    Family.CALL_LOCAL: call_local,
    Family.EXIT: exit_,
}
"""What each family emits; the result says whether the instruction ended its block."""
