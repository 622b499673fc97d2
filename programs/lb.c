/* SPDX-License-Identifier: Apache-2.0
 *
 * A load balancer for TCP and UDP over IPv4: packets to a virtual address leave through the interface they came in by,
 * wrapped in IPIP (RFC 2003) for the real server that the flow's hash picks. The servers answer clients themselves.
 *
 *   vips   virtual services: address, port, protocol -> vip
 *   ring   RING_SIZE slots for each vip id, each with the index of a real server: the control plane fills them so that
 *          few slots change owner when a server comes or goes (Maglev; see make_presets.py)
 *   reals  real servers: tunnel address, and the MAC address of the server or of the router towards it
 *   stats  per vip id, per CPU
 *   fates  packets by enum fate
 */
#include <xdpsim/bpf.h>
#include <xdpsim/net.h>

#define MAX_VIPS 16
#define MAX_REALS 256
#define ICMP_QUOTE 8 /* RFC 792: what an ICMP error holds of the packet behind its IP header */
#define RING_SIZE 31 /* a prime, as Maglev wants it; real use takes 65537 */

enum fate {
	FATE_FORWARDED = 0,
	FATE_NOT_OURS = 1, /* no such virtual service: passed on */
	FATE_NOT_IPV4 = 2,
	FATE_SHORT = 3,
	FATE_FRAGMENT = 4, /* passed on: its ports are in another packet */
	FATE_NO_SERVER = 5,
	FATE_NO_ROOM = 6,
	FATE_CUT = 7, /* less than the first eight bytes of the transport header: no server could answer with an ICMP error */
	FATE_MAX = 8,
};

/* Source address of the tunnel: 192.0.2.1. */
volatile const __be32 tunnel_source = bpf_htonl(0xc0000201);
/* Balancers with the same seed send a flow to the same server. */
volatile const __u32 hash_seed = 0x9e3779b9;

struct service {
	__be32 addr;
	__u16 port; /* as people write it: 80 is HTTP */
	__u8 proto;
	__u8 pad;
};

struct vip {
	__u32 id;
};

struct real {
	__be32 addr;
	__u8 mac[ETH_ALEN];
	__u8 pad[2];
};

struct stat {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_VIPS);
	__type(key, struct service);
	__type(value, struct vip);
} vips SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_VIPS * RING_SIZE);
	__type(key, __u32);
	__type(value, __u32);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_REALS);
	__type(key, __u32);
	__type(value, struct real);
} reals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, MAX_VIPS);
	__type(key, __u32);
	__type(value, struct stat);
} stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FATE_MAX);
	__type(key, __u32);
	__type(value, __u64);
} fates SEC(".maps");

static __noinline int finish(enum fate fate)
{
	__u32 key = fate;
	__u64 *slot = bpf_map_lookup_elem(&fates, &key);

	if (slot)
		__sync_fetch_and_add(slot, 1);
	if (fate == FATE_FORWARDED)
		return XDP_TX;
	return fate >= FATE_NO_SERVER ? XDP_DROP : XDP_PASS;
}

/* What TCP and UDP begin with. */
struct ports {
	__be16 source;
	__be16 dest;
};

/* Every bit of the input reaches every bit of the result (the finaliser of MurmurHash3, a public-domain function). */
static __always_inline __u32 mix(__u32 hash, __u32 word)
{
	hash ^= word;
	hash ^= hash >> 16;
	hash *= 0x85ebca6b;
	hash ^= hash >> 13;
	hash *= 0xc2b2ae35;
	return hash ^ (hash >> 16);
}

static __always_inline __u32 flow_hash(const struct iphdr *ip, const struct ports *ports)
{
	__u32 hash = mix(hash_seed, ip->saddr);

	hash = mix(hash, ip->daddr);
	hash = mix(hash, (__u32)ports->source << 16 | ports->dest);
	return mix(hash, ip->protocol);
}

