"""What one run of a program did, as users see it."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdpsim.engines.fault import Fault
from xdpsim.net.datapath import Redirect, Result
from xdpsim.net.machine import Event
from xdpsim.progtypes.xdp import XDP


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of `prog.run(packet)`.

    `value` is what the program returned (unsigned 32 bits), `action` what Linux makes of it: any value that XDP does
    not know is ABORTED, and so is a program that faulted. `packet` is the frame after the program, from the MAC header
    on; `meta` its metadata. `redirect` is the target where the action is REDIRECT. `insns` counts executed
    instructions.
    """

    action: XDP
    value: int
    packet: bytes
    meta: bytes = b""
    redirect: Redirect | None = None
    insns: int = 0
    events: list[Event] = field(default_factory=list)
    fault: Fault | None = None


def outcome_of(result: Result) -> Outcome:
    """The user's view of a datapath result."""
    known = result.fault is None and result.verdict in XDP.__members__.values()
    return Outcome(
        action=XDP(result.verdict) if known else XDP.ABORTED,
        value=result.verdict,
        packet=result.data,
        meta=result.meta,
        redirect=result.redirect,
        insns=result.insns,
        events=result.events,
        fault=result.fault,
    )
