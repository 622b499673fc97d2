"""What the walk knows at one point: registers, stack slots, call frames, references.

Reg, Slot and Ref are immutable and shared between states: a change puts another object in the frame's list. States and
frames are mutable and copied at branches; a copy costs two lists a frame. Follows struct bpf_reg_state,
bpf_stack_state, bpf_func_state and bpf_verifier_state (include/linux/bpf_verifier.h).
"""

from __future__ import annotations

from typing import Any

from xdpsim.verifier.regtypes import NOT_INIT, PTR_TO_CTX, PTR_TO_STACK, SCALAR_VALUE
from xdpsim.verifier.scalar import UNKNOWN, ZERO, Scalar, const

MAX_FRAMES = 8
BPF_ADD_CONST64, BPF_ADD_CONST32 = 1 << 31, 1 << 30
BPF_ADD_CONST = BPF_ADD_CONST64 | BPF_ADD_CONST32
"""In the id of a scalar: it differs from its linked registers by the constant `off`, added as a word or to the low half
with the upper half cleared."""


class Reg:
    """One register or one spilled value.

    `type` is a base type with flags (regtypes.py); `num` is a scalar's value, or a pointer's variable offset; `off` a
    pointer's fixed offset (for a scalar with BPF_ADD_CONST in its id: the distance). `id` links registers, `ref` is
    the id of the reference held (ref_obj_id). `frameno` is the frame of a stack pointer. `extra` holds what only some
    types have and is compared by ==:

        PTR_TO_PACKET*       int: bytes proven behind the pointer (range), -1 at the packet end and -2 beyond it
        CONST_PTR_TO_MAP, PTR_TO_MAP_VALUE, PTR_TO_MAP_KEY    (VMap, map_uid)
        PTR_TO_MEM           (mem_size, dynptr_id)
        PTR_TO_BTF_ID        (Btf, type id)
        PTR_TO_FUNC          int: subprogram number
        dynptrs, iterators, irq flags in stack slots: tuples made by dynptr.py, iters.py
        everything else      None
    """

    __slots__ = ("extra", "frameno", "id", "num", "off", "precise", "ref", "type")

    def __init__(
        self,
        type: int,
        num: Scalar,
        off: int = 0,
        id: int = 0,
        ref: int = 0,
        precise: bool = False,
        frameno: int = 0,
        extra: Any = None,
    ) -> None:
        self.type, self.num, self.off, self.id = type, num, off, id
        self.ref, self.precise, self.frameno, self.extra = ref, precise, frameno, extra

    def but(self, **changes: Any) -> Reg:
        """A copy with some fields changed."""
        made = Reg(self.type, self.num, self.off, self.id, self.ref, self.precise, self.frameno, self.extra)
        for name, value in changes.items():
            setattr(made, name, value)
        return made


UNINIT = Reg(NOT_INIT, UNKNOWN)
UNKNOWN_REG = Reg(SCALAR_VALUE, UNKNOWN)
ZERO_REG = Reg(SCALAR_VALUE, ZERO)
CONTEXT = Reg(PTR_TO_CTX, ZERO)


def scalar_reg(num: Scalar, precise: bool = False) -> Reg:
    """A number without links."""
    return Reg(SCALAR_VALUE, num, 0, 0, 0, precise)


def const_reg(number: int, precise: bool = False) -> Reg:
    """A known number."""
    return Reg(SCALAR_VALUE, const(number), 0, 0, 0, precise)


# Kinds of a stack byte (enum bpf_stack_slot_type).
INVALID, SPILL, MISC, ZERO_BYTE, DYNPTR, ITER, IRQ_FLAG = range(7)


class Slot:
    """Eight bytes of stack: `kinds[7]` is that of the lowest address, `kinds[0]` that of the highest, as Linux has it.

    `reg` is what was spilled there, or marks an object (dynptr, iterator). A spill of N bytes at the slot's lowest
    address has SPILL in `kinds[8 - N:]`.
    """

    __slots__ = ("kinds", "reg")

    def __init__(self, kinds: bytes, reg: Reg) -> None:
        self.kinds, self.reg = kinds, reg


EMPTY_SLOT = Slot(bytes(8), UNINIT)

# Kinds of references (enum ref_state_type).
REF_PTR, REF_IRQ, REF_LOCK, REF_RES_LOCK, REF_RES_LOCK_IRQ = 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5
REF_LOCK_MASK = REF_LOCK | REF_RES_LOCK | REF_RES_LOCK_IRQ


class Ref:
    """Something acquired that must be released: `kind` REF_*, `id`, the insn that acquired it, a lock's `ptr`."""

    __slots__ = ("id", "insn", "kind", "ptr")

    def __init__(self, kind: int, id: int, insn: int, ptr: Any = None) -> None:
        self.kind, self.id, self.insn, self.ptr = kind, id, insn, ptr


