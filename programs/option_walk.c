/* SPDX-License-Identifier: Apache-2.0
 *
 * Walks IPv4 and TCP options with bpf_loop: counts them, lowers the MSS of SYNs, blanks unwanted TCP options, drops
 * source-routed and malformed packets.
 *
 *   tcp_options  packets by kind of TCP option, per CPU
 *   ip_options   packets by kind of IPv4 option, per CPU
 *   blanked      kinds of TCP options to overwrite with NOPs, each with a hit counter
 *   fates        packets by enum fate
 *
 * Checksums are kept right incrementally (RFC 1624): one that was wrong stays wrong.
 */
#include <xdpsim/bpf.h>
#include <xdpsim/csum.h>
#include <xdpsim/net.h>

#define MAX_OPTION_BYTES 40 /* 15 words, less the fixed 20 bytes: of IPv4 and of TCP alike */

enum fate {
	FATE_PASSED = 0,
	FATE_REWRITTEN = 1,
	FATE_SHORT = 2,
	FATE_MALFORMED = 3, /* an option without a length, or one that runs out of its header */
	FATE_SOURCE_ROUTED = 4,
	FATE_MAX = 5,
};

/* The highest MSS let through; 0 leaves all alone. */
volatile const __u16 highest_mss = 1400;
volatile const bool drop_source_routed = true;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} tcp_options SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} ip_options SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u8);
	__type(value, __u64);
} blanked SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FATE_MAX);
	__type(key, __u32);
	__type(value, __u64);
} fates SEC(".maps");

/* What the callbacks share; offsets count from the start of the packet. */
struct walk {
	struct xdp_md *ctx;
	__u32 at;
	__u32 end;
	__u32 check_at; /* TCP: of the checksum */
	__u16 check;
	bool is_syn;
	bool is_rewritten;
	__u8 kind; /* of the option at hand, which has `length` bytes */
	__u8 length;
	__u16 fate;
};

static __noinline int decide(enum fate fate)
{
	__u32 key = fate;
	__u64 *packets = bpf_map_lookup_elem(&fates, &key);

	if (packets)
		__sync_fetch_and_add(packets, 1);
	return fate == FATE_PASSED || fate == FATE_REWRITTEN ? XDP_PASS : XDP_DROP;
}

/* Read the option at `walk->at`; false where the list ends, or ends badly. */
static __always_inline bool next_option(struct walk *walk)
{
	__u8 head[2] = {};

	if (walk->at >= walk->end)
		return false;
	/* One byte is always there; a kind that stands alone may be the last byte of the packet. */
	if (bpf_xdp_load_bytes(walk->ctx, walk->at, head, 1))
		goto malformed;
	walk->kind = head[0];
	if (walk->kind == TCPOPT_EOL) /* IPv4 has the same two */
		return false;
	if (walk->kind == TCPOPT_NOP) {
		walk->length = 1;
		return true;
	}
	if (bpf_xdp_load_bytes(walk->ctx, walk->at, head, 2))
		goto malformed;
	walk->length = head[1];
	if (walk->length < 2 || walk->at + walk->length > walk->end)
		goto malformed;
	return true;
malformed:
	walk->fate = FATE_MALFORMED;
	return false;
}

static __always_inline void count(void *map, __u8 kind)
{
	__u32 key = kind;
	__u64 *packets = bpf_map_lookup_elem(map, &key);

	if (packets)
		++*packets;
}

static long ip_option(__maybe_unused __u32 index, struct walk *walk)
{
	if (!next_option(walk))
		return 1;
	count(&ip_options, walk->kind);
	if (drop_source_routed && (walk->kind == IPOPT_LSRR || walk->kind == IPOPT_SSRR)) {
		walk->fate = FATE_SOURCE_ROUTED;
		return 1;
	}
	walk->at += walk->length;
	return 0;
}

/* Write one byte; the checksum covers it as the high or the low half of a word. */
static __always_inline void put(struct walk *walk, __u32 at, __u8 from, __u8 to)
{
	__u32 shift = (at - walk->check_at) & 1 ? 8 : 0;

	if (bpf_xdp_store_bytes(walk->ctx, at, &to, 1))
		return;
	walk->check = csum_replace2(walk->check, (__u16)from << shift, (__u16)to << shift);
	walk->is_rewritten = true;
}

