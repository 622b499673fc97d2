/* SPDX-License-Identifier: Apache-2.0
 *
 * Drops DNS queries (UDP, port 53) for blocked domains and everything below them.
 *
 *   blocked_domains  by the hash of a domain; the value keeps its name for people, and counts the queries dropped
 *   queries          by enum outcome, per CPU
 *   scratch          the name of the packet at hand, per CPU: too much for the verifier to follow on the stack
 *
 * The hash is FNV-1a, 64 bits, over the dotted name in lower case read from its end: "ads.example" goes in as
 * "elpmaxe.sda". So one pass from the end of a name has the hash of each parent domain on its way.
 * make_presets.py writes such entries.
 */
#include <xdpsim/bpf.h>
#include <xdpsim/net.h>

#define DNS_PORT 53
#define MAX_NAME 128 /* longer names are passed and counted: RFC 1035 allows 255 */
#define MAX_LABEL 63 /* more is a compression pointer, which no question holds */
#define FNV_OFFSET 0xcbf29ce484222325ULL
#define FNV_PRIME 0x100000001b3ULL

enum outcome {
	OUTCOME_PASSED = 0,
	OUTCOME_BLOCKED = 1,
	OUTCOME_NOT_DNS = 2,
	OUTCOME_SHORT = 3,
	OUTCOME_NOT_A_QUERY = 4,
	OUTCOME_BAD_NAME = 5,
	OUTCOME_LONG_NAME = 6,
	OUTCOME_MAX = 7,
};

struct domain {
	char name[32];
	__u64 queries;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10000);
	__type(key, __u64);
	__type(value, struct domain);
} blocked_domains SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, OUTCOME_MAX);
	__type(key, __u32);
	__type(value, __u64);
} queries SEC(".maps");

struct question {
	__u32 length;
	__u8 name[MAX_NAME];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct question);
} scratch SEC(".maps");

static __noinline int finish(enum outcome outcome)
{
	__u32 key = outcome;
	__u64 *slot = bpf_map_lookup_elem(&queries, &key);

	if (slot)
		*slot += 1;
	return outcome == OUTCOME_BLOCKED || outcome == OUTCOME_BAD_NAME ? XDP_DROP : XDP_PASS;
}

static __always_inline bool is_blocked(__u64 hash)
{
	struct domain *domain = bpf_map_lookup_elem(&blocked_domains, &hash);

	if (!domain)
		return false;
	__sync_fetch_and_add(&domain->queries, 1);
	return true;
}

/* Copy the name at `at`, in lower case and with a dot before each label: ".www.ads.example". */
static __always_inline enum outcome read_name(const __u8 *at, const void *end, struct question *question)
{
	__u32 left = 0; /* bytes of the label that are still to come */

	for (__u32 i = 0; i < MAX_NAME; i++) {
		__u8 byte;

		if ((const void *)(at + i + 1) > end)
			return OUTCOME_SHORT;
		byte = at[i];
		if (left) {
			left--;
			if (byte >= 'A' && byte <= 'Z')
				byte += 'a' - 'A';
		} else if (!byte) {
			question->length = i;
			return OUTCOME_PASSED;
		} else if (byte > MAX_LABEL) {
			return OUTCOME_BAD_NAME;
		} else {
			left = byte;
			byte = '.';
		}
		question->name[i] = byte;
	}
	return OUTCOME_LONG_NAME;
}

/* Hash the name from its end; at each dot the hash is that of the domain behind it. */
static __always_inline enum outcome check_name(const struct question *question)
{
	__u64 hash = FNV_OFFSET;

	/*
	 * Read back from the map, not from the register that wrote it: the verifier then walks this loop once for a name
	 * of any length, instead of once for each length.
	 */
	__u32 length = *(volatile const __u32 *)&question->length;

	for (__u32 i = length % MAX_NAME; i > 0; i--) {
		__u8 byte = question->name[i - 1];

		/* A dot inside a label looks like a border here: such names are nobody's, and may match too much. */
		if (byte == '.' && is_blocked(hash))
			return OUTCOME_BLOCKED;
		hash = (hash ^ byte) * FNV_PRIME;
	}
	return OUTCOME_PASSED;
}

static __always_inline enum outcome filter(void *data, void *data_end)
{
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct ipv6hdr *ip6 = data + sizeof(*eth);
	struct udphdr *udp;
	struct dnshdr *dns;
	struct question *question;
	enum outcome outcome;
	__u32 first = 0;
	__u8 proto;

	if ((void *)(ip + 1) > data_end)
		return OUTCOME_SHORT;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		proto = ip->protocol;
		udp = (void *)ip + ip->ihl * 4;
		if (ip->frag_off & bpf_htons(IP_OFFSET))
			return OUTCOME_NOT_DNS;
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		if ((void *)(ip6 + 1) > data_end)
			return OUTCOME_SHORT;
		proto = ip6->nexthdr;
		udp = (void *)(ip6 + 1);
	} else {
		return OUTCOME_NOT_DNS;
	}
	if (proto != IPPROTO_UDP)
		return OUTCOME_NOT_DNS;
	if ((void *)(udp + 1) > data_end)
		return OUTCOME_SHORT;
	if (udp->dest != bpf_htons(DNS_PORT))
		return OUTCOME_NOT_DNS;

	dns = (void *)(udp + 1);
	if ((void *)(dns + 1) > data_end)
		return OUTCOME_SHORT;
	if (dns->flags & bpf_htons(DNS_RESPONSE) || !dns->qdcount)
		return OUTCOME_NOT_A_QUERY;
	question = bpf_map_lookup_elem(&scratch, &first);
	if (!question)
		return OUTCOME_PASSED;
	outcome = read_name((void *)(dns + 1), data_end, question);
	return outcome == OUTCOME_PASSED ? check_name(question) : outcome;
}

SEC("xdp")
int xdp_dnsfilter(struct xdp_md *ctx)
{
	return finish(filter((void *)(long)ctx->data, (void *)(long)ctx->data_end));
}

char LICENSE[] SEC("license") = "Apache-2.0";
