/* SPDX-License-Identifier: Apache-2.0
 *
 * Takes packets out of their envelopes: GRE over IPv4 (RFC 2784, RFC 2890), and RTP in UDP (RFC 3550) for receivers
 * that want the bare payload in UDP, as with MPEG transport streams (RFC 2250).
 *
 *   tunnels  GRE tunnels to open, by remote address and key (0: without a key), each with its packets and bytes
 *   streams  by UDP destination port: RTP to unpack, with the last sequence number and what was lost
 *   fates    packets by enum fate
 *
 * GRE: inner IP goes on under the frame's own MAC addresses, a bridged frame (transparent Ethernet) as it is. RTP: the
 * frame, IP and UDP headers move up to the payload; contributors, extension and padding go. GRE checksums are not
 * verified: the inner packet has its own.
 */
#include <xdpsim/bpf.h>
#include <xdpsim/csum.h>
#include <xdpsim/net.h>

#define RTP_VERSION 2
#define MAX_EXTENSION_WORDS 255

enum fate {
	FATE_GRE_IP = 0,
	FATE_GRE_BRIDGED = 1,
	FATE_RTP = 2,
	FATE_NOT_OURS = 3,
	FATE_SHORT = 4,
	FATE_NO_TUNNEL = 5,
	FATE_GRE_VARIANT = 6, /* routing (RFC 1701), version 1 (PPTP), or an inner protocol that is none of ours */
	FATE_NOT_RTP = 7, /* on an RTP port, but of another version: passed as it is */
	FATE_MAX = 8,
};

/* Drop GRE from unknown tunnels; they pass to the stack otherwise. */
volatile const bool strict = true;

struct tunnel {
	__be32 remote;
	__be32 key;
};

struct hits {
	__u64 packets;
	__u64 bytes;
};

struct stream {
	__u64 packets;
	__u64 lost;
	__u64 late; /* behind one that was numbered higher */
	__u32 ssrc; /* the sender; a new one starts the count of sequence numbers anew */
	__u16 sequence;
	__u16 started;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct tunnel);
	__type(value, struct hits);
} tunnels SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u16); /* as people write it */
	__type(value, struct stream);
} streams SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FATE_MAX);
	__type(key, __u32);
	__type(value, __u64);
} fates SEC(".maps");

/* Frame, IPv4 without options, and UDP: what moves in front of an RTP payload. */
struct udp_headers {
	struct ethhdr eth;
	struct {
		__u8 bytes[sizeof(struct iphdr)];
	} ip;
	struct {
		__u8 bytes[sizeof(struct udphdr)];
	} udp;
};

static __noinline int decide(enum fate fate)
{
	__u32 key = fate;
	__u64 *packets = bpf_map_lookup_elem(&fates, &key);

	if (packets)
		__sync_fetch_and_add(packets, 1);
	switch (fate) {
	case FATE_SHORT:
	case FATE_GRE_VARIANT:
		return XDP_DROP;
	case FATE_NO_TUNNEL:
		return strict ? XDP_DROP : XDP_PASS;
	default:
		return XDP_PASS;
	}
}

/* Let the packet begin at `inner_at`, with a frame header in front where the inner packet has none. */
static __always_inline enum fate open_tunnel(struct xdp_md *ctx, __u32 inner_at, __be16 proto)
{
	struct ethhdr *eth = (void *)(long)ctx->data, old;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return FATE_SHORT;
	old = *eth;
	if (proto == bpf_htons(ETH_P_TEB)) /* refused where less than a frame header would be left */
		return bpf_xdp_adjust_head(ctx, inner_at) ? FATE_SHORT : FATE_GRE_BRIDGED;
	if (proto != bpf_htons(ETH_P_IP) && proto != bpf_htons(ETH_P_IPV6))
		return FATE_GRE_VARIANT;
	if (bpf_xdp_adjust_head(ctx, inner_at - sizeof(*eth)))
		return FATE_SHORT;
	eth = (void *)(long)ctx->data;
	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return FATE_SHORT;
	old.h_proto = proto;
	*eth = old;
	return FATE_GRE_IP;
}

static __always_inline enum fate from_gre(struct xdp_md *ctx, struct iphdr *ip, void *end)
{
	struct tunnel tunnel = {.remote = ip->saddr};
	struct gre_base_hdr *gre = (void *)ip + ip->ihl * 4;
	__be32 *field = (void *)(gre + 1);
	__u32 inner_at = sizeof(struct ethhdr) + ip->ihl * 4 + sizeof(*gre);
	struct hits *hits;
	__be16 flags;

	if ((void *)(gre + 1) > end)
		return FATE_SHORT;
	flags = gre->flags;
	if (flags & bpf_htons(GRE_ROUTING | GRE_VERSION))
		return FATE_GRE_VARIANT;
	if (flags & bpf_htons(GRE_CSUM)) {
		inner_at += sizeof(*field);
		field++;
	}
	if (flags & bpf_htons(GRE_KEY)) {
		if ((void *)(field + 1) > end)
			return FATE_SHORT;
		tunnel.key = *field;
		inner_at += sizeof(*field);
	}
	if (flags & bpf_htons(GRE_SEQ))
		inner_at += sizeof(*field);
	hits = bpf_map_lookup_elem(&tunnels, &tunnel);
	if (!hits)
		return FATE_NO_TUNNEL;
	__sync_fetch_and_add(&hits->packets, 1);
	__sync_fetch_and_add(&hits->bytes, bpf_ntohs(ip->tot_len));
	return open_tunnel(ctx, inner_at, gre->protocol);
}

