"""The first Linux with each kernel function that network programs call. Read from kernel history; no kernel was asked.

What a kernel function takes, returns and does is said on its row in KFUNCS (rows.py).
"""

from __future__ import annotations

_BY_VERSION: dict[str, str] = {
    "5.18": "bpf_skb_ct_lookup bpf_xdp_ct_lookup bpf_ct_release",
    "6.0": "bpf_skb_ct_alloc bpf_xdp_ct_alloc bpf_ct_insert_entry bpf_ct_set_timeout bpf_ct_change_timeout "
    "bpf_ct_set_status bpf_ct_change_status",
    "6.1": "bpf_ct_set_nat_info",
    "6.2": "bpf_obj_new_impl bpf_obj_drop_impl bpf_list_push_front_impl bpf_list_push_back_impl bpf_list_pop_front "
    "bpf_list_pop_back bpf_cast_to_kern_ctx bpf_rdonly_cast bpf_rcu_read_lock bpf_rcu_read_unlock",
    "6.3": "bpf_xdp_metadata_rx_timestamp bpf_xdp_metadata_rx_hash bpf_rbtree_add_impl bpf_rbtree_remove "
    "bpf_rbtree_first",
    "6.4": "bpf_dynptr_from_skb bpf_dynptr_from_xdp bpf_dynptr_slice bpf_dynptr_slice_rdwr bpf_iter_num_new "
    "bpf_iter_num_next bpf_iter_num_destroy bpf_refcount_acquire_impl",
    "6.5": "bpf_dynptr_adjust bpf_dynptr_is_null bpf_dynptr_is_rdonly bpf_dynptr_size bpf_dynptr_clone "
    "bpf_sock_destroy",
    "6.6": "bpf_map_sum_elem_count",
    "6.7": "bpf_throw bpf_percpu_obj_new_impl bpf_percpu_obj_drop_impl",
    "6.8": "bpf_xdp_metadata_rx_vlan_tag bpf_xdp_get_xfrm_state bpf_xdp_xfrm_state_release",
    "6.9": "bpf_sk_assign_tcp_reqsk",
    "6.10": "bpf_preempt_disable bpf_preempt_enable bpf_wq_init bpf_wq_set_callback_impl bpf_wq_start "
    "bpf_crypto_encrypt bpf_crypto_decrypt",
    "6.11": "bpf_xdp_flow_lookup",
    "6.14": "bpf_local_irq_save bpf_local_irq_restore",
    "6.15": "bpf_dynptr_copy bpf_res_spin_lock bpf_res_spin_unlock",
    "6.16": "bpf_list_front bpf_list_back bpf_rbtree_root bpf_rbtree_left bpf_rbtree_right",
    "6.17": "bpf_dynptr_memset",
    "6.18": "bpf_xdp_pull_data",
}
KFUNC_SINCE: dict[str, str] = {name: version for version, names in _BY_VERSION.items() for name in names.split()}
