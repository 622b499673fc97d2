"""Context loads and stores of interpreted programs, by the context's rows."""

from __future__ import annotations

from xdpsim.engines.contexts import NATIVE_CONTEXTS
from xdpsim.engines.fault import FaultKind
from xdpsim.engines.interpreter.cpu import Cpu
from xdpsim.isa.rows import Family


class ContextAccess:
    """The context of one program: what each (offset, size) of a load yields."""

    def __init__(self, cpu: Cpu, program_type: str, attach_type: int) -> None:
        self._cpu, self._attach_type = cpu, attach_type
        self._row = NATIVE_CONTEXTS[program_type]
        self._buffer = cpu.machine.run_state.buffer
        self._places: dict[tuple[int, int, Family], tuple[int, int]] = {}
        self.size = self._row.context.size

    def load(self, offset: int, size: int, family: Family, slot: int) -> int:
        """The value of a context load, or a fault at `slot`."""
        place = self._places.get((offset, size, family)) or self._find(offset, size, family, slot)
        return int.from_bytes(self._buffer[place[0] : place[1]], "little")

    def _find(self, offset: int, size: int, family: Family, slot: int) -> tuple[int, int]:
        member = self._row.load(offset, size, self._attach_type, family)
        if member is None:
            raise self._cpu.fault(FaultKind.CONTEXT, slot, offset, size)
        at = self._row.offset + member.offset
        self._places[offset, size, family] = at, at + member.width
        return at, at + member.width

    def store(self, offset: int, size: int, value: int, slot: int) -> None:
        """A fault: no field of the contexts that run so far may be written."""
        raise self._cpu.fault(FaultKind.CONTEXT, slot, offset, size, True)
