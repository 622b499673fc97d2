/* SPDX-License-Identifier: Apache-2.0
 *
 * What the balancer answers itself: echo requests for virtual addresses, and packets that would not fit into the tunnel.
 */
#ifndef L4LB_ICMP_H
#define L4LB_ICMP_H

#include <xdpsim/csum.h>

#include "parse.h"
#include "tunnel.h"

#define ICMP_FRAG_NEEDED 4
#define ICMPV6_PKT_TOOBIG 2
#define MAX_L4 16384 /* more than MAX_EXTENSIONS of them fill */
#define QUOTE4 68 /* RFC 792: the header with its options, and eight bytes */
#define QUOTE6 256 /* RFC 4443 allows up to the least MTU: this holds the headers of all that was balanced */

static __always_inline void swap_macs(struct ethhdr *eth)
{
	__u8 mac[ETH_ALEN];

	memcpy(mac, eth->h_dest, ETH_ALEN);
	memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	memcpy(eth->h_source, mac, ETH_ALEN);
}

static __always_inline __u32 link_bytes(const struct packet *p)
{
	return sizeof(struct ethhdr) + (p->tags & 3) * sizeof(struct vlan_hdr);
}

static __always_inline enum fate echo4(void *ip_at, void *icmp_at)
{
	struct icmphdr *icmp = icmp_at;
	struct iphdr *ip = ip_at;
	__be32 addr = ip->saddr;

	/* Their sum stays as it is. */
	ip->saddr = ip->daddr;
	ip->daddr = addr;
	icmp->checksum = csum_replace2(icmp->checksum, bpf_htons(ICMP_ECHO << 8 | icmp->code),
				       bpf_htons(ICMP_ECHOREPLY << 8 | icmp->code));
	icmp->type = ICMP_ECHOREPLY;
	return FATE_ECHOED;
}

static __always_inline enum fate echo6(void *ip_at, void *icmp_at)
{
	struct icmp6hdr *icmp = icmp_at;
	struct ipv6hdr *ip = ip_at;
	struct in6_addr addr = ip->saddr;

	ip->saddr = ip->daddr;
	ip->daddr = addr;
	icmp->icmp6_cksum = csum_replace2(icmp->icmp6_cksum, bpf_htons(ICMPV6_ECHO_REQUEST << 8 | icmp->icmp6_code),
					  bpf_htons(ICMPV6_ECHO_REPLY << 8 | icmp->icmp6_code));
	icmp->icmp6_type = ICMPV6_ECHO_REPLY;
	return FATE_ECHOED;
}

/* Answer an echo request for an address that has a service for it. */
static __always_inline enum fate echo(struct xdp_md *ctx, const struct packet *p)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	void *ip = data + link_bytes(p);
	__u32 l4 = p->l4;
	void *icmp;

	if (!find_vip(&p->flow))
		return FATE_NOT_OURS;
	if (l4 > MAX_L4)
		return FATE_DEEP;
	icmp = ip + l4;
	if (ip + sizeof(struct ipv6hdr) > end && p->family == 6)
		return FATE_SHORT;
	if (ip + sizeof(struct iphdr) > end || icmp + sizeof(struct icmphdr) > end)
		return FATE_SHORT;
	swap_macs(data);
	if (p->family == 4)
		return echo4(ip, icmp);
	if (ip + sizeof(struct ipv6hdr) > end)
		return FATE_SHORT;
	return echo6(ip, icmp);
}

/* Make room for the headers of an ICMP error in front of the packet's first `quote` bytes, and cut it behind them. */
static __always_inline enum fate make_room(struct xdp_md *ctx, const struct packet *p, __u32 headers, __u32 quote)
{
	__u32 wanted = link_bytes(p) + headers + quote;
	__u32 bytes;

	if (bpf_xdp_adjust_head(ctx, -(int)headers))
		return FATE_NO_ROOM;
	bytes = ctx->data_end - ctx->data;
	if (bytes > wanted && bpf_xdp_adjust_tail(ctx, (int)(wanted - bytes)))
		return FATE_NO_ROOM;
	return FATE_OK;
}

