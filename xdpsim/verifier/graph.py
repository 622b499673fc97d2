"""Lists and trees of objects: heads, roots and nodes as arguments, and pointers into what somebody else owns.

A node that is put into a list or tree belongs to that; the program keeps a non-owning pointer, good as long as the lock
is held. Follows __process_kf_arg_ptr_to_graph_root() and _node(), check_reg_allocation_locked(), ref_set_non_owning(),
ref_convert_owning_non_owning() and set_rbtree_add_callback_state() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

import errno

from xdpsim.bits import M32, signed
from xdpsim.verifier import btf_types, refs
from xdpsim.verifier.btf_record import Field
from xdpsim.verifier.env import Env
from xdpsim.verifier.fields import field_at, has_field, record_of
from xdpsim.verifier.regtypes import MEM_ALLOC, MEM_RCU, NON_OWN_REF, PTR_TO_BTF_ID
from xdpsim.verifier.scalar import ZERO
from xdpsim.verifier.state import REF_LOCK_MASK, UNINIT, Frame, Reg

_REFCOUNT = frozenset({"bpf_refcount"})
_ROOT_OF = {"bpf_list_node": "bpf_list_head", "bpf_rb_node": "bpf_rb_root"}


def _place(env: Env, reg: Reg, regno: int, kind: str) -> int:
    """The constant offset at which the pointer stands in its object."""
    if reg.num.mask:
        env.fail(errno.EINVAL, f"R{regno} doesn't have constant offset. {kind} has to be at the constant offset")
    return reg.off + reg.num.value & M32


def process_root(env: Env, reg: Reg, regno: int, kind: str) -> Field:
    """A list head or tree root whose lock is held; `kind` is the name of its struct."""
    off = _place(env, reg, regno, kind)
    record = record_of(reg)
    field: Field | None = field_at(record, off, frozenset({kind}))
    if field is None:
        env.fail(errno.EINVAL, f"{kind} not found at offset={off}")
    if not _is_locked(env, reg):
        lock = record.offset("bpf_spin_lock")
        env.fail(errno.EINVAL, f"{_lock_problem(env)}bpf_spin_lock at off={lock} must be held for {kind}")
    return field


def _is_locked(env: Env, reg: Reg) -> bool:
    """Whether the lock beside the head or root is held."""
    return bool(env.cur.active_locks) and refs.find_lock(env.cur, REF_LOCK_MASK, reg.id, reg.extra[0]) is not None


def _lock_problem(env: Env) -> str:
    return "held lock and object are not in the same allocation\n" if env.cur.active_locks else ""


def process_node(env: Env, reg: Reg, regno: int, kind: str, root: Field) -> None:
    """A node of the type that the head or root before it contains."""
    off = _place(env, reg, regno, kind)
    if field_at(record_of(reg), signed(off, 32), frozenset({kind})) is None:
        env.fail(errno.EINVAL, f"{kind} not found at offset={off}")
    btf, type_id = reg.extra
    assert root.btf is not None
    if not btf_types.struct_ids_match(env, btf, type_id, 0, root.btf, root.type_id, True):
        env.fail(
            errno.EINVAL,
            f"operation on {_ROOT_OF[kind]} expects arg#1 {kind} at offset={root.node_offset} in struct "
            f"{root.type_name}, but arg is at offset={signed(off, 32)} in struct {btf.types[type_id].name}",
        )
    if off != root.node_offset:
        env.fail(
            errno.EINVAL,
            f"arg#1 offset={signed(off, 32)}, but expected {kind} at offset={root.node_offset} in struct "
            f"{root.type_name}",
        )


def node_reg(root: Field) -> Reg:
    """A pointer to the node in an object of the type that the root contains (mark_reg_graph_node)."""
    return Reg(PTR_TO_BTF_ID | MEM_ALLOC, ZERO, root.node_offset, extra=(root.btf, root.type_id))


def non_owning(env: Env, reg: Reg) -> Reg:
    """The same pointer, as one that does not own its object; RCU keeps what is counted alive (ref_set_non_owning)."""
    if not env.cur.active_locks:
        return reg
    counted = MEM_RCU if has_field(record_of(reg), _REFCOUNT) else 0
    return reg.but(type=reg.type | NON_OWN_REF | counted)


def give_away(env: Env, ref_obj_id: int) -> None:
    """A list or tree owns the object now: all pointers to it stay, as non-owning ones."""
    refs.change_registers(env.cur, lambda reg: non_owning(env, reg).but(ref=0) if reg.ref == ref_obj_id else None)
    refs.release_nomark(env.cur, ref_obj_id)


def set_less_callback(env: Env, caller: Frame, callee: Frame, insn_idx: int) -> None:
    """The callback of bpf_rbtree_add_impl gets two nodes of the tree in R1 and R2."""
    root = caller.regs[1]
    field: Field | None = field_at(record_of(root), root.off, frozenset({"bpf_rb_root"}))
    if field is None:
        env.refuse(errno.EFAULT, "")
    callee.regs[1] = callee.regs[2] = non_owning(env, node_reg(field))
    callee.regs[3] = callee.regs[4] = callee.regs[5] = UNINIT
    callee.in_callback_fn = True
    callee.callback_ret_range = (0, 1)
