"""How much stack the deepest chain of calls takes, and how deep it is.

Follows check_max_stack_depth of kernel/bpf/verifier.c on x86-64, where programs are compiled and the JIT knows private
stacks: of some program types, each function with much stack has it outside the kernel's.
"""

from __future__ import annotations

import errno

from xdpsim.isa.rows import Family
from xdpsim.verifier.callinfo import throws
from xdpsim.verifier.env import Env
from xdpsim.verifier.state import MAX_FRAMES
from xdpsim.verifier.subprogs import callee_slot, is_func_address, subprog_at

_MAX_STACK, _MAX_BEFORE_TAIL_CALL = 512, 256
_INLINED_LOOP_BYTES, _MAY_GOTO_BYTES = 24, 16
_PRIVATE_STACK_BYTES = 64
"""BPF_PRIV_STACK_MIN_SIZE: functions with less stay on the kernel's stack."""
_PRIVATE_STACK_TYPES = frozenset({"KPROBE", "TRACEPOINT", "PERF_EVENT", "RAW_TRACEPOINT", "TRACING", "LSM"})


def check_max_stack_depth(env: Env) -> None:
    """Refuse programs whose calls need more stack, or nest deeper, than there is; note whom tail calls reach."""
    subprogs = env.subprogs[:-1]
    private = env.prog_type in _PRIVATE_STACK_TYPES and not any(subprog.has_tail_call for subprog in subprogs)
    for number in range(len(subprogs) - 1, -1, -1):
        if number == 0 or subprogs[number].is_async_cb:
            _Walk(env, private and number == 0).run(number)


def add_of_inlined(env: Env) -> None:
    """What is put in the place of bpf_loop calls and may_goto keeps values on the stack.

    Nothing is refused for it: the check comes before. Follows optimize_bpf_loop and do_misc_fixups.
    """
    for number, subprog in enumerate(env.subprogs[:-1]):
        slots = _walked(env, number)
        if any(env.aux[slot].notes.get("loop_inline", (False,))[0] for slot in slots):
            subprog.stack_depth += _INLINED_LOOP_BYTES + -subprog.stack_depth % 8
        if any(insn is not None and insn.family is Family.MAY_GOTO for insn in map(env.code.__getitem__, slots)):
            subprog.stack_depth += _MAY_GOTO_BYTES


def depths(env: Env, *, accepted: bool) -> tuple[int, ...]:
    """Bytes of stack by function, as Linux counts them in the end: of an accepted program without dead functions."""
    found = tuple(subprog.stack_depth for subprog in env.subprogs[:-1]) or (0,)
    if not accepted:
        return found
    if env.bpf_capable:
        found = tuple(depth for number, depth in enumerate(found) if _walked(env, number))
    has_throw = any(insn is not None and throws(env, insn) and env.aux[slot].seen for slot, insn in enumerate(env.code))
    return (*found, 0) if has_throw and not env.exception_callback_subprog else found


def _walked(env: Env, number: int) -> list[int]:
    """The slots of a function that some path comes to."""
    slots = range(env.subprogs[number].start, env.subprogs[number + 1].start)
    return [slot for slot in slots if env.aux[slot].seen]


class _Walk:
    """All call chains from one function; `callers` holds (number of the function, slot to return to)."""

    def __init__(self, env: Env, private: bool) -> None:
        self.env, self.private = env, private
        self.depth = 0
        self.reaches_tail_call = False
        self.callers: list[tuple[int, int]] = []

    def run(self, number: int) -> None:
        """Enter the function and everything that it calls; jumps and exits are passed over."""
        env = self.env
        if not self.private:
            env.subprogs[number].private_stack = False
        self.enter(number)
        slot = env.subprogs[number].start
        while True:
            entered = self.find_call(number, slot)
            if entered is not None:
                number = entered
                slot = env.subprogs[number].start
                continue
            self.leave(number)
            if not self.callers:
                return
            number, slot = self.callers.pop()

    def enter(self, number: int) -> None:
        """Add the stack of one function."""
        env, subprog = self.env, self.env.subprogs[number]
        if number and subprog.has_tail_call and self.depth >= _MAX_BEFORE_TAIL_CALL:
            text = f"tail_calls are not allowed when call stack of previous frames is {self.depth} bytes. Too large"
            env.fail(errno.EACCES, text)
        size = _rounded(subprog.stack_depth)
        if self.private and subprog.private_stack is None and size >= _PRIVATE_STACK_BYTES:
            subprog.private_stack = True
        if subprog.private_stack:
            if size > _MAX_STACK:
                env.fail(errno.EACCES, f"stack size of subprog {number} is {size}. Too large")
            return
        self.depth += size
        env.peak_stack = max(env.peak_stack, self.depth)
        if self.depth > _MAX_STACK:
            text = f"combined stack size of {len(self.callers) + 1} calls is {self.depth}. Too large"
            env.fail(errno.EACCES, text)

    def leave(self, number: int) -> None:
        """The end of a function: callers of a tail call carry its counter on; its stack is free again."""
        subprogs = self.env.subprogs
        if self.reaches_tail_call:
            for caller, _ in self.callers:
                if subprogs[caller].is_exception_cb:
                    self.env.fail(errno.EINVAL, "cannot tail call within exception cb")
                subprogs[caller].tail_call_reachable = True
        if self.callers and not subprogs[number].private_stack:
            self.depth -= _rounded(subprogs[number].stack_depth)

    def find_call(self, number: int, slot: int) -> int | None:
        """Enter the next function called from `slot` on and return its number; None at the end of the function."""
        env = self.env
        for at in range(slot, env.subprogs[number + 1].start):
            insn = env.code[at]
            if insn is None:
                continue
            if throws(env, insn):
                self.check_throw(number, at)
            target = callee_slot(at, insn)
            if target is None:
                continue
            callee = subprog_at(env, target)
            if env.subprogs[callee].is_async_cb:
                if is_func_address(insn):
                    continue
                if env.subprogs[callee].is_exception_cb:
                    env.fail_unended(errno.EINVAL, f"insn {at} cannot call exception cb directly")
            self.call(number, at, callee)
            return callee
        return None

    def call(self, number: int, slot: int, callee: int) -> None:
        """Go one frame deeper."""
        subprog = self.env.subprogs[callee]
        self.callers.append((number, slot + 1))
        if not self.private:
            subprog.private_stack = False
        self.reaches_tail_call |= subprog.has_tail_call
        if len(self.callers) >= MAX_FRAMES:
            self.env.fail(errno.E2BIG, f"the call stack of {len(self.callers)} frames is too deep !")
        self.enter(callee)

    def check_throw(self, number: int, slot: int) -> None:
        """bpf_throw may not unwind through a callback."""
        chain = [number, *(caller for caller, _ in self.callers)]
        if any(self.env.subprogs[each].is_cb for each in chain):
            text = f"bpf_throw kfunc (insn {slot}) cannot be called from callback subprog {number}"
            self.env.fail(errno.EINVAL, text)


def _rounded(size: int) -> int:
    return (size + 15) & ~15
