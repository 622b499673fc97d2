/* SPDX-License-Identifier: Apache-2.0
 *
 * From the first byte to the flow: VLAN tags, IPv4 with options, IPv6 with extension headers, fragments, TCP, UDP, echo
 * requests, and ICMP errors, which belong to the flow of the packet they quote.
 */
#ifndef L4LB_PARSE_H
#define L4LB_PARSE_H

#include "types.h"

#define MAX_EXTENSIONS 4
#define MAX_QUOTED_EXTENSIONS 2

#define ICMP_DEST_UNREACH 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12
#define ICMPV6_DEST_UNREACH 1
#define ICMPV6_PARAMPROB 4

/* RFC 8200 section 4.4 */
struct rt_hdr {
	__u8 nexthdr;
	__u8 hdrlen;
	__u8 type;
	__u8 segments_left;
};

struct ports {
	__be16 source;
	__be16 dest;
};

static __always_inline void map_v4(struct in6_addr *to, __be32 addr)
{
	to->in6_u.u6_addr32[0] = 0;
	to->in6_u.u6_addr32[1] = 0;
	to->in6_u.u6_addr32[2] = bpf_htonl(0xffff);
	to->in6_u.u6_addr32[3] = addr;
}

static __always_inline enum fate parse_tcp_udp(void *at, void *end, struct packet *p)
{
	struct ports *ports = at;
	__u8 *tcp = at;

	if (p->flow.proto == IPPROTO_TCP) {
		if (at + sizeof(struct tcphdr) > end)
			return FATE_SHORT;
		/* RFC 9293: the flags are byte 13; a SYN without ACK begins a connection. */
		p->syn = (tcp[13] & 0x12) == 0x02;
	} else if (p->flow.proto != IPPROTO_UDP) {
		return FATE_NO_PORTS;
	} else if (at + sizeof(struct udphdr) > end) {
		return FATE_SHORT;
	}
	p->flow.client_port = bpf_ntohs(ports->source);
	p->flow.vip_port = bpf_ntohs(ports->dest);
	return FATE_OK;
}

/* The ports of a packet that an ICMP error quotes: the virtual service sent it. */
static __always_inline enum fate parse_quoted_ports(void *at, void *end, struct packet *p)
{
	struct ports *ports = at;

	if (p->flow.proto != IPPROTO_TCP && p->flow.proto != IPPROTO_UDP)
		return FATE_NO_PORTS;
	if ((void *)(ports + 1) > end)
		return FATE_SHORT;
	p->flow.client_port = bpf_ntohs(ports->dest);
	p->flow.vip_port = bpf_ntohs(ports->source);
	p->kind = KIND_ERROR;
	return FATE_OK;
}

static __always_inline enum fate parse_icmp4(void *at, void *end, struct packet *p)
{
	struct icmphdr *icmp = at;
	struct iphdr *quoted = (void *)(icmp + 1);

	if ((void *)(icmp + 1) > end)
		return FATE_SHORT;
	if (icmp->type == ICMP_ECHO) {
		p->kind = KIND_ECHO;
		return FATE_OK;
	}
	if (icmp->type != ICMP_DEST_UNREACH && icmp->type != ICMP_TIME_EXCEEDED && icmp->type != ICMP_PARAMETERPROB)
		return FATE_NO_PORTS;
	if ((void *)(quoted + 1) > end)
		return FATE_SHORT;
	if (quoted->version != 4 || quoted->ihl < 5)
		return FATE_MALFORMED;
	if (quoted->frag_off & bpf_htons(IP_OFFSET))
		return FATE_NO_PORTS;
	map_v4(&p->flow.vip, quoted->saddr);
	map_v4(&p->flow.client, quoted->daddr);
	p->flow.proto = quoted->protocol;
	return parse_quoted_ports((void *)quoted + quoted->ihl * 4, end, p);
}

static __always_inline enum fate parse4(void *at, void *end, struct packet *p)
{
	struct iphdr *ip = at;

	if ((void *)(ip + 1) > end)
		return FATE_SHORT;
	if (ip->version != 4 || ip->ihl < 5)
		return FATE_MALFORMED;
	p->family = 4;
	p->tos = ip->tos;
	p->bytes = bpf_ntohs(ip->tot_len);
	p->l4 = ip->ihl * 4;
	if (p->bytes < p->l4)
		return FATE_MALFORMED;
	map_v4(&p->flow.client, ip->saddr);
	map_v4(&p->flow.vip, ip->daddr);
	p->flow.proto = ip->protocol;
	if (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET)) {
		p->id = ip->id;
		p->piece = ip->frag_off & bpf_htons(IP_OFFSET) ? PIECE_LATER : PIECE_FIRST;
		if (p->piece == PIECE_LATER)
			return FATE_OK;
	}
	at += ip->ihl * 4;
	return ip->protocol == IPPROTO_ICMP ? parse_icmp4(at, end, p) : parse_tcp_udp(at, end, p);
}