class Frame:
    """One call frame. `stack[i]` is Linux's stack slot index (spi) i: bytes [-8 * (i + 1), -8 * i) of the frame."""

    __slots__ = (
        "async_entry_cnt",
        "callback_depth",
        "callback_ret_range",
        "callsite",
        "frameno",
        "in_async_callback_fn",
        "in_callback_fn",
        "in_exception_callback_fn",
        "regs",
        "stack",
        "subprogno",
    )

    def __init__(self, callsite: int, frameno: int, subprogno: int) -> None:
        self.callsite, self.frameno, self.subprogno = callsite, frameno, subprogno
        self.regs: list[Reg] = [UNINIT] * 10
        self.regs.append(Reg(PTR_TO_STACK, ZERO, frameno=frameno))
        self.stack: list[Slot] = []
        self.async_entry_cnt = 0
        self.callback_ret_range: tuple[int, int] = (0, 0)
        self.in_callback_fn = self.in_async_callback_fn = self.in_exception_callback_fn = False
        self.callback_depth = 0

    def copy(self) -> Frame:
        """The same frame, free to be changed."""
        made = Frame.__new__(Frame)
        made.callsite, made.frameno, made.subprogno = self.callsite, self.frameno, self.subprogno
        made.regs, made.stack = self.regs.copy(), self.stack.copy()
        made.async_entry_cnt, made.callback_ret_range = self.async_entry_cnt, self.callback_ret_range
        made.in_callback_fn, made.in_async_callback_fn = self.in_callback_fn, self.in_async_callback_fn
        made.in_exception_callback_fn, made.callback_depth = self.in_exception_callback_fn, self.callback_depth
        return made


class State:
    """One point of the walk: `frames[-1]` runs. Linux's curframe is `len(frames) - 1`."""

    __slots__ = (
        "active_irq_id",
        "active_lock_id",
        "active_lock_ptr",
        "active_locks",
        "active_preempt_locks",
        "active_rcu_lock",
        "branches",
        "callback_unroll_depth",
        "cleaned",
        "curframe",
        "dfs_depth",
        "differed",
        "equal_state",
        "first_insn_idx",
        "frames",
        "hits",
        "in_free_list",
        "in_sleepable",
        "insn_idx",
        "jmp_history",
        "last_insn_idx",
        "may_goto_depth",
        "misses",
        "parent",
        "refs",
        "speculative",
    )

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.curframe = 0
        self.parent: State | None = None
        self.branches = 0
        self.insn_idx = self.first_insn_idx = self.last_insn_idx = 0
        self.refs: list[Ref] = []
        self.active_locks = self.active_preempt_locks = self.active_irq_id = 0
        self.active_lock_id = 0
        self.active_lock_ptr: Any = None
        self.active_rcu_lock = self.in_sleepable = self.speculative = self.cleaned = False
        self.jmp_history: list[Any] = []
        self.dfs_depth = self.callback_unroll_depth = self.may_goto_depth = 0
        self.equal_state: State | None = None
        # Of a state that is kept for pruning: how often it was equal or not, where it differed the last time (frame,
        # then register or 11 + stack slot), and whether it was given up.
        self.hits = self.misses = 0
        self.differed: tuple[int, int] | None = None
        self.in_free_list = False

    def copy(self) -> State:
        """The same state, free to be changed; what belongs to a kept state's record starts anew."""
        made = State.__new__(State)
        made.frames = [frame.copy() for frame in self.frames]
        made.curframe, made.parent, made.branches = self.curframe, self.parent, self.branches
        made.insn_idx = 0
        made.first_insn_idx, made.last_insn_idx = self.first_insn_idx, self.last_insn_idx
        made.refs = self.refs.copy()
        made.active_locks, made.active_preempt_locks = self.active_locks, self.active_preempt_locks
        made.active_irq_id, made.active_lock_id = self.active_irq_id, self.active_lock_id
        made.active_lock_ptr, made.active_rcu_lock = self.active_lock_ptr, self.active_rcu_lock
        made.in_sleepable, made.speculative, made.cleaned = self.in_sleepable, self.speculative, self.cleaned
        made.jmp_history = self.jmp_history.copy()
        made.dfs_depth, made.callback_unroll_depth = self.dfs_depth, self.callback_unroll_depth
        made.may_goto_depth, made.equal_state = self.may_goto_depth, self.equal_state
        made.hits = made.misses = 0
        made.differed = None
        made.in_free_list = False
        return made

    def insn_of_frame(self, frameno: int) -> int:
        """Where frame `frameno` stands: the insn of the state, or the call that it waits for."""
        return self.insn_idx if frameno == self.curframe else self.frames[frameno + 1].callsite
