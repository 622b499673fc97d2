/* SPDX-License-Identifier: Apache-2.0 */
/* bpf_loop and bpf_for_each_map_elem. */
#include <xdpsim/bpf.h>

char LICENSE[] SEC("license") = "GPL";

__u64 out[8];

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 5);
	__type(key, __u32);
	__type(value, __u64);
} squares SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u64);
	__type(value, __u64);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u64);
} percpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u64);
} percpu_hash SEC(".maps");

/* What callbacks count is global: a verifier that knew the numbers would walk every round. */
struct sum {
	__u64 stop_at;
};
__u64 total, calls, inner_calls;

static long add(__u32 index, struct sum *sum)
{
	total += index;
	calls++;
	return calls == sum->stop_at;
}

static long nothing(__u32 index, void *context)
{
	return 0;
}

static long nested(__u32 index, struct sum *sum)
{
	struct sum inner = { .stop_at = 1000 };

	inner_calls += bpf_loop(index, add, &inner, 0);
	return 0;
}

#define LOOP(name, count, stop, flags)                           \
	SEC("xdp") int loop_##name(struct xdp_md *ctx)           \
	{                                                        \
		struct sum sum = { .stop_at = stop };            \
		out[0] = bpf_loop(count, add, &sum, flags);      \
		return 2;                                        \
	}

LOOP(none, 0, 0, 0)
LOOP(one, 1, 0, 0)
LOOP(many, 1000, 0, 0)
LOOP(stop_first, 10, 1, 0)
LOOP(stop_fourth, 10, 4, 0)
LOOP(stop_last, 10, 10, 0)
LOOP(flags, 10, 0, 1)
LOOP(flags_high, 10, 0, 1ULL << 40)
static long third(__u32 index, void *context)
{
	return index == 2;
}

#define LONG_LOOP(name, count, flags)                            \
	SEC("xdp") int loop_##name(struct xdp_md *ctx)           \
	{                                                        \
		out[0] = bpf_loop(count, third, NULL, flags);    \
		return 2;                                        \
	}

LONG_LOOP(too_many, (8 << 20) + 1, 0)
LONG_LOOP(most_u32, 0xffffffff, 0)
LONG_LOOP(most_stopped, 8 << 20, 0)
LONG_LOOP(both_wrong, 0xffffffff, 1)

SEC("xdp") int loop_no_context(struct xdp_md *ctx)
{
	out[0] = bpf_loop(7, nothing, NULL, 0);
	return out[0];
}

SEC("xdp") int loop_nested(struct xdp_md *ctx)
{
	struct sum sum = {};

	out[0] = bpf_loop(6, nested, &sum, 0);
	return 2;
}

/* Registers r6 to r9 and the caller's stack survive. */
SEC("xdp") int loop_keeps_state(struct xdp_md *ctx)
{
	volatile __u64 a = 11, b = 22;
	__u64 len = ctx->data_end - ctx->data;
	struct sum sum = {};

	bpf_loop(3, add, &sum, 0);
	out[0] = a + b + len + total;
	return ctx->data_end - ctx->data;
}

static long square(void *map, __u32 *key, __u64 *value, struct sum *sum)
{
	calls++;
	total = total * 10 + *key;
	*value = *key * *key + 1;
	return calls == sum->stop_at;
}

#define EACH(name, stop, flags)                                              \
	SEC("xdp") int array_##name(struct xdp_md *ctx)                      \
	{                                                                    \
		struct sum sum = { .stop_at = stop };                        \
		out[0] = bpf_for_each_map_elem(&squares, square, &sum, flags); \
		return 2;                                                    \
	}

EACH(all, 0, 0)
EACH(stop_third, 3, 0)
EACH(flags, 0, 1)
EACH(flags_high, 0, 1ULL << 32)

static long add_value(void *map, __u64 *key, __u64 *value, struct sum *sum)
{
	calls++;
	total += *key * 1000 + *value;
	return 0;
}

static long delete_it(void *map, __u64 *key, __u64 *value, struct sum *sum)
{
	__u64 copy = *key;

	calls++;
	if (copy & 1)
		total += bpf_map_delete_elem(map, &copy) + 1;
	return 0;
}

static void fill(void)
{
	for (__u64 key = 1; key < 7; key++) {
		__u64 value = key * 3;
		bpf_map_update_elem(&hash, &key, &value, 0);
	}
}

SEC("xdp") int hash_empty(struct xdp_md *ctx)
{
	struct sum sum = {};

	out[0] = bpf_for_each_map_elem(&hash, add_value, &sum, 0);
	return 2;
}

SEC("xdp") int hash_sum(struct xdp_md *ctx)
{
	struct sum sum = {};

	fill();
	out[0] = bpf_for_each_map_elem(&hash, add_value, &sum, 0);
	return 2;
}

SEC("xdp") int hash_delete_odd(struct xdp_md *ctx)
{
	struct sum sum = {};

	fill();
	out[0] = bpf_for_each_map_elem(&hash, delete_it, &sum, 0);
	return 2;
}

static long count_up(void *map, __u32 *key, __u64 *value, struct sum *sum)
{
	calls++;
	*value += *key + 7;
	return 0;
}

SEC("xdp") int percpu_array_this_cpu(struct xdp_md *ctx)
{
	struct sum sum = {};

	out[0] = bpf_for_each_map_elem(&percpu, count_up, &sum, 0);
	return 2;
}

SEC("xdp") int percpu_hash_this_cpu(struct xdp_md *ctx)
{
	struct sum sum = {};
	__u32 key = 5;
	__u64 value = 1;

	bpf_map_update_elem(&percpu_hash, &key, &value, 0);
	key = 9;
	bpf_map_update_elem(&percpu_hash, &key, &value, 0);
	out[0] = bpf_for_each_map_elem(&percpu_hash, count_up, &sum, 0);
	return 2;
}

/* A walk inside of a walk: each has a key of its own. */
static long inner_walk(void *map, __u32 *key, __u64 *value, struct sum *sum)
{
	struct sum inner = {};

	bpf_for_each_map_elem(&squares, square, &inner, 0);
	total += calls * (*key + 1);
	return 0;
}

SEC("xdp") int walk_in_walk(struct xdp_md *ctx)
{
	struct sum sum = {};

	out[0] = bpf_for_each_map_elem(&percpu, inner_walk, &sum, 0);
	return 2;
}
