/* SPDX-License-Identifier: Apache-2.0
 *
 * A parser in pieces: each protocol has a program of its own, and each ends in a tail call of the next one's.
 *
 *   parsers   the programs, by enum parser: filled when the object is loaded; a slot may be emptied or replaced while it
 *             runs, and packets that would go there pass, counted as LAYER_NO_PARSER
 *   scratch   how far the packet at hand is parsed; tail calls keep no stack, so it waits here, per CPU
 *   paths     packets and bytes by the set of layers found (bits of enum layer)
 *   services  packets by transport protocol and destination port
 *   hops      packets by the number of tail calls they took
 *
 * Malformed packets are dropped, the rest passes. Linux lets 33 tail calls follow each other; no packet here takes more
 * than 1 + MAX_TAGS + 1 + MAX_EXTENSIONS + 1.
 */
#include <xdpsim/bpf.h>
#include <xdpsim/net.h>

#define MAX_TAGS 4
#define MAX_EXTENSIONS 8
#define MAX_HOPS (3 + MAX_TAGS + MAX_EXTENSIONS)
#define MAX_OFFSET 4095

enum parser {
	PARSE_VLAN = 0,
	PARSE_IPV4 = 1,
	PARSE_IPV6 = 2,
	PARSE_IPV6_EXTENSION = 3,
	PARSE_TRANSPORT = 4,
	PARSE_MAX = 5,
};

enum layer {
	LAYER_VLAN = 1 << 0,
	LAYER_VLAN_INNER = 1 << 1,
	LAYER_IPV4 = 1 << 2,
	LAYER_IPV4_OPTIONS = 1 << 3,
	LAYER_IPV6 = 1 << 4,
	LAYER_HOP_BY_HOP = 1 << 5,
	LAYER_ROUTING = 1 << 6,
	LAYER_DESTINATION = 1 << 7,
	LAYER_FRAGMENT = 1 << 8,
	LAYER_AUTHENTICATION = 1 << 9,
	LAYER_TCP = 1 << 10,
	LAYER_UDP = 1 << 11,
	LAYER_ICMP = 1 << 12,
	LAYER_OTHER = 1 << 13, /* behind it the parser knows no more */
	LAYER_CUT = 1 << 14, /* the rest of the packet is in another fragment */
	LAYER_MALFORMED = 1 << 15,
	LAYER_NO_PARSER = 1 << 16,
};

struct cursor {
	__u32 offset;
	__u32 layers;
	__u32 hops;
	__u16 proto; /* what is at offset: an EtherType in network order, then an IP protocol */
	__u8 tags;
	__u8 extensions;
};

struct service {
	__u8 proto;
	__u8 pad;
	__u16 port; /* as people write it */
};

struct hits {
	__u64 packets;
	__u64 bytes;
};

int parse_vlan(struct xdp_md *ctx);
int parse_ipv4(struct xdp_md *ctx);
int parse_ipv6(struct xdp_md *ctx);
int parse_ipv6_extension(struct xdp_md *ctx);
int parse_transport(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, PARSE_MAX);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} parsers SEC(".maps") = {
	.values = {
		[PARSE_VLAN] = (void *)&parse_vlan,
		[PARSE_IPV4] = (void *)&parse_ipv4,
		[PARSE_IPV6] = (void *)&parse_ipv6,
		[PARSE_IPV6_EXTENSION] = (void *)&parse_ipv6_extension,
		[PARSE_TRANSPORT] = (void *)&parse_transport,
	},
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cursor);
} scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct hits);
} paths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct service);
	__type(value, __u64);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_HOPS + 1);
	__type(key, __u32);
	__type(value, __u64);
} hops SEC(".maps");

static __always_inline struct cursor *resume(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&scratch, &first);
}

/* The next `bytes` bytes of the packet, and past them; NULL when there are not as many, or too many before them. */
static __always_inline void *take(struct xdp_md *ctx, struct cursor *cursor, __u32 bytes)
{
	void *end = (void *)(long)ctx->data_end;
	void *at = (void *)(long)ctx->data;
	__u32 offset = cursor->offset;

	if (offset > MAX_OFFSET)
		return NULL;
	at += offset;
	if (at + bytes > end)
		return NULL;
	cursor->offset = offset + bytes;
	return at;
}

