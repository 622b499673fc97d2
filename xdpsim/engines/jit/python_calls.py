"""The way from native code into Python: trampolines for helpers whose bodies are Python, and for callbacks' faults.

A Python exception must not escape into native code, where it would be printed and forgotten. So a trampoline leaves a
fault in the run state, which native code tests behind each such call, and keeps what is not the program's own doing for
run_batch to raise again.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from xdpsim.bits import M64
from xdpsim.engines.fault import FaultKind, fault_view
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import BadArgument, Helper
from xdpsim.helpers.timers import Timers
from xdpsim.memory.native import NativeFunction
from xdpsim.memory.space import BadAddress

_TRAMPOLINE = ctypes.CFUNCTYPE(*[ctypes.c_uint64] * 7)


class Unwound(Exception):
    """A callback ended in a fault or threw: the helper that called it goes no further, the run state holds why."""


class PythonCalls:
    """The trampolines of one engine; they live as long as it does."""

    def __init__(self, machine: Machine, resolve: Callable[[int], int]) -> None:
        self._machine, self._resolve = machine, resolve
        self._timers = machine.part(Timers)
        self._fault = fault_view(machine.run_state)
        self._made: dict[str, Any] = {}
        self.shown_ns = 0
        """What native code takes for the time when the next timer is due."""
        self.raised: BaseException | None = None
        """What a body raised that is no fault of the program."""

    def address(self, symbol: str, row: Helper | None) -> int:
        """Address of the trampoline for a row; without a row, of the one that makes programs ready for tail calls."""
        made = self._made.get(symbol)
        if made is None:
            made = self._made[symbol] = _TRAMPOLINE(self._guarded(row) if row else self._guarded_resolve())
        return int(ctypes.cast(made, ctypes.c_void_p).value or 0)

    def raise_again(self) -> None:
        """Raise what a body raised, once native code has come back."""
        if self.raised is not None:
            raised, self.raised = self.raised, None
            raise raised

    def follow_timers(self) -> None:
        """Tell native code when the next timer is due."""
        self.shown_ns = self._timers.next_ns
        self._machine.run_state.timer_ns = min(self.shown_ns, M64)

    def _guarded(self, row: Helper) -> Callable[..., int]:
        body, machine, arity = row.body, self._machine, row.arity
        assert body is not None
        assert not isinstance(body, NativeFunction)

        def call(run_state: int, *arguments: int) -> int:
            machine.space.follow_run_state()
            result = body(machine, *arguments[:arity]) & M64
            self.follow_timers()
            return result

        return self._safe(call)

    def _guarded_resolve(self) -> Callable[..., int]:
        return self._safe(lambda run_state, number, *_: self._resolve(number))

    def _safe(self, call: Callable[..., int]) -> Callable[..., int]:
        def run(*arguments: int) -> int:
            try:
                return call(*arguments)
            except Unwound:
                return 0
            except BadArgument as bad:
                self._leave(FaultKind.ARGUMENT, arguments[bad.number], bad.number)
            except BadAddress as bad:
                self._leave(FaultKind.ACCESS, bad.address, bad.size, bad.is_write)
            except BaseException as err:
                self.raised = err
                self._leave(FaultKind.RAISED)
            return 0

        return run

    def _leave(self, kind: FaultKind, address: int = 0, size: int = 0, is_write: bool = False) -> None:
        """A fault whose slot native code fills in."""
        fault = self._fault
        fault.code, fault.accessed, fault.size, fault.is_write = kind, address & M64, size, int(is_write)
        self._machine.run_state.pending = 1