/* RFC 3550 appendix A.3, without its probation: losses by the gaps in the sequence numbers. */
static __always_inline void follow(struct stream *stream, const struct rtphdr *rtp)
{
	__u16 sequence = bpf_ntohs(rtp->sequence);
	__u16 ahead = sequence - stream->sequence;

	stream->packets++;
	if (stream->started && stream->ssrc == rtp->ssrc) {
		if (ahead == 0 || ahead >= 0x8000) {
			stream->late++;
			return;
		}
		stream->lost += ahead - 1;
	}
	stream->started = 1;
	stream->ssrc = rtp->ssrc;
	stream->sequence = sequence;
}

/* The last byte of a padded payload counts the padding, itself included. */
static __always_inline bool trim(struct xdp_md *ctx, __u32 payload_at, __u32 *payload_end)
{
	__u8 padding;

	if (bpf_xdp_load_bytes(ctx, *payload_end - 1, &padding, 1))
		return false;
	if (!padding || payload_at + padding > *payload_end)
		return false;
	*payload_end -= padding;
	return true;
}

static __always_inline enum fate unpack_rtp(struct xdp_md *ctx, struct iphdr *ip, struct udphdr *udp, void *end,
					    struct stream *stream)
{
	struct rtphdr *rtp = (void *)(udp + 1);
	struct udp_headers *headers = (void *)ip - sizeof(struct ethhdr), moved;
	__u32 payload_at = sizeof(*headers) + sizeof(*rtp);
	__u32 payload_end = sizeof(*headers) - sizeof(*udp) + bpf_ntohs(udp->len);
	__u32 frame_bytes = ctx->data_end - ctx->data;
	struct rtp_ext_hdr *extension;
	__u32 words;
	__u16 bytes;

	if ((void *)(rtp + 1) > end || payload_end > frame_bytes)
		return FATE_SHORT;
	if (rtp->version != RTP_VERSION)
		return FATE_NOT_RTP;
	payload_at += rtp->cc * 4;
	if (rtp->extension) {
		extension = (void *)(rtp + 1) + rtp->cc * 4;
		if ((void *)(extension + 1) > end)
			return FATE_SHORT;
		words = bpf_ntohs(extension->length);
		if (words > MAX_EXTENSION_WORDS)
			return FATE_SHORT;
		payload_at += sizeof(*extension) + words * 4;
	}
	if (payload_at > payload_end || (rtp->padding && !trim(ctx, payload_at, &payload_end)))
		return FATE_SHORT;
	follow(stream, rtp);

	moved = *headers;
	/* What is behind the datagram (Ethernet's own padding) goes with the RTP padding. */
	if (payload_end < frame_bytes && bpf_xdp_adjust_tail(ctx, (int)payload_end - (int)frame_bytes))
		return FATE_SHORT;
	if (bpf_xdp_adjust_head(ctx, payload_at - sizeof(*headers)))
		return FATE_SHORT;
	headers = (void *)(long)ctx->data;
	if ((void *)(headers + 1) > (void *)(long)ctx->data_end)
		return FATE_SHORT;
	*headers = moved;
	bytes = sizeof(*udp) + payload_end - payload_at;
	udp = (void *)&headers->udp;
	udp->len = bpf_htons(bytes);
	udp->check = 0; /* IPv4 allows it */
	ip = (void *)&headers->ip;
	ip->tot_len = bpf_htons(sizeof(*ip) + bytes);
	ip->check = 0;
	ip->check = csum_replace(0xffff, NULL, 0, ip, sizeof(*ip));
	return FATE_RTP;
}

SEC("xdp")
int xdp_decap(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct udphdr *udp = (void *)(ip + 1);
	struct stream *stream;
	__u16 port;

	if ((void *)(eth + 1) > end)
		return decide(FATE_SHORT);
	if (eth->h_proto != bpf_htons(ETH_P_IP))
		return decide(FATE_NOT_OURS);
	if ((void *)(ip + 1) > end || ip->ihl < 5)
		return decide(FATE_SHORT);
	if (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET))
		return decide(FATE_NOT_OURS); /* to be put together first */
	if (ip->protocol == IPPROTO_GRE)
		return decide(from_gre(ctx, ip, end));
	if (ip->protocol != IPPROTO_UDP || ip->ihl != 5)
		return decide(FATE_NOT_OURS);
	if ((void *)(udp + 1) > end)
		return decide(FATE_SHORT);
	port = bpf_ntohs(udp->dest);
	stream = bpf_map_lookup_elem(&streams, &port);
	return decide(stream ? unpack_rtp(ctx, ip, udp, end, stream) : FATE_NOT_OURS);
}

char LICENSE[] SEC("license") = "Apache-2.0";
