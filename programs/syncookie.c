/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Answers SYNs with cookies in the servers' place: a flood of them costs no memory, and only clients that answer the
 * answer are let through. bpf_tcp_raw_gen_syncookie makes the cookie as Linux's own TCP makes it, so the stack behind
 * takes the last step of the handshake itself (sysctl net.ipv4.tcp_syncookies = 2).
 *
 *   ports     TCP ports under protection
 *   verified  flows whose client answered with the right cookie, with their last packet's time
 *   fates     packets by enum fate
 *
 * The answer to a SYN leaves through the interface the SYN came in by. It offers an MSS and no other option.
 */
#include <xdpsim/bpf.h>
#include <xdpsim/csum.h>
#include <xdpsim/net.h>

#define MAX_TCP_HEADER 60
#define ANSWER_TTL 64
#define ANSWER_WINDOW 65535

enum fate {
	FATE_ANSWERED = 0, /* a SYN, with a cookie */
	FATE_ADMITTED = 1, /* an ACK that brought a cookie back */
	FATE_VERIFIED = 2, /* of a flow admitted before */
	FATE_UNVERIFIED = 3, /* of no such flow: dropped */
	FATE_NOT_OURS = 4,
	FATE_MALFORMED = 5,
	FATE_NO_ROOM = 6,
	FATE_NO_COOKIE = 7, /* the kernel has no SYN cookies */
	FATE_MAX = 8,
};

/* A TCP connection, both families; IPv4 as ::ffff:a.b.c.d. */
struct connection {
	struct in6_addr saddr;
	struct in6_addr daddr;
	__be16 source;
	__be16 dest;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u16); /* as people write it */
	__type(value, __u64); /* SYNs answered */
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct connection);
	__type(value, __u64);
} verified SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FATE_MAX);
	__type(key, __u32);
	__type(value, __u64);
} fates SEC(".maps");

/* What the TCP header of an answer is: the fixed part and an MSS option. */
struct answer {
	struct tcphdr tcp;
	__u8 kind;
	__u8 length;
	__be16 mss;
};

static __noinline int decide(enum fate fate)
{
	__u32 key = fate;
	__u64 *packets = bpf_map_lookup_elem(&fates, &key);

	if (packets)
		__sync_fetch_and_add(packets, 1);
	switch (fate) {
	case FATE_ANSWERED:
		return XDP_TX;
	case FATE_ADMITTED:
	case FATE_VERIFIED:
	case FATE_NOT_OURS:
		return XDP_PASS;
	default:
		return XDP_DROP;
	}
}

/* Give the frame so many bytes, to the end of its TCP header. */
static __always_inline bool resize(struct xdp_md *ctx, __u32 bytes)
{
	int size = (int)(ctx->data_end - ctx->data);

	return bpf_xdp_adjust_tail(ctx, (int)bytes - size) == 0;
}

static __always_inline void turn_round(struct ethhdr *eth)
{
	struct ethhdr old = *eth;

	memcpy(eth->h_dest, old.h_source, ETH_ALEN);
	memcpy(eth->h_source, old.h_dest, ETH_ALEN);
}

/* SYN to SYN-ACK; `addresses` are those of the IP header in front. */
static __always_inline void acknowledge(struct answer *answer, __s64 cookie, void *addresses, __u32 addresses_size)
{
	struct tcphdr *tcp = &answer->tcp;
	__be16 source = tcp->source;
	__u64 sum;

	tcp->source = tcp->dest;
	tcp->dest = source;
	tcp->ack_seq = bpf_htonl(bpf_ntohl(tcp->seq) + 1);
	tcp->seq = bpf_htonl((__u32)cookie);
	((__u8 *)tcp)[12] = sizeof(*answer) / 4 << 4;
	((__u8 *)tcp)[13] = 0x12; /* SYN, ACK */
	tcp->window = bpf_htons(ANSWER_WINDOW);
	tcp->check = 0;
	tcp->urg_ptr = 0;
	answer->kind = TCPOPT_MSS;
	answer->length = TCPOLEN_MSS;
	answer->mss = bpf_htons(cookie >> 32);
	sum = (__u32)bpf_csum_diff(NULL, 0, addresses, addresses_size, 0);
	sum = (__u32)bpf_csum_diff(NULL, 0, (void *)answer, sizeof(*answer), sum);
	tcp->check = csum_fold(sum + bpf_htons(sizeof(*answer)) + bpf_htons(IPPROTO_TCP));
}

