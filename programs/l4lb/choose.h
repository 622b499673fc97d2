/* SPDX-License-Identifier: Apache-2.0
 *
 * Which server a packet goes to: that of its flow or of its first fragment if a table knows it, else the one that the
 * flow's hash finds on the service's ring.
 */
#ifndef L4LB_CHOOSE_H
#define L4LB_CHOOSE_H

#include "types.h"

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

static __always_inline __u32 flow_hash(const struct flow_key *flow, __u32 flags)
{
	__u32 hash = hash_seed;

#pragma unroll
	for (int i = 0; i < 4; i++)
		hash = mix(hash, flow->client.in6_u.u6_addr32[i]);
	if (flags & VIP_BY_CLIENT)
		return hash;
#pragma unroll
	for (int i = 0; i < 4; i++)
		hash = mix(hash, flow->vip.in6_u.u6_addr32[i]);
	hash = mix(hash, (__u32)flow->client_port << 16 | flow->vip_port);
	return mix(hash, flow->proto);
}

static __always_inline struct vip *find_vip(const struct flow_key *flow)
{
	struct service service = {.addr = flow->vip, .port = flow->vip_port, .proto = flow->proto};
	struct vip *vip = bpf_map_lookup_elem(&vips, &service);

	if (vip || !service.port)
		return vip;
	service.port = 0;
	return bpf_map_lookup_elem(&vips, &service);
}

static __always_inline void piece_key(struct piece_key *key, const struct packet *p)
{
	key->client = p->flow.client;
	key->vip = p->flow.vip;
	key->id = p->id;
	key->proto = p->family == 4 ? p->flow.proto : 0; /* IPv6: later fragments need not tell it */
}

static __always_inline void count(const struct target *to, const struct packet *p, _Bool is_new)
{
	__u32 key = to->vip;
	struct stat *stat = bpf_map_lookup_elem(&stats, &key);

	if (!stat)
		return;
	stat->packets += 1;
	stat->bytes += p->bytes;
	if (is_new)
		stat->flows += 1;
	if (p->piece != PIECE_WHOLE)
		stat->pieces += 1;
	if (p->kind == KIND_ERROR)
		stat->errors += 1;
}

/* Where the packet goes, and its flow's hash. */
static __always_inline enum fate choose(const struct packet *p, struct target *to, __u32 *hash)
{
	struct piece_key whole = {};
	struct target *known;
	_Bool is_new = 0;
	struct vip *vip;

	*hash = flow_hash(&p->flow, VIP_BY_CLIENT);
	if (p->piece != PIECE_WHOLE)
		piece_key(&whole, p);
	if (p->piece == PIECE_LATER) {
		known = bpf_map_lookup_elem(&pieces, &whole);
		if (!known)
			return FATE_PIECE;
		*to = *known;
		count(to, p, 0);
		return FATE_OK;
	}
	vip = find_vip(&p->flow);
	if (!vip)
		return FATE_NOT_OURS;
	to->vip = vip->id;
	to->flags = vip->flags;
	*hash = flow_hash(&p->flow, vip->flags);
	known = bpf_map_lookup_elem(&flows, &p->flow);
	if (known && !p->syn && known->vip == to->vip) {
		to->real = known->real;
	} else {
		__u32 slot = to->vip * RING_SIZE + *hash % RING_SIZE;
		__u32 *index = bpf_map_lookup_elem(&ring, &slot);

		if (!index || !*index)
			return FATE_NO_SERVER;
		to->real = *index;
		is_new = p->kind == KIND_FLOW;
		if (is_new)
			bpf_map_update_elem(&flows, &p->flow, to, BPF_ANY);
	}
	if (p->piece == PIECE_FIRST)
		bpf_map_update_elem(&pieces, &whole, to, BPF_ANY);
	count(to, p, is_new);
	return FATE_OK;
}

#endif
