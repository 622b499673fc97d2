"""Which kernel functions the program types of the network may call, and what the verifier knows of each beside its BTF.

Flags are those of include/linux/btf.h, without KF_. The kernel says who may call what ("calling kernel function %s is
not allowed"), which functions sleep and which take no NULL; the other flags are read from its BTF_ID_FLAGS lists.
Parameters come from the shipped types (btf/linux618.py). A function without a row here may be called by none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdpsim.progtypes.rows import PROG_TYPES

ACQUIRE, RELEASE, RET_NULL, TRUSTED_ARGS, SLEEPABLE, DESTRUCTIVE = (1 << bit for bit in range(6))
RCU, ITER_NEW, ITER_NEXT, ITER_DESTROY, RCU_PROTECTED, FASTCALL = (1 << bit for bit in range(6, 12))
ITER = ITER_NEW | ITER_NEXT | ITER_DESTROY

_SKB_TYPES = "SOCKET_FILTER LWT_IN LWT_OUT LWT_XMIT LWT_SEG6LOCAL SK_SKB NETFILTER"
_CGROUP = "CGROUP_SKB CGROUP_SOCK CGROUP_DEVICE CGROUP_SOCK_ADDR CGROUP_SYSCTL CGROUP_SOCKOPT SOCK_OPS"
ALL = frozenset(PROG_TYPES)
OBJECTS = frozenset(f"XDP SCHED_CLS {_CGROUP}".split())
CONNTRACK = frozenset({"XDP", "SCHED_CLS"})
CRYPTO = frozenset({"XDP", "SCHED_CLS", "SCHED_ACT"})
ON_XDP = frozenset({"XDP"})
ON_CLS = frozenset({"SCHED_CLS"})
ON_TC = frozenset({"SCHED_CLS", "SCHED_ACT"})
CGROUP = frozenset(_CGROUP.split())
SKB = frozenset(f"SCHED_CLS SCHED_ACT {_SKB_TYPES} {_CGROUP}".split())


@dataclass(frozen=True, slots=True)
class KfuncRow:
    """One kernel function: the types of program that may call it, and its flags."""

    name: str
    programs: frozenset[str]
    flags: int = 0
    needs_device: bool = False
    """Only programs that are bound to a device may call it, at all."""


def _rows(programs: frozenset[str], *groups: tuple[int, str], needs_device: bool = False) -> list[KfuncRow]:
    return [KfuncRow(name, programs, flags, needs_device) for flags, names in groups for name in names.split()]


KFUNC_ROWS: dict[str, KfuncRow] = {
    row.name: row
    for row in (
        *_rows(
            ALL,
            (FASTCALL, "bpf_cast_to_kern_ctx bpf_rdonly_cast"),
            (RET_NULL, "bpf_dynptr_slice bpf_dynptr_slice_rdwr bpf_res_spin_lock bpf_res_spin_lock_irqsave"),
            (ITER_NEW, "bpf_iter_num_new bpf_iter_bits_new"),
            (
                ITER_NEXT | RET_NULL,
                "bpf_iter_num_next bpf_iter_bits_next bpf_iter_task_next bpf_iter_task_vma_next bpf_iter_css_next "
                "bpf_iter_css_task_next",
            ),
            (
                ITER_DESTROY,
                "bpf_iter_num_destroy bpf_iter_bits_destroy bpf_iter_task_destroy bpf_iter_task_vma_destroy "
                "bpf_iter_css_destroy bpf_iter_css_task_destroy",
            ),
            (ITER_NEW | RCU, "bpf_iter_task_vma_new"),
            (ITER_NEW | TRUSTED_ARGS, "bpf_iter_css_task_new"),
            (ITER_NEW | TRUSTED_ARGS | RCU_PROTECTED, "bpf_iter_task_new bpf_iter_css_new"),
            (ITER_NEW | SLEEPABLE, "bpf_iter_kmem_cache_new bpf_iter_dmabuf_new"),
            (ITER_NEXT | RET_NULL | SLEEPABLE, "bpf_iter_kmem_cache_next bpf_iter_dmabuf_next"),
            (ITER_DESTROY | SLEEPABLE, "bpf_iter_kmem_cache_destroy bpf_iter_dmabuf_destroy"),
            (TRUSTED_ARGS, "bpf_map_sum_elem_count bpf_stream_vprintk_impl"),
            (TRUSTED_ARGS, "bpf_task_work_schedule_resume_impl bpf_task_work_schedule_signal_impl"),
            (RCU, "bpf_cgroup_read_xattr"),
            (
                TRUSTED_ARGS | SLEEPABLE,
                "bpf_arena_alloc_pages bpf_arena_free_pages bpf_arena_reserve_pages bpf_copy_from_user_task_dynptr "
                "bpf_copy_from_user_task_str_dynptr",
            ),
            (
                SLEEPABLE,
                "bpf_copy_from_user_str bpf_copy_from_user_task_str bpf_copy_from_user_dynptr "
                "bpf_copy_from_user_str_dynptr",
            ),
            (
                0,
                "__bpf_trap bpf_rcu_read_lock bpf_rcu_read_unlock bpf_preempt_disable bpf_preempt_enable "
                "bpf_local_irq_save bpf_local_irq_restore bpf_res_spin_unlock bpf_res_spin_unlock_irqrestore "
                "bpf_dynptr_adjust bpf_dynptr_clone bpf_dynptr_copy bpf_dynptr_is_null bpf_dynptr_is_rdonly "
                "bpf_dynptr_memset bpf_dynptr_size bpf_wq_init bpf_wq_set_callback_impl bpf_wq_start "
                "bpf_get_kmem_cache bpf_modify_return_test_tp bpf_probe_read_kernel_dynptr "
                "bpf_probe_read_kernel_str_dynptr bpf_probe_read_user_dynptr bpf_probe_read_user_str_dynptr "
                "bpf_strcasecmp bpf_strchr bpf_strchrnul bpf_strcmp bpf_strcspn bpf_strlen bpf_strnchr bpf_strnlen "
                "bpf_strnstr bpf_strrchr bpf_strspn bpf_strstr",
            ),
        ),
        *_rows(
            ALL,
            (TRUSTED_ARGS, "bpf_xdp_metadata_rx_hash bpf_xdp_metadata_rx_timestamp bpf_xdp_metadata_rx_vlan_tag"),
            needs_device=True,
        ),
        *_rows(
            OBJECTS,
            (
                ACQUIRE | RET_NULL,
                "bpf_obj_new_impl bpf_percpu_obj_new_impl bpf_list_pop_front bpf_list_pop_back bpf_rbtree_remove "
                "bpf_cgroup_from_id bpf_task_from_pid bpf_task_from_vpid bpf_lookup_system_key",
            ),
            (
                ACQUIRE | RET_NULL | RCU,
                "bpf_refcount_acquire_impl bpf_task_acquire bpf_task_get_cgroup1 bpf_cgroup_acquire "
                "bpf_cgroup_ancestor",
            ),
            (ACQUIRE | RET_NULL | SLEEPABLE, "bpf_lookup_user_key"),
            (
                RELEASE,
                "bpf_obj_drop_impl bpf_percpu_obj_drop_impl bpf_task_release bpf_cgroup_release bpf_key_put",
            ),
            (
                RET_NULL,
                "bpf_list_front bpf_list_back bpf_rbtree_first bpf_rbtree_root bpf_rbtree_left bpf_rbtree_right",
            ),
            (RCU, "bpf_task_under_cgroup"),
            (TRUSTED_ARGS, "bpf_send_signal_task"),
            (0, "bpf_list_push_front_impl bpf_list_push_back_impl bpf_rbtree_add_impl bpf_throw"),
        ),
        *_rows(
            CONNTRACK,
            (ACQUIRE | RET_NULL, "bpf_xdp_ct_alloc bpf_xdp_ct_lookup bpf_skb_ct_alloc bpf_skb_ct_lookup"),
            (ACQUIRE | RET_NULL | RELEASE, "bpf_ct_insert_entry"),
            (RELEASE, "bpf_ct_release"),
            (TRUSTED_ARGS, "bpf_ct_set_timeout bpf_ct_change_timeout bpf_ct_set_status bpf_ct_change_status"),
            (TRUSTED_ARGS, "bpf_ct_set_nat_info"),
        ),
        *_rows(CRYPTO, (RCU, "bpf_crypto_encrypt bpf_crypto_decrypt")),
        *_rows(
            ON_XDP,
            (0, "bpf_dynptr_from_xdp bpf_xdp_pull_data"),
            (ACQUIRE | RET_NULL, "bpf_xdp_get_xfrm_state"),
            (RELEASE, "bpf_xdp_xfrm_state_release"),
        ),
        *_rows(
            ON_CLS,
            (TRUSTED_ARGS, "bpf_sk_assign_tcp_reqsk"),
            (RELEASE, "bpf_kfunc_call_test_release bpf_kfunc_call_memb_release"),
        ),
        *_rows(CGROUP, (0, "bpf_sock_addr_set_sun_path"), (TRUSTED_ARGS, "bpf_sock_ops_enable_tx_tstamp")),
        *_rows(SKB, (TRUSTED_ARGS, "bpf_dynptr_from_skb")),
        *_rows(ON_TC, (TRUSTED_ARGS, "bpf_dynptr_from_skb_meta")),
    )
}

KERNEL_CONTEXTS: dict[str, str] = {
    **dict.fromkeys(PROG_TYPES, ""),
    **{name: "sk_buff" for name, row in PROG_TYPES.items() if row.struct == "__sk_buff"},
    "XDP": "xdp_buff",
    "FLOW_DISSECTOR": "bpf_flow_dissector",
    "CGROUP_SOCK": "sock",
    "CGROUP_SOCK_ADDR": "bpf_sock_addr_kern",
    "CGROUP_DEVICE": "bpf_cgroup_dev_ctx",
    "CGROUP_SYSCTL": "bpf_sysctl_kern",
    "CGROUP_SOCKOPT": "bpf_sockopt_kern",
    "SOCK_OPS": "bpf_sock_ops_kern",
    "SK_MSG": "sk_msg",
    "SK_REUSEPORT": "sk_reuseport_kern",
    "SK_LOOKUP": "bpf_sk_lookup_kern",
    "NETFILTER": "bpf_nf_ctx",
}
"""The struct that the kernel passes as context, which bpf_cast_to_kern_ctx gives (linux/bpf_types.h)."""
