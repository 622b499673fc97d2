/* SPDX-License-Identifier: Apache-2.0
 *
 * A stateless firewall: drops what its maps name, passes the rest.
 *
 *   blocked_v4, blocked_v6  source prefixes to drop, each with a hit counter
 *   blocked_ports           destination ports to drop, by protocol, each with a hit counter
 *   denied_vlans            VLAN ids (outer or inner) to drop
 *   config                  slot 0: settings that may change while it runs
 *   icmp_window             slot 0: echo requests seen in the present second
 *   rule_hits               packets and bytes by the rule that decided, see enum rule
 *
 * The constants (.rodata) are set before loading. Checks run from the outside in: frame, VLAN tags, source address,
 * fragments, transport; the first rule that matches decides.
 */
#include <xdpsim/bpf.h>
#include <xdpsim/net.h>

#define MAX_VLAN_TAGS 2
#define MAX_IPV6_EXTENSIONS 6
#define NSEC_PER_SEC 1000000000ULL

enum rule {
	RULE_DEFAULT_PASS = 0,
	RULE_MALFORMED = 1,
	RULE_VLAN_DENIED = 2,
	RULE_BLOCKED_SRC_V4 = 3,
	RULE_BLOCKED_SRC_V6 = 4,
	RULE_FRAGMENT = 5,
	RULE_BAD_TCP_FLAGS = 6,
	RULE_BLOCKED_PORT = 7,
	RULE_ICMP_LIMIT = 8,
	RULE_MAX = 9,
};

/* Drop fragments that carry no transport header: the port rules cannot see what is in them. */
volatile const bool drop_fragments = true;
/* Echo requests let through in one second. */
volatile const __u32 icmp_per_second = 5;

struct settings {
	__u32 monitor; /* not 0: count what the rules say, drop nothing */
};

struct v4_prefix {
	__u32 prefixlen;
	__be32 addr;
};

struct v6_prefix {
	__u32 prefixlen;
	struct in6_addr addr;
};

struct port_key {
	__u8 proto;
	__u8 pad;
	__u16 port; /* as people write it: 53 is DNS */
};

struct block {
	__u64 hits;
};

struct hits {
	__u64 packets;
	__u64 bytes;
};

struct window {
	__u64 start;
	__u64 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct v4_prefix);
	__type(value, struct block);
} blocked_v4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct v6_prefix);
	__type(value, struct block);
} blocked_v6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct port_key);
	__type(value, struct block);
} blocked_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u16);
	__type(value, struct block);
} denied_vlans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct window);
} icmp_window SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RULE_MAX);
	__type(key, __u32);
	__type(value, struct hits);
} rule_hits SEC(".maps");

/* What is left to read, from `at` on; `proto` names what is there (an EtherType, then an IP protocol). */
struct cursor {
	void *at;
	void *end;
	__u16 proto;
};

/* Count the rule and give the verdict it stands for. */
static __noinline int decide(enum rule rule, __u64 bytes)
{
	__u32 key = rule, first = 0;
	struct hits *hits = bpf_map_lookup_elem(&rule_hits, &key);
	struct settings *settings;

	if (hits) {
		__sync_fetch_and_add(&hits->packets, 1);
		__sync_fetch_and_add(&hits->bytes, bytes);
	}
	if (rule == RULE_DEFAULT_PASS)
		return XDP_PASS;
	settings = bpf_map_lookup_elem(&config, &first);
	return settings && settings->monitor ? XDP_PASS : XDP_DROP;
}

static __always_inline bool hit(struct block *block)
{
	if (!block)
		return false;
	__sync_fetch_and_add(&block->hits, 1);
	return true;
}

/* Step over the Ethernet header and up to two tags (802.1Q inside 802.1ad, or one alone). */
static __always_inline enum rule parse_link(struct cursor *cursor)
{
	struct ethhdr *eth = cursor->at;

	cursor->at = eth + 1;
	/* Whatever comes next has four bytes: a tag, or the start of a network header. */
	if (cursor->at + sizeof(struct vlan_hdr) > cursor->end)
		return RULE_MALFORMED;
	cursor->proto = eth->h_proto;
#pragma clang loop unroll(disable)
	for (int tags = 0; tags < MAX_VLAN_TAGS; tags++) {
		struct vlan_hdr *tag = cursor->at;
		__u16 vlan_id;

		if (cursor->proto != bpf_htons(ETH_P_8021Q) && cursor->proto != bpf_htons(ETH_P_8021AD))
			break;
		vlan_id = bpf_ntohs(tag->h_vlan_TCI) & VLAN_VID_MASK;
		if (hit(bpf_map_lookup_elem(&denied_vlans, &vlan_id)))
			return RULE_VLAN_DENIED;
		cursor->proto = tag->h_vlan_encapsulated_proto;
		cursor->at = tag + 1;
		if (cursor->at + sizeof(struct vlan_hdr) > cursor->end)
			return RULE_MALFORMED;
	}
	return RULE_DEFAULT_PASS;
}

/* RFC 791: check the header, judge the source; leaves the cursor behind the options. */
static __always_inline enum rule check_ipv4(struct cursor *cursor, bool *is_fragment)
{
	struct iphdr *ip = cursor->at;
	struct v4_prefix source = {.prefixlen = 32};
	__u32 header_bytes;

	if ((void *)(ip + 1) > cursor->end)
		return RULE_MALFORMED;
	header_bytes = ip->ihl * 4;
	if (ip->version != 4 || header_bytes < sizeof(*ip))
		return RULE_MALFORMED;
	/* An IP packet longer than its frame was cut, or lies. */
	if (bpf_ntohs(ip->tot_len) < header_bytes || cursor->at + bpf_ntohs(ip->tot_len) > cursor->end)
		return RULE_MALFORMED;

	source.addr = ip->saddr;
	if (hit(bpf_map_lookup_elem(&blocked_v4, &source)))
		return RULE_BLOCKED_SRC_V4;

	*is_fragment = ip->frag_off & bpf_htons(IP_OFFSET);
	cursor->proto = ip->protocol;
	cursor->at += header_bytes;
	return RULE_DEFAULT_PASS;
}

