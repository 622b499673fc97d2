/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts packets and bytes by IP protocol, per CPU, and passes everything on.
 *
 *   by_protocol  one slot for each IP protocol number (6 is TCP, 17 is UDP ...), per CPU
 *   by_kind      what the frames were, by enum kind
 */
#include <xdpsim/bpf.h>
#include <xdpsim/net.h>

enum kind {
	KIND_IPV4 = 0,
	KIND_IPV6 = 1,
	KIND_OTHER = 2,
	KIND_SHORT = 3, /* announces IP, but holds no whole IP header */
	KIND_MAX = 4,
};

struct counter {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct counter);
} by_protocol SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KIND_MAX);
	__type(key, __u32);
	__type(value, struct counter);
} by_kind SEC(".maps");

static __always_inline void count_protocol(__u32 protocol, __u64 bytes)
{
	struct counter *slot = bpf_map_lookup_elem(&by_protocol, &protocol);

	if (slot) {
		slot->packets += 1; /* this CPU's own: no other writes it */
		slot->bytes += bytes;
	}
}

static __noinline int count_kind(enum kind kind, __u64 bytes)
{
	__u32 key = kind;
	struct counter *slot = bpf_map_lookup_elem(&by_kind, &key);

	if (slot) {
		__sync_fetch_and_add(&slot->packets, 1);
		__sync_fetch_and_add(&slot->bytes, bytes);
	}
	return XDP_PASS;
}

SEC("xdp")
int xdp_counter(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	__u64 bytes = data_end - data;

	/* No driver hands XDP a frame without an Ethernet header, so one check covers it and the shorter IP header. */
	if (data + sizeof(*eth) + sizeof(struct iphdr) > data_end)
		return count_kind(KIND_SHORT, bytes);

	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = data + sizeof(*eth);

		count_protocol(ip->protocol, bytes);
		return count_kind(KIND_IPV4, bytes);
	}
	if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip6 = data + sizeof(*eth);

		if ((void *)(ip6 + 1) > data_end)
			return count_kind(KIND_SHORT, bytes);
		count_protocol(ip6->nexthdr, bytes);
		return count_kind(KIND_IPV6, bytes);
	}
	return count_kind(KIND_OTHER, bytes);
}

char LICENSE[] SEC("license") = "Apache-2.0";
