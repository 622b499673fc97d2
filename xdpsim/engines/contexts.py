"""Which native struct stands behind each program type's context. A program type runs when it has a row here."""

from __future__ import annotations

from dataclasses import dataclass

from xdpsim.memory.layout import Member, Struct
from xdpsim.memory.structs import RUN_STATE, XDP_BUFF
from xdpsim.progtypes.context import Context
from xdpsim.progtypes.xdp import XDP_MD


@dataclass(frozen=True, slots=True)
class NativeContext:
    """A context as programs see it, the struct that it really is, and that struct's offset in the run state."""

    context: Context
    native: Struct
    offset: int

    def load(self, offset: int, size: int, attach_type: int) -> Member | None:
        """What a load yields: a field of the native struct, always whole; None where Linux refuses the load."""
        field = self.context.field_at(offset, size, write=False, attach_type=attach_type)
        return self.native.members[field.name] if field else None


NATIVE_CONTEXTS: dict[str, NativeContext] = {"XDP": NativeContext(XDP_MD, XDP_BUFF, RUN_STATE.offset("xdp"))}
