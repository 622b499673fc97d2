"""Loads, stores and atomics as LLVM IR.

Accesses at a constant offset from r10 inside the frame need no check; context loads are translated by the context's
rows; all others compare with the packet's limits and ask the runtime (memory/space_ops.py) when that misses.
"""

from __future__ import annotations

from xdpsim.bits import mask
from xdpsim.engines.fault import FaultKind
from xdpsim.engines.jit.function import FunctionEmitter
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import ATOMIC, Family
from xdpsim.memory.layout import Member
from xdpsim.memory.structs import RUN_STATE, STACK_FRAME_BYTES, XDP_BUFF

_DATA_META = RUN_STATE.offset("xdp") + XDP_BUFF.offset("data_meta")
_DATA_END = RUN_STATE.offset("xdp") + XDP_BUFF.offset("data_end")


def load(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """dst = *(size *)(src + off)."""
    if slot in f.facts.context_offsets:
        return _context_load(f, slot, insn)
    bits = insn.width * 8
    address = _address(f, insn.src, insn.off)
    _check(f, slot, insn, insn.src, address, is_write=False)
    value = f.value(f"load i{bits}, ptr {f.pointer(address)}, align 1")
    if insn.family is Family.LOAD_SX:
        f.set_register(insn.dst, f.value(f"sext i{bits} {value} to i64"))
    else:
        f.set_register(insn.dst, value, bits)
    return False


def _context_load(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    offset = f.facts.context_offsets[slot]
    member: Member | None = f.context.load(offset, insn.width, f.program.spec.attach_type)
    if member is None or insn.family is not Family.LOAD:
        f.fault(FaultKind.CONTEXT, slot, str(offset & mask(64)), insn.width)
        f.place(f.label())
        return False
    bits = member.width * 8
    value = f.value(f"load i{bits}, ptr {f.state_pointer(f.context.offset + member.offset)}, align 1")
    f.set_register(insn.dst, value, bits)
    return False


def store(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """*(size *)(dst + off) = src | imm."""
    if slot in f.facts.context_offsets:
        f.fault(FaultKind.CONTEXT, slot, str(f.facts.context_offsets[slot] & mask(64)), insn.width, 1)
        f.place(f.label())
        return False
    bits = insn.width * 8
    is_imm = insn.family is Family.STORE_IMM
    value = str(insn.imm & mask(bits)) if is_imm else f.register(insn.src, bits)
    address = _address(f, insn.dst, insn.off)
    _check(f, slot, insn, insn.dst, address, is_write=True)
    f.line(f"store i{bits} {value}, ptr {f.pointer(address)}, align 1")
    return False


_RMW = {"add": "add", "or": "or", "and": "and", "xor": "xor", "xchg": "xchg"}


def atomic(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """An atomic read-modify-write; its address must be aligned, as Linux demands."""
    bits, row = insn.width * 8, ATOMIC[insn.op]
    address = _address(f, insn.dst, insn.off)
    low_bits = f.value(f"and i64 {address}, {insn.width - 1}")
    aligned = f.value(f"icmp eq i64 {low_bits}, 0")
    f.fault_unless(aligned, FaultKind.ACCESS, slot, address=address, size=insn.width, is_write=1)
    _check(f, slot, insn, insn.dst, address, is_write=True)
    pointer, value = f.pointer(address), f.register(insn.src, bits)
    if insn.op == "cmpxchg":
        expected = f.register(0, bits)
        pair = f.value(f"cmpxchg ptr {pointer}, i{bits} {expected}, i{bits} {value} seq_cst seq_cst")
        f.set_register(0, f.value(f"extractvalue {{ i{bits}, i1 }} {pair}, 0"), bits)
        return False
    operation = _RMW[insn.op.removeprefix("fetch_")]
    old = f.value(f"atomicrmw {operation} ptr {pointer}, i{bits} {value} seq_cst")
    if row.fetch:
        f.set_register(insn.src, old, bits)
    return False


def _address(f: FunctionEmitter, register: int, offset: int) -> str:
    base = f.register(register)
    return f.value(f"add i64 {base}, {offset}") if offset else base


def _check(f: FunctionEmitter, slot: int, insn: Insn, base: int, address: str, *, is_write: bool) -> None:
    size = insn.width
    if base == 10 and -STACK_FRAME_BYTES <= insn.off <= -size and not f.writes_r10:
        return
    end = f.value(f"add i64 {address}, {size}")
    low = f.value(f"load i64, ptr {f.state_pointer(_DATA_META)}")
    high = f.value(f"load i64, ptr {f.state_pointer(_DATA_END)}")
    above = f.value(f"icmp uge i64 {address}, {low}")
    below = f.value(f"icmp ule i64 {end}, {high}")
    no_wrap = f.value(f"icmp ugt i64 {end}, {address}")
    inside = f.value(f"and i1 {f.value(f'and i1 {above}, {below}')}, {no_wrap}")
    good, ask = f.label(), f.label()
    f.line(f"br i1 {inside}, label %{good}, label %{ask}")
    f.place(ask)
    allowed = f.call("xdpsim_may_access", "%rs", address, str(size), str(int(is_write)))
    fine = f.value(f"icmp ne i64 {allowed}, 0")
    f.fault_unless(fine, FaultKind.ACCESS, slot, address=address, size=size, is_write=int(is_write))
    f.line(f"br label %{good}")
    f.place(good)
