/* SPDX-License-Identifier: Apache-2.0
 *
 * One token bucket for each source address: `burst` packets at once, then `packets_per_second`.
 *
 *   limits   by source address: limits of its own, 0 packets a second meaning none at all
 *   buckets  by source address (IPv4 as ::ffff:a.b.c.d): what is left of the burst, and what was passed and dropped
 *   totals   packets by enum total
 *
 * The bucket is kept in nanoseconds of credit: a packet costs 1 s / rate, a pause earns its own length. So one
 * division is enough, and no fraction of a token gets lost.
 */
#include <xdpsim/bpf.h>
#include <xdpsim/net.h>

#define NSEC_PER_SEC 1000000000ULL

enum total {
	TOTAL_PASSED = 0,
	TOTAL_LIMITED = 1,
	TOTAL_NOT_IP = 2,
	TOTAL_SHORT = 3,
	TOTAL_NEW_SOURCE = 4,
	TOTAL_TABLE_FULL = 5, /* new sources that found no room: they pass, unlimited */
	TOTAL_MAX = 6,
};

volatile const __u64 packets_per_second = 100;
volatile const __u64 burst = 20;

struct limit {
	__u64 packets_per_second;
	__u64 burst;
};

struct bucket {
	__u64 credit_ns;
	__u64 last_ns;
	__u64 passed;
	__u64 dropped;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct in6_addr);
	__type(value, struct limit);
} limits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct in6_addr);
	__type(value, struct bucket);
} buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TOTAL_MAX);
	__type(key, __u32);
	__type(value, __u64);
} totals SEC(".maps");

static __noinline int count(enum total total, __u64 packets)
{
	__u32 key = total;
	__u64 *slot = bpf_map_lookup_elem(&totals, &key);

	if (slot)
		__sync_fetch_and_add(slot, packets);
	return total == TOTAL_LIMITED ? XDP_DROP : XDP_PASS;
}

/* Take one packet out of the source's bucket, or say that it is empty. */
static __always_inline enum total take(const struct in6_addr *source)
{
	__u64 now = bpf_ktime_get_ns();
	struct limit *limit = bpf_map_lookup_elem(&limits, source);
	/* BPF divides by 0 to 0: such packets cost nothing. */
	__u64 cost = NSEC_PER_SEC / (limit ? limit->packets_per_second : packets_per_second);
	__u64 full = cost * (limit ? limit->burst : burst);
	struct bucket *bucket = bpf_map_lookup_elem(&buckets, source);
	__u64 credit;

	if (!bucket) {
		struct bucket fresh = {.credit_ns = full - cost, .last_ns = now, .passed = 1};

		count(TOTAL_NEW_SOURCE, 1);
		count(TOTAL_TABLE_FULL, bpf_map_update_elem(&buckets, source, &fresh, BPF_NOEXIST) != 0);
		return TOTAL_PASSED;
	}

	/* Another CPU may do this at the same time: the limit is then off by a packet, never by a rate. */
	credit = bucket->credit_ns + (now - bucket->last_ns);
	if (credit > full)
		credit = full;
	bucket->last_ns = now;
	if (credit < cost) {
		bucket->credit_ns = credit;
		__sync_fetch_and_add(&bucket->dropped, 1);
		return TOTAL_LIMITED;
	}
	bucket->credit_ns = credit - cost;
	__sync_fetch_and_add(&bucket->passed, 1);
	return TOTAL_PASSED;
}

SEC("xdp")
int xdp_ratelimit(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct ipv6hdr *ip6 = data + sizeof(*eth);
	struct in6_addr source = {};

	if ((void *)(ip + 1) > data_end)
		return count(TOTAL_SHORT, 1);
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		source.in6_u.u6_addr32[2] = bpf_htonl(0xffff);
		source.in6_u.u6_addr32[3] = ip->saddr;
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		if ((void *)(ip6 + 1) > data_end)
			return count(TOTAL_SHORT, 1);
		source = ip6->saddr;
	} else {
		return count(TOTAL_NOT_IP, 1);
	}
	return count(take(&source), 1);
}

char LICENSE[] SEC("license") = "Apache-2.0";
