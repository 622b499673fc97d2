"""What the arguments of one call of a kernel function were found to be, kept until the call is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xdpsim.verifier.kfunc_info import Kfunc
from xdpsim.verifier.regtypes import CONST_PTR_TO_MAP, MEM_RCU, PTR_TO_SOCK_COMMON, PTR_TO_SOCKET, PTR_TO_TCP_SOCK
from xdpsim.verifier.state import Reg

if TYPE_CHECKING:
    from xdpsim.btf.types import Btf
    from xdpsim.verifier.btf_record import Field

KERNEL_STRUCTS = {
    PTR_TO_SOCKET: "sock",
    PTR_TO_SOCK_COMMON: "sock_common",
    PTR_TO_TCP_SOCK: "tcp_sock",
    CONST_PTR_TO_MAP: "bpf_map",
}
"""The kernel struct that a register of such a type stands for (reg2btf_ids)."""


class Meta:
    """What the arguments of one call were found to be (struct bpf_kfunc_call_arg_meta)."""

    __slots__ = (
        *("kfunc", "ref_obj_id", "release_regno", "constant", "r0_size", "r0_rdonly", "map", "subprogno"),
        *("arg_btf", "arg_btf_id", "arg_owning_ref", "list_head", "rbtree_root", "ret_btf_id"),
        *("dynptr_id", "dynptr_type", "dynptr_ref", "iter_spi", "iter_frameno"),
    )

    def __init__(self, kfunc: Kfunc) -> None:
        self.kfunc = kfunc
        self.ref_obj_id = self.release_regno = self.r0_size = self.subprogno = self.ret_btf_id = 0
        self.constant: int | None = None
        self.r0_rdonly = self.arg_owning_ref = False
        self.map: Any = None
        self.arg_btf: Btf | None = None
        self.arg_btf_id = 0
        self.list_head: Field | None = None
        self.rbtree_root: Field | None = None
        self.dynptr_id = self.dynptr_type = self.dynptr_ref = 0
        self.iter_spi = self.iter_frameno = 0


def is_rcu_reg(reg: Reg) -> bool:
    """A pointer to an object that RCU keeps alive."""
    return bool(reg.type & MEM_RCU)