/* RFC 8200: judge the source, then walk the extension headers to the transport. */
static __always_inline enum rule check_ipv6(struct cursor *cursor, bool *is_fragment)
{
	struct ipv6hdr *ip6 = cursor->at;
	struct v6_prefix source;

	if ((void *)(ip6 + 1) > cursor->end || ip6->version != 6)
		return RULE_MALFORMED;
	source.prefixlen = 128;
	source.addr = ip6->saddr;
	if (hit(bpf_map_lookup_elem(&blocked_v6, &source)))
		return RULE_BLOCKED_SRC_V6;

	cursor->proto = ip6->nexthdr;
	cursor->at = ip6 + 1;
#pragma clang loop unroll(disable)
	for (int headers = 0; headers < MAX_IPV6_EXTENSIONS; headers++) {
		struct frag_hdr *fragment = cursor->at;
		struct ipv6_opt_hdr *option = cursor->at;

		switch (cursor->proto) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
		case IPPROTO_FRAGMENT:
			break;
		default:
			return RULE_DEFAULT_PASS;
		}
		/* The shortest of them is as long as a fragment header. */
		if ((void *)(fragment + 1) > cursor->end)
			return RULE_MALFORMED;
		if (cursor->proto == IPPROTO_FRAGMENT) {
			*is_fragment = fragment->frag_off & bpf_htons(IP6_OFFSET);
			cursor->at = fragment + 1;
		} else {
			cursor->at += (option->hdrlen + 1) * 8;
		}
		cursor->proto = option->nexthdr;
		if (*is_fragment)
			return RULE_DEFAULT_PASS;
	}
	return RULE_MALFORMED; /* a chain that long has no honest use */
}

static __always_inline enum rule check_port(__u8 proto, __be16 port)
{
	struct port_key key = {.proto = proto, .port = bpf_ntohs(port)};

	return hit(bpf_map_lookup_elem(&blocked_ports, &key)) ? RULE_BLOCKED_PORT : RULE_DEFAULT_PASS;
}

/* At most icmp_per_second echo requests a second, in windows of one second. */
static __always_inline enum rule check_echo(void)
{
	__u32 first = 0;
	struct window *window = bpf_map_lookup_elem(&icmp_window, &first);
	__u64 now = bpf_ktime_get_ns();

	if (!window)
		return RULE_DEFAULT_PASS;
	if (now - window->start >= NSEC_PER_SEC) {
		window->start = now;
		window->count = 0;
	}
	/* Two CPUs may both let the last one through: close enough, and no lock. */
	return __sync_fetch_and_add(&window->count, 1) < icmp_per_second ? RULE_DEFAULT_PASS : RULE_ICMP_LIMIT;
}

static __always_inline enum rule check_tcp(const struct tcphdr *tcp, const void *end)
{
	if ((const void *)(tcp + 1) > end)
		return RULE_MALFORMED;
	/* SYN with FIN or RST, or no flag that opens, carries or ends a connection: only scanners send these. */
	if ((tcp->syn && (tcp->fin || tcp->rst)) || !(tcp->syn || tcp->ack || tcp->rst || tcp->fin))
		return RULE_BAD_TCP_FLAGS;
	return check_port(IPPROTO_TCP, tcp->dest);
}

static __always_inline enum rule check_transport(struct cursor *cursor)
{
	struct udphdr *udp = cursor->at;
	struct icmphdr *icmp = cursor->at;

	if (cursor->proto == IPPROTO_TCP)
		return check_tcp(cursor->at, cursor->end);
	if (cursor->proto != IPPROTO_UDP && cursor->proto != IPPROTO_ICMP && cursor->proto != IPPROTO_ICMPV6)
		return RULE_DEFAULT_PASS;
	/* The other three have headers of eight bytes. */
	if ((void *)(udp + 1) > cursor->end)
		return RULE_MALFORMED;
	if (cursor->proto == IPPROTO_UDP)
		return check_port(IPPROTO_UDP, udp->dest);
	/* Echo requests only: neighbour discovery and error messages must never be limited. */
	if (icmp->type == (cursor->proto == IPPROTO_ICMP ? ICMP_ECHO : ICMPV6_ECHO_REQUEST))
		return check_echo();
	return RULE_DEFAULT_PASS;
}

static __always_inline enum rule judge(struct cursor *cursor)
{
	bool is_fragment = false;
	enum rule rule = parse_link(cursor);

	if (rule != RULE_DEFAULT_PASS)
		return rule;
	if (cursor->proto == bpf_htons(ETH_P_IP))
		rule = check_ipv4(cursor, &is_fragment);
	else if (cursor->proto == bpf_htons(ETH_P_IPV6))
		rule = check_ipv6(cursor, &is_fragment);
	else
		return RULE_DEFAULT_PASS; /* ARP, LLDP and the like */
	if (rule != RULE_DEFAULT_PASS)
		return rule;
	if (is_fragment)
		return drop_fragments ? RULE_FRAGMENT : RULE_DEFAULT_PASS;
	return check_transport(cursor);
}

SEC("xdp")
int xdp_firewall(struct xdp_md *ctx)
{
	struct cursor cursor = {
		.at = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
	};
	__u64 bytes = cursor.end - cursor.at;

	return decide(judge(&cursor), bytes);
}

char LICENSE[] SEC("license") = "Apache-2.0";