/* One extension header: FATE_OK and its length in *bytes, 0 where the next header is none. */
static __always_inline enum fate parse_extension(void *at, void *end, struct packet *p, __u32 *bytes)
{
	struct ipv6_opt_hdr *option = at;
	struct rt_hdr *routing = at;
	struct frag_hdr *piece = at;

	*bytes = 0;
	switch (p->flow.proto) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_DSTOPTS:
		if ((void *)(option + 1) > end)
			return FATE_SHORT;
		*bytes = (option->hdrlen + 1) * 8;
		break;
	case IPPROTO_ROUTING:
		if ((void *)(routing + 1) > end)
			return FATE_SHORT;
		if (routing->type == 0 && routing->segments_left)
			return FATE_SOURCE_ROUTE;
		*bytes = (routing->hdrlen + 1) * 8;
		break;
	case IPPROTO_AH: /* RFC 4302: the one whose length counts words of four bytes, less two */
		if ((void *)(option + 1) > end)
			return FATE_SHORT;
		*bytes = (option->hdrlen + 2) * 4;
		break;
	case IPPROTO_FRAGMENT:
		if ((void *)(piece + 1) > end)
			return FATE_SHORT;
		p->id = piece->identification;
		if (piece->frag_off & bpf_htons(IP6_OFFSET))
			p->piece = PIECE_LATER;
		else if (piece->frag_off & bpf_htons(1))
			p->piece = PIECE_FIRST;
		*bytes = sizeof(*piece);
		break;
	default:
		return FATE_OK;
	}
	p->flow.proto = option->nexthdr;
	return FATE_OK;
}

static __always_inline enum fate parse_icmp6(void *at, void *end, struct packet *p)
{
	struct icmp6hdr *icmp = at;
	struct ipv6hdr *quoted = (void *)(icmp + 1);
	struct packet inner = {};
	enum fate fate;
	__u32 bytes;

	if ((void *)(icmp + 1) > end)
		return FATE_SHORT;
	if (icmp->icmp6_type == ICMPV6_ECHO_REQUEST) {
		p->kind = KIND_ECHO;
		return FATE_OK;
	}
	if (icmp->icmp6_type < ICMPV6_DEST_UNREACH || icmp->icmp6_type > ICMPV6_PARAMPROB)
		return FATE_NO_PORTS;
	if ((void *)(quoted + 1) > end)
		return FATE_SHORT;
	p->flow.vip = quoted->saddr;
	p->flow.client = quoted->daddr;
	inner.flow.proto = quoted->nexthdr;
	at = quoted + 1;
#pragma unroll
	for (int i = 0; i < MAX_QUOTED_EXTENSIONS; i++) {
		fate = parse_extension(at, end, &inner, &bytes);
		if (fate != FATE_OK)
			return fate;
		if (!bytes)
			break;
		at += bytes;
	}
	if (inner.piece == PIECE_LATER)
		return FATE_NO_PORTS;
	p->flow.proto = inner.flow.proto;
	return parse_quoted_ports(at, end, p);
}

static __always_inline enum fate parse6(void *at, void *end, struct packet *p)
{
	struct ipv6hdr *ip = at;
	enum fate fate;
	__u32 bytes = 0;

	if ((void *)(ip + 1) > end)
		return FATE_SHORT;
	if (ip->version != 6)
		return FATE_MALFORMED;
	p->family = 6;
	p->tos = ip->priority << 4 | ip->flow_lbl[0] >> 4;
	p->bytes = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	p->l4 = sizeof(*ip);
	p->flow.client = ip->saddr;
	p->flow.vip = ip->daddr;
	p->flow.proto = ip->nexthdr;
	at = ip + 1;
#pragma unroll
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		fate = parse_extension(at, end, p, &bytes);
		if (fate != FATE_OK)
			return fate;
		if (p->piece == PIECE_LATER)
			return FATE_OK;
		if (!bytes)
			break;
		at += bytes;
		p->l4 += bytes;
	}
	if (bytes)
		return FATE_DEEP;
	return p->flow.proto == IPPROTO_ICMPV6 ? parse_icmp6(at, end, p) : parse_tcp_udp(at, end, p);
}

/* All of it; `p` is zero before. */
static __always_inline enum fate parse(struct xdp_md *ctx, struct packet *p)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	void *at = eth + 1;
	__be16 type;

	if (at > end)
		return FATE_SHORT;
	type = eth->h_proto;
#pragma unroll
	for (int i = 0; i < MAX_TAGS; i++) {
		struct vlan_hdr *tag = at;

		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > end)
			return FATE_SHORT;
		type = tag->h_vlan_encapsulated_proto;
		at = tag + 1;
		p->tags++;
	}
	if (type == bpf_htons(ETH_P_IP))
		return parse4(at, end, p);
	if (type == bpf_htons(ETH_P_IPV6))
		return parse6(at, end, p);
	return FATE_NOT_IP;
}

#endif
