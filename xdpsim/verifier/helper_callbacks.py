"""What a helper's callback finds in its registers, and what it may return.

Each function sets up `callee` as set_callee_state functions do: functions.push_callback_call calls it when the frame is
there. Follows set_*_callback_state() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from collections.abc import Callable

from xdpsim.helpers.map_pairs import FOR_EACH_MAPS
from xdpsim.verifier import btf_types
from xdpsim.verifier.dynptr import callback_argument
from xdpsim.verifier.env import ENOTSUPP, Env
from xdpsim.verifier.regtypes import (
    CONST_PTR_TO_MAP,
    DYNPTR_TYPE_LOCAL,
    PTR_TO_BTF_ID,
    PTR_TO_MAP_KEY,
    PTR_TO_MAP_VALUE,
)
from xdpsim.verifier.scalar import ZERO
from xdpsim.verifier.state import UNINIT, Frame, Reg
from xdpsim.verifier.vmap import VMap

SetCallee = Callable[[Env, Frame, Frame, int], None]


def _arguments(callee: Frame, *registers: Reg) -> None:
    """R1 and on; the others of R1 to R5 hold nothing."""
    callee.regs[1:6] = (*registers, UNINIT, UNINIT, UNINIT, UNINIT)[:5]


def _begin(callee: Frame, low: int = 0, high: int = 1) -> None:
    callee.in_callback_fn = True
    callee.callback_ret_range = (low, high)


def map_element(kind: int, vmap: VMap) -> Reg:
    """A pointer to a key or value, or to the map itself."""
    return Reg(kind, ZERO, extra=(vmap, 0))


def set_map_elem_callback_state(env: Env, caller: Frame, callee: Frame, insn_idx: int) -> None:
    """callback(map, key, value, callback_ctx) of for_each_map_elem."""
    vmap: VMap = caller.regs[1].extra[0]
    if vmap.spec.type not in FOR_EACH_MAPS:
        env.fail(ENOTSUPP, "callback function not allowed for map")
    key, value = map_element(PTR_TO_MAP_KEY, vmap), map_element(PTR_TO_MAP_VALUE, vmap)
    _arguments(callee, caller.regs[1], key, value, caller.regs[3])
    _begin(callee)


def set_loop_callback_state(env: Env, caller: Frame, callee: Frame, insn_idx: int) -> None:
    """callback(index, callback_ctx) of bpf_loop."""
    _arguments(callee, env.unknown, caller.regs[3])
    _begin(callee)


def set_timer_callback_state(env: Env, caller: Frame, callee: Frame, insn_idx: int) -> None:
    """callback(map, key, value) of a timer, which starts with a stack of its own."""
    vmap: VMap = caller.regs[1].extra[0]
    _arguments(callee, *(map_element(kind, vmap) for kind in (CONST_PTR_TO_MAP, PTR_TO_MAP_KEY, PTR_TO_MAP_VALUE)))
    callee.in_async_callback_fn = True
    callee.callback_ret_range = (0, 0)


def set_find_vma_callback_state(env: Env, caller: Frame, callee: Frame, insn_idx: int) -> None:
    """callback(task, vma, callback_ctx) of find_vma."""
    vma = Reg(PTR_TO_BTF_ID, ZERO, extra=btf_types.kernel_struct(env, "vm_area_struct"))
    _arguments(callee, caller.regs[1], vma, caller.regs[4])
    _begin(callee)


def set_user_ringbuf_callback_state(env: Env, caller: Frame, callee: Frame, insn_idx: int) -> None:
    """callback(dynptr, callback_ctx) of user_ringbuf_drain."""
    _arguments(callee, callback_argument(env, DYNPTR_TYPE_LOCAL), caller.regs[3])
    _begin(callee)


CALLBACKS: dict[str, SetCallee] = {
    "for_each_map_elem": set_map_elem_callback_state,
    "loop": set_loop_callback_state,
    "timer_set_callback": set_timer_callback_state,
    "find_vma": set_find_vma_callback_state,
    "user_ringbuf_drain": set_user_ringbuf_callback_state,
}
"""By what a prototype says in `calls_back`."""
