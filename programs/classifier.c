/* SPDX-License-Identifier: Apache-2.0
 *
 * A classifier of 20 rules that are tried one after the other, unrolled. A rule matches addresses by prefix, ports, VLAN
 * ids and lengths by range, TCP flags, DSCP and other bits by mask. Each belongs to one class, and of each class the
 * first rule that matches counts:
 *
 *   CLASS_DENY    drop the packet, unless a rule of CLASS_ADMIT before this one matches
 *   CLASS_ADMIT   keep it, whatever rules of CLASS_DENY say behind this one
 *   CLASS_POLICE  drop what is beyond the rule's rate
 *   CLASS_MARK    write the rule's DSCP
 *   CLASS_STEER   send it out of the port that the device map names
 *
 *   rules  the rules, in order, each with its counters and its bucket; a slot whose `enabled` is 0 matches nothing
 *   ports  where CLASS_STEER sends packets
 *   fates  packets by enum fate
 */
#include <xdpsim/bpf.h>
#include <xdpsim/csum.h>
#include <xdpsim/net.h>

#define RULES 20
#define MAX_TAGS 2
#define NSEC_PER_SEC 1000000000ULL

enum class {
	CLASS_DENY = 0,
	CLASS_ADMIT = 1,
	CLASS_POLICE = 2,
	CLASS_MARK = 3,
	CLASS_STEER = 4,
};

enum fate {
	FATE_PASSED = 0,
	FATE_DENIED = 1,
	FATE_ADMITTED = 2,
	FATE_POLICED = 3,
	FATE_STEERED = 4,
	FATE_SHORT = 5, /* dropped: a header does not fit */
	FATE_MAX = 6,
};

struct range {
	__u16 low;
	__u16 high;
};

/* A zero mask and a range of 0 to 65535 match everything. */
struct rule {
	__u32 enabled;
	__u32 class;
	struct in6_addr source; /* IPv4 as ::ffff:a.b.c.d */
	struct in6_addr source_mask;
	struct in6_addr target;
	struct in6_addr target_mask;
	struct range source_port;
	struct range target_port;
	struct range vlan; /* 0: packets without a tag */
	struct range length; /* of the IP packet */
	__u16 ether_type; /* as people write it; 0: any */
	__u8 proto;
	__u8 proto_mask;
	__u8 tcp_flags;
	__u8 tcp_mask;
	__u8 dscp;
	__u8 dscp_mask;
	__u8 fragment; /* with fragment_mask 1: 0 only whole packets, 1 only fragments */
	__u8 fragment_mask;
	__u8 new_dscp; /* CLASS_MARK */
	__u8 port; /* CLASS_STEER: key of `ports` */
	__u32 byte_ns; /* CLASS_POLICE: what a byte costs; 8000 is a megabit a second */
	__u32 burst; /* CLASS_POLICE: bytes that may come at once */
	__u64 credit_ns; /* what is left of it */
	__u64 last_ns; /* when it was counted */
	__u64 packets; /* that this rule counted for */
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RULES);
	__type(key, __u32);
	__type(value, struct rule);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u32);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FATE_MAX);
	__type(key, __u32);
	__type(value, __u64);
} fates SEC(".maps");

/* What rules look at. */
struct packet {
	struct in6_addr source;
	struct in6_addr target;
	__u16 source_port;
	__u16 target_port;
	__u16 vlan; /* the outer tag's id */
	__u16 bytes;
	__u16 ether_type;
	__u8 proto;
	__u8 tcp_flags;
	__u8 dscp;
	__u8 fragment;
};

/* The first rule of each class that matches. */
struct found {
	struct rule *deny;
	struct rule *admit;
	struct rule *police;
	struct rule *mark;
	struct rule *steer;
};

static __noinline int finish(enum fate fate)
{
	__u32 key = fate;
	__u64 *slot = bpf_map_lookup_elem(&fates, &key);

	if (slot)
		__sync_fetch_and_add(slot, 1);
	return fate == FATE_PASSED || fate == FATE_ADMITTED ? XDP_PASS : XDP_DROP;
}