static __always_inline enum fate answer4(struct xdp_md *ctx, __u32 tcp_bytes)
{
	struct ethhdr *eth;
	struct iphdr *ip;
	struct answer *tcp;
	__be32 addr;
	__s64 cookie;

	/* The kernel reads all options, so the packet must have room for as many as there may be. */
	if (!resize(ctx, sizeof(*eth) + sizeof(*ip) + MAX_TCP_HEADER))
		return FATE_NO_ROOM;
	eth = (void *)(long)ctx->data;
	ip = (void *)(eth + 1);
	tcp = (void *)(ip + 1);
	if ((void *)tcp + MAX_TCP_HEADER > (void *)(long)ctx->data_end)
		return FATE_NO_ROOM;
	cookie = bpf_tcp_raw_gen_syncookie_ipv4(ip, &tcp->tcp, tcp_bytes);
	if (cookie < 0)
		return FATE_NO_COOKIE;
	turn_round(eth);
	addr = ip->saddr;
	ip->saddr = ip->daddr;
	ip->daddr = addr;
	ip->tos = 0;
	ip->tot_len = bpf_htons(sizeof(*ip) + sizeof(*tcp));
	ip->id = 0;
	ip->frag_off = bpf_htons(IP_DF);
	ip->ttl = ANSWER_TTL;
	ip->check = 0;
	ip->check = csum_replace(0xffff, NULL, 0, ip, sizeof(*ip));
	acknowledge(tcp, cookie, &ip->saddr, 2 * sizeof(addr));
	return resize(ctx, sizeof(*eth) + sizeof(*ip) + sizeof(*tcp)) ? FATE_ANSWERED : FATE_NO_ROOM;
}

static __always_inline enum fate answer6(struct xdp_md *ctx, __u32 tcp_bytes)
{
	struct ethhdr *eth;
	struct ipv6hdr *ip6;
	struct answer *tcp;
	struct in6_addr addr;
	__s64 cookie;

	if (!resize(ctx, sizeof(*eth) + sizeof(*ip6) + MAX_TCP_HEADER))
		return FATE_NO_ROOM;
	eth = (void *)(long)ctx->data;
	ip6 = (void *)(eth + 1);
	tcp = (void *)(ip6 + 1);
	if ((void *)tcp + MAX_TCP_HEADER > (void *)(long)ctx->data_end)
		return FATE_NO_ROOM;
	cookie = bpf_tcp_raw_gen_syncookie_ipv6(ip6, &tcp->tcp, tcp_bytes);
	if (cookie < 0)
		return FATE_NO_COOKIE;
	turn_round(eth);
	addr = ip6->saddr;
	ip6->saddr = ip6->daddr;
	ip6->daddr = addr;
	ip6->priority = 0;
	memset(ip6->flow_lbl, 0, sizeof(ip6->flow_lbl));
	ip6->payload_len = bpf_htons(sizeof(*tcp));
	ip6->hop_limit = ANSWER_TTL;
	acknowledge(tcp, cookie, &ip6->saddr, 2 * sizeof(addr));
	return resize(ctx, sizeof(*eth) + sizeof(*ip6) + sizeof(*tcp)) ? FATE_ANSWERED : FATE_NO_ROOM;
}

