"""Registers, memory and helper calls of a running program in words: pointers by region and offset, never by address."""

from __future__ import annotations

from dataclasses import dataclass
from errno import errorcode

from xdpsim.analysis.readable import Leaves, Reader, printable
from xdpsim.bits import M64, mask, signed
from xdpsim.engines.contexts import NATIVE_CONTEXTS
from xdpsim.engines.interpreter.cpu import Cpu
from xdpsim.engines.protocol import LoadedProgram
from xdpsim.engines.resolve import function_of
from xdpsim.helpers.kinds import Arg, Ret
from xdpsim.helpers.rows import Helper
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import ATOMIC, Family
from xdpsim.maps.map import Map
from xdpsim.memory.structs import RUN_STATE, STACK_FRAME_BYTES, XDP_BUFF

SMALLEST_ADDRESS = 0x10000
SHOWN_BYTES = 16
POINTER_BYTES = 8
MAX_ERRNO = 4095
_LOADS = (Family.LOAD, Family.LOAD_SX, Family.LOAD_ACQUIRE)
_STORES = (Family.STORE_IMM, Family.STORE_REG, Family.STORE_RELEASE)
_SIZES = (Arg.SIZE, Arg.SIZE_OR_ZERO)
_NOWHERE = ("an address in no region", "the number")


@dataclass(frozen=True, slots=True)
class Access:
    """One touch of memory: `kind` is reads, writes or changes, `place` a region and an offset in it."""

    kind: str
    place: str
    size: int
    before: str | None
    """What lay there: bytes in hex, or what a pointer points to; None where no program may read."""
    after: str | None
    """What lies there then, of a store; None of a load."""

    def __str__(self) -> str:
        if self.kind == "changes" and self.before is not None and self.after is not None:
            return f"changes {self.place}: {self.before} -> {self.after}"
        data = self.before if self.after is None else self.after
        return f"{self.kind} {self.place}" + (f": {data}" if data is not None else f", {self.size} bytes")


