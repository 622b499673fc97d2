/* SPDX-License-Identifier: Apache-2.0
 *
 * What a BPF program needs of Linux 6.18: types, sections, maps, contexts, helpers.
 * Printed from xdpsim's rows by programs/make_header.py: change the rows, not this file.
 * Names and numbers are those of include/uapi/linux/bpf.h (GPL-2.0 WITH Linux-syscall-note).
 */
#ifndef XDPSIM_BPF_H
#define XDPSIM_BPF_H

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u16 __sum16;
typedef __u32 __wsum;
typedef _Bool bool;

#define true 1
#define false 0
#define NULL ((void *)0)

#define SEC(name) __attribute__((section(name), used))
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))
#define __hidden __attribute__((visibility("hidden")))
#define __packed __attribute__((packed))
#define __maybe_unused __attribute__((unused))
/* A function or a constant of the kernel's own, by name; weak: its address is NULL where the kernel has none. */
#define __ksym __attribute__((section(".ksyms")))
#define __weak __attribute__((weak))
/* A structure of the kernel's: its offsets are set when the program is loaded (CO-RE). */
#define __relocated __attribute__((preserve_access_index))

/* Fields of a map definition in SEC(".maps"). */
#define __uint(name, val) int (*name)[val]
#define __type(name, val) __typeof__(val) *name
#define __array(name, val) __typeof__(val) *name[]

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define bpf_htons(x) ((__be16)__builtin_bswap16(x))
#define bpf_htonl(x) ((__be32)__builtin_bswap32(x))
#define bpf_cpu_to_be64(x) ((__be64)__builtin_bswap64(x))
#else
#define bpf_htons(x) ((__be16)(x))
#define bpf_htonl(x) ((__be32)(x))
#define bpf_cpu_to_be64(x) ((__be64)(x))
#endif
#define bpf_ntohs(x) ((__u16)bpf_htons(x))
#define bpf_ntohl(x) ((__u32)bpf_htonl(x))
#define bpf_be64_to_cpu(x) ((__u64)bpf_cpu_to_be64(x))

#define memcpy(to, from, n) __builtin_memcpy(to, from, n)
#define memset(to, c, n) __builtin_memset(to, c, n)

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PROG_ARRAY = 3,
	BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_STACK_TRACE = 7,
	BPF_MAP_TYPE_CGROUP_ARRAY = 8,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_LRU_PERCPU_HASH = 10,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_HASH_OF_MAPS = 13,
	BPF_MAP_TYPE_DEVMAP = 14,
	BPF_MAP_TYPE_SOCKMAP = 15,
	BPF_MAP_TYPE_CPUMAP = 16,
	BPF_MAP_TYPE_XSKMAP = 17,
	BPF_MAP_TYPE_SOCKHASH = 18,
	BPF_MAP_TYPE_CGROUP_STORAGE = 19,
	BPF_MAP_TYPE_REUSEPORT_SOCKARRAY = 20,
	BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE = 21,
	BPF_MAP_TYPE_QUEUE = 22,
	BPF_MAP_TYPE_STACK = 23,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_DEVMAP_HASH = 25,
	BPF_MAP_TYPE_STRUCT_OPS = 26,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_INODE_STORAGE = 28,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
	BPF_MAP_TYPE_BLOOM_FILTER = 30,
	BPF_MAP_TYPE_USER_RINGBUF = 31,
	BPF_MAP_TYPE_CGRP_STORAGE = 32,
	BPF_MAP_TYPE_ARENA = 33,
};

/* Flags of maps and of updates. */
#define BPF_ANY 0
#define BPF_NOEXIST 1
#define BPF_EXIST 2
#define BPF_F_LOCK 4
#define BPF_F_NO_PREALLOC 1
#define BPF_F_NO_COMMON_LRU 2
#define BPF_F_NUMA_NODE 4
#define BPF_F_RDONLY 8
#define BPF_F_WRONLY 16
#define BPF_F_STACK_BUILD_ID 32
#define BPF_F_ZERO_SEED 64
#define BPF_F_RDONLY_PROG 128
#define BPF_F_WRONLY_PROG 256
#define BPF_F_CLONE 512
#define BPF_F_MMAPABLE 1024
#define BPF_F_PRESERVE_ELEMS 2048
#define BPF_F_INNER_MAP 4096
#define BPF_F_LINK 8192
#define BPF_F_PATH_FD 16384
#define BPF_F_VTYPE_BTF_OBJ_FD 32768
#define BPF_F_TOKEN_FD 65536
#define BPF_F_SEGV_ON_FAULT 131072
#define BPF_F_NO_USER_CONV 262144

