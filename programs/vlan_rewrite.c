/* SPDX-License-Identifier: Apache-2.0
 *
 * Rewrites VLAN tags: pushes, pops and translates them as its table says.
 *
 *   rules    by VLAN id of the outer tag (VLAN_NONE: untagged): what to do with the frame
 *   actions  packets and bytes by enum action, per CPU
 *
 * Priority tags (VLAN id 0) are tags. Frames whose VLAN has no rule go as `otherwise` says. The headroom in front of
 * the packet and the tail of the MAC addresses move, the rest stays where it is.
 */
#include <xdpsim/bpf.h>
#include <xdpsim/net.h>

#define VLAN_NONE 4096
#define VLAN_PRIO_SHIFT 13
#define MACS (2 * ETH_ALEN)

enum action {
	ACTION_KEEP = 0,
	ACTION_DROP = 1,
	ACTION_POP = 2,
	ACTION_POP_ALL = 3, /* the outer tag and the one inside it, if there is one */
	ACTION_PUSH = 4,
	ACTION_TRANSLATE = 5, /* the outer tag gets another VLAN id; its priority stays */
	ACTION_MALFORMED = 6, /* cut before the network header: dropped */
	ACTION_NO_ROOM = 7, /* no headroom for another tag: dropped */
	ACTION_MAX = 8,
};

/* What happens to frames without a rule: ACTION_KEEP or ACTION_DROP. */
volatile const __u32 otherwise = ACTION_KEEP;

struct rule {
	__u8 action;
	__u8 priority; /* of a pushed tag */
	__u16 vlan; /* of a pushed or a translated tag */
	__u16 tpid; /* of a pushed or a translated tag: 0x8100, 0x88a8; 0 is 0x8100, or leaves a translated one alone */
	__u8 sends_back; /* not 0: XDP_TX in place of XDP_PASS */
	__u8 pad;
};

struct hits {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4097);
	__type(key, __u16);
	__type(value, struct rule);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ACTION_MAX);
	__type(key, __u32);
	__type(value, struct hits);
} actions SEC(".maps");

struct macs {
	__u8 bytes[MACS];
};

/* A frame's start with a tag. */
struct tagged {
	struct macs macs;
	__be16 tpid;
	struct vlan_hdr tag;
};

static __always_inline bool is_tag(__be16 proto)
{
	return proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD);
}

/* Count the frame, as long as it came in, and give the verdict. */
static __noinline int done(enum action action, __u64 bytes, bool sends_back)
{
	__u32 key = action;
	struct hits *hits = bpf_map_lookup_elem(&actions, &key);

	if (hits) {
		hits->packets++;
		hits->bytes += bytes;
	}
	if (action == ACTION_DROP || action == ACTION_MALFORMED || action == ACTION_NO_ROOM)
		return XDP_DROP;
	return sends_back ? XDP_TX : XDP_PASS;
}

/* Move the MAC addresses up to the start of the frame, which moves by `delta` bytes. */
static __always_inline struct tagged *resize(struct xdp_md *ctx, int delta)
{
	struct tagged *frame = (void *)(long)ctx->data;
	struct macs macs;

	if ((void *)(frame + 1) > (void *)(long)ctx->data_end)
		return NULL;
	macs = frame->macs;
	if (bpf_xdp_adjust_head(ctx, delta))
		return NULL;
	frame = (void *)(long)ctx->data;
	if ((void *)(frame + 1) > (void *)(long)ctx->data_end)
		return NULL;
	frame->macs = macs;
	return frame;
}

static __always_inline enum action pop(struct xdp_md *ctx, bool all)
{
	struct tagged *frame = resize(ctx, sizeof(struct vlan_hdr));

	if (!frame)
		return ACTION_MALFORMED;
	if (all && is_tag(frame->tpid) && !resize(ctx, sizeof(struct vlan_hdr)))
		return ACTION_MALFORMED;
	return all ? ACTION_POP_ALL : ACTION_POP;
}

static __always_inline enum action push(struct xdp_md *ctx, const struct rule *rule)
{
	struct tagged *frame = resize(ctx, -(int)sizeof(struct vlan_hdr));

	if (!frame)
		return ACTION_NO_ROOM;
	frame->tpid = bpf_htons(rule->tpid ? rule->tpid : ETH_P_8021Q);
	frame->tag.h_vlan_TCI = bpf_htons(rule->priority << VLAN_PRIO_SHIFT | (rule->vlan & VLAN_VID_MASK));
	return ACTION_PUSH; /* the encapsulated type stands behind already */
}

static __always_inline enum action translate(struct tagged *frame, const struct rule *rule)
{
	__u16 kept = bpf_ntohs(frame->tag.h_vlan_TCI) & ~VLAN_VID_MASK;

	frame->tag.h_vlan_TCI = bpf_htons(kept | (rule->vlan & VLAN_VID_MASK));
	if (rule->tpid)
		frame->tpid = bpf_htons(rule->tpid);
	return ACTION_TRANSLATE;
}

SEC("xdp")
int xdp_vlan_rewrite(struct xdp_md *ctx)
{
	struct tagged *frame = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u64 bytes = end - (void *)frame;
	__u16 vlan = VLAN_NONE;
	struct rule *rule;
	enum action action;

	/* Whatever follows the Ethernet header has four bytes, or it is no frame worth a tag. */
	if ((void *)(frame + 1) > end)
		return done(ACTION_MALFORMED, bytes, false);
	if (is_tag(frame->tpid))
		vlan = bpf_ntohs(frame->tag.h_vlan_TCI) & VLAN_VID_MASK;
	rule = bpf_map_lookup_elem(&rules, &vlan);
	if (!rule)
		return done(otherwise == ACTION_DROP ? ACTION_DROP : ACTION_KEEP, bytes, false);

	action = rule->action;
	if (action == ACTION_PUSH)
		action = push(ctx, rule);
	else if (action != ACTION_DROP && vlan == VLAN_NONE)
		action = ACTION_KEEP; /* no tag to take or to change */
	else if (action == ACTION_POP || action == ACTION_POP_ALL)
		action = pop(ctx, action == ACTION_POP_ALL);
	else if (action == ACTION_TRANSLATE)
		action = translate(frame, rule);
	else if (action != ACTION_DROP)
		action = ACTION_KEEP;
	return done(action, bytes, rule->sends_back);
}

char LICENSE[] SEC("license") = "Apache-2.0";