static long blank_byte(__u32 index, struct walk *walk)
{
	__u32 at = walk->at + index;
	__u8 byte;

	if (bpf_xdp_load_bytes(walk->ctx, at, &byte, 1))
		return 1;
	put(walk, at, byte, TCPOPT_NOP);
	return 0;
}

static __always_inline void lower_mss(struct walk *walk)
{
	__u8 mss[2];

	if (bpf_xdp_load_bytes(walk->ctx, walk->at + 2, mss, sizeof(mss)))
		return;
	if ((mss[0] << 8 | mss[1]) <= highest_mss)
		return;
	put(walk, walk->at + 2, mss[0], highest_mss >> 8);
	put(walk, walk->at + 3, mss[1], highest_mss & 0xff);
}

static long tcp_option(__maybe_unused __u32 index, struct walk *walk)
{
	__u64 *hits;

	if (!next_option(walk))
		return 1;
	count(&tcp_options, walk->kind);
	hits = bpf_map_lookup_elem(&blanked, &walk->kind);
	if (hits) {
		__sync_fetch_and_add(hits, 1);
		bpf_loop(walk->length, blank_byte, walk, 0);
	} else if (walk->kind == TCPOPT_MSS && walk->length == TCPOLEN_MSS && walk->is_syn && highest_mss) {
		lower_mss(walk);
	}
	walk->at += walk->length;
	return 0;
}

/* Walk the options between `at` and `end`. */
static __always_inline enum fate walk_tcp(struct xdp_md *ctx, __u32 at)
{
	struct walk walk = {.ctx = ctx, .fate = FATE_PASSED};
	struct tcphdr tcp;

	if (bpf_xdp_load_bytes(ctx, at, &tcp, sizeof(tcp)))
		return FATE_SHORT;
	if (tcp.doff * 4 < sizeof(tcp))
		return FATE_MALFORMED;
	walk.at = at + sizeof(tcp);
	walk.end = at + tcp.doff * 4;
	walk.check_at = at + __builtin_offsetof(struct tcphdr, check);
	walk.check = tcp.check;
	walk.is_syn = tcp.syn;
	bpf_loop(MAX_OPTION_BYTES, tcp_option, &walk, 0);
	if (walk.is_rewritten) {
		bpf_xdp_store_bytes(ctx, walk.check_at, &walk.check, sizeof(walk.check));
		if (walk.fate == FATE_PASSED)
			return FATE_REWRITTEN;
	}
	return walk.fate;
}

static __always_inline enum fate walk_ipv4(struct xdp_md *ctx)
{
	struct walk walk = {.ctx = ctx, .fate = FATE_PASSED};
	struct iphdr ip;
	__u32 at = sizeof(struct ethhdr);

	if (bpf_xdp_load_bytes(ctx, at, &ip, sizeof(ip)))
		return FATE_SHORT;
	if (ip.version != 4 || ip.ihl < 5)
		return FATE_MALFORMED;
	walk.at = at + sizeof(ip);
	walk.end = at + ip.ihl * 4;
	if (walk.at < walk.end)
		bpf_loop(MAX_OPTION_BYTES, ip_option, &walk, 0);
	if (walk.fate != FATE_PASSED || ip.protocol != IPPROTO_TCP || ip.frag_off & bpf_htons(IP_OFFSET))
		return walk.fate;
	return walk_tcp(ctx, walk.end);
}

static __always_inline enum fate walk_ipv6(struct xdp_md *ctx)
{
	struct ipv6hdr ip6;
	__u32 at = sizeof(struct ethhdr);

	if (bpf_xdp_load_bytes(ctx, at, &ip6, sizeof(ip6)))
		return FATE_SHORT;
	return ip6.nexthdr == IPPROTO_TCP ? walk_tcp(ctx, at + sizeof(ip6)) : FATE_PASSED;
}

SEC("xdp")
int xdp_option_walk(struct xdp_md *ctx)
{
	struct ethhdr eth;

	if (bpf_xdp_load_bytes(ctx, 0, &eth, sizeof(eth)))
		return decide(FATE_SHORT);
	if (eth.h_proto == bpf_htons(ETH_P_IP))
		return decide(walk_ipv4(ctx));
	if (eth.h_proto == bpf_htons(ETH_P_IPV6))
		return decide(walk_ipv6(ctx));
	return decide(FATE_PASSED);
}

char LICENSE[] SEC("license") = "Apache-2.0";
