"""Whether what an interpreted program holds lies inside a state of the verifier's walk: registers, stack, links.

A check gives an empty text, or says what is outside. Addresses are those of the emulated machine that the program runs
on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.scalar_sets import holds
from xdpsim.bits import M32, M64, signed
from xdpsim.engines.resolve import function_of
from xdpsim.memory.structs import RUN_STATE, STACK_FRAME_BYTES, XDP_BUFF
from xdpsim.verifier.regtypes import (
    BASE_MASK,
    CONST_PTR_TO_MAP,
    NOT_INIT,
    PTR_MAYBE_NULL,
    PTR_TO_BTF_ID,
    PTR_TO_CTX,
    PTR_TO_FUNC,
    PTR_TO_MAP_VALUE,
    PTR_TO_MEM,
    PTR_TO_PACKET,
    PTR_TO_PACKET_END,
    PTR_TO_PACKET_META,
    PTR_TO_STACK,
    PTR_TRUSTED,
    PTR_UNTRUSTED,
    SCALAR_VALUE,
)
from xdpsim.verifier.slots import is_spill
from xdpsim.verifier.state import BPF_ADD_CONST, BPF_ADD_CONST32, SPILL, ZERO_BYTE, Frame, Reg, Slot

if TYPE_CHECKING:
    from xdpsim.engines.interpreter.cpu import Cpu
    from xdpsim.engines.protocol import LoadedProgram
    from xdpsim.verifier.env import Env

_AT_END, _BEYOND_END = -1, -2
_PACKET = (PTR_TO_PACKET, PTR_TO_PACKET_META)


@dataclass(frozen=True)
class Running:
    """One call frame of the interpreter; `regs[0]` is None where the frame waits for a call, `top` what r10 holds."""

    regs: Sequence[int | None]
    top: int


class Inside:
    """The checks at one insn of one program; `frames` are those of the interpreter, the outermost first."""

    def __init__(self, cpu: Cpu, program: LoadedProgram, env: Env, frames: Sequence[Running]) -> None:
        self.cpu, self.program, self.env, self.frames = cpu, program, env, frames
        buffer, base = cpu.machine.run_state.buffer, RUN_STATE.offset("xdp")

        def field(name: str) -> int:
            at = base + XDP_BUFF.offset(name)
            return int.from_bytes(buffer[at : at + 8], "little")

        self.data, self.data_end, self.data_meta = field("data"), field("data_end"), field("data_meta")

    def registers(self, number: int, known: Frame, live: int, counting: int) -> str:
        """What is outside in one frame's registers of the set `live`; numbers only of those in `counting`."""
        running = self.frames[number]
        for regno in range(10):
            value = running.regs[regno]
            if value is None or not live >> regno & 1:
                continue
            if problem := self.register(known.regs[regno], value, bool(counting >> regno & 1)):
                return f"frame {number} r{regno}: {problem}"
        return ""

    def stack(self, number: int, known: Frame, alive: int, counting: int) -> str:
        """What is outside in one frame's slots of the set `alive`; numbers only of those in `counting`."""
        running = self.frames[number]
        for spi, slot in enumerate(known.stack):
            if not alive >> spi & 1:
                continue
            if problem := self.slot(slot, self.bytes_of(running, spi), bool(counting >> spi & 1)):
                return f"frame {number} fp{-8 * (spi + 1)}: {problem}"
        return ""

    def bytes_of(self, running: Running, spi: int) -> bytes:
        """The eight bytes of a stack slot."""
        at = running.top - 8 * (spi + 1) - (self.cpu.stack_top - self.cpu.stack_at)
        return bytes(self.cpu.machine.run_state.buffer[at : at + 8])

    def register(self, reg: Reg, value: int, counts: bool) -> str:
        """Whether a register's value is one that `reg` allows; a number where it counts."""
        if reg.type == NOT_INIT:
            return ""
        if reg.type == SCALAR_VALUE:
            if holds(reg.num, value) or not (counts or reg.precise):
                return ""
            return f"{value:#x} is outside of {reg.num!r}"
        if not value and reg.type & PTR_MAYBE_NULL:
            return ""
        problem = self.pointer(reg, value)
        return f"{self.cpu.space.describe(value)} is {problem}" if problem else ""

    def pointer(self, reg: Reg, value: int) -> str:
        """What is wrong with a pointer that is not NULL, or may not be."""
        kind, distance = reg.type & BASE_MASK, value - reg.off
        if kind == PTR_TO_CTX:
            return self._at(reg, distance - self.cpu.context_address, "the context")
        if kind in _PACKET:
            return self._packet(reg, value)
        if kind == PTR_TO_PACKET_END:
            return "" if value == self.data_end else "not the packet's end"
        if kind == PTR_TO_STACK:
            return self._at(reg, distance - self.frames[reg.frameno].top, f"the stack of frame {reg.frameno}")
        if kind == PTR_TO_MAP_VALUE:
            return self._map_value(reg, value)
        if kind == CONST_PTR_TO_MAP:
            index = reg.extra[0].index
            known = index < 0 or value == self.program.maps[index].header_address
            return "" if known and value else f"not map {reg.extra[0].spec.name}"
        if kind == PTR_TO_FUNC:
            place = function_of(value)
            return "" if place and place[1] == self.env.subprogs[reg.extra].start else "another function"
        if reg.type & PTR_UNTRUSTED or (kind == PTR_TO_BTF_ID and not reg.type & PTR_TRUSTED):
            return ""  # Linux reads such memory with a fault handler: it may be anything
        if kind == PTR_TO_MEM and not reg.num.mask:
            start, size = (distance - reg.num.value) & M64, reg.extra[0]
            return "" if self.cpu.space.readable(start, size) else f"not the start of {size} bytes of memory"
        return "" if value else "NULL"

    def _at(self, reg: Reg, distance: int, what: str) -> str:
        inside = holds(reg.num, distance & M64)
        return "" if inside else f"{signed(distance & M64, 64)} bytes into {what}, outside of {reg.num!r}"

    def _packet(self, reg: Reg, value: int) -> str:
        is_meta = reg.type & BASE_MASK == PTR_TO_PACKET_META
        start, end = (self.data_meta, self.data) if is_meta else (self.data, self.data_end)
        problem = self._at(reg, value - reg.off - start, "the metadata" if is_meta else "the packet")
        proven: int = reg.extra or 0
        if problem or not proven:
            return problem
        if proven == _AT_END:
            return "" if value >= end else "before the packet's end"
        if proven == _BEYOND_END:
            return "" if value > end else "not beyond the packet's end"
        missing = value - reg.off + proven - end
        return f"{missing} bytes short of the {proven} that are proven" if missing > 0 else ""

    def _map_value(self, reg: Reg, value: int) -> str:
        """A value of the right map; where the pointer may leave its value, somewhere near is enough."""
        size, num = reg.extra[0].spec.value_size, reg.num
        if num.mask and (num.smin + reg.off < 0 or num.smax + reg.off >= size):
            return "" if value else "NULL"
        at = value if num.mask else value - reg.off - signed(num.value, 64)
        region = self.cpu.space.region_at(at)
        name = f"map {reg.extra[0].spec.name}"
        if region is None or (reg.extra[0].index >= 0 and region.name != name):
            return f"not in {name}"
        inner = (at - region.start) % region.stride
        if not num.mask:
            return "" if not inner else f"not at the start of a value, plus {reg.off + num.value}"
        return self._at(reg, inner - reg.off, f"a value of {name}")

    def slot(self, slot: Slot, memory: bytes, counts: bool) -> str:
        """Whether eight bytes of stack are what `slot` says."""
        for place, kind in enumerate(slot.kinds):
            if kind == ZERO_BYTE and memory[7 - place]:
                return f"byte {7 - place} is {memory[7 - place]}, not 0"
        if not is_spill(slot):
            return ""
        size = slot.kinds.count(SPILL)
        value = int.from_bytes(memory[:size], "little")
        if size == 8:
            return self.register(slot.reg, value, counts)
        return self._narrow(slot.reg, value, size, counts)

    def _narrow(self, reg: Reg, value: int, size: int, counts: bool) -> str:
        """A spill of fewer bytes: of a number that does not fit only its low bits are there."""
        limit, num = (1 << size * 8) - 1, reg.num
        if reg.type != SCALAR_VALUE or not (counts or reg.precise):
            return ""
        if num.umax <= limit:
            inside = holds(num, value)
        else:
            inside = not (value ^ num.value) & ~num.mask & limit
            inside &= size != 4 or (
                num.u32_min <= value <= num.u32_max and num.s32_min <= signed(value, 32) <= num.s32_max
            )
        return "" if inside else f"{value:#x} in {size} bytes is outside of {num!r}"

    def links(self, known: Sequence[Frame]) -> str:
        """Registers and spills that share an id: numbers are equal or differ by a constant, pointers as far as told."""
        first: dict[tuple[int, int], tuple[str, int, Reg]] = {}
        for name, reg, value in self._linked(known):
            key = (reg.type & BASE_MASK, reg.id & ~BPF_ADD_CONST)
            seen = first.setdefault(key, (name, value, reg))
            other_name, other, other_reg = seen
            limit = M32 if (reg.id | other_reg.id) & BPF_ADD_CONST32 else M64
            if (value - reg.off - other + other_reg.off) & limit:
                return f"{name} and {other_name} share id {key[1]}, but hold {value:#x} and {other:#x}"
        return ""

    def _linked(self, known: Sequence[Frame]) -> Iterator[tuple[str, Reg, int]]:
        for number, frame in enumerate(known):
            running = self.frames[number]
            for regno in range(10):
                reg, value = frame.regs[regno], running.regs[regno]
                if value is not None and _is_linked(reg):
                    yield f"frame {number} r{regno}", reg, value
            for spi, slot in enumerate(frame.stack):
                if is_spill(slot) and slot.kinds.count(SPILL) == 8 and _is_linked(slot.reg):
                    memory = self.bytes_of(running, spi)
                    yield f"frame {number} fp{-8 * (spi + 1)}", slot.reg, int.from_bytes(memory, "little")


def _is_linked(reg: Reg) -> bool:
    return bool(reg.id) and (reg.type == SCALAR_VALUE or reg.type in _PACKET)


def stack_top(cpu: Cpu, depth: int) -> int:
    """What r10 holds in the call frame at a depth."""
    return cpu.stack_top - depth * STACK_FRAME_BYTES
