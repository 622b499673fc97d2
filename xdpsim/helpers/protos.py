"""Which prototype a program gets under a helper's number (get_func_proto of Linux's verifier operations)."""

from __future__ import annotations

from xdpsim.errors import XdpsimBug
from xdpsim.helpers import protos_core, protos_net, protos_trace
from xdpsim.helpers.ids import HELPERS_BY_ID, is_offered
from xdpsim.helpers.proto_rows import ANY_TYPE, PROTOS, Proto

TABLES = (protos_core, protos_net, protos_trace)
"""Their import fills PROTOS."""


def row_for(helper_id: int, program_type: str) -> Proto:
    """The prototype under that number for a program of the type, whether or not it may call it."""
    found = PROTOS.get((helper_id, program_type)) or PROTOS.get((helper_id, ANY_TYPE))
    if found is None:
        known = HELPERS_BY_ID.get(helper_id)
        raise XdpsimBug(f"helper {known.name if known else helper_id} has no prototype for {program_type}")
    return found


def proto_for(helper_id: int, program_type: str, attach_type: int = 0) -> Proto | None:
    """What Linux's get_func_proto answers: the prototype, or None where such a program cannot use the helper.

    A prototype with `might_sleep` is good for sleepable programs only, one with `allowed` where that is fulfilled.
    """
    return row_for(helper_id, program_type) if is_offered(helper_id, program_type, attach_type) else None
