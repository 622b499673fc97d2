/* SPDX-License-Identifier: Apache-2.0
 *
 * The way to the server: an outer header of the server's family, with UDP between where the service asks for it. VLAN
 * tags stay in front.
 */
#ifndef L4LB_TUNNEL_H
#define L4LB_TUNNEL_H

#include <xdpsim/csum.h>

#include "types.h"

/* The Ethernet header and the tags, kept while the packet moves under them. */
struct link {
	__u8 bytes[LINK_MAX];
};

/* Keep the link header; packets that were parsed are longer than any. */
static __always_inline enum fate link_keep(struct xdp_md *ctx, struct link *link)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;

	if (data + LINK_MAX > end)
		return FATE_SHORT;
	memcpy(link->bytes, data, LINK_MAX);
	return FATE_OK;
}

/* Write it again in front of a packet of another type and for another station; what comes behind it. */
static __always_inline void *link_write(void *data, const struct link *link, __u8 tags, const __u8 *to, __be16 type)
{
	memcpy(data + ETH_ALEN, link->bytes, ETH_ALEN);
	memcpy(data, to, ETH_ALEN);
	data += 2 * ETH_ALEN;
	if (tags > 0) {
		memcpy(data, link->bytes + 12, 4);
		data += 4;
	}
	if (tags > 1) {
		memcpy(data, link->bytes + 16, 4);
		data += 4;
	}
	*(__be16 *)data = type;
	return data + sizeof(type);
}

static __always_inline __sum16 header_sum(const struct iphdr *ip)
{
	const __u16 *words = (const void *)ip;
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += words[i];
	return csum_fold(sum);
}

static __always_inline void write4(struct iphdr *ip, __u32 bytes, __u8 tos, __u8 proto, __be32 from, __be32 to)
{
	ip->version = 4;
	ip->ihl = sizeof(*ip) / 4;
	ip->tos = tos;
	ip->tot_len = bpf_htons(bytes);
	ip->id = 0;
	ip->frag_off = bpf_htons(IP_DF);
	ip->ttl = 64;
	ip->protocol = proto;
	ip->check = 0;
	ip->saddr = from;
	ip->daddr = to;
	ip->check = header_sum(ip);
}

static __always_inline void write6(struct ipv6hdr *ip, __u32 payload, __u8 tos, __u8 proto, __u32 label)
{
	ip->version = 6;
	ip->priority = tos >> 4;
	ip->flow_lbl[0] = (tos << 4 & 0xf0) | (label >> 16 & 0x0f);
	ip->flow_lbl[1] = label >> 8;
	ip->flow_lbl[2] = label;
	ip->payload_len = bpf_htons(payload);
	ip->nexthdr = proto;
	ip->hop_limit = 64;
}

/* The packet in a tunnel of one of four kinds; `is6` and `gue` are known where this is compiled. */
static __always_inline enum fate wrap(struct xdp_md *ctx, const struct packet *p, const struct link *link,
				      const struct real *real, __u32 hash, _Bool is6, _Bool gue)
{
	const __u32 ip_bytes = is6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	const __u32 udp_bytes = gue ? sizeof(struct udphdr) : 0;
	__u8 inner = p->family == 4 ? IPPROTO_IPIP : IPPROTO_IPV6;
	struct ipv6hdr *ip6;
	struct udphdr *udp;
	void *data, *at;

	if (bpf_xdp_adjust_head(ctx, -(int)(ip_bytes + udp_bytes)))
		return FATE_NO_ROOM;
	data = (void *)(long)ctx->data;
	if (data + LINK_MAX + ip_bytes + udp_bytes > (void *)(long)ctx->data_end)
		return FATE_SHORT;
	at = link_write(data, link, p->tags, real->mac, is6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP));
	if (is6) {
		ip6 = at;
		write6(ip6, p->bytes + udp_bytes, p->tos, gue ? IPPROTO_UDP : inner, hash);
#pragma unroll
		for (int i = 0; i < 4; i++)
			ip6->saddr.in6_u.u6_addr32[i] = source6[i];
		ip6->daddr = real->addr;
	} else {
		write4(at, p->bytes + ip_bytes + udp_bytes, p->tos, gue ? IPPROTO_UDP : inner, source4,
		       real->addr.in6_u.u6_addr32[3]);
	}
	if (gue) {
		udp = at + ip_bytes;
		udp->source = bpf_htons(0xc000 | (hash & 0x3fff));
		udp->dest = bpf_htons(GUE_PORT);
		udp->len = bpf_htons(p->bytes + udp_bytes);
		udp->check = 0; /* RFC 6935: as tunnels may over IPv6 too */
	}
	return FATE_FORWARDED;
}

static __always_inline __u32 overhead(const struct real *real, __u32 flags)
{
	return (real->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)) +
	       (flags & VIP_GUE ? sizeof(struct udphdr) : 0);
}

static __always_inline enum fate forward(struct xdp_md *ctx, const struct packet *p, const struct real *real,
					 __u32 flags, __u32 hash)
{
	struct link link;
	enum fate fate = link_keep(ctx, &link);

	if (fate != FATE_OK)
		return fate;
	if (real->family == 4)
		return flags & VIP_GUE ? wrap(ctx, p, &link, real, hash, 0, 1) : wrap(ctx, p, &link, real, hash, 0, 0);
	return flags & VIP_GUE ? wrap(ctx, p, &link, real, hash, 1, 1) : wrap(ctx, p, &link, real, hash, 1, 0);
}

#endif
