"""Loads, stores and atomics as LLVM IR.

What the facts prove needs no check, and an access at a known place of the function's own stack frame is addressed
directly; context loads are translated by the context's rows; all others compare with the packet's limits and ask the
runtime (memory/space_ops.py) when that misses. Last of all comes the context: a pointer to it may have come through
memory, where verifier/facts.py does not follow it.
"""

from __future__ import annotations

from xdpsim.bits import M32, mask
from xdpsim.engines.contexts import NativeContext
from xdpsim.engines.fault import FaultKind
from xdpsim.engines.jit.calls import call_python
from xdpsim.engines.jit.function import FunctionEmitter
from xdpsim.engines.kernel_reads import KERNEL_READ, is_kernel_load
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import ATOMIC, Family
from xdpsim.maps.header import MAP
from xdpsim.maps.kernel_fields import map_field
from xdpsim.memory.layout import Member
from xdpsim.memory.structs import RUN_STATE, XDP_BUFF
from xdpsim.verifier.facts import MAP_STRUCT

_DATA_META = RUN_STATE.offset("xdp") + XDP_BUFF.offset("data_meta")
_DATA_END = RUN_STATE.offset("xdp") + XDP_BUFF.offset("data_end")


def load(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """dst = *(size *)(src + off)."""
    offset = _context_offset(f, slot)
    if offset is not None:
        if not _context_load(f, slot, insn, offset):
            f.fault(FaultKind.CONTEXT, slot, str(offset), insn.width)
            f.place(f.label())
        return False
    pointer = _proven_pointer(f, slot, insn, insn.src)
    if pointer is not None:
        _set_loaded(f, insn, f.value(f"load i{insn.width * 8}, ptr {pointer}, align 1"), insn.width * 8)
        return False
    if is_kernel_load(f.facts, slot, insn):
        _kernel_load(f, slot, insn)
    else:
        _checked_load(f, slot, insn)
    return False


def _kernel_load(f: FunctionEmitter, slot: int, insn: Insn) -> None:
    """A load of the kernel's memory by a verified program: where nothing is found here, Python says what is there."""
    bits, base = insn.width * 8, f.register(insn.src)
    known = map_field(insn.off, insn.width) if f.facts.accesses[slot] == MAP_STRUCT else None
    if known is not None:
        at = f.value(f"add i64 {base}, {MAP.offset(known[0]) + known[1]}")
        _set_loaded(f, insn, f.value(f"load i{bits}, ptr {f.pointer(at)}, align 1"), bits)
        return
    f.needs.checks = True
    address = _address(f, insn.src, insn.off)
    allowed = f.call("xdpsim_may_access", "%rs", address, str(insn.width), "0")
    good, ask, joined, end = (f.label() for _ in range(4))
    f.line(f"br i1 {f.value(f'icmp ne i64 {allowed}, 0')}, label %{good}, label %{ask}, !prof !0")
    f.place(good)
    loaded = _extended(f, insn, f.value(f"load i{bits}, ptr {f.pointer(address)}, align 1"), bits)
    f.line(f"br label %{joined}")
    f.place(ask)
    told = call_python(f, slot, KERNEL_READ, [address, str(insn.width), str(slot), "0", "0"])
    other = _extended(f, insn, told, 64)
    f.line(f"br label %{end}")
    f.place(end)
    f.line(f"br label %{joined}")
    f.place(joined)
    f.set_register(insn.dst, f.value(f"phi i64 [ {loaded}, %{good} ], [ {other}, %{end} ]"))


def _checked_load(f: FunctionEmitter, slot: int, insn: Insn) -> None:
    """The access goes on with what memory or, on the cold way, a field of the context gives."""
    bits, address = insn.width * 8, _address(f, insn.src, insn.off)
    found, joined = f.label(), f.label()
    from_context = _check(f, slot, insn, address, is_write=False, context_done=found)
    plain = f.label()
    f.line(f"br label %{plain}")
    f.place(plain)
    loaded = f.value(f"load i{bits}, ptr {f.pointer(address)}, align 1")
    value = _extended(f, insn, loaded, bits)
    f.line(f"br label %{joined}")
    f.place(found)
    other = _extended(f, insn, from_context, 64)
    f.line(f"br label %{joined}")
    f.place(joined)
    f.set_register(insn.dst, f.value(f"phi i64 [ {value}, %{plain} ], [ {other}, %{found} ]"))


def _extended(f: FunctionEmitter, insn: Insn, value: str, bits: int) -> str:
    """What was loaded as 64 bits, extended as the instruction says."""
    if insn.family is Family.LOAD_SX:
        if bits > insn.width * 8:
            value = f.value(f"trunc i{bits} {value} to i{insn.width * 8}")
        return f.value(f"sext i{insn.width * 8} {value} to i64")
    return value if bits == 64 else f.value(f"zext i{bits} {value} to i64")


def _set_loaded(f: FunctionEmitter, insn: Insn, value: str, bits: int) -> None:
    """Put what was loaded into dst."""
    if insn.family is Family.LOAD_SX:
        f.set_register(insn.dst, _extended(f, insn, value, bits))
    else:
        f.set_register(insn.dst, value, bits)


def _context_offset(f: FunctionEmitter, slot: int) -> int | None:
    """Where in the context a load or store is known to go; None where it is not, or not in it."""
    offset = f.facts.context_offsets.get(slot)
    return offset if offset is not None and 0 <= offset < f.context.context.size else None


def _context_load(f: FunctionEmitter, slot: int, insn: Insn, offset: int) -> bool:
    """Load a field; False, and nothing emitted, where Linux refuses such a load."""
    member: Member | None = f.context.load(offset, insn.width, f.program.spec.attach_type, insn.family)
    if member is None:
        return False
    f.needs.context_fields.add(member.name)
    bits = member.width * 8
    value = f.value(f"load i{bits}, ptr {f.state_pointer(f.context.offset + member.offset)}, align 1")
    _set_loaded(f, insn, value, bits)
    return True


def _context_access(f: FunctionEmitter, slot: int, insn: Insn, address: str, done: str | None) -> str:
    """The cold way of an access that hit nothing else: find a context field's value and go to `done`, or fault."""
    start = f.value(f"add i64 %rs, {f.context.offset}")
    inner = f.value(f"sub i64 {address}, {start}")
    inside, outside = f.label(), f.label()
    is_inside = f.value(f"icmp ult i64 {inner}, {f.context.context.size}")
    f.line(f"br i1 {is_inside}, label %{inside}, label %{outside}")
    f.place(inside)
    value = ""
    if done is not None:
        refused = f.label()
        result = f.value(f"call {{ i64, i1 }} {f.context_loader(insn.width, insn.family)}(ptr %state, i64 {inner})")
        is_field = f.value(f"extractvalue {{ i64, i1 }} {result}, 1")
        value = f.value(f"extractvalue {{ i64, i1 }} {result}, 0")
        f.line(f"br i1 {is_field}, label %{done}, label %{refused}")
        f.place(refused)
    f.fault(FaultKind.CONTEXT, slot, inner, insn.width, int(done is None))
    f.place(outside)
    return value


def context_loader(name: str, context: NativeContext, attach_type: int, width: int, family: Family) -> str:
    """A function that loads the field at any offset of the context: its whole value, and whether there is one."""
    fields = {offset: context.load(offset, width, attach_type, family) for offset in range(context.context.size)}
    found = {offset: member for offset, member in fields.items() if member is not None}
    cases = " ".join(f"i64 {offset}, label %at{offset}" for offset in found)
    lines = [
        f"define internal {{ i64, i1 }} {name}(ptr %state, i64 %offset) noinline cold {{",
        f"  switch i64 %offset, label %none [ {cases} ]",
        "none:",
        "  ret { i64, i1 } zeroinitializer",
    ]
    for offset, member in found.items():
        lines += [
            f"at{offset}:",
            f"  %p{offset} = getelementptr i8, ptr %state, i64 {context.offset + member.offset}",
            f"  %w{offset} = load i{member.width * 8}, ptr %p{offset}, align 1",
            f"  %x{offset} = {_widened(f'%w{offset}', member.width)}",
            f"  %r{offset} = insertvalue {{ i64, i1 }} {{ i64 undef, i1 true }}, i64 %x{offset}, 0",
            f"  ret {{ i64, i1 }} %r{offset}",
        ]
    return "\n".join([*lines, "}"])


def _widened(value: str, width: int) -> str:
    return f"add i64 {value}, 0" if width == 8 else f"zext i{width * 8} {value} to i64"


def store(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """*(size *)(dst + off) = src | imm."""
    if _refuses_context(f, slot, insn):
        return False
    bits = insn.width * 8
    is_imm = insn.family is Family.STORE_IMM
    value = str(insn.imm & mask(bits)) if is_imm else f.register(insn.src, bits)
    pointer = _proven_pointer(f, slot, insn, insn.dst)
    if pointer is None:
        address = _address(f, insn.dst, insn.off)
        _check(f, slot, insn, address, is_write=True)
        pointer = f.pointer(address)
    f.line(f"store i{bits} {value}, ptr {pointer}, align 1")
    return False


_RMW = {"add": "add", "or": "or", "and": "and", "xor": "xor", "xchg": "xchg"}


def atomic(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """An atomic read-modify-write; its address must be aligned, as Linux demands."""
    if _refuses_context(f, slot, insn):
        return False
    bits, row = insn.width * 8, ATOMIC[insn.op]
    address = _address(f, insn.dst, insn.off)
    if slot not in f.facts.proven:
        low_bits = f.value(f"and i64 {address}, {insn.width - 1}")
        aligned = f.value(f"icmp eq i64 {low_bits}, 0")
        f.fault_unless(aligned, FaultKind.ACCESS, slot, address=address, size=insn.width, is_write=1)
        _check(f, slot, insn, address, is_write=True)
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


def load_packet(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """LD_ABS and LD_IND: r0 = the packet's word; the function ends with 0 where the packet is too short."""
    offset = str(insn.imm & M32)
    if insn.op == "ind":
        offset = f.value(f"add i64 {f.register(insn.src)}, {offset}")
    found = f.call("xdpsim_load_packet", "%rs", offset, str(insn.width))
    good, short = f.label(), f.label()
    f.line(f"br i1 {f.value(f'icmp ne i64 {found}, 0')}, label %{good}, label %{short}")
    f.place(short)
    f.leave("0", f.insns_up_to(slot))
    f.place(good)
    f.needs.context_fields |= {"data", "data_end"}
    f.set_register(0, f.value(f"and i64 {found}, {M32}"))
    return False


def _refuses_context(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """Whether it would write to the context, of which no field may be written: then it is a fault, and emitted."""
    offset = _context_offset(f, slot)
    if offset is None:
        return False
    f.fault(FaultKind.CONTEXT, slot, str(offset), insn.width, 1)
    f.place(f.label())
    return True


def _address(f: FunctionEmitter, register: int, offset: int) -> str:
    base = f.register(register)
    return f.value(f"add i64 {base}, {offset}") if offset else base


def _proven_pointer(f: FunctionEmitter, slot: int, insn: Insn, base: int) -> str | None:
    """Where an access goes that needs no check; None for one that does."""
    if slot in f.facts.stack_offsets:
        return f.stack_pointer(f.facts.stack_offsets[slot])
    return f.pointer(_address(f, base, insn.off)) if slot in f.facts.proven else None


def _check(
    f: FunctionEmitter, slot: int, insn: Insn, address: str, *, is_write: bool, context_done: str | None = None
) -> str:
    """Fault unless the access is allowed; a load from the context goes to `context_done`, with the value returned."""
    f.needs.checks = True
    size = insn.width
    low = f.value(f"load i64, ptr {f.state_pointer(_DATA_META)}")
    high = f.value(f"load i64, ptr {f.state_pointer(_DATA_END)}")
    length = f.value(f"sub i64 {high}, {low}")
    end = f.value(f"add i64 {f.value(f'sub i64 {address}, {low}')}, {size}")
    below = f.value(f"icmp ule i64 {end}, {length}")
    no_wrap = f.value(f"icmp uge i64 {end}, {size}")
    good, ask = f.label(), f.label()
    f.line(f"br i1 {f.value(f'and i1 {below}, {no_wrap}')}, label %{good}, label %{ask}")
    f.place(ask)
    allowed = f.call("xdpsim_may_access", "%rs", address, str(size), str(int(is_write)))
    refused = f.label()
    f.line(f"br i1 {f.value(f'icmp ne i64 {allowed}, 0')}, label %{good}, label %{refused}, !prof !0")
    f.place(refused)
    value = _context_access(f, slot, insn, address, context_done)
    f.fault(FaultKind.ACCESS, slot, address, size, int(is_write))
    f.place(good)
    return value