static __always_inline enum fate too_big4(struct xdp_md *ctx, const struct packet *p, const struct link *link,
					  __u32 fits)
{
	const __u32 headers = sizeof(struct iphdr) + sizeof(struct icmphdr);
	struct icmphdr *icmp;
	struct iphdr *ip;
	void *data;

	if (make_room(ctx, p, headers, QUOTE4))
		return FATE_NO_ROOM;
	data = (void *)(long)ctx->data;
	if (data + LINK_MAX + headers > (void *)(long)ctx->data_end)
		return FATE_SHORT;
	ip = link_write(data, link, p->tags, link->bytes + ETH_ALEN, bpf_htons(ETH_P_IP));
	icmp = (void *)(ip + 1);
	if ((void *)(icmp + 1) + QUOTE4 > (void *)(long)ctx->data_end)
		return FATE_SHORT;
	write4(ip, headers + QUOTE4, 0, IPPROTO_ICMP, p->flow.vip.in6_u.u6_addr32[3], p->flow.client.in6_u.u6_addr32[3]);
	icmp->type = ICMP_DEST_UNREACH;
	icmp->code = ICMP_FRAG_NEEDED;
	icmp->checksum = 0;
	icmp->rest = bpf_htonl(fits);
	icmp->checksum = csum_fold((__u32)bpf_csum_diff(NULL, 0, (__be32 *)icmp, sizeof(*icmp) + QUOTE4, 0));
	return FATE_TOO_BIG;
}

static __always_inline enum fate too_big6(struct xdp_md *ctx, const struct packet *p, const struct link *link,
					  __u32 fits)
{
	const __u32 headers = sizeof(struct ipv6hdr) + sizeof(struct icmp6hdr);
	const __u32 payload = sizeof(struct icmp6hdr) + QUOTE6;
	struct icmp6hdr *icmp;
	struct ipv6hdr *ip;
	void *data;
	__u64 sum;

	if (make_room(ctx, p, headers, QUOTE6))
		return FATE_NO_ROOM;
	data = (void *)(long)ctx->data;
	if (data + LINK_MAX + headers > (void *)(long)ctx->data_end)
		return FATE_SHORT;
	ip = link_write(data, link, p->tags, link->bytes + ETH_ALEN, bpf_htons(ETH_P_IPV6));
	icmp = (void *)(ip + 1);
	if ((void *)(icmp + 1) + QUOTE6 > (void *)(long)ctx->data_end)
		return FATE_SHORT;
	write6(ip, payload, 0, IPPROTO_ICMPV6, 0);
	ip->saddr = p->flow.vip;
	ip->daddr = p->flow.client;
	icmp->icmp6_type = ICMPV6_PKT_TOOBIG;
	icmp->icmp6_code = 0;
	icmp->icmp6_cksum = 0;
	icmp->icmp6_rest = bpf_htonl(fits);
	/* RFC 8200 section 8.1: the addresses, the length and the protocol count as well. */
	sum = (__u64)bpf_htonl(payload) + bpf_htonl(IPPROTO_ICMPV6);
#pragma unroll
	for (int i = 0; i < 4; i++)
		sum += (__u64)ip->saddr.in6_u.u6_addr32[i] + ip->daddr.in6_u.u6_addr32[i];
	sum += (__u32)bpf_csum_diff(NULL, 0, (__be32 *)icmp, payload, 0);
	icmp->icmp6_cksum = csum_fold(sum);
	return FATE_TOO_BIG;
}

/* Tell the client how much would have fitted (RFC 1191, RFC 8201). */
static __always_inline enum fate too_big(struct xdp_md *ctx, const struct packet *p, __u32 fits)
{
	struct link link;
	enum fate fate = link_keep(ctx, &link);

	if (fate != FATE_OK)
		return fate;
	return p->family == 4 ? too_big4(ctx, p, &link, fits) : too_big6(ctx, p, &link, fits);
}

#endif