/* Flags of helpers. */
#define BPF_F_INGRESS 1
#define BPF_F_BROADCAST 8
#define BPF_F_EXCLUDE_INGRESS 16
#define BPF_F_RECOMPUTE_CSUM 1
#define BPF_F_INVALIDATE_HASH 2
#define BPF_F_HDR_FIELD_MASK 15
#define BPF_F_PSEUDO_HDR 16
#define BPF_F_MARK_MANGLED_0 32
#define BPF_F_MARK_ENFORCE 64
#define BPF_F_IPV6 128
#define BPF_F_TUNINFO_IPV6 1
#define BPF_F_ZERO_CSUM_TX 2
#define BPF_F_DONT_FRAGMENT 4
#define BPF_F_SEQ_NUMBER 8
#define BPF_F_NO_TUNNEL_KEY 16
#define BPF_F_TUNINFO_FLAGS 16
#define BPF_F_ADJ_ROOM_FIXED_GSO 1
#define BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 2
#define BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 4
#define BPF_F_ADJ_ROOM_ENCAP_L4_GRE 8
#define BPF_F_ADJ_ROOM_ENCAP_L4_UDP 16
#define BPF_F_ADJ_ROOM_NO_CSUM_RESET 32
#define BPF_F_ADJ_ROOM_ENCAP_L2_ETH 64
#define BPF_F_ADJ_ROOM_DECAP_L3_IPV4 128
#define BPF_F_ADJ_ROOM_DECAP_L3_IPV6 256
#define BPF_F_INDEX_MASK 0xffffffffULL
#define BPF_F_CURRENT_CPU 0xffffffffULL
#define BPF_F_CTXLEN_MASK 0xfffff00000000ULL
#define BPF_F_TIMER_ABS 1
#define BPF_F_TIMER_CPU_PIN 2

enum xdp_action {
	XDP_ABORTED = 0,
	XDP_DROP = 1,
	XDP_PASS = 2,
	XDP_TX = 3,
	XDP_REDIRECT = 4,
};

/* Verdicts of tc programs. */
#define TC_ACT_UNSPEC (-1)
#define TC_ACT_OK 0
#define TC_ACT_RECLASSIFY 1
#define TC_ACT_SHOT 2
#define TC_ACT_PIPE 3
#define TC_ACT_STOLEN 4
#define TC_ACT_QUEUED 5
#define TC_ACT_REPEAT 6
#define TC_ACT_REDIRECT 7
#define TC_ACT_TRAP 8

struct bpf_spin_lock {
	__u32 val;
};

struct bpf_timer {
	__u64 __opaque[2];
} __attribute__((aligned(8)));

struct bpf_dynptr {
	__u64 __opaque[2];
} __attribute__((aligned(8)));

struct xdp_md {
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
	__u32 egress_ifindex;
};

struct __sk_buff {
	__u32 len;
	__u32 pkt_type;
	__u32 mark;
	__u32 queue_mapping;
	__u32 protocol;
	__u32 vlan_present;
	__u32 vlan_tci;
	__u32 vlan_proto;
	__u32 priority;
	__u32 ingress_ifindex;
	__u32 ifindex;
	__u32 tc_index;
	__u32 cb[5];
	__u32 hash;
	__u32 tc_classid;
	__u32 data;
	__u32 data_end;
	__u32 napi_id;
	__u32 family;
	__u32 remote_ip4;
	__u32 local_ip4;
	__u32 remote_ip6[4];
	__u32 local_ip6[4];
	__u32 remote_port;
	__u32 local_port;
	__u32 data_meta;
	union {
		struct bpf_flow_keys *flow_keys;
		__u64 : 64;
	} __attribute__((aligned(8)));
	__u64 tstamp;
	__u32 wire_len;
	__u32 gso_segs;
	union {
		struct bpf_sock *sk;
		__u64 : 64;
	} __attribute__((aligned(8)));
	__u32 gso_size;
	__u8 tstamp_type;
	__u32 : 24;
	__u64 hwtstamp;
};

