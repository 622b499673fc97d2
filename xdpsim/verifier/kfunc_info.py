"""What the verifier knows of a kernel function before it sees a call: prototype, flags, what each parameter is.

Prototypes are the kernel BTF's, flags those of helpers/kfunc_rows.py. The ends of parameter names say what C types do
not ("__sz", "__k", "__ign" ...). Follows fetch_kfunc_meta() and the is_kfunc_arg_*() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

import errno
from functools import lru_cache

from xdpsim.btf.types import Btf, Enum, Func, FuncProto, Int, Kind, Ref, Struct, Type
from xdpsim.helpers.kfunc_rows import ITER_DESTROY, ITER_NEW, ITER_NEXT, KFUNC_ROWS, KfuncRow
from xdpsim.verifier.btf_types import kernel_btf
from xdpsim.verifier.env import Env
from xdpsim.verifier.licences import GPL_COMPATIBLE

MAX_ARGS = 5
_SUFFIXES = (
    *("__sz", "__szk", "__opt", "__k", "__ign", "__map", "__alloc", "__uninit", "__refcounted_kptr", "__nullable"),
    *("__str", "__irq_flag", "__prog", "__iter"),
)
OBJECT_STRUCTS = frozenset(
    {
        *("bpf_dynptr", "bpf_list_head", "bpf_list_node", "bpf_rb_root", "bpf_rb_node", "bpf_wq", "bpf_task_work"),
        "bpf_res_spin_lock",
    }
)
LISTS = frozenset(
    {
        *("bpf_list_push_front_impl", "bpf_list_push_back_impl", "bpf_list_pop_front", "bpf_list_pop_back"),
        *("bpf_list_front", "bpf_list_back"),
    }
)
TREES = frozenset(
    {
        *("bpf_rbtree_add_impl", "bpf_rbtree_remove", "bpf_rbtree_first", "bpf_rbtree_root"),
        *("bpf_rbtree_left", "bpf_rbtree_right"),
    }
)
INSERTS = frozenset({"bpf_list_push_front_impl", "bpf_list_push_back_impl", "bpf_rbtree_add_impl"})
NEW_OBJECT = frozenset({"bpf_obj_new_impl", "bpf_percpu_obj_new_impl"})
RES_LOCKS = frozenset({"bpf_res_spin_lock", "bpf_res_spin_lock_irqsave"})
RES_UNLOCKS = frozenset({"bpf_res_spin_unlock", "bpf_res_spin_unlock_irqrestore"})
TASK_WORK = frozenset({"bpf_task_work_schedule_signal_impl", "bpf_task_work_schedule_resume_impl"})
SPIN_ALLOWED = (
    LISTS
    | TREES
    | RES_LOCKS
    | RES_UNLOCKS
    | {"bpf_refcount_acquire_impl", "bpf_iter_num_new", "bpf_iter_num_next", "bpf_iter_num_destroy"}
)
"""What may be called while a lock is held (kfunc_spin_allowed)."""
MOVES_PACKET = frozenset({"bpf_xdp_pull_data"})


class Param:
    """One parameter: its type behind modifiers, and for pointers the type pointed to behind modifiers."""

    __slots__ = ("is_callback", "is_pointer", "is_scalar", "name", "pointee", "suffixes", "type")

    def __init__(self, btf: Btf, name: str, type_id: int) -> None:
        self.name = name
        self.type = btf.resolve(type_id)
        self.is_scalar = isinstance(self.type, (Int, Enum))
        self.is_pointer = self.type.kind is Kind.PTR
        self.pointee = pointee_of(btf, self.type)
        self.is_callback = isinstance(self.pointee, FuncProto)
        self.suffixes = frozenset(end for end in _SUFFIXES if name.endswith(end) and len(name) > len(end))

    def points_to(self, name: str) -> bool:
        """Whether it is a pointer to that struct of the kernel."""
        return self.pointee.kind is Kind.STRUCT and self.pointee.name == name


class Kfunc:
    """A kernel function that programs of the network may call."""

    __slots__ = ("btf", "flags", "id", "is_iter", "is_iter_next", "name", "params", "pointee", "returns", "row")

    def __init__(self, btf: Btf, func: Func, proto: FuncProto, row: KfuncRow) -> None:
        self.btf, self.id, self.name, self.row, self.flags = btf, func.id, func.name, row, row.flags
        self.params = tuple(Param(btf, p.name, p.type_id) for p in proto.params)
        self.returns = btf.resolve(proto.return_id)
        self.pointee = pointee_of(btf, self.returns)
        self.is_iter = bool(row.flags & (ITER_NEW | ITER_NEXT | ITER_DESTROY))
        self.is_iter_next = bool(row.flags & ITER_NEXT)


def pointee_of(btf: Btf, row: Type) -> Type:
    """What a pointer points to, behind modifiers; void for what is no pointer."""
    return btf.resolve(row.type_id) if isinstance(row, Ref) and row.kind is Kind.PTR else btf.types[0]


@lru_cache(maxsize=1024)
def _known(btf: Btf, name: str) -> Kfunc | None:
    row, func = KFUNC_ROWS.get(name), btf.by_name(name, Kind.FUNC)
    if row is None or not isinstance(func, Func):
        return None
    proto = btf.get(func.type_id)
    return Kfunc(btf, func, proto, row) if isinstance(proto, FuncProto) else None


def find_kfunc(env: Env, name: str) -> Kfunc | None:
    """The function of that name when programs of this type may call it, else None."""
    found = _known(kernel_btf(env), name)
    return found if found is not None and env.prog_type in found.row.programs else None


def check_may_be_used(env: Env, name: str) -> None:
    """Refuse a program that names the function at all, wherever the call stands (add_kfunc_call)."""
    if env.spec.licence not in GPL_COMPATIBLE:
        env.fail(errno.EINVAL, "cannot call kernel function from non-GPL compatible program")
    row = KFUNC_ROWS.get(name)
    if row is not None and row.needs_device and not env.device_bound:
        env.fail(errno.EINVAL, "metadata kfuncs require device-bound program")


def kind_text(row: Type) -> str:
    """What Linux calls a kind of type (btf_type_str)."""
    return "UNKNOWN" if row.kind is Kind.VOID else row.kind.name


def is_scalar(row: Type) -> bool:
    """An integer or an enumeration."""
    return isinstance(row, (Int, Enum))


def is_struct(row: Type) -> bool:
    """A struct or a union."""
    return isinstance(row, Struct)