class Namer:
    """Names what one CPU's registers point to, at the moment of asking."""

    def __init__(self, cpu: Cpu) -> None:
        self._cpu = cpu
        self._readers: dict[int, Reader] = {}

    def pointer(self, value: int) -> str | None:
        """What a pointer points to; None for a value that is a number."""
        if function := function_of(value):
            return self._function(*function)
        if not SMALLEST_ADDRESS <= value <= M64 - SMALLEST_ADDRESS:
            return None
        found = self._cpu.machine.map_at(value)
        if found is not None:
            return f"map {printable(found.name)}"
        name = self._context(value) or self._stack(value) or self._packet(value)
        if name:
            return name
        text = self._cpu.space.describe(value, 0)
        return None if text.startswith(_NOWHERE) else printable(text.removesuffix("+0"))

    def value(self, value: int) -> str:
        """A register's content: a pointer's name, or a number in hex and as signed."""
        return self.pointer(value) or number(value)

    def _function(self, program: int, slot: int) -> str:
        loaded = self._cpu.program
        spec = loaded.program.spec if loaded is not None and loaded.program.number == program else None
        names = {sub.slot: sub.name for sub in spec.subprograms} if spec else {}
        return f"function {printable(names.get(slot, f'at slot {slot}'))}"

    def _context(self, addr: int) -> str:
        inner = addr - self._cpu.context_address
        return f"ctx+{inner}" if 0 < inner <= XDP_BUFF.size else "ctx" if inner == 0 else ""

    def _stack(self, addr: int) -> str:
        """`fp-8` in the function's own frame, `fp[0]-8` in frame 0."""
        depth = self._cpu.stack_top - addr
        frames = len(self._cpu.frames)
        own = depth - frames * STACK_FRAME_BYTES
        if 0 <= own <= STACK_FRAME_BYTES:
            return f"fp-{own}" if own else "fp"
        if 0 <= depth < frames * STACK_FRAME_BYTES:
            frame, below = divmod(depth, STACK_FRAME_BYTES)
            return f"fp[{frame}]-{below}"
        return ""

    def _packet(self, addr: int) -> str:
        packet = self._cpu.space.packet
        if not packet.lo <= addr <= packet.hi or packet.hi == packet.lo:
            return ""
        state, at = self._cpu.machine.run_state, RUN_STATE.offset("xdp") + XDP_BUFF.offset("data")
        start = int.from_bytes(state.buffer[at : at + 8], "little")
        return f"packet+{addr - start}" if addr >= start else f"meta+{addr - packet.lo}"

    def read(self, addr: int, size: int) -> bytes | None:
        """Memory as a program may read it, None where it may not."""
        try:
            return self._cpu.space.read(addr, size)
        except ValueError:
            return None

    # memory

    def access(self, program: LoadedProgram, insn: Insn) -> Access | None:
        """What an instruction is about to do to memory."""
        regs = self._cpu.regs
        is_load, is_atomic = insn.family in _LOADS, insn.family is Family.ATOMIC
        if not (is_load or is_atomic or insn.family in _STORES):
            return None
        addr, size = (regs[insn.src if is_load else insn.dst] + insn.off) & M64, insn.width
        place, before = self._place(program, insn, addr), self.read(addr, size)
        if is_load:
            return Access("reads", place, size, self._words(before), None)
        if is_atomic:
            return Access("changes", place, size, self._words(before), self._words(self._swapped(insn, before)))
        new = (insn.imm if insn.family is Family.STORE_IMM else regs[insn.src]) & mask(size * 8)
        return Access("writes", place, size, self._words(before), self._words(new.to_bytes(size, "little")))

    def _words(self, data: bytes | None) -> str | None:
        """Bytes as pairs of digits; a pointer by what it points to."""
        if data is None:
            return None
        return (self.pointer(int.from_bytes(data, "little")) if len(data) == POINTER_BYTES else None) or data.hex(" ")

    def _place(self, program: LoadedProgram, insn: Insn, addr: int) -> str:
        inner = addr - self._cpu.context_address
        context = NATIVE_CONTEXTS[program.spec.type].context
        if 0 <= inner < context.size:
            field = context.field_at(inner, insn.width, attach_type=program.spec.attach_type)
            return f"ctx+{inner}" + (f" ({context.name}.{field.name})" if field else "")
        return self.pointer(addr) or printable(self._cpu.space.describe(addr, insn.width))

    def _swapped(self, insn: Insn, before: bytes | None) -> bytes | None:
        """What an atomic operation leaves in memory."""
        if before is None:
            return None
        regs, limit, old = self._cpu.regs, mask(insn.width * 8), int.from_bytes(before, "little")
        if insn.op == "cmpxchg" and old != regs[0] & limit:
            return before
        return (ATOMIC[insn.op].meaning(old, regs[insn.src]) & limit).to_bytes(insn.width, "little")

    # calls

    def call(self, row: Helper) -> str:
        """A call about to be done, its arguments by the row's kinds."""
        regs, words = self._cpu.regs, list[str]()
        given: Map | None = None
        for at, kind in enumerate(row.args):
            value = regs[at + 1]
            if kind is Arg.CONST_MAP_PTR:
                given = self._cpu.machine.map_at(value)
                words.append(self.value(value))
            elif kind in (Arg.MAP_KEY, Arg.MAP_VALUE) and given is not None:
                words.append(self._element(given, kind, value))
            elif kind in _SIZES and at and words:
                words[-1] = self._memory(row.args[at - 1], regs[at], value)
            else:
                words.append(self.value(value))
        return f"{row.name}({', '.join(words)})"

    def _element(self, given: Map, kind: Arg, addr: int) -> str:
        reader = self.reader(given)
        is_key = kind is Arg.MAP_KEY
        data = self.read(addr, given.spec.key_size if is_key else given.spec.value_size)
        if data is None:
            return self.value(addr)
        return f"key {reader.key(data)}" if is_key else f"value {{{self.element_value(given, data)}}}"

    def _memory(self, kind: Arg, addr: int, size: int) -> str:
        data = self.read(addr, size) if 0 < size <= SHOWN_BYTES and "UNINIT" not in kind.name else None
        parts = [data[at : at + POINTER_BYTES] for at in range(0, len(data), POINTER_BYTES)] if data is not None else []
        shown = f": {' '.join(self._words(part) or '' for part in parts)}" if parts else ""
        return f"{self.value(addr) if addr else 'null'}, {size} byte{'s' * (size != 1)}{shown}"

    def result(self, row: Helper, value: int) -> str:
        """What a call gave back, empty for one that gives nothing."""
        if row.returns is Ret.VOID:
            return ""
        if row.returns is not Ret.INTEGER:
            return self.pointer(value) or ("null" if value == 0 else number(value))
        as_signed = signed(value, 64)
        if -MAX_ERRNO <= as_signed < 0:
            return f"{as_signed} ({errorcode.get(-as_signed, 'no errno')})"
        return self.value(value)

    def reader(self, source: Map) -> Reader:
        """Shows keys and values of a map."""
        if source.number not in self._readers:
            self._readers[source.number] = Reader(source)
        return self._readers[source.number]

    def element_value(self, source: Map, data: bytes) -> str:
        """One value of a map, of a per-CPU map one CPU's."""
        leaves = single_leaves(self.reader(source), data)
        return ", ".join(f"{name} {leaf}".strip() for name, leaf in leaves.items())


def single_leaves(reader: Reader, data: bytes) -> Leaves:
    """The fields of one value; of a per-CPU map, one CPU's."""
    source = reader.map
    if source.kind.per_cpu:
        data = source.join([data, *[bytes(len(data))] * (source.cpus - 1)])
    return reader.leaves(data)


def number(value: int) -> str:
    """A number in hex and as signed; small ones once."""
    as_signed = signed(value, 64)
    return str(as_signed) if -10 < as_signed < 10 else f"{value:#x} ({as_signed})"
