"""Makes linux618.types and linux618.names out of the BTF of a running Linux 6.18: `python -m xdpsim.btf.make_linux618`.

The first holds the layouts of the types that network programs touch (SEEDS, the parameters of kfuncs, and all that
these contain by value); what they only point to is written without members. Behind them come the kfuncs themselves. The
second holds the name of every type of that kernel, so that "not in Linux" and "not in the table" stay two answers.
linux618.py reads both; this is for whoever renews them.
"""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

from xdpsim.btf.linux618 import NAMED_KINDS, NAMES_FILE, TYPES_FILE, name_hash
from xdpsim.btf.parse import parse
from xdpsim.btf.types import (
    Array,
    Btf,
    DeclTag,
    Enum,
    Float,
    Func,
    FuncProto,
    Fwd,
    Int,
    Kind,
    Member,
    Ref,
    Struct,
    Type,
)

HOST = Path("/sys/kernel/btf/vmlinux")

_PACKETS = """ethhdr vlan_hdr vlan_ethhdr arphdr iphdr ipv6hdr ipv6_opt_hdr ipv6_rt_hdr frag_hdr ipv6_sr_hdr
ip_auth_hdr ip_esp_hdr tcphdr udphdr icmphdr icmp6hdr igmphdr sctphdr sctp_chunkhdr dccp_hdr mpls_label nd_msg
gre_base_hdr gre_full_hdr vxlanhdr genevehdr llc_pdu_sn in_addr in6_addr sockaddr sockaddr_in sockaddr_in6 sockaddr_un
iovec msghdr user_msghdr iov_iter flowi flowi4 flowi6 flowi_common flow_keys flow_dissector ip_options ip_options_rcu
inet_skb_parm inet6_skb_parm tcp_skb_cb qdisc_skb_cb bpf_skb_data_end sk_buff sk_buff_head skb_shared_info
skb_shared_hwtstamps skb_frag skb_ext sk_psock xdp_buff xdp_frame xdp_rxq_info xdp_txq_info xdp_mem_info xdp_buff_xsk
xdp_md __sk_buff sk_msg sk_msg_md sk_msg_sg"""
_SOCKETS = """sock sock_common inet_sock inet_connection_sock inet_connection_sock_af_ops inet_timewait_sock
inet_request_sock inet_bind_bucket inet_bind_hashbucket inet_ehash_bucket inet_listen_hashbucket inet_hashinfo
request_sock request_sock_queue tcp_sock tcp_request_sock tcp_timewait_sock tcp6_sock tcp_info tcp_congestion_ops
tcp_sacktag_state tcp_options_received rate_sample udp_sock udp6_sock udp_hslot udp_table raw_sock raw6_sock unix_sock
unix_address unix_skb_parms socket socket_wq socket_alloc proto proto_ops ipv6_pinfo mptcp_sock packet_sock xdp_sock
netlink_sock sctp_sock sock_cgroup_data sock_fprog sock_filter sk_filter sock_reuseport ip_mreqn linger fastopen_queue
bpf_sk_storage_diag"""
_DEVICES = """net_device net_device_ops net_device_stats rtnl_link_stats64 netdev_queue netdev_rx_queue napi_struct
header_ops Qdisc Qdisc_ops tcf_proto tcf_result tcf_chain tcf_block veth macvlan_dev net_bridge net_bridge_port
in_device in_ifaddr inet6_dev inet6_ifaddr neighbour neigh_table neigh_parms neigh_seq_state dst_entry dst_ops rtable
rt6_info fib_info fib_nh fib_nh_common fib_result fib6_info fib6_nh fib6_result fib_config fib_table fib_rule
lwtunnel_state metadata_dst ip_tunnel ip_tunnel_info ip_tunnel_key ip_tunnel_parm_kern net possible_net_t netns_ipv4
netns_ipv6 netns_core netns_nf netns_ct netns_bpf netns_mib ns_common user_namespace nsproxy pid_namespace
uts_namespace ipc_namespace mnt_namespace cgroup_namespace nf_conn nf_conntrack nf_conntrack_tuple
nf_conntrack_tuple_hash nf_conntrack_man nf_conntrack_l4proto nf_conntrack_zone nf_conntrack_expect nf_ct_ext
nf_conn_nat nf_conn_help nf_conn_counter nf_conn_acct nf_conn_labels nf_conn_tstamp nf_hook_state nf_hook_ops
nf_bridge_info nf_nat_range2 nf_nat_pptp nf_queue_entry ip_ct_tcp ip_ct_tcp_state nft_chain nft_table nft_rule
nft_pktinfo nft_traceinfo xt_table xfrm_state xfrm_policy xfrm_md_info sec_path page_pool bio_vec list_head hlist_head
hlist_node hlist_nulls_node hlist_nulls_head rb_node rb_root callback_head timer_list hrtimer work_struct delayed_work
refcount_struct kref kuid_t kgid_t xarray idr mutex spinlock"""
_TASKS = """task_struct thread_info files_struct fdtable file fs_struct path qstr dentry inode cred pid upid
kernfs_node kernfs_root css_set cgroup cgroup_subsys_state cgroup_root cgroup_file cgroup_bpf seq_file seq_operations
pt_regs perf_event_attr bpf_perf_event_data trace_entry trace_event_raw_sys_enter trace_event_raw_sys_exit
trace_event_raw_inet_sock_set_state trace_event_raw_kfree_skb trace_event_raw_net_dev_template
trace_event_raw_consume_skb trace_event_raw_tcp_event_sk trace_event_raw_sched_process_template timespec64
__kernel_sock_timeval module"""
_BPF = """btf_ptr btf btf_type bpf_insn bpf_map bpf_array bpf_htab bpf_array_aux bpf_prog bpf_prog_aux bpf_link
bpf_dtab bpf_cpu_map bpf_ringbuf bpf_local_storage bpf_local_storage_map bpf_attr bpf_xdp_link bpf_tramp_run_ctx
bpf_raw_tp_link bpf_dispatcher bpf_iter_meta bpf_mem_alloc bpf_sock bpf_tcp_sock bpf_sock_tuple bpf_sock_addr
bpf_sock_addr_kern bpf_sock_ops bpf_sock_ops_kern bpf_sockopt bpf_sockopt_kern bpf_sk_lookup bpf_sk_lookup_kern
bpf_sysctl bpf_sysctl_kern bpf_cgroup_dev_ctx bpf_fib_lookup bpf_tunnel_key bpf_xfrm_state bpf_redir_neigh
bpf_flow_keys bpf_spin_lock bpf_timer bpf_wq bpf_dynptr bpf_dynptr_kern bpf_list_head bpf_list_node bpf_rb_root
bpf_rb_node bpf_refcount bpf_iter_num bpf_iter_bits bpf_cpumap_val bpf_devmap_val bpf_perf_event_value
bpf_raw_tracepoint_args bpf_pidns_info bpf_redirect_info bpf_ct_opts bpf_crypto_ctx bpf_crypto_params bpf_nf_ctx
bpf_flow_dissector bpf_tcp_req_attrs bpf_cpumask bpf_xfrm_state_opts bpf_prog_info bpf_map_info bpf_link_info
sk_reuseport_md
sk_reuseport_kern xsk_tx_metadata sockmap_link bpf_stab bpf_shtab bpf_iter__tcp bpf_iter__udp bpf_iter__unix
bpf_iter__netlink bpf_iter__task bpf_iter__bpf_map bpf_iter__bpf_map_elem bpf_iter__bpf_sk_storage_map
bpf_iter__sockmap bpf_iter__ipv6_route bpf_iter__ksym bpf_iter__cgroup bpf_iter__task_file"""
_ENUMS = """xdp_action xdp_rss_hash_type xdp_mem_type skb_drop_reason skb_tstamp_type sock_type socket_state sk_pacing
sock_flags tcp_ca_state tcp_chrono tcp_tw_status ip_conntrack_info ip_conntrack_status ip_conntrack_dir nf_inet_hooks
nf_dev_hooks nf_nat_manip_type nf_ip_hook_priorities tcp_conntrack udp_conntrack pkt_hash_types netdev_state_t
net_device_flags netdev_priv_flags netdev_cmd rt_scope_t rt_class_t lwtunnel_encap_types lwtunnel_ip_t zone_type
pid_type hrtimer_restart hrtimer_mode cgroup_subsys_id bpf_cmd bpf_func_id bpf_map_type bpf_prog_type bpf_attach_type
bpf_link_type bpf_reg_type bpf_arg_type bpf_return_type bpf_type_flag bpf_core_relo_kind bpf_xdp_mode
bpf_adj_room_mode bpf_hdr_start_off bpf_lwt_encap_mode bpf_ret_code bpf_stack_build_id_status bpf_task_fd_type
bpf_cgroup_iter_order bpf_cgroup_storage_type bpf_dynptr_type bpf_kfunc_flags bpf_iter_state bpf_features
bpf_perf_event_type bpf_stats_type bpf_access_type perf_event_sample_format perf_type_id perf_sw_ids btf_field_type"""
_NUMBERS = """u8 u16 u32 u64 s8 s16 s32 s64 __u8 __u16 __u32 __u64 __s8 __s16 __s32 __s64 __be16 __be32 __be64 __sum16
__wsum __le16 __le32 bool size_t ssize_t uint8_t uint16_t uint32_t uint64_t int32_t int64_t uintptr_t pid_t uid_t
gid_t kuid_t kgid_t umode_t dev_t ktime_t gfp_t netdev_features_t atomic_t atomic64_t refcount_t spinlock_t
socket_lock_t possible_net_t sk_buff_data_t skb_frag_t netdevice_tracker dma_addr_t loff_t time64_t clockid_t
bpf_callback_t"""
SEEDS = " ".join((_PACKETS, _SOCKETS, _DEVICES, _TASKS, _BPF, _ENUMS, _NUMBERS)).split()


