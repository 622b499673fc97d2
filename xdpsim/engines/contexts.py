"""Which native struct stands behind each program type's context. A program type runs when it has a row here."""

from __future__ import annotations

from dataclasses import dataclass

from xdpsim.isa.rows import Family
from xdpsim.memory.layout import Member, Struct
from xdpsim.memory.structs import RUN_STATE, XDP_BUFF
from xdpsim.progtypes.context import Context, Yields
from xdpsim.progtypes.xdp import XDP_MD


@dataclass(frozen=True, slots=True)
class NativeContext:
    """A context as programs see it, the struct that it really is, and that struct's offset in the run state."""

    context: Context
    native: Struct
    offset: int

    def load(self, offset: int, size: int, attach_type: int, family: Family = Family.LOAD) -> Member | None:
        """What a load yields: a field of the native struct, always whole; None where Linux refuses the load.

        Linux sign-extends plain fields only, not pointers, and has no ordered loads of a context.
        """
        field = self.context.field_at(offset, size, write=False, attach_type=attach_type)
        if field is None or family is Family.LOAD_ACQUIRE:
            return None
        if family is Family.LOAD_SX and field.yields is not Yields.SCALAR:
            return None
        return self.native.members[field.name]


NATIVE_CONTEXTS: dict[str, NativeContext] = {"XDP": NativeContext(XDP_MD, XDP_BUFF, RUN_STATE.offset("xdp"))}