/* The packet is parsed as far as it will be: count what was found. */
static __noinline int finish(struct xdp_md *ctx, enum layer layers, __u32 hop_count)
{
	__u64 bytes = ctx->data_end - ctx->data;
	struct hits fresh = {.packets = 1, .bytes = bytes};
	__u32 path = layers;
	struct hits *hits = bpf_map_lookup_elem(&paths, &path);
	__u64 *taken = bpf_map_lookup_elem(&hops, &hop_count);

	if (hits) {
		__sync_fetch_and_add(&hits->packets, 1);
		__sync_fetch_and_add(&hits->bytes, bytes);
	} else {
		bpf_map_update_elem(&paths, &path, &fresh, BPF_NOEXIST);
	}
	if (taken)
		++*taken;
	return layers & LAYER_MALFORMED ? XDP_DROP : XDP_PASS;
}

static __always_inline int finish_with(struct xdp_md *ctx, struct cursor *cursor, enum layer layer)
{
	return finish(ctx, cursor->layers | layer, cursor->hops);
}

/* Go on with another parser; comes back only when there is none. */
static __always_inline int go_on(struct xdp_md *ctx, struct cursor *cursor, enum parser parser)
{
	cursor->hops++;
	bpf_tail_call(ctx, &parsers, parser);
	cursor->hops--;
	return finish_with(ctx, cursor, LAYER_NO_PARSER);
}

/* By EtherType. */
static __always_inline int go_on_by_type(struct xdp_md *ctx, struct cursor *cursor)
{
	switch (cursor->proto) {
	case bpf_htons(ETH_P_8021Q):
	case bpf_htons(ETH_P_8021AD):
		return go_on(ctx, cursor, PARSE_VLAN);
	case bpf_htons(ETH_P_IP):
		return go_on(ctx, cursor, PARSE_IPV4);
	case bpf_htons(ETH_P_IPV6):
		return go_on(ctx, cursor, PARSE_IPV6);
	default:
		return finish_with(ctx, cursor, LAYER_OTHER);
	}
}

/* By IPv6 next header. */
static __always_inline int go_on_by_header(struct xdp_md *ctx, struct cursor *cursor)
{
	switch (cursor->proto) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case IPPROTO_FRAGMENT:
	case IPPROTO_AH:
		return go_on(ctx, cursor, PARSE_IPV6_EXTENSION);
	case IPPROTO_NONE:
		return finish_with(ctx, cursor, LAYER_OTHER);
	default:
		return go_on(ctx, cursor, PARSE_TRANSPORT);
	}
}

SEC("xdp")
int xdp_parser_chain(struct xdp_md *ctx)
{
	struct cursor *cursor = resume();
	struct ethhdr *eth;

	if (!cursor)
		return XDP_ABORTED;
	*cursor = (struct cursor){};
	eth = take(ctx, cursor, sizeof(*eth));
	if (!eth)
		return finish_with(ctx, cursor, LAYER_MALFORMED);
	cursor->proto = eth->h_proto;
	return go_on_by_type(ctx, cursor);
}

SEC("xdp")
int parse_vlan(struct xdp_md *ctx)
{
	struct cursor *cursor = resume();
	struct vlan_hdr *tag;

	if (!cursor)
		return XDP_ABORTED;
	tag = take(ctx, cursor, sizeof(*tag));
	if (!tag || cursor->tags >= MAX_TAGS)
		return finish_with(ctx, cursor, LAYER_MALFORMED);
	cursor->layers |= cursor->tags ? LAYER_VLAN_INNER : LAYER_VLAN;
	cursor->tags++;
	cursor->proto = tag->h_vlan_encapsulated_proto;
	return go_on_by_type(ctx, cursor);
}

SEC("xdp")
int parse_ipv4(struct xdp_md *ctx)
{
	struct cursor *cursor = resume();
	struct iphdr *ip;

	if (!cursor)
		return XDP_ABORTED;
	ip = take(ctx, cursor, sizeof(*ip));
	if (!ip || ip->version != 4 || ip->ihl < 5)
		return finish_with(ctx, cursor, LAYER_MALFORMED);
	cursor->layers |= LAYER_IPV4;
	cursor->proto = ip->protocol;
	if (ip->ihl > 5) {
		cursor->layers |= LAYER_IPV4_OPTIONS;
		cursor->offset += ip->ihl * 4 - sizeof(*ip);
	}
	if (ip->frag_off & bpf_htons(IP_OFFSET))
		return finish_with(ctx, cursor, LAYER_CUT);
	if (ip->frag_off & bpf_htons(IP_MF))
		cursor->layers |= LAYER_FRAGMENT;
	return go_on(ctx, cursor, PARSE_TRANSPORT);
}