/* The server that a flow of this service goes to; its address is 0 where the slot was never filled. */
static __always_inline struct real *pick(__u32 vip_id, __u32 hash)
{
	__u32 slot = vip_id * RING_SIZE + hash % RING_SIZE;
	__u32 *index = bpf_map_lookup_elem(&ring, &slot);

	return index ? bpf_map_lookup_elem(&reals, index) : NULL;
}

static __always_inline void count(__u32 vip_id, __u64 bytes)
{
	struct stat *stat = bpf_map_lookup_elem(&stats, &vip_id);

	if (stat) {
		stat->packets += 1;
		stat->bytes += bytes;
	} else {
		struct stat first = {.packets = 1, .bytes = bytes};

		bpf_map_update_elem(&stats, &vip_id, &first, BPF_NOEXIST);
	}
}

/* RFC 1071: fold the sum that bpf_csum_diff makes into 16 bits, and complement it. */
static __always_inline __sum16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Put an outer IPv4 header between the Ethernet header and the packet, addressed to the server. */
static __always_inline enum fate encapsulate(struct xdp_md *ctx, const struct real *real, __u16 inner_bytes, __u8 tos)
{
	struct ethhdr *eth, *old_eth;
	struct iphdr *outer;
	void *data_end;

	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(*outer)))
		return FATE_NO_ROOM;
	eth = (void *)(long)ctx->data;
	old_eth = (void *)eth + sizeof(*outer);
	outer = (void *)(eth + 1);
	data_end = (void *)(long)ctx->data_end;
	/* All packet pointers are new to the verifier: this one check covers both headers, and what must follow them. */
	if ((void *)(old_eth + 1) + sizeof(*outer) + ICMP_QUOTE > data_end)
		return FATE_CUT;

	/* The old header lies 20 bytes further on: outer covers its first bytes only after this. */
	memcpy(eth->h_source, old_eth->h_dest, ETH_ALEN);
	memcpy(eth->h_dest, real->mac, ETH_ALEN);
	eth->h_proto = bpf_htons(ETH_P_IP);

	outer->version = 4;
	outer->ihl = sizeof(*outer) / 4;
	outer->tos = tos;
	outer->tot_len = bpf_htons(inner_bytes + sizeof(*outer));
	outer->id = 0;
	outer->frag_off = bpf_htons(IP_DF);
	outer->ttl = 64;
	outer->protocol = IPPROTO_IPIP;
	outer->check = 0;
	outer->saddr = tunnel_source;
	outer->daddr = real->addr;
	outer->check = fold(bpf_csum_diff(NULL, 0, (__be32 *)outer, sizeof(*outer), 0));
	return FATE_FORWARDED;
}

static __always_inline enum fate balance(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct ports *ports = (void *)(ip + 1);
	struct service service = {};
	struct vip *vip;
	struct real *real;

	/* Headers with options are for the stack; the rest have their ports here. */
	if ((void *)(ports + 1) > data_end)
		return FATE_SHORT;
	if (eth->h_proto != bpf_htons(ETH_P_IP))
		return FATE_NOT_IPV4;
	if (ip->version != 4 || ip->ihl != sizeof(*ip) / 4)
		return FATE_NOT_OURS;
	if (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET))
		return FATE_FRAGMENT;

	service.addr = ip->daddr;
	service.port = bpf_ntohs(ports->dest);
	service.proto = ip->protocol;
	vip = bpf_map_lookup_elem(&vips, &service);
	if (!vip)
		return FATE_NOT_OURS;
	real = pick(vip->id, flow_hash(ip, ports));
	if (!real || !real->addr)
		return FATE_NO_SERVER;
	count(vip->id, data_end - data);
	return encapsulate(ctx, real, bpf_ntohs(ip->tot_len), ip->tos);
}

SEC("xdp")
int xdp_lb(struct xdp_md *ctx)
{
	return finish(balance(ctx));
}

char LICENSE[] SEC("license") = "Apache-2.0";
