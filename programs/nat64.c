/* SPDX-License-Identifier: Apache-2.0
 *
 * Translates between IPv6 and IPv4, statelessly (RFC 7915, RFC 7757): TCP, UDP and ICMP echo. IPv4 hosts appear to the
 * IPv6 side in 64:ff9b::/96 (RFC 6052); IPv6 hosts have one IPv4 address each.
 *
 *   bindings  by IPv6 address: its host's IPv4 address
 *   hosts     by IPv4 address: the IPv6 address, the other way round
 *   fates     packets by enum fate
 *
 * A translated packet leaves through the interface it came in by, towards the MAC address it came from. Packets that
 * are for neither side pass; those that cannot be translated are dropped.
 */
#include <xdpsim/bpf.h>
#include <xdpsim/csum.h>
#include <xdpsim/net.h>

/* RFC 7915 section 5.1: what IPv6 takes without path MTU discovery; longer packets must not be fragmented. */
#define IPV6_MIN_MTU 1280
#define GROWTH (int)(sizeof(struct ipv6hdr) - sizeof(struct iphdr))

enum fate {
	FATE_TO_IPV4 = 0,
	FATE_TO_IPV6 = 1,
	FATE_NOT_OURS = 2,
	FATE_SHORT = 3,
	FATE_UNBOUND = 4, /* the IPv6 host has no IPv4 address */
	FATE_EXPIRED = 5, /* passed on: the host's stack sends the ICMP error */
	FATE_FRAGMENT = 6,
	FATE_OPTIONS = 7,
	FATE_PROTOCOL = 8, /* neither TCP nor UDP nor an echo */
	FATE_NO_CHECKSUM = 9, /* UDP over IPv6 must have one */
	FATE_NO_ROOM = 10,
	FATE_MAX = 11,
};

/* RFC 6052: the well-known prefix. */
volatile const struct in6_addr prefix = {
	.in6_u.u6_addr32 = {bpf_htonl(0x0064ff9b), 0, 0, 0},
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct in6_addr);
	__type(value, __be32);
} bindings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __be32);
	__type(value, struct in6_addr);
} hosts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FATE_MAX);
	__type(key, __u32);
	__type(value, __u64);
} fates SEC(".maps");

/* What the transport's checksum covers in front of it; IPv4 has the same but for the addresses. */
struct pseudo {
	struct in6_addr saddr;
	struct in6_addr daddr;
	__be32 length;
	__be32 nexthdr;
};

struct pseudo4 {
	__be32 saddr;
	__be32 daddr;
};

static __noinline int decide(enum fate fate)
{
	__u32 key = fate;
	__u64 *packets = bpf_map_lookup_elem(&fates, &key);

	if (packets)
		__sync_fetch_and_add(packets, 1);
	switch (fate) {
	case FATE_TO_IPV4:
	case FATE_TO_IPV6:
		return XDP_TX;
	case FATE_NOT_OURS:
	case FATE_EXPIRED:
		return XDP_PASS;
	default:
		return XDP_DROP;
	}
}

static __always_inline bool in_prefix(const struct in6_addr *addr)
{
	return addr->in6_u.u6_addr32[0] == prefix.in6_u.u6_addr32[0] &&
	       addr->in6_u.u6_addr32[1] == prefix.in6_u.u6_addr32[1] &&
	       addr->in6_u.u6_addr32[2] == prefix.in6_u.u6_addr32[2];
}

/* Back to whoever sent the frame. */
static __always_inline void turn_round(struct ethhdr *eth, const struct ethhdr *old, __be16 proto)
{
	memcpy(eth->h_dest, old->h_source, ETH_ALEN);
	memcpy(eth->h_source, old->h_dest, ETH_ALEN);
	eth->h_proto = proto;
}

/* TCP and UDP: the addresses of the pseudo-header change. */
static __always_inline enum fate fix_ports(void *transport, void *end, __u8 proto, struct pseudo *wide,
					   struct pseudo4 *narrow, bool to_ipv4)
{
	struct tcphdr *tcp = transport;
	struct udphdr *udp = transport;
	__sum16 *check = &udp->check;

