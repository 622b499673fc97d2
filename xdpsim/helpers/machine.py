"""What Python-bodied helpers and engines see of the emulated machine; the `net` layer implements it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from xdpsim.maps.map import Map
    from xdpsim.memory.layout import View
    from xdpsim.memory.pool import FramePool
    from xdpsim.memory.space import AddressSpace


T = TypeVar("T")


class Caller(Protocol):
    """The engine as the machine sees it."""

    def call_back(self, function: int, *args: int) -> int:
        """Run a function inside of the program that runs; its r0."""

    def run_callback(self, function: int, *args: int) -> int:
        """Run a function by itself; why it stopped (memory.batch.Stop)."""

    @property
    def running(self) -> Any:
        """The program that runs."""


class Machine(Protocol):
    """One emulated CPU with its memory, maps and programs."""

    run_state: View
    space: AddressSpace
    pool: FramePool
    programs: list[Any]
    """Every program loaded so far (engines.protocol.LoadedProgram), number 1 first."""

    def map_at(self, address: int) -> Map | None:
        """The map whose native header lies at `address`."""

    def owner_of(self, address: int) -> Map | None:
        """The map one of whose values holds `address`."""

    def part(self, kind: Callable[[Machine], T]) -> T:
        """The machine's one part of that class (its heap, its timers), made at first use."""

    caller: Caller | None
    """Who runs callbacks: the engine that runs."""

    def set_caller(self, caller: Caller) -> None:
        """Say who runs callbacks: an engine does this when it takes over."""

    @property
    def running(self) -> Any:
        """The program (engines.protocol.LoadedProgram) whose insn calls the helper."""

    def runner(self, number: int) -> Any:
        """The running engine's form of program `number`, for tail calls; None when there is no such program."""

    def call_back(self, function: int, *args: int) -> int:
        """Run a function of the running program, given by the handle that a register held; its r0."""

    rings: list[Map]
    """The ring buffers: `drain_rings` is to be called behind each packet when there are any."""

    def drain_rings(self) -> None:
        """Make what programs have submitted to ring buffers events of the packet that is running."""

    def emit(self, kind: str, data: object) -> None:
        """Record an event of the packet that is running: trace text, perf sample, ring buffer record."""
