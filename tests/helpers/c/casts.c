/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's own context behind xdp_md, work queues, bpf_xdp_pull_data, element counts. */
#include <xdpsim/bpf.h>
#include "kfuncs.h"

char LICENSE[] SEC("license") = "GPL";

__u64 out[16];

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct net_device {
	int ifindex;
};
struct xdp_rxq_info {
	struct net_device *dev;
	__u32 queue_index;
};
struct xdp_buff {
	void *data;
	void *data_end;
	void *data_meta;
	void *data_hard_start;
	struct xdp_rxq_info *rxq;
	__u32 frame_sz;
	__u32 flags;
};
#pragma clang attribute pop

static __always_inline void look(struct xdp_md *ctx, int at)
{
	struct xdp_buff *kctx = bpf_cast_to_kern_ctx(ctx);

	out[at + 0] = kctx->data_end - kctx->data;
	out[at + 1] = kctx->data - kctx->data_meta;
	out[at + 2] = kctx->data - kctx->data_hard_start;
	out[at + 3] = kctx->frame_sz;
	out[at + 4] = kctx->flags & 1;
	out[at + 5] = kctx->rxq->queue_index;
	out[at + 6] = kctx->rxq->dev->ifindex;
}

SEC("xdp") int kern_ctx(struct xdp_md *ctx)
{
	look(ctx, 0);
	return 2;
}

SEC("xdp") int kern_ctx_moves(struct xdp_md *ctx)
{
	look(ctx, 0);
	bpf_xdp_adjust_head(ctx, 10);
	bpf_xdp_adjust_meta(ctx, -8);
	look(ctx, 8);
	return 2;
}

SEC("xdp.frags") int kern_ctx_frags(struct xdp_md *ctx)
{
	look(ctx, 0);
	return 2;
}

struct bpf_wq {
	__u64 opaque[2];
} __attribute__((aligned(8)));

struct job {
	__u64 count;
	struct bpf_wq work;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct job);
} jobs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
} hash SEC(".maps");

extern int bpf_wq_init(struct bpf_wq *wq, void *map, unsigned int flags) __ksym;
extern int bpf_wq_start(struct bpf_wq *wq, unsigned int flags) __ksym;
extern int bpf_wq_set_callback_impl(struct bpf_wq *wq, int (*callback)(void *map, int *key, void *value), unsigned int flags, void *aux) __ksym;
#define bpf_wq_set_callback(wq, callback, flags) bpf_wq_set_callback_impl(wq, callback, flags, NULL)
extern int bpf_xdp_pull_data(struct xdp_md *ctx, __u32 len) __ksym;
extern __s64 bpf_map_sum_elem_count(const void *map) __ksym;

static int work(void *map, int *key, void *value)
{
	struct job *job = value;

	job->count++;
	return 0;
}

static struct job *first(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&jobs, &key);
}

SEC("xdp") int wq_init(struct xdp_md *ctx)
{
	struct job *job = first();

	if (!job)
		return 0;
	out[0] = bpf_wq_init(&job->work, &jobs, 1);
	out[1] = bpf_wq_init(&job->work, &jobs, 0);
	out[2] = bpf_wq_init(&job->work, &jobs, 0);
	return 2;
}

SEC("xdp") int wq_before_init(struct xdp_md *ctx)
{
	struct job *job = first();

	if (!job)
		return 0;
	out[0] = bpf_wq_set_callback(&job->work, work, 0);
	out[1] = bpf_wq_start(&job->work, 0);
	out[2] = bpf_wq_start(&job->work, 1);
	return 2;
}

SEC("xdp") int wq_flags(struct xdp_md *ctx)
{
	struct job *job = first();

	if (!job)
		return 0;
	out[0] = bpf_wq_init(&job->work, &jobs, 0);
	out[1] = bpf_wq_set_callback(&job->work, work, 1);
	out[2] = bpf_wq_set_callback(&job->work, work, 0);
	out[3] = bpf_wq_start(&job->work, 1);
	return 2;
}

SEC("xdp") int own_works(struct xdp_md *ctx)
{
	struct job *job = first();

	if (!job)
		return 0;
	bpf_wq_init(&job->work, &jobs, 0);
	bpf_wq_set_callback(&job->work, work, 0);
	out[0] = bpf_wq_start(&job->work, 0);
	return 2;
}

#define PULL(name, section, length)                        \
	SEC(section) int pull_##name(struct xdp_md *ctx)   \
	{                                                  \
		out[0] = bpf_xdp_pull_data(ctx, length);   \
		out[1] = ctx->data_end - ctx->data;        \
		out[2] = bpf_xdp_get_buff_len(ctx);        \
		return 2;                                  \
	}

PULL(none, "xdp", 0)
PULL(all, "xdp", 64)
PULL(past, "xdp", 65)
PULL(frags_nothing, "xdp.frags", 3000)
PULL(frags_some, "xdp.frags", 3600)
PULL(frags_most, "xdp.frags", 3736)
PULL(frags_too_many, "xdp.frags", 3737)
PULL(frags_past, "xdp.frags", 6001)

SEC("xdp.frags") int pull_behind_metadata(struct xdp_md *ctx)
{
	out[0] = bpf_xdp_adjust_meta(ctx, -16);
	out[1] = bpf_xdp_pull_data(ctx, 3700);
	out[2] = ctx->data_end - ctx->data;
	out[3] = ctx->data - ctx->data_meta;
	return 2;
}

SEC("xdp.frags") int pull_behind_head(struct xdp_md *ctx)
{
	out[0] = bpf_xdp_adjust_head(ctx, 100);
	out[1] = bpf_xdp_pull_data(ctx, 3700);
	out[2] = ctx->data_end - ctx->data;
	out[3] = bpf_xdp_pull_data(ctx, 5000);
	return 2;
}

SEC("xdp") int element_count(struct xdp_md *ctx)
{
	__u32 i;

	for (i = 0; i < 5; i++) {
		__u32 key = i;
		bpf_map_update_elem(&hash, &key, &key, 0);
	}
	out[0] = bpf_map_sum_elem_count(&hash);
	__u32 two = 2;
	bpf_map_delete_elem(&hash, &two);
	out[1] = bpf_map_sum_elem_count(&hash);
	out[2] = bpf_map_sum_elem_count(&jobs);
	return 2;
}