struct bpf_fib_lookup;
struct bpf_perf_event_value;
struct bpf_pidns_info;
struct bpf_redir_neigh;
struct bpf_sock;
struct bpf_sock_tuple;
struct bpf_tcp_sock;
struct bpf_tunnel_key;
struct bpf_xfrm_state;
struct btf_ptr;
struct cgroup;
struct iphdr;
struct ipv6hdr;
struct mptcp_sock;
struct task_struct;
struct tcp6_sock;
struct tcp_request_sock;
struct tcp_sock;
struct tcp_timewait_sock;
struct tcphdr;
struct udp6_sock;
struct unix_sock;

/* Helpers, with the Linux that brought them. */

/* 3.19 */
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;

/* 3.19 */
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;

/* 3.19 */
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;

/* 4.1 */
static __u64 (*const bpf_ktime_get_ns)(void) = (void *)5;

/* 4.1, GPL */
static long (*const bpf_trace_printk)(const char *fmt, __u32 fmt_size, ...) = (void *)6;

/* 4.1 */
static __u32 (*const bpf_get_prandom_u32)(void) = (void *)7;

/* 4.1 */
static __u32 (*const bpf_get_smp_processor_id)(void) = (void *)8;

/* 4.1 */
static long (*const bpf_skb_store_bytes)(struct __sk_buff *skb, __u32 offset, const void *from, __u32 len, __u64 flags) = (void *)9;

/* 4.1 */
static long (*const bpf_l3_csum_replace)(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 size) = (void *)10;

/* 4.1 */
static long (*const bpf_l4_csum_replace)(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 flags) = (void *)11;

/* 4.2 */
static long (*const bpf_tail_call)(void *ctx, void *prog_array_map, __u32 index) = (void *)12;

/* 4.2 */
static long (*const bpf_clone_redirect)(struct __sk_buff *skb, __u32 ifindex, __u64 flags) = (void *)13;

/* 4.2 */
static __u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;

/* 4.2 */
static __u64 (*const bpf_get_current_uid_gid)(void) = (void *)15;

/* 4.2 */
static long (*const bpf_get_current_comm)(void *buf, __u32 size_of_buf) = (void *)16;

/* 4.3 */
static __u32 (*const bpf_get_cgroup_classid)(struct __sk_buff *skb) = (void *)17;

/* 4.3 */
static long (*const bpf_skb_vlan_push)(struct __sk_buff *skb, __be16 vlan_proto, __u16 vlan_tci) = (void *)18;

/* 4.3 */
static long (*const bpf_skb_vlan_pop)(struct __sk_buff *skb) = (void *)19;

/* 4.3 */
static long (*const bpf_skb_get_tunnel_key)(struct __sk_buff *skb, struct bpf_tunnel_key *key, __u32 size, __u64 flags) = (void *)20;

/* 4.3 */
static long (*const bpf_skb_set_tunnel_key)(struct __sk_buff *skb, struct bpf_tunnel_key *key, __u32 size, __u64 flags) = (void *)21;

/* 4.3, GPL */
static __u64 (*const bpf_perf_event_read)(void *map, __u64 flags) = (void *)22;

/* 4.4 */
static long (*const bpf_redirect)(__u32 ifindex, __u64 flags) = (void *)23;

/* 4.4 */
static __u32 (*const bpf_get_route_realm)(struct __sk_buff *skb) = (void *)24;

/* 4.4, GPL */
static long (*const bpf_perf_event_output)(void *ctx, void *map, __u64 flags, void *data, __u64 size) = (void *)25;

/* 4.5 */
static long (*const bpf_skb_load_bytes)(const void *skb, __u32 offset, void *to, __u32 len) = (void *)26;

/* 4.6 */
static __s64 (*const bpf_csum_diff)(__be32 *from, __u32 from_size, __be32 *to, __u32 to_size, __wsum seed) = (void *)28;

/* 4.6 */
static long (*const bpf_skb_get_tunnel_opt)(struct __sk_buff *skb, void *opt, __u32 size) = (void *)29;

/* 4.6 */
static long (*const bpf_skb_set_tunnel_opt)(struct __sk_buff *skb, void *opt, __u32 size) = (void *)30;

/* 4.8 */
static long (*const bpf_skb_change_proto)(struct __sk_buff *skb, __be16 proto, __u64 flags) = (void *)31;