class Writer:
    """Numbers types as they are met and writes one line for each."""

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self.kfuncs = _kfuncs(btf)
        seeds = [row.id for name in SEEDS for row in btf.types if row.name == name and _seed(row)]
        self.whole = self._by_value(seeds + [pointee for row in self.kfuncs for pointee in self._pointees(row)])
        self.numbers: dict[int, int] = {0: 0}
        self.order: list[int] = []

    def _by_value(self, ids: list[int]) -> set[int]:
        """The types, and what they contain by value."""
        seen: set[int] = set()
        while ids:
            row = self.btf.types[ids.pop()]
            if row.id in seen:
                continue
            seen.add(row.id)
            if isinstance(row, Struct):
                ids += [m.type_id for m in row.members]
            elif isinstance(row, Array) or (isinstance(row, Ref) and row.kind is not Kind.PTR):
                ids.append(row.type_id)
        return seen

    def _pointees(self, kfunc: Func) -> list[int]:
        """What the parameters and the result of a kfunc point to."""
        proto = self.btf.types[kfunc.type_id]
        assert isinstance(proto, FuncProto)
        pointers = (self.btf.resolve(type_id) for type_id in (proto.return_id, *(p.type_id for p in proto.params)))
        return [row.type_id for row in pointers if isinstance(row, Ref)]

    def number(self, type_id: int) -> int:
        """The number that a type has, or gets, in the table."""
        if type_id not in self.numbers:
            self.order.append(type_id)
            self.numbers[type_id] = len(self.order)
        return self.numbers[type_id]

    def lines(self) -> list[str]:
        """All of the table, until nothing new is referred to."""
        for type_id in sorted(self.whole):
            self.number(type_id)
        for row in self.kfuncs:
            self.number(row.id)
        found: list[str] = []
        while len(found) < len(self.order):
            found.append("\t".join(self._fields(self.btf.types[self.order[len(found)]])))
        return found

    def _fields(self, row: Type) -> list[str]:
        if isinstance(row, Struct):
            letter = "su"[row.kind is Kind.UNION]
            if row.id not in self.whole:
                return [letter.upper(), row.name, str(row.size)]
            return [letter, row.name, str(row.size), *(_member(m, self.number(m.type_id)) for m in row.members)]
        if isinstance(row, Enum):
            values = [f"{name}={value}" for name, value in row.values]
            return ["eE"[row.kind is Kind.ENUM64], row.name, str(row.size), str(int(row.is_signed)), *values]
        if isinstance(row, Array):
            return ["a", str(self.number(row.type_id)), str(row.nelems)]
        if isinstance(row, Int):
            flags = "s" * row.is_signed + "c" * row.is_char + "b" * row.is_bool
            return ["i", row.name, str(row.size), str(row.bits), flags]
        if isinstance(row, Float):
            return ["f", row.name, str(row.size)]
        if isinstance(row, Func):
            return ["F", row.name, str(self.number(row.type_id))]
        if isinstance(row, FuncProto) and any(p.name for p in row.params):
            named = (f"{p.name}:{self.number(p.type_id)}" for p in row.params)
            return ["P", str(self.number(row.return_id)), *named]
        if isinstance(row, FuncProto):
            return ["p", str(self.number(row.return_id)), *(str(self.number(p.type_id)) for p in row.params)]
        if isinstance(row, Fwd):
            return ["w", row.name, str(int(row.is_union))]
        if isinstance(row, Ref):
            return [_REFS[row.kind], row.name, str(self.number(row.type_id))]
        raise SystemExit(f"a {row.kind.name} inside a type: {row}")


