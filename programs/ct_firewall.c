/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * A stateful firewall on Linux's own connection tracking: inside may open connections, outside may answer, and only
 * what is published may be opened from there.
 *
 *   inside     prefixes of the hosts that are protected, IPv4 as ::ffff:a.b.c.d/96+n
 *   published  services inside that anybody may reach: protocol and port
 *   verdicts   packets by enum reason, per CPU
 *
 * Connections are entries of the kernel's table (conntrack -L shows them), made and found through functions of the
 * kernel's own, which Linux has since 6.0. Where the fields of struct nf_conn are is found through BTF when it loads.
 */
#include <xdpsim/bpf.h>
#include <xdpsim/flow.h>

#define MILLISECONDS 1000
#define CURRENT_NETNS (-1)
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* include/uapi/linux/netfilter/nf_conntrack_common.h */
#define IPS_SEEN_REPLY (1 << 1)
#define IPS_ASSURED (1 << 2)
#define IPS_DYING (1 << 9)
#define IP_CT_DIR_REPLY 1

/* The mark of a connection that saw a FIN or RST: packets no longer lengthen its life. */
#define MARK_CLOSING 1

/* What is left of a connection after each kind of packet, in seconds. */
volatile const __u32 opening_timeout = 120;
volatile const __u32 established_timeout = 3600;
volatile const __u32 closing_timeout = 120;

/* The fields that are used; more of the structure need not be known. */
struct nf_conn {
	unsigned long status;
	__u32 mark;
} __relocated;

/* A connection that is not in the table yet. */
struct nf_conn___init {
} __relocated;

struct bpf_ct_opts {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u16 ct_zone_id;
	__u8 ct_zone_dir;
	__u8 reserved[3];
};

/* As in include/uapi/linux/bpf.h. */
struct bpf_sock_tuple {
	union {
		struct {
			__be32 saddr;
			__be32 daddr;
			__be16 sport;
			__be16 dport;
		} ipv4;
		struct {
			__be32 saddr[4];
			__be32 daddr[4];
			__be16 sport;
			__be16 dport;
		} ipv6;
	};
};

extern struct nf_conn___init *bpf_xdp_ct_alloc(struct xdp_md *xdp, struct bpf_sock_tuple *tuple, __u32 tuple__sz,
					       struct bpf_ct_opts *opts, __u32 opts__sz) __ksym;
extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *xdp, struct bpf_sock_tuple *tuple, __u32 tuple__sz,
					 struct bpf_ct_opts *opts, __u32 opts__sz) __ksym;
extern struct nf_conn *bpf_ct_insert_entry(struct nf_conn___init *nfct) __ksym;
extern void bpf_ct_release(struct nf_conn *nfct) __ksym;
extern void bpf_ct_set_timeout(struct nf_conn___init *nfct, __u32 timeout) __ksym;
extern int bpf_ct_change_timeout(struct nf_conn *nfct, __u32 timeout) __ksym;
extern int bpf_ct_set_status(const struct nf_conn___init *nfct, __u32 status) __ksym;
extern int bpf_ct_change_status(struct nf_conn *nfct, __u32 status) __ksym;

enum reason {
	REASON_OPENED = 0, /* from inside, or to a published service */
	REASON_ESTABLISHED = 1,
	REASON_ANSWERED = 2, /* the first answer: the connection is assured from here on */
	REASON_CLOSING = 3, /* FIN or RST of a connection */
	REASON_UNSOLICITED = 4,
	REASON_STRAY = 5, /* TCP that opens nothing and belongs to nothing */
	REASON_NOT_TRACKED = 6, /* no IP, or ICMP and other protocols: passed on */
	REASON_MALFORMED = 7,
	REASON_FRAGMENT = 8,
	REASON_TABLE_FULL = 9,
	REASON_DYING = 10,
	REASON_MAX = 11,
};

struct prefix {
	__u32 prefixlen;
	struct in6_addr addr;
};

struct service {
	__u8 proto;
	__u8 pad;
	__u16 port; /* as people write it */
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u32);
} inside SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct service);
	__type(value, __u32);
} published SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REASON_MAX);
	__type(key, __u32);
	__type(value, __u64);
} verdicts SEC(".maps");

static __noinline int decide(enum reason reason)
{
	__u32 key = reason;
	__u64 *packets = bpf_map_lookup_elem(&verdicts, &key);

	if (packets)
		++*packets;
	switch (reason) {
	case REASON_UNSOLICITED:
	case REASON_STRAY:
	case REASON_MALFORMED:
	case REASON_FRAGMENT:
	case REASON_TABLE_FULL:
	case REASON_DYING:
		return XDP_DROP;
	default:
		return XDP_PASS;
	}
}

