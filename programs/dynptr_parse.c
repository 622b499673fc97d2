/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Parses through a dynptr: no comparisons with data_end, and packets in several buffers (jumbo frames) are as good as
 * those in one. Counts services, and marks packets with the DSCP that their service is given.
 *
 *   services  by protocol and destination port: the DSCP to set (DSCP_KEEP: none), packets, bytes
 *   layers    packets by enum layer, the last one reached; per CPU
 *
 * Needs Linux 6.4: bpf_dynptr_from_xdp and bpf_dynptr_slice are functions of the kernel's own, found by name.
 */
#include <xdpsim/bpf.h>
#include <xdpsim/csum.h>
#include <xdpsim/net.h>

#define MAX_TAGS 2
#define MAX_EXTENSIONS 4
#define DSCP_KEEP 64

extern int bpf_dynptr_from_xdp(struct xdp_md *xdp, __u64 flags, struct bpf_dynptr *ptr) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, __u32 offset, void *buffer, __u32 buffer__szk) __ksym;
extern void *bpf_dynptr_slice_rdwr(const struct bpf_dynptr *ptr, __u32 offset, void *buffer,
				   __u32 buffer__szk) __ksym;
extern __u32 bpf_dynptr_size(const struct bpf_dynptr *ptr) __ksym;

enum layer {
	LAYER_CUT = 0, /* the packet ends inside a header */
	LAYER_LINK = 1, /* neither IPv4 nor IPv6 in it */
	LAYER_NETWORK = 2, /* no TCP nor UDP in it, or not here: a later fragment */
	LAYER_TRANSPORT = 3, /* of a service that is not in the table */
	LAYER_SERVICE = 4,
	LAYER_MARKED = 5,
	LAYER_MAX = 6,
};

struct service_key {
	__u8 proto;
	__u8 pad;
	__u16 port; /* as people write it */
};

struct service {
	__u32 dscp;
	__u32 pad;
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct service_key);
	__type(value, struct service);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LAYER_MAX);
	__type(key, __u32);
	__type(value, __u64);
} layers SEC(".maps");

/* Where the parser stands. */
struct place {
	__u32 network_at;
	__u32 at;
	__u16 type; /* EtherType, network order */
	__u8 proto;
	__u8 is_later_fragment;
};

static __noinline int count(enum layer layer)
{
	__u32 key = layer;
	__u64 *packets = bpf_map_lookup_elem(&layers, &key);

	if (packets)
		++*packets;
	return layer == LAYER_CUT ? XDP_DROP : XDP_PASS;
}

static __always_inline bool parse_link(struct bpf_dynptr *packet, struct place *place)
{
	struct ethhdr buffer, *eth;
	struct vlan_hdr tag_buffer, *tag;

	eth = bpf_dynptr_slice(packet, 0, &buffer, sizeof(buffer));
	if (!eth)
		return false;
	place->type = eth->h_proto;
	place->at = sizeof(*eth);
	for (int tags = 0; tags < MAX_TAGS; tags++) {
		if (place->type != bpf_htons(ETH_P_8021Q) && place->type != bpf_htons(ETH_P_8021AD))
			break;
		tag = bpf_dynptr_slice(packet, place->at, &tag_buffer, sizeof(tag_buffer));
		if (!tag)
			return false;
		place->type = tag->h_vlan_encapsulated_proto;
		place->at += sizeof(*tag);
	}
	place->network_at = place->at;
	return true;
}

static __always_inline bool parse_ipv4(struct bpf_dynptr *packet, struct place *place)
{
	struct iphdr buffer, *ip;

	ip = bpf_dynptr_slice(packet, place->at, &buffer, sizeof(buffer));
	if (!ip || ip->ihl < 5)
		return false;
	place->proto = ip->protocol;
	place->is_later_fragment = (ip->frag_off & bpf_htons(IP_OFFSET)) != 0;
	place->at += ip->ihl * 4;
	return true;
}