SEC("xdp")
int parse_ipv6(struct xdp_md *ctx)
{
	struct cursor *cursor = resume();
	struct ipv6hdr *ip6;

	if (!cursor)
		return XDP_ABORTED;
	ip6 = take(ctx, cursor, sizeof(*ip6));
	if (!ip6 || ip6->version != 6)
		return finish_with(ctx, cursor, LAYER_MALFORMED);
	cursor->layers |= LAYER_IPV6;
	cursor->proto = ip6->nexthdr;
	return go_on_by_header(ctx, cursor);
}

/* One extension header; the next one takes another tail call. */
SEC("xdp")
int parse_ipv6_extension(struct xdp_md *ctx)
{
	struct cursor *cursor = resume();
	struct ipv6_opt_hdr *option;
	struct frag_hdr *fragment;

	if (!cursor)
		return XDP_ABORTED;
	/* RFC 8200: a hop-by-hop header comes first or not at all. */
	if (cursor->extensions && cursor->proto == IPPROTO_HOPOPTS)
		return finish_with(ctx, cursor, LAYER_MALFORMED);
	fragment = take(ctx, cursor, sizeof(*fragment)); /* none is shorter */
	if (!fragment || cursor->extensions >= MAX_EXTENSIONS)
		return finish_with(ctx, cursor, LAYER_MALFORMED);
	cursor->extensions++;
	option = (void *)fragment;
	switch (cursor->proto) {
	case IPPROTO_FRAGMENT:
		cursor->layers |= LAYER_FRAGMENT;
		if (fragment->frag_off & bpf_htons(IP6_OFFSET))
			return finish_with(ctx, cursor, LAYER_CUT);
		break;
	case IPPROTO_AH: /* RFC 4302: counts words of four bytes, less two */
		cursor->layers |= LAYER_AUTHENTICATION;
		cursor->offset += option->hdrlen * 4;
		break;
	default:
		cursor->layers |= cursor->proto == IPPROTO_HOPOPTS ? LAYER_HOP_BY_HOP :
				  cursor->proto == IPPROTO_ROUTING ? LAYER_ROUTING :
								     LAYER_DESTINATION;
		cursor->offset += option->hdrlen * 8;
	}
	cursor->proto = option->nexthdr;
	return go_on_by_header(ctx, cursor);
}

static __always_inline void count_service(__u8 proto, __be16 port)
{
	struct service key = {.proto = proto, .port = bpf_ntohs(port)};
	__u64 *packets = bpf_map_lookup_elem(&services, &key);
	__u64 first = 1;

	if (packets)
		__sync_fetch_and_add(packets, 1);
	else
		bpf_map_update_elem(&services, &key, &first, BPF_NOEXIST);
}

SEC("xdp")
int parse_transport(struct xdp_md *ctx)
{
	struct cursor *cursor = resume();
	struct udphdr *ports; /* TCP begins with the same two */

	if (!cursor)
		return XDP_ABORTED;
	if (cursor->proto == IPPROTO_ICMP || cursor->proto == IPPROTO_ICMPV6)
		return finish_with(ctx, cursor, take(ctx, cursor, sizeof(struct icmphdr)) ? LAYER_ICMP : LAYER_MALFORMED);
	if (cursor->proto != IPPROTO_TCP && cursor->proto != IPPROTO_UDP)
		return finish_with(ctx, cursor, LAYER_OTHER);
	ports = take(ctx, cursor, sizeof(*ports));
	if (!ports)
		return finish_with(ctx, cursor, LAYER_MALFORMED);
	count_service(cursor->proto, ports->dest);
	return finish_with(ctx, cursor, cursor->proto == IPPROTO_TCP ? LAYER_TCP : LAYER_UDP);
}

char LICENSE[] SEC("license") = "Apache-2.0";
