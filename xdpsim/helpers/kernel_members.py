"""What xdpsim has of the kernel's own structs, which programs reach by pointers that the verifier follows."""

from __future__ import annotations

from xdpsim.helpers import kern_ctx
from xdpsim.tables import tasks
from xdpsim.tables.kernel_structs import Place, member_at, place

_KNOWN = {**kern_ctx.KNOWN_MEMBERS, **tasks.KNOWN_MEMBERS}
"""Of structs that are missing here, those of sockets and connections, what xdpsim does not have is 0."""


def missing_member(struct_name: str, offset: int) -> str:
    """The member at an offset where it is there in Linux only; empty for one that is here, and for other structs."""
    known = [place(struct_name, member) for member in _KNOWN.get(struct_name, ())]
    if not known or any(_holds(where, offset) for where in known):
        return ""
    return member_at(struct_name, offset)


def _holds(where: Place, offset: int) -> bool:
    """An array without a length goes on to the end of its struct and beyond."""
    return where.offset <= offset and (not where.width or offset < where.offset + where.width)