static __always_inline bool parse_ipv6(struct bpf_dynptr *packet, struct place *place)
{
	struct frag_hdr extension_buffer, *extension;
	struct ipv6hdr buffer, *ip6;

	ip6 = bpf_dynptr_slice(packet, place->at, &buffer, sizeof(buffer));
	if (!ip6)
		return false;
	place->proto = ip6->nexthdr;
	place->at += sizeof(*ip6);
	for (int headers = 0; headers < MAX_EXTENSIONS && !place->is_later_fragment; headers++) {
		if (place->proto != IPPROTO_HOPOPTS && place->proto != IPPROTO_ROUTING &&
		    place->proto != IPPROTO_DSTOPTS && place->proto != IPPROTO_FRAGMENT)
			break;
		extension = bpf_dynptr_slice(packet, place->at, &extension_buffer, sizeof(extension_buffer));
		if (!extension)
			return false;
		if (place->proto == IPPROTO_FRAGMENT) {
			place->is_later_fragment = (extension->frag_off & bpf_htons(IP6_OFFSET)) != 0;
			place->at += sizeof(*extension);
		} else { /* its second byte counts what follows the first eight */
			place->at += (extension->reserved + 1) * 8;
		}
		place->proto = extension->nexthdr;
	}
	return true;
}

/* RFC 2474: the upper six bits of what was the type of service. The slice is a copy where the packet is in pieces. */
static __always_inline bool mark(struct bpf_dynptr *packet, const struct place *place, __u32 dscp)
{
	struct iphdr buffer, *ip;
	__u8 words[2], *both;
	__u8 tos;

	if (place->type == bpf_htons(ETH_P_IPV6)) {
		both = bpf_dynptr_slice_rdwr(packet, place->network_at, words, sizeof(words));
		if (!both)
			return false;
		both[0] = (both[0] & 0xf0) | dscp >> 2;
		both[1] = (both[1] & 0x3f) | dscp << 6;
		if (both == words)
			bpf_dynptr_write(packet, place->network_at, words, sizeof(words), 0);
		return true;
	}
	ip = bpf_dynptr_slice_rdwr(packet, place->network_at, &buffer, sizeof(buffer));
	if (!ip)
		return false;
	tos = (ip->tos & 3) | dscp << 2;
	ip->check = csum_replace2(ip->check, bpf_htons(ip->tos), bpf_htons(tos));
	ip->tos = tos;
	if (ip == &buffer)
		bpf_dynptr_write(packet, place->network_at, &buffer, sizeof(buffer), 0);
	return true;
}

static __always_inline enum layer parse(struct bpf_dynptr *packet)
{
	struct service_key key = {};
	struct place place = {};
	struct udphdr buffer, *ports;
	struct service *service;

	if (!parse_link(packet, &place))
		return LAYER_CUT;
	if (place.type == bpf_htons(ETH_P_IP)) {
		if (!parse_ipv4(packet, &place))
			return LAYER_CUT;
	} else if (place.type == bpf_htons(ETH_P_IPV6)) {
		if (!parse_ipv6(packet, &place))
			return LAYER_CUT;
	} else {
		return LAYER_LINK;
	}
	if (place.is_later_fragment || (place.proto != IPPROTO_TCP && place.proto != IPPROTO_UDP))
		return LAYER_NETWORK;
	ports = bpf_dynptr_slice(packet, place.at, &buffer, sizeof(buffer));
	if (!ports)
		return LAYER_CUT;
	key.proto = place.proto;
	key.port = bpf_ntohs(ports->dest);
	service = bpf_map_lookup_elem(&services, &key);
	if (!service)
		return LAYER_TRANSPORT;
	__sync_fetch_and_add(&service->packets, 1);
	__sync_fetch_and_add(&service->bytes, bpf_dynptr_size(packet));
	if (service->dscp >= DSCP_KEEP)
		return LAYER_SERVICE;
	return mark(packet, &place, service->dscp) ? LAYER_MARKED : LAYER_CUT;
}

SEC("xdp.frags")
int xdp_dynptr_parse(struct xdp_md *ctx)
{
	struct bpf_dynptr packet;

	if (bpf_dynptr_from_xdp(ctx, 0, &packet))
		return XDP_ABORTED;
	return count(parse(&packet));
}

char LICENSE[] SEC("license") = "GPL";