	if ((void *)(udp + 1) > end)
		return FATE_SHORT;
	if (proto == IPPROTO_TCP) {
		if ((void *)(tcp + 1) > end)
			return FATE_SHORT;
		check = &tcp->check;
	} else if (!*check) {
		return FATE_NO_CHECKSUM;
	}
	if (to_ipv4)
		*check = csum_replace(*check, wide, 2 * sizeof(wide->saddr), narrow, sizeof(*narrow));
	else
		*check = csum_replace(*check, narrow, sizeof(*narrow), wide, 2 * sizeof(wide->saddr));
	if (proto == IPPROTO_UDP && !*check)
		*check = 0xffff; /* zero would mean that there is none */
	return to_ipv4 ? FATE_TO_IPV4 : FATE_TO_IPV6;
}

/* ICMP echo: the types differ, and ICMPv6 alone covers a pseudo-header. */
static __always_inline enum fate fix_echo(struct icmphdr *icmp, void *end, struct pseudo *wide, bool to_ipv4)
{
	__u8 type;

	if ((void *)(icmp + 1) > end)
		return FATE_SHORT;
	type = icmp->type;
	if (icmp->code)
		return FATE_PROTOCOL;
	wide->nexthdr = bpf_htonl(IPPROTO_ICMPV6);
	if (to_ipv4) {
		if (type != ICMPV6_ECHO_REQUEST && type != ICMPV6_ECHO_REPLY)
			return FATE_PROTOCOL;
		icmp->type = type == ICMPV6_ECHO_REQUEST ? ICMP_ECHO : ICMP_ECHOREPLY;
		icmp->checksum = csum_replace(icmp->checksum, wide, sizeof(*wide), NULL, 0);
	} else {
		if (type != ICMP_ECHO && type != ICMP_ECHOREPLY)
			return FATE_PROTOCOL;
		icmp->type = type == ICMP_ECHO ? ICMPV6_ECHO_REQUEST : ICMPV6_ECHO_REPLY;
		icmp->checksum = csum_replace(icmp->checksum, NULL, 0, wide, sizeof(*wide));
	}
	/* The type is the first byte of its word. */
	icmp->checksum = csum_replace2(icmp->checksum, bpf_htons(type << 8), bpf_htons(icmp->type << 8));
	return to_ipv4 ? FATE_TO_IPV4 : FATE_TO_IPV6;
}

static __always_inline enum fate to_ipv4(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data, old_eth;
	struct ipv6hdr *ip6 = data + sizeof(*eth);
	struct pseudo wide;
	struct pseudo4 narrow;
	struct iphdr *ip;
	__be32 *source;
	__u16 bytes;
	__u8 proto, tos, ttl;
	enum fate fate;

	if ((void *)(ip6 + 1) > end)
		return FATE_SHORT;
	if (!in_prefix(&ip6->daddr))
		return FATE_NOT_OURS;
	source = bpf_map_lookup_elem(&bindings, &ip6->saddr);
	if (!source)
		return FATE_UNBOUND;
	if (ip6->hop_limit <= 1)
		return FATE_EXPIRED;
	bytes = bpf_ntohs(ip6->payload_len);
	if ((void *)(ip6 + 1) + bytes > end)
		return FATE_SHORT;
	proto = ip6->nexthdr;
	tos = ip6->priority << 4 | ip6->flow_lbl[0] >> 4;
	ttl = ip6->hop_limit - 1;
	old_eth = *eth;
	wide.saddr = ip6->saddr;
	wide.daddr = ip6->daddr;
	wide.length = bpf_htonl(bytes);
	narrow.saddr = *source;
	narrow.daddr = ip6->daddr.in6_u.u6_addr32[3];

	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP)
		fate = fix_ports(ip6 + 1, end, proto, &wide, &narrow, true);
	else if (proto == IPPROTO_ICMPV6)
		fate = fix_echo((void *)(ip6 + 1), end, &wide, true);
	else
		fate = proto == IPPROTO_FRAGMENT ? FATE_FRAGMENT : FATE_PROTOCOL;
	if (fate != FATE_TO_IPV4)
		return fate;

	if (bpf_xdp_adjust_head(ctx, GROWTH))
		return FATE_NO_ROOM;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	eth = data;
	ip = data + sizeof(*eth);
	if ((void *)(ip + 1) > end)
		return FATE_NO_ROOM;
	turn_round(eth, &old_eth, bpf_htons(ETH_P_IP));
	*ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tos = tos,
		.tot_len = bpf_htons(bytes + sizeof(*ip)),
		.ttl = ttl,
		.protocol = proto == IPPROTO_ICMPV6 ? IPPROTO_ICMP : proto,
		.saddr = narrow.saddr,
		.daddr = narrow.daddr,
	};
	if (bytes + sizeof(*ip) > IPV6_MIN_MTU - GROWTH)
		ip->frag_off = bpf_htons(IP_DF);
	else
		ip->id = bpf_get_prandom_u32();
	ip->check = csum_replace(0xffff, NULL, 0, ip, sizeof(*ip));
	return fate;
}