_REFS = {
    Kind.PTR: "*",
    Kind.TYPEDEF: "t",
    Kind.CONST: "k",
    Kind.VOLATILE: "v",
    Kind.RESTRICT: "r",
    Kind.TYPE_TAG: "g",
}


def _kfuncs(btf: Btf) -> list[Func]:
    """The functions that are tagged as kfuncs, by name."""
    tagged = {row.type_id for row in btf.types if isinstance(row, DeclTag) and row.name == "bpf_kfunc"}
    found = [row for row in btf.types if isinstance(row, Func) and row.id in tagged]
    return sorted(found, key=lambda row: row.name)


def _member(m: Member, number: int) -> str:
    return f"{m.name}:{number}:{m.bit_offset}" + (f":{m.bit_size}" if m.bit_size else "")


def _seed(row: Type) -> bool:
    return row.kind in NAMED_KINDS or isinstance(row, (Int, Float))


def main() -> None:
    """Write both files, from the kernel that runs; or print the types that are there."""
    if sys.argv[1:] == ["--show"]:
        print(zlib.decompress(TYPES_FILE.read_bytes()).decode())
        return
    btf = parse(HOST.read_bytes())
    present = {row.name for row in btf.types if _seed(row)}
    missing = [name for name in SEEDS if name not in present]
    print("not in this kernel:", *missing, file=sys.stderr)
    lines = Writer(btf).lines()
    TYPES_FILE.write_bytes(zlib.compress("\n".join(lines).encode(), 9))
    hashes = {name_hash(row.kind, row.name) for row in btf.types if row.kind in NAMED_KINDS and row.name}
    NAMES_FILE.write_bytes(b"".join(sorted(hashes)))
    print(f"{len(lines)} lines in {TYPES_FILE.stat().st_size} bytes, {NAMES_FILE.stat().st_size} bytes of names")


if __name__ == "__main__":
    main()
