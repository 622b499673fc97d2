"""What Python-bodied helpers and engines see of the emulated machine; the `net` layer implements it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from xdpsim.maps.map import Map
    from xdpsim.memory.layout import View
    from xdpsim.memory.pool import FramePool
    from xdpsim.memory.space import AddressSpace


class Machine(Protocol):
    """One emulated CPU with its memory, maps and programs."""

    run_state: View
    space: AddressSpace
    pool: FramePool
    programs: list[Any]
    """Every program loaded so far (engines.protocol.LoadedProgram), number 1 first."""

    def map_at(self, address: int) -> Map | None:
        """The map whose native header lies at `address`."""

    def set_caller(self, call: Callable[..., int]) -> None:
        """Say who runs callbacks: an engine does this when it is made."""

    def runner(self, number: int) -> Any:
        """The running engine's form of program `number`, for tail calls; None when there is no such program."""

    def call_back(self, function: int, *args: int) -> int:
        """Run a function of the running program, given by the handle that a register held; its r0."""

    def emit(self, kind: str, data: object) -> None:
        """Record an event of the packet that is running: trace text, perf sample, ring buffer record."""