static __always_inline enum fate to_ipv6(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data, old_eth;
	struct iphdr *ip = data + sizeof(*eth);
	struct in6_addr *target;
	struct ipv6hdr *ip6;
	struct pseudo wide;
	struct pseudo4 narrow;
	__u16 bytes;
	__u8 proto, tos, ttl;
	enum fate fate;

	if ((void *)(ip + 1) > end)
		return FATE_SHORT;
	target = bpf_map_lookup_elem(&hosts, &ip->daddr);
	if (!target)
		return FATE_NOT_OURS;
	if (ip->ihl != 5)
		return FATE_OPTIONS;
	if (ip->ttl <= 1)
		return FATE_EXPIRED;
	if (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET))
		return FATE_FRAGMENT;
	bytes = bpf_ntohs(ip->tot_len);
	if (bytes < sizeof(*ip) || (void *)ip + bytes > end)
		return FATE_SHORT;
	bytes -= sizeof(*ip);
	proto = ip->protocol;
	tos = ip->tos;
	ttl = ip->ttl - 1;
	old_eth = *eth;
	memset(&wide, 0, sizeof(wide));
	wide.saddr.in6_u.u6_addr32[0] = prefix.in6_u.u6_addr32[0];
	wide.saddr.in6_u.u6_addr32[1] = prefix.in6_u.u6_addr32[1];
	wide.saddr.in6_u.u6_addr32[2] = prefix.in6_u.u6_addr32[2];
	wide.saddr.in6_u.u6_addr32[3] = ip->saddr;
	wide.daddr = *target;
	wide.length = bpf_htonl(bytes);
	narrow.saddr = ip->saddr;
	narrow.daddr = ip->daddr;

	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP)
		fate = fix_ports(ip + 1, end, proto, &wide, &narrow, false);
	else if (proto == IPPROTO_ICMP)
		fate = fix_echo((void *)(ip + 1), end, &wide, false);
	else
		fate = FATE_PROTOCOL;
	if (fate != FATE_TO_IPV6)
		return fate;

	if (bpf_xdp_adjust_head(ctx, -GROWTH))
		return FATE_NO_ROOM;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	eth = data;
	ip6 = data + sizeof(*eth);
	if ((void *)(ip6 + 1) > end)
		return FATE_NO_ROOM;
	turn_round(eth, &old_eth, bpf_htons(ETH_P_IPV6));
	ip6->version = 6;
	ip6->priority = tos >> 4;
	ip6->flow_lbl[0] = tos << 4;
	ip6->flow_lbl[1] = 0;
	ip6->flow_lbl[2] = 0;
	ip6->payload_len = bpf_htons(bytes);
	ip6->nexthdr = proto == IPPROTO_ICMP ? IPPROTO_ICMPV6 : proto;
	ip6->hop_limit = ttl;
	ip6->saddr = wide.saddr;
	ip6->daddr = wide.daddr;
	return fate;
}

SEC("xdp")
int xdp_nat64(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return decide(FATE_SHORT);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return decide(to_ipv4(ctx));
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return decide(to_ipv6(ctx));
	return decide(FATE_NOT_OURS);
}

char LICENSE[] SEC("license") = "Apache-2.0";