static __always_inline int parse_ports(void *at, void *end, struct packet *p)
{
	struct udphdr *udp = at;
	struct icmphdr *icmp = at;

	if (p->fragment)
		return 0;
	if (p->proto == IPPROTO_TCP) {
		if (at + sizeof(struct tcphdr) > end)
			return -1;
		p->tcp_flags = ((__u8 *)at)[13];
	} else if (p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6) {
		if ((void *)(icmp + 1) > end)
			return -1;
		p->source_port = icmp->type;
		p->target_port = icmp->code;
		return 0;
	} else if (p->proto != IPPROTO_UDP) {
		return 0;
	} else if ((void *)(udp + 1) > end) {
		return -1;
	}
	p->source_port = bpf_ntohs(udp->source);
	p->target_port = bpf_ntohs(udp->dest);
	return 0;
}

static __always_inline int parse4(void *at, void *end, struct packet *p)
{
	struct iphdr *ip = at;

	if ((void *)(ip + 1) > end || ip->ihl < 5)
		return -1;
	p->source.in6_u.u6_addr32[2] = bpf_htonl(0xffff);
	p->source.in6_u.u6_addr32[3] = ip->saddr;
	p->target.in6_u.u6_addr32[2] = bpf_htonl(0xffff);
	p->target.in6_u.u6_addr32[3] = ip->daddr;
	p->proto = ip->protocol;
	p->dscp = ip->tos >> 2;
	p->bytes = bpf_ntohs(ip->tot_len);
	p->fragment = !!(ip->frag_off & bpf_htons(IP_MF | IP_OFFSET));
	return parse_ports(at + ip->ihl * 4, end, p);
}

static __always_inline int parse6(void *at, void *end, struct packet *p)
{
	struct ipv6hdr *ip = at;
	struct frag_hdr *piece;

	if ((void *)(ip + 1) > end)
		return -1;
	p->source = ip->saddr;
	p->target = ip->daddr;
	p->proto = ip->nexthdr;
	p->dscp = (ip->priority << 2 | ip->flow_lbl[0] >> 6) & 0x3f;
	p->bytes = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	at = ip + 1;
	if (p->proto == IPPROTO_FRAGMENT) {
		piece = at;
		if ((void *)(piece + 1) > end)
			return -1;
		p->proto = piece->nexthdr;
		p->fragment = 1;
	}
	return parse_ports(at, end, p);
}

/* What follows the Ethernet header and its tags, NULL where they are cut off; the EtherType, and the outer tag's id. */
static __always_inline void *skip_tags(void *data, void *end, __be16 *type, __u16 *vlan)
{
	struct ethhdr *eth = data;
	void *at = eth + 1;

	if (at > end)
		return NULL;
	*type = eth->h_proto;
#pragma unroll
	for (int i = 0; i < MAX_TAGS; i++) {
		struct vlan_hdr *tag = at;

		if (*type != bpf_htons(ETH_P_8021Q) && *type != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > end)
			return NULL;
		if (i == 0 && vlan)
			*vlan = bpf_ntohs(tag->h_vlan_TCI) & VLAN_VID_MASK;
		*type = tag->h_vlan_encapsulated_proto;
		at = tag + 1;
	}
	return at;
}

static __always_inline int parse(struct xdp_md *ctx, struct packet *p)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__be16 type;
	void *at = skip_tags(data, end, &type, &p->vlan);

	if (!at)
		return -1;
	p->ether_type = bpf_ntohs(type);
	if (type == bpf_htons(ETH_P_IP))
		return parse4(at, end, p);
	if (type == bpf_htons(ETH_P_IPV6))
		return parse6(at, end, p);
	p->bytes = end - data;
	return 0;
}

/* One comparison, in 16 bits: what lies below `low` wraps to beyond `high`. */
static __always_inline _Bool within(__u16 value, const struct range *range)
{
	return (__u16)(value - range->low) <= (__u16)(range->high - range->low);
}

static __always_inline _Bool prefix(const struct in6_addr *addr, const struct in6_addr *wanted,
				    const struct in6_addr *mask)
{
	__u32 differing = 0;

#pragma unroll
	for (int i = 0; i < 4; i++)
		differing |= (addr->in6_u.u6_addr32[i] ^ wanted->in6_u.u6_addr32[i]) & mask->in6_u.u6_addr32[i];
	return !differing;
}

static __always_inline _Bool matches(const struct rule *rule, const struct packet *p)
{
	if (rule->ether_type && rule->ether_type != p->ether_type)
		return 0;
	if ((rule->proto ^ p->proto) & rule->proto_mask)
		return 0;
	if ((rule->tcp_flags ^ p->tcp_flags) & rule->tcp_mask)
		return 0;
	if ((rule->dscp ^ p->dscp) & rule->dscp_mask)
		return 0;
	if ((rule->fragment ^ p->fragment) & rule->fragment_mask)
		return 0;
	if (!within(p->source_port, &rule->source_port) || !within(p->target_port, &rule->target_port))
		return 0;
	if (!within(p->vlan, &rule->vlan) || !within(p->bytes, &rule->length))
		return 0;
	return prefix(&p->source, &rule->source, &rule->source_mask) &&
	       prefix(&p->target, &rule->target, &rule->target_mask);
}

