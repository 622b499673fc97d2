/* SPDX-License-Identifier: Apache-2.0
 *
 * What flow tables go by: addresses, protocol and ports of a TCP, UDP or ICMP packet.
 */
#ifndef XDPSIM_FLOW_H
#define XDPSIM_FLOW_H

#include <xdpsim/net.h>

struct flow {
	struct in6_addr saddr; /* IPv4 as ::ffff:a.b.c.d */
	struct in6_addr daddr;
	__u16 sport; /* as people write it; ICMP: the type */
	__u16 dport; /* ICMP: the identifier of an echo, else 0 */
	__u8 proto;
	__u8 family; /* 4 or 6 */
	__u16 pad;
};

enum flow_problem {
	FLOW_OK = 0,
	FLOW_NOT_IP = 1,
	FLOW_SHORT = 2,
	FLOW_FRAGMENT = 3, /* its ports are in another packet */
	FLOW_NO_PORTS = 4, /* another protocol, or IPv6 extension headers */
};

/* Where the headers of a packet are; `ip` or `ip6`, by the flow's family. */
struct flow_headers {
	struct ethhdr *eth;
	struct iphdr *ip;
	struct ipv6hdr *ip6;
	void *transport;
	__u16 bytes; /* of the IP packet, header included */
	__u8 tcp_flags;
};

static __always_inline void flow_map_v4(struct in6_addr *to, __be32 addr)
{
	to->in6_u.u6_addr32[0] = 0;
	to->in6_u.u6_addr32[1] = 0;
	to->in6_u.u6_addr32[2] = bpf_htonl(0xffff);
	to->in6_u.u6_addr32[3] = addr;
}

static __always_inline enum flow_problem flow_transport(void *end, struct flow *flow, struct flow_headers *at)
{
	struct udphdr *udp = at->transport;
	struct tcphdr *tcp = at->transport;
	struct icmphdr *icmp = at->transport;

	if (flow->proto != IPPROTO_TCP && flow->proto != IPPROTO_UDP && flow->proto != IPPROTO_ICMP &&
	    flow->proto != IPPROTO_ICMPV6)
		return FLOW_NO_PORTS;
	if ((void *)(udp + 1) > end)
		return FLOW_SHORT;
	if (flow->proto == IPPROTO_ICMP || flow->proto == IPPROTO_ICMPV6) {
		flow->sport = icmp->type;
		if (icmp->type == ICMP_ECHO || icmp->type == ICMP_ECHOREPLY || icmp->type == ICMPV6_ECHO_REQUEST ||
		    icmp->type == ICMPV6_ECHO_REPLY)
			flow->dport = bpf_ntohs(*(__be16 *)&icmp->rest);
		return FLOW_OK;
	}
	flow->sport = bpf_ntohs(udp->source);
	flow->dport = bpf_ntohs(udp->dest);
	if (flow->proto == IPPROTO_TCP) {
		if ((void *)(tcp + 1) > end)
			return FLOW_SHORT;
		at->tcp_flags = ((__u8 *)tcp)[13];
	}
	return FLOW_OK;
}

/* Read the flow and the headers' places; `flow` and `at` are zero before. */
static __always_inline enum flow_problem flow_parse(struct xdp_md *ctx, struct flow *flow, struct flow_headers *at)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct ipv6hdr *ip6 = data + sizeof(*eth);

	if ((void *)(eth + 1) > end)
		return FLOW_SHORT;
	at->eth = eth;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		if ((void *)(ip + 1) > end || ip->ihl < 5)
			return FLOW_SHORT;
		flow_map_v4(&flow->saddr, ip->saddr);
		flow_map_v4(&flow->daddr, ip->daddr);
		flow->proto = ip->protocol;
		flow->family = 4;
		at->ip = ip;
		at->bytes = bpf_ntohs(ip->tot_len);
		at->transport = (void *)ip + ip->ihl * 4;
		if (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET))
			return FLOW_FRAGMENT;
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		if ((void *)(ip6 + 1) > end)
			return FLOW_SHORT;
		flow->saddr = ip6->saddr;
		flow->daddr = ip6->daddr;
		flow->proto = ip6->nexthdr;
		flow->family = 6;
		at->ip6 = ip6;
		at->bytes = bpf_ntohs(ip6->payload_len) + sizeof(*ip6);
		at->transport = ip6 + 1;
		if (ip6->nexthdr == IPPROTO_FRAGMENT)
			return FLOW_FRAGMENT;
	} else {
		return FLOW_NOT_IP;
	}
	return flow_transport(end, flow, at);
}

#endif