/* 4.8 */
static long (*const bpf_skb_change_type)(struct __sk_buff *skb, __u32 type) = (void *)32;

/* 4.8 */
static long (*const bpf_skb_under_cgroup)(struct __sk_buff *skb, void *map, __u32 index) = (void *)33;

/* 4.8 */
static __u32 (*const bpf_get_hash_recalc)(struct __sk_buff *skb) = (void *)34;

/* 4.8, GPL */
static __u64 (*const bpf_get_current_task)(void) = (void *)35;

/* 4.9 */
static long (*const bpf_current_task_under_cgroup)(void *map, __u32 index) = (void *)37;

/* 4.9 */
static long (*const bpf_skb_change_tail)(struct __sk_buff *skb, __u32 len, __u64 flags) = (void *)38;

/* 4.9 */
static long (*const bpf_skb_pull_data)(struct __sk_buff *skb, __u32 len) = (void *)39;

/* 4.9 */
static __s64 (*const bpf_csum_update)(struct __sk_buff *skb, __wsum csum) = (void *)40;

/* 4.9 */
static void (*const bpf_set_hash_invalid)(struct __sk_buff *skb) = (void *)41;

/* 4.10 */
static long (*const bpf_get_numa_node_id)(void) = (void *)42;

/* 4.10 */
static long (*const bpf_skb_change_head)(struct __sk_buff *skb, __u32 len, __u64 flags) = (void *)43;

/* 4.10 */
static long (*const bpf_xdp_adjust_head)(struct xdp_md *xdp_md, int delta) = (void *)44;

/* 4.12 */
static __u64 (*const bpf_get_socket_cookie)(void *ctx) = (void *)46;

/* 4.12 */
static __u32 (*const bpf_get_socket_uid)(struct __sk_buff *skb) = (void *)47;

/* 4.13 */
static long (*const bpf_set_hash)(struct __sk_buff *skb, __u32 hash) = (void *)48;

/* 4.13 */
static long (*const bpf_skb_adjust_room)(struct __sk_buff *skb, __s32 len_diff, __u32 mode, __u64 flags) = (void *)50;

/* 4.14 */
static long (*const bpf_redirect_map)(void *map, __u64 key, __u64 flags) = (void *)51;

/* 4.15 */
static long (*const bpf_xdp_adjust_meta)(struct xdp_md *xdp_md, int delta) = (void *)54;

/* 4.15, GPL */
static long (*const bpf_perf_event_read_value)(void *map, __u64 flags, struct bpf_perf_event_value *buf, __u32 buf_size) = (void *)55;

/* 4.18 */
static long (*const bpf_xdp_adjust_tail)(struct xdp_md *xdp_md, int delta) = (void *)65;

/* 4.18 */
static long (*const bpf_skb_get_xfrm_state)(struct __sk_buff *skb, __u32 index, struct bpf_xfrm_state *xfrm_state, __u32 size, __u64 flags) = (void *)66;

/* 4.18 */
static long (*const bpf_skb_load_bytes_relative)(const void *skb, __u32 offset, void *to, __u32 len, __u32 start_header) = (void *)68;

/* 4.18, GPL */
static long (*const bpf_fib_lookup)(void *ctx, struct bpf_fib_lookup *params, int plen, __u32 flags) = (void *)69;

/* 4.18 */
static __u64 (*const bpf_skb_cgroup_id)(struct __sk_buff *skb) = (void *)79;

/* 4.18 */
static __u64 (*const bpf_get_current_cgroup_id)(void) = (void *)80;

/* 4.19 */
static __u64 (*const bpf_skb_ancestor_cgroup_id)(struct __sk_buff *skb, int ancestor_level) = (void *)83;

/* 4.20 */
static struct bpf_sock *(*const bpf_sk_lookup_tcp)(void *ctx, struct bpf_sock_tuple *tuple, __u32 tuple_size, __u64 netns, __u64 flags) = (void *)84;

/* 4.20 */
static struct bpf_sock *(*const bpf_sk_lookup_udp)(void *ctx, struct bpf_sock_tuple *tuple, __u32 tuple_size, __u64 netns, __u64 flags) = (void *)85;

/* 4.20 */
static long (*const bpf_sk_release)(void *sock) = (void *)86;