static __always_inline void try_rule(__u32 number, const struct packet *p, struct found *found)
{
	__u32 key = number;
	struct rule *rule = bpf_map_lookup_elem(&rules, &key);

	if (!rule || !rule->enabled || !matches(rule, p))
		return;
	if (rule->class == CLASS_DENY) {
		if (!found->deny && !found->admit)
			found->deny = rule;
	} else if (rule->class == CLASS_ADMIT) {
		if (!found->deny && !found->admit)
			found->admit = rule;
	} else if (rule->class == CLASS_POLICE) {
		if (!found->police)
			found->police = rule;
	} else if (rule->class == CLASS_MARK) {
		if (!found->mark)
			found->mark = rule;
	} else if (rule->class == CLASS_STEER) {
		if (!found->steer)
			found->steer = rule;
	}
}

static __always_inline void count(struct rule *rule, __u64 bytes)
{
	__sync_fetch_and_add(&rule->packets, 1);
	__sync_fetch_and_add(&rule->bytes, bytes);
}

/* Whether the rule's bucket has credit for the packet; takes it. A pause earns its own length, up to the burst. */
static __always_inline _Bool conforms(struct rule *rule, __u64 bytes)
{
	__u64 cost = bytes * rule->byte_ns, full = (__u64)rule->burst * rule->byte_ns;
	__u64 now = bpf_ktime_get_ns(), credit;

	/* Another CPU may do this at the same time: the limit is then off by a packet, never by a rate. */
	credit = rule->last_ns ? rule->credit_ns + (now - rule->last_ns) : full;
	if (credit > full)
		credit = full;
	rule->last_ns = now;
	rule->credit_ns = credit < cost ? credit : credit - cost;
	return credit >= cost;
}

/* Write the DSCP; the two bits of ECN stay. The header is looked for once more: what was known of its place when the
 * rules were tried would make each of them a case of its own for the verifier. */
static __noinline int mark(struct xdp_md *ctx, __u8 dscp)
{
	void *end = (void *)(long)ctx->data_end;
	__be16 type, old;
	void *at = skip_tags((void *)(long)ctx->data, end, &type, NULL);
	struct iphdr *ip = at;
	struct ipv6hdr *ip6 = at;

	if (!at)
		return 0;
	if (type == bpf_htons(ETH_P_IP) && (void *)(ip + 1) <= end) {
		old = *(__be16 *)ip;
		ip->tos = dscp << 2 | (ip->tos & 3);
		ip->check = csum_replace2(ip->check, old, *(__be16 *)ip);
	} else if (type == bpf_htons(ETH_P_IPV6) && (void *)(ip6 + 1) <= end) {
		ip6->priority = dscp >> 2;
		ip6->flow_lbl[0] = (dscp << 6 & 0xc0) | (ip6->flow_lbl[0] & 0x3f);
	}
	return 0;
}

static __always_inline int act(struct xdp_md *ctx, const struct packet *p, const struct found *found)
{
	if (found->deny) {
		count(found->deny, p->bytes);
		return finish(FATE_DENIED);
	}
	if (found->admit)
		count(found->admit, p->bytes);
	if (found->police) {
		count(found->police, p->bytes);
		if (!conforms(found->police, p->bytes))
			return finish(FATE_POLICED);
	}
	if (found->mark) {
		count(found->mark, p->bytes);
		mark(ctx, found->mark->new_dscp);
	}
	if (found->steer) {
		count(found->steer, p->bytes);
		finish(FATE_STEERED);
		return bpf_redirect_map(&ports, found->steer->port, XDP_PASS);
	}
	return finish(found->admit ? FATE_ADMITTED : FATE_PASSED);
}

SEC("xdp")
int xdp_classifier(struct xdp_md *ctx)
{
	struct packet packet = {};
	struct found found = {};

	if (parse(ctx, &packet))
		return finish(FATE_SHORT);
#pragma unroll
	for (int number = 0; number < RULES; number++)
		try_rule(number, &packet, &found);
	return act(ctx, &packet, &found);
}

char LICENSE[] SEC("license") = "Apache-2.0";