/* An ACK, or whatever is no SYN: of a known flow, or with the cookie that makes it one. */
static __always_inline enum fate admit(struct connection *key, bool brings_cookie)
{
	__u64 now = bpf_ktime_get_ns();
	__u64 *last = bpf_map_lookup_elem(&verified, key);

	if (last) {
		*last = now;
		return FATE_VERIFIED;
	}
	if (!brings_cookie)
		return FATE_UNVERIFIED;
	bpf_map_update_elem(&verified, key, &now, BPF_ANY);
	return FATE_ADMITTED;
}

/* NULL when the port is not under protection. */
static __always_inline __u64 *protection(const struct tcphdr *tcp)
{
	__u16 port = bpf_ntohs(tcp->dest);

	return bpf_map_lookup_elem(&ports, &port);
}

static __always_inline bool is_ack(const struct tcphdr *tcp)
{
	return tcp->ack && !tcp->syn && !tcp->rst;
}

static __always_inline enum fate filter4(struct xdp_md *ctx, struct iphdr *ip, void *end)
{
	struct tcphdr *tcp = (void *)(ip + 1);
	struct connection key = {};
	__u64 *answered;
	__u32 bytes;

	if ((void *)(ip + 1) > end)
		return FATE_MALFORMED;
	if (ip->protocol != IPPROTO_TCP || ip->ihl != 5 || ip->frag_off & bpf_htons(IP_MF | IP_OFFSET))
		return FATE_NOT_OURS;
	if ((void *)(tcp + 1) > end)
		return FATE_MALFORMED;
	answered = protection(tcp);
	if (!answered)
		return FATE_NOT_OURS;
	bytes = tcp->doff * 4;
	if (bytes < sizeof(*tcp) || (void *)tcp + bytes > end)
		return FATE_MALFORMED;
	if (tcp->syn && !tcp->ack) {
		__sync_fetch_and_add(answered, 1);
		return answer4(ctx, bytes);
	}
	key.saddr.in6_u.u6_addr32[2] = key.daddr.in6_u.u6_addr32[2] = bpf_htonl(0xffff);
	key.saddr.in6_u.u6_addr32[3] = ip->saddr;
	key.daddr.in6_u.u6_addr32[3] = ip->daddr;
	key.source = tcp->source;
	key.dest = tcp->dest;
	return admit(&key, is_ack(tcp) && !bpf_tcp_raw_check_syncookie_ipv4(ip, tcp));
}

static __always_inline enum fate filter6(struct xdp_md *ctx, struct ipv6hdr *ip, void *end)
{
	struct tcphdr *tcp = (void *)(ip + 1);
	struct connection key = {};
	__u64 *answered;
	__u32 bytes;

	if ((void *)(ip + 1) > end)
		return FATE_MALFORMED;
	if (ip->nexthdr != IPPROTO_TCP)
		return FATE_NOT_OURS;
	if ((void *)(tcp + 1) > end)
		return FATE_MALFORMED;
	answered = protection(tcp);
	if (!answered)
		return FATE_NOT_OURS;
	bytes = tcp->doff * 4;
	if (bytes < sizeof(*tcp) || (void *)tcp + bytes > end)
		return FATE_MALFORMED;
	if (tcp->syn && !tcp->ack) {
		__sync_fetch_and_add(answered, 1);
		return answer6(ctx, bytes);
	}
	key.saddr = ip->saddr;
	key.daddr = ip->daddr;
	key.source = tcp->source;
	key.dest = tcp->dest;
	return admit(&key, is_ack(tcp) && !bpf_tcp_raw_check_syncookie_ipv6(ip, tcp));
}

SEC("xdp")
int xdp_syncookie(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > end)
		return decide(FATE_MALFORMED);
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return decide(filter4(ctx, data + sizeof(*eth), end));
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return decide(filter6(ctx, data + sizeof(*eth), end));
	return decide(FATE_NOT_OURS);
}

char LICENSE[] SEC("license") = "GPL";