/* 4.20 */
static long (*const bpf_map_push_elem)(void *map, const void *value, __u64 flags) = (void *)87;

/* 4.20 */
static long (*const bpf_map_pop_elem)(void *map, void *value) = (void *)88;

/* 4.20 */
static long (*const bpf_map_peek_elem)(void *map, void *value) = (void *)89;

/* 5.1 */
static long (*const bpf_spin_lock)(struct bpf_spin_lock *lock) = (void *)93;

/* 5.1 */
static long (*const bpf_spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;

/* 5.1 */
static struct bpf_sock *(*const bpf_sk_fullsock)(struct bpf_sock *sk) = (void *)95;

/* 5.1 */
static struct bpf_tcp_sock *(*const bpf_tcp_sock)(struct bpf_sock *sk) = (void *)96;

/* 5.1 */
static long (*const bpf_skb_ecn_set_ce)(struct __sk_buff *skb) = (void *)97;

/* 5.1 */
static struct bpf_sock *(*const bpf_get_listener_sock)(struct bpf_sock *sk) = (void *)98;

/* 5.2 */
static struct bpf_sock *(*const bpf_skc_lookup_tcp)(void *ctx, struct bpf_sock_tuple *tuple, __u32 tuple_size, __u64 netns, __u64 flags) = (void *)99;

/* 5.2, GPL */
static long (*const bpf_tcp_check_syncookie)(void *sk, void *iph, __u32 iph_len, struct tcphdr *th, __u32 th_len) = (void *)100;

/* 5.2 */
static long (*const bpf_strtol)(const char *buf, unsigned long buf_len, __u64 flags, long *res) = (void *)105;

/* 5.2 */
static long (*const bpf_strtoul)(const char *buf, unsigned long buf_len, __u64 flags, unsigned long *res) = (void *)106;

/* 5.2 */
static void *(*const bpf_sk_storage_get)(void *map, void *sk, void *value, __u64 flags) = (void *)107;

/* 5.2 */
static long (*const bpf_sk_storage_delete)(void *map, void *sk) = (void *)108;

/* 5.3 */
static long (*const bpf_send_signal)(__u32 sig) = (void *)109;

/* 5.3, GPL */
static __s64 (*const bpf_tcp_gen_syncookie)(void *sk, void *iph, __u32 iph_len, struct tcphdr *th, __u32 th_len) = (void *)110;

/* 5.5, GPL */
static long (*const bpf_probe_read_user)(void *dst, __u32 size, const void *unsafe_ptr) = (void *)112;

/* 5.5, GPL */
static long (*const bpf_probe_read_kernel)(void *dst, __u32 size, const void *unsafe_ptr) = (void *)113;

/* 5.5, GPL */
static long (*const bpf_probe_read_user_str)(void *dst, __u32 size, const void *unsafe_ptr) = (void *)114;

/* 5.5, GPL */
static long (*const bpf_probe_read_kernel_str)(void *dst, __u32 size, const void *unsafe_ptr) = (void *)115;

/* 5.6 */
static long (*const bpf_send_signal_thread)(__u32 sig) = (void *)117;

/* 5.6 */
static __u64 (*const bpf_jiffies64)(void) = (void *)118;

/* 5.7 */
static long (*const bpf_get_ns_current_pid_tgid)(__u64 dev, __u64 ino, struct bpf_pidns_info *nsdata, __u32 size) = (void *)120;

/* 5.7 */
static __u64 (*const bpf_get_netns_cookie)(void *ctx) = (void *)122;

/* 5.7 */
static __u64 (*const bpf_get_current_ancestor_cgroup_id)(int ancestor_level) = (void *)123;

/* 5.7 */
static long (*const bpf_sk_assign)(void *ctx, void *sk, __u64 flags) = (void *)124;

/* 5.8 */
static __u64 (*const bpf_ktime_get_boot_ns)(void) = (void *)125;

/* 5.8 */
static long (*const bpf_ringbuf_output)(void *ringbuf, void *data, __u64 size, __u64 flags) = (void *)130;

/* 5.8 */
static void *(*const bpf_ringbuf_reserve)(void *ringbuf, __u64 size, __u64 flags) = (void *)131;

/* 5.8 */
static void (*const bpf_ringbuf_submit)(void *data, __u64 flags) = (void *)132;

/* 5.8 */
static void (*const bpf_ringbuf_discard)(void *data, __u64 flags) = (void *)133;

/* 5.8 */
static __u64 (*const bpf_ringbuf_query)(void *ringbuf, __u64 flags) = (void *)134;

/* 5.8 */
static long (*const bpf_csum_level)(struct __sk_buff *skb, __u64 level) = (void *)135;

/* 5.9 */
static struct tcp6_sock *(*const bpf_skc_to_tcp6_sock)(void *sk) = (void *)136;

/* 5.9 */
static struct tcp_sock *(*const bpf_skc_to_tcp_sock)(void *sk) = (void *)137;

/* 5.9 */
static struct tcp_timewait_sock *(*const bpf_skc_to_tcp_timewait_sock)(void *sk) = (void *)138;

/* 5.9 */
static struct tcp_request_sock *(*const bpf_skc_to_tcp_request_sock)(void *sk) = (void *)139;

/* 5.9 */
static struct udp6_sock *(*const bpf_skc_to_udp6_sock)(void *sk) = (void *)140;

/* 5.9 */
static long (*const bpf_get_task_stack)(struct task_struct *task, void *buf, __u32 size, __u64 flags) = (void *)141;

/* 5.10 */
static long (*const bpf_snprintf_btf)(char *str, __u32 str_size, struct btf_ptr *ptr, __u32 btf_ptr_size, __u64 flags) = (void *)149;

/* 5.10 */
static __u64 (*const bpf_skb_cgroup_classid)(struct __sk_buff *skb) = (void *)151;

/* 5.10 */
static long (*const bpf_redirect_neigh)(__u32 ifindex, struct bpf_redir_neigh *params, int plen, __u64 flags) = (void *)152;

/* 5.10 */
static void *(*const bpf_per_cpu_ptr)(const void *percpu_ptr, __u32 cpu) = (void *)153;

/* 5.10 */
static void *(*const bpf_this_cpu_ptr)(const void *percpu_ptr) = (void *)154;

/* 5.10 */
static long (*const bpf_redirect_peer)(__u32 ifindex, __u64 flags) = (void *)155;

/* 5.11 */
static void *(*const bpf_task_storage_get)(void *map, struct task_struct *task, void *value, __u64 flags) = (void *)156;

/* 5.11 */
static long (*const bpf_task_storage_delete)(void *map, struct task_struct *task) = (void *)157;

/* 5.11, GPL */
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;

/* 5.11 */
static __u64 (*const bpf_ktime_get_coarse_ns)(void) = (void *)160;

/* 5.12, GPL */
static long (*const bpf_check_mtu)(void *ctx, __u32 ifindex, __u32 *mtu_len, __s32 len_diff, __u64 flags) = (void *)163;

/* 5.13 */
static long (*const bpf_for_each_map_elem)(void *map, void *callback_fn, void *callback_ctx, __u64 flags) = (void *)164;

/* 5.13, GPL */
static long (*const bpf_snprintf)(char *str, __u32 str_size, const char *fmt, __u64 *data, __u32 data_len) = (void *)165;

/* 5.15, GPL */
static long (*const bpf_timer_init)(struct bpf_timer *timer, void *map, __u64 flags) = (void *)169;

/* 5.15, GPL */
static long (*const bpf_timer_set_callback)(struct bpf_timer *timer, void *callback_fn) = (void *)170;

/* 5.15, GPL */
static long (*const bpf_timer_start)(struct bpf_timer *timer, __u64 nsecs, __u64 flags) = (void *)171;

/* 5.15, GPL */
static long (*const bpf_timer_cancel)(struct bpf_timer *timer) = (void *)172;

/* 5.15, GPL */
static long (*const bpf_task_pt_regs)(struct task_struct *task) = (void *)175;

/* 5.16, GPL */
static long (*const bpf_get_branch_snapshot)(void *entries, __u32 size, __u64 flags) = (void *)176;

/* 5.16, GPL */
static long (*const bpf_trace_vprintk)(const char *fmt, __u32 fmt_size, const void *data, __u32 data_len) = (void *)177;

/* 5.16 */
static struct unix_sock *(*const bpf_skc_to_unix_sock)(void *sk) = (void *)178;

/* 5.17 */
static long (*const bpf_find_vma)(struct task_struct *task, __u64 addr, void *callback_fn, void *callback_ctx, __u64 flags) = (void *)180;

/* 5.17 */
static long (*const bpf_loop)(__u32 nr_loops, void *callback_fn, void *callback_ctx, __u64 flags) = (void *)181;

/* 5.17 */
static long (*const bpf_strncmp)(const char *s1, __u32 s1_sz, const char *s2) = (void *)182;

/* 5.18 */
static __u64 (*const bpf_xdp_get_buff_len)(struct xdp_md *xdp_md) = (void *)188;

/* 5.18 */
static long (*const bpf_xdp_load_bytes)(struct xdp_md *xdp_md, __u32 offset, void *buf, __u32 len) = (void *)189;

/* 5.18 */
static long (*const bpf_xdp_store_bytes)(struct xdp_md *xdp_md, __u32 offset, void *buf, __u32 len) = (void *)190;

/* 5.18 */
static long (*const bpf_skb_set_tstamp)(struct __sk_buff *skb, __u64 tstamp, __u32 tstamp_type) = (void *)192;

/* 5.19 */
static void *(*const bpf_kptr_xchg)(void *dst, void *ptr) = (void *)194;

/* 5.19 */
static void *(*const bpf_map_lookup_percpu_elem)(void *map, const void *key, __u32 cpu) = (void *)195;

/* 5.19 */
static struct mptcp_sock *(*const bpf_skc_to_mptcp_sock)(void *sk) = (void *)196;

/* 5.19 */
static long (*const bpf_dynptr_from_mem)(void *data, __u64 size, __u64 flags, struct bpf_dynptr *ptr) = (void *)197;

/* 5.19 */
static long (*const bpf_ringbuf_reserve_dynptr)(void *ringbuf, __u32 size, __u64 flags, struct bpf_dynptr *ptr) = (void *)198;

/* 5.19 */
static void (*const bpf_ringbuf_submit_dynptr)(struct bpf_dynptr *ptr, __u64 flags) = (void *)199;

/* 5.19 */
static void (*const bpf_ringbuf_discard_dynptr)(struct bpf_dynptr *ptr, __u64 flags) = (void *)200;

/* 5.19 */
static long (*const bpf_dynptr_read)(void *dst, __u64 len, const struct bpf_dynptr *src, __u64 offset, __u64 flags) = (void *)201;

/* 5.19 */
static long (*const bpf_dynptr_write)(const struct bpf_dynptr *dst, __u64 offset, void *src, __u64 len, __u64 flags) = (void *)202;

/* 5.19 */
static void *(*const bpf_dynptr_data)(const struct bpf_dynptr *ptr, __u64 offset, __u64 len) = (void *)203;

/* 6.0, GPL */
static __s64 (*const bpf_tcp_raw_gen_syncookie_ipv4)(struct iphdr *iph, struct tcphdr *th, __u32 th_len) = (void *)204;

/* 6.0, GPL */
static __s64 (*const bpf_tcp_raw_gen_syncookie_ipv6)(struct ipv6hdr *iph, struct tcphdr *th, __u32 th_len) = (void *)205;

/* 6.0, GPL */
static long (*const bpf_tcp_raw_check_syncookie_ipv4)(struct iphdr *iph, struct tcphdr *th) = (void *)206;

/* 6.0, GPL */
static long (*const bpf_tcp_raw_check_syncookie_ipv6)(struct ipv6hdr *iph, struct tcphdr *th) = (void *)207;

/* 6.1 */
static __u64 (*const bpf_ktime_get_tai_ns)(void) = (void *)208;

/* 6.1 */
static long (*const bpf_user_ringbuf_drain)(void *map, void *callback_fn, void *ctx, __u64 flags) = (void *)209;

/* 6.2 */
static void *(*const bpf_cgrp_storage_get)(void *map, struct cgroup *cgroup, void *value, __u64 flags) = (void *)210;

/* 6.2 */
static long (*const bpf_cgrp_storage_delete)(void *map, struct cgroup *cgroup) = (void *)211;

/* Prints to /sys/kernel/tracing/trace_pipe: at most three values; asks for a GPL-compatible licence. */
#define bpf_printk(fmt, args...) \
	({ \
		static const char ____fmt[] = fmt; \
		bpf_trace_printk(____fmt, sizeof(____fmt), ##args); \
	})

#endif
