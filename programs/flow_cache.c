/* SPDX-License-Identifier: Apache-2.0
 *
 * Forwards IP packets: the first packet of a flow takes the route lookup, the others find the answer in a cache.
 *
 *   routes4, routes6  by destination prefix: the index of a next hop
 *   hops              next hops: port and MAC addresses
 *   ports             the interfaces: a port without one leaves its packets to the stack
 *   cache             flows with their next hop and their traffic; the least recently used ones make room
 *   totals            by enum total, per CPU
 *
 * A route that changes reaches a cached flow when `generation` is raised, which makes old entries worthless.
 */
#include <xdpsim/bpf.h>
#include <xdpsim/csum.h>
#include <xdpsim/flow.h>

enum total {
	TOTAL_FAST = 0,
	TOTAL_SLOW = 1,
	TOTAL_STALE = 2, /* cached under an older generation: looked up again */
	TOTAL_NO_ROUTE = 3,
	TOTAL_EXPIRED = 4, /* TTL or hop limit: the stack sends the ICMP error */
	TOTAL_NOT_CACHED = 5, /* for the stack: no IP, fragments, other protocols */
	TOTAL_NO_PORT = 6,
	TOTAL_MAX = 7,
};

/* Raised by whoever changes routes. */
__u32 generation = 0;

struct prefix4 {
	__u32 prefixlen;
	__be32 addr;
};

struct prefix6 {
	__u32 prefixlen;
	struct in6_addr addr;
};

struct hop {
	__u32 port;
	__u8 source[ETH_ALEN];
	__u8 target[ETH_ALEN];
};

struct cached {
	__u32 hop;
	__u32 generation;
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix4);
	__type(value, __u32);
} routes4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix6);
	__type(value, __u32);
} routes6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct hop);
} hops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 64);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct flow);
	__type(value, struct cached);
} cache SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TOTAL_MAX);
	__type(key, __u32);
	__type(value, __u64);
} totals SEC(".maps");

static __noinline int count(enum total total)
{
	__u32 key = total;
	__u64 *slot = bpf_map_lookup_elem(&totals, &key);

	if (slot)
		++*slot;
	return XDP_PASS;
}

/* The next hop's index, or NULL without a route. */
static __always_inline __u32 *route(const struct flow *flow)
{
	struct prefix4 to4 = {.prefixlen = 32};
	struct prefix6 to6 = {.prefixlen = 128};

	if (flow->family == 4) {
		to4.addr = flow->daddr.in6_u.u6_addr32[3];
		return bpf_map_lookup_elem(&routes4, &to4);
	}
	to6.addr = flow->daddr;
	return bpf_map_lookup_elem(&routes6, &to6);
}

/* From the cache, or from the routes and into the cache; counts the packet for the flow. */
static __noinline __s64 find_hop(struct flow *flow, __u64 bytes)
{
	struct cached fresh = {.packets = 1, .bytes = bytes};
	struct cached *cached;
	__u32 *hop;

	if (!flow)
		return -1;
	cached = bpf_map_lookup_elem(&cache, flow);
	if (cached && cached->generation == generation) {
		__sync_fetch_and_add(&cached->packets, 1);
		__sync_fetch_and_add(&cached->bytes, bytes);
		count(TOTAL_FAST);
		return cached->hop;
	}
	count(cached ? TOTAL_STALE : TOTAL_SLOW);
	hop = route(flow);
	if (!hop)
		return -1;
	fresh.hop = *hop;
	fresh.generation = generation;
	bpf_map_update_elem(&cache, flow, &fresh, BPF_ANY);
	return fresh.hop;
}

/* One hop less to go; false when it was the last one. */
static __always_inline bool step(struct flow_headers *at)
{
	if (at->ip) {
		if (at->ip->ttl <= 1)
			return false;
		/* The TTL is the high byte of its word. */
		at->ip->check = csum_replace2(at->ip->check, bpf_htons(at->ip->ttl << 8), bpf_htons((at->ip->ttl - 1) << 8));
		at->ip->ttl--;
		return true;
	}
	if (!at->ip6 || at->ip6->hop_limit <= 1)
		return false;
	at->ip6->hop_limit--;
	return true;
}

SEC("xdp")
int xdp_flow_cache(struct xdp_md *ctx)
{
	struct flow_headers at = {};
	struct flow flow = {};
	struct hop *hop;
	__s64 number;
	__u32 index;
	int verdict;

	if (flow_parse(ctx, &flow, &at) != FLOW_OK)
		return count(TOTAL_NOT_CACHED);
	number = find_hop(&flow, at.bytes);
	if (number < 0)
		return count(TOTAL_NO_ROUTE);
	index = number;
	hop = bpf_map_lookup_elem(&hops, &index);
	if (!hop)
		return count(TOTAL_NO_ROUTE);
	/* An entry that is not there gives the verdict in the flags, and the packet must still be as it was. */
	verdict = bpf_redirect_map(&ports, hop->port, XDP_PASS);
	if (verdict != XDP_REDIRECT)
		return count(TOTAL_NO_PORT);
	if (!step(&at))
		return count(TOTAL_EXPIRED);
	memcpy(at.eth->h_dest, hop->target, ETH_ALEN);
	memcpy(at.eth->h_source, hop->source, ETH_ALEN);
	return verdict;
}

char LICENSE[] SEC("license") = "Apache-2.0";