/* The tuple as the kernel wants it; its size says which family it is. */
static __always_inline void fill(struct bpf_sock_tuple *tuple, const struct flow *flow)
{
	if (flow->family == 4) {
		tuple->ipv4.saddr = flow->saddr.in6_u.u6_addr32[3];
		tuple->ipv4.daddr = flow->daddr.in6_u.u6_addr32[3];
		tuple->ipv4.sport = bpf_htons(flow->sport);
		tuple->ipv4.dport = bpf_htons(flow->dport);
		return;
	}
	memcpy(tuple->ipv6.saddr, &flow->saddr, sizeof(flow->saddr));
	memcpy(tuple->ipv6.daddr, &flow->daddr, sizeof(flow->daddr));
	tuple->ipv6.sport = bpf_htons(flow->sport);
	tuple->ipv6.dport = bpf_htons(flow->dport);
}

static __always_inline bool is_from_inside(const struct flow *flow)
{
	struct prefix source = {.prefixlen = 128, .addr = flow->saddr};

	return bpf_map_lookup_elem(&inside, &source);
}

static __always_inline bool is_published(const struct flow *flow)
{
	struct service service = {.proto = flow->proto, .port = flow->dport};

	return bpf_map_lookup_elem(&published, &service);
}

/* Enter a connection into the table. */
static __always_inline enum reason open_connection(struct xdp_md *ctx, struct bpf_sock_tuple *tuple,
						   const struct flow *flow, struct bpf_ct_opts *opts, bool assured)
{
	struct nf_conn___init *fresh;
	struct nf_conn *entry;

	if (flow->family == 4)
		fresh = bpf_xdp_ct_alloc(ctx, tuple, sizeof(tuple->ipv4), opts, sizeof(*opts));
	else
		fresh = bpf_xdp_ct_alloc(ctx, tuple, sizeof(tuple->ipv6), opts, sizeof(*opts));
	if (!fresh)
		return REASON_TABLE_FULL;
	bpf_ct_set_timeout(fresh, opening_timeout * MILLISECONDS);
	if (assured) /* a full table makes room by dropping others first */
		bpf_ct_set_status(fresh, IPS_ASSURED);
	entry = bpf_ct_insert_entry(fresh);
	if (!entry)
		return REASON_TABLE_FULL;
	bpf_ct_release(entry);
	return REASON_OPENED;
}

/* What a packet of a known connection does to it. */
static __always_inline enum reason advance(struct nf_conn *entry, const struct bpf_ct_opts *opts, __u8 tcp_flags)
{
	unsigned long status = entry->status;

	if (status & IPS_DYING)
		return REASON_DYING;
	if (tcp_flags & (TCP_FIN | TCP_RST)) {
		entry->mark = MARK_CLOSING;
		bpf_ct_change_timeout(entry, closing_timeout * MILLISECONDS);
		return REASON_CLOSING;
	}
	if (opts->dir == IP_CT_DIR_REPLY && !(status & IPS_SEEN_REPLY)) {
		bpf_ct_change_status(entry, status | IPS_SEEN_REPLY | IPS_ASSURED);
		bpf_ct_change_timeout(entry, established_timeout * MILLISECONDS);
		return REASON_ANSWERED;
	}
	if (status & IPS_SEEN_REPLY && entry->mark != MARK_CLOSING)
		bpf_ct_change_timeout(entry, established_timeout * MILLISECONDS);
	return REASON_ESTABLISHED;
}

static __always_inline enum reason track(struct xdp_md *ctx, const struct flow *flow, __u8 tcp_flags)
{
	struct bpf_ct_opts opts = {.netns_id = CURRENT_NETNS, .l4proto = flow->proto};
	struct bpf_sock_tuple tuple = {};
	struct nf_conn *entry;
	enum reason reason;

	fill(&tuple, flow);
	if (flow->family == 4)
		entry = bpf_xdp_ct_lookup(ctx, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));
	else
		entry = bpf_xdp_ct_lookup(ctx, &tuple, sizeof(tuple.ipv6), &opts, sizeof(opts));
	if (entry) {
		reason = advance(entry, &opts, tcp_flags);
		bpf_ct_release(entry);
		return reason;
	}
	if (flow->proto == IPPROTO_TCP && (tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN)
		return REASON_STRAY;
	if (is_published(flow))
		return open_connection(ctx, &tuple, flow, &opts, false);
	return is_from_inside(flow) ? open_connection(ctx, &tuple, flow, &opts, true) : REASON_UNSOLICITED;
}

SEC("xdp")
int xdp_ct_firewall(struct xdp_md *ctx)
{
	struct flow_headers at = {};
	struct flow flow = {};

	switch (flow_parse(ctx, &flow, &at)) {
	case FLOW_OK:
		break;
	case FLOW_SHORT:
		return decide(REASON_MALFORMED);
	case FLOW_FRAGMENT:
		return decide(REASON_FRAGMENT);
	default:
		return decide(REASON_NOT_TRACKED);
	}
	if (flow.proto != IPPROTO_TCP && flow.proto != IPPROTO_UDP)
		return decide(REASON_NOT_TRACKED);
	return decide(track(ctx, &flow, at.tcp_flags));
}

char LICENSE[] SEC("license") = "GPL";
