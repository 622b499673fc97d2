/* SPDX-License-Identifier: Apache-2.0 */
/* bpf_timer_*: what each call answers. When timers fire is not for one run to see. */
#include <xdpsim/bpf.h>

char LICENSE[] SEC("license") = "GPL";

__u64 out[8];

struct element {
	__u64 before;
	struct bpf_timer timer;
	__u64 after;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct element);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u64);
	__type(value, struct element);
} hash SEC(".maps");

#define HOUR (3600ULL * 1000 * 1000 * 1000)

static int fired(void *map, __u32 *key, struct element *value)
{
	value->after++;
	return 0;
}

static struct element *first(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&array, &key);
}

#define INIT(name, clock)                                          \
	SEC("xdp") int init_##name(struct xdp_md *ctx)             \
	{                                                          \
		struct element *e = first();                       \
		if (!e)                                            \
			return 0;                                  \
		out[0] = bpf_timer_init(&e->timer, &array, clock); \
		return 2;                                          \
	}

INIT(realtime, 0)
INIT(monotonic, 1)
INIT(process, 2)
INIT(raw, 4)
INIT(coarse, 6)
INIT(boottime, 7)
INIT(alarm, 8)
INIT(tai, 11)
INIT(sixteen, 16)
INIT(high, (1ULL << 32) + 1)
INIT(flag, 33)

SEC("xdp") int init_twice(struct xdp_md *ctx)
{
	struct element *e = first();

	if (!e)
		return 0;
	out[0] = bpf_timer_init(&e->timer, &array, 1);
	out[1] = bpf_timer_init(&e->timer, &array, 1);
	out[2] = bpf_timer_init(&e->timer, &array, 2);
	return 2;
}

SEC("xdp") int nothing_before_init(struct xdp_md *ctx)
{
	struct element *e = first();

	if (!e)
		return 0;
	out[0] = bpf_timer_set_callback(&e->timer, fired);
	out[1] = bpf_timer_start(&e->timer, HOUR, 0);
	out[2] = bpf_timer_cancel(&e->timer);
	return 2;
}

SEC("xdp") int start_without_callback(struct xdp_md *ctx)
{
	struct element *e = first();

	if (!e)
		return 0;
	out[0] = bpf_timer_init(&e->timer, &array, 1);
	out[1] = bpf_timer_start(&e->timer, HOUR, 0);
	out[2] = bpf_timer_cancel(&e->timer);
	return 2;
}

SEC("xdp") int start_cancel(struct xdp_md *ctx)
{
	struct element *e = first();

	if (!e)
		return 0;
	out[0] = bpf_timer_init(&e->timer, &array, 1);
	out[1] = bpf_timer_set_callback(&e->timer, fired);
	out[2] = bpf_timer_start(&e->timer, HOUR, 0);
	out[3] = bpf_timer_start(&e->timer, HOUR, 0);
	out[4] = bpf_timer_cancel(&e->timer);
	out[5] = bpf_timer_cancel(&e->timer);
	/* cancel takes the callback away */
	out[6] = bpf_timer_start(&e->timer, HOUR, 0);
	return 2;
}

SEC("xdp") int start_flags(struct xdp_md *ctx)
{
	struct element *e = first();

	if (!e)
		return 0;
	bpf_timer_init(&e->timer, &array, 1);
	bpf_timer_set_callback(&e->timer, fired);
	out[0] = bpf_timer_start(&e->timer, HOUR, 1);
	out[1] = bpf_timer_start(&e->timer, HOUR, 2);
	out[2] = bpf_timer_start(&e->timer, HOUR, 3);
	out[3] = bpf_timer_start(&e->timer, HOUR, 4);
	out[4] = bpf_timer_start(&e->timer, HOUR, 1ULL << 40);
	out[5] = bpf_timer_cancel(&e->timer);
	return 2;
}

SEC("xdp") int hash_delete_forgets(struct xdp_md *ctx)
{
	struct element fresh = {}, *e;
	__u64 key = 7;

	bpf_map_update_elem(&hash, &key, &fresh, 0);
	e = bpf_map_lookup_elem(&hash, &key);
	if (!e)
		return 0;
	out[0] = bpf_timer_init(&e->timer, &hash, 1);
	bpf_timer_set_callback(&e->timer, fired);
	out[1] = bpf_timer_start(&e->timer, HOUR, 0);
	bpf_map_delete_elem(&hash, &key);
	bpf_map_update_elem(&hash, &key, &fresh, 0);
	e = bpf_map_lookup_elem(&hash, &key);
	if (!e)
		return 0;
	out[2] = bpf_timer_cancel(&e->timer);
	out[3] = bpf_timer_init(&e->timer, &hash, 1);
	return 2;
}

SEC("xdp") int hash_update_forgets(struct xdp_md *ctx)
{
	struct element fresh = {}, *e;
	__u64 key = 7;

	bpf_map_update_elem(&hash, &key, &fresh, 0);
	e = bpf_map_lookup_elem(&hash, &key);
	if (!e)
		return 0;
	out[0] = bpf_timer_init(&e->timer, &hash, 1);
	bpf_timer_set_callback(&e->timer, fired);
	out[1] = bpf_timer_start(&e->timer, HOUR, 0);
	bpf_map_update_elem(&hash, &key, &fresh, 0);
	e = bpf_map_lookup_elem(&hash, &key);
	if (!e)
		return 0;
	out[2] = bpf_timer_cancel(&e->timer);
	return 2;
}

SEC("xdp") int array_update_forgets(struct xdp_md *ctx)
{
	struct element fresh = { .before = 3 }, *e = first();
	__u32 key = 0;

	if (!e)
		return 0;
	out[0] = bpf_timer_init(&e->timer, &array, 1);
	bpf_timer_set_callback(&e->timer, fired);
	out[1] = bpf_timer_start(&e->timer, HOUR, 0);
	bpf_map_update_elem(&array, &key, &fresh, 0);
	out[2] = bpf_timer_cancel(&e->timer);
	return 2;
}

/* For runs on the virtual clock: a timer of `out[0]` ns that starts itself again `out[1]` times. */
__u64 period = 10000, rounds = 3;

static int tick(void *map, __u32 *key, struct element *value)
{
	__u64 now = bpf_ktime_get_ns();

	value->before++;
	value->after = value->after * 31 + now;
	out[2] = *key;
	bpf_printk("tick %llu at %llu", value->before, now);
	out[3] = bpf_timer_cancel(&value->timer);
	if (value->before < rounds)
		bpf_timer_start(&value->timer, period, 0);
	return 0;
}

SEC("xdp") int own_ticking(struct xdp_md *ctx)
{
	__u32 key = 1;
	struct element *e = bpf_map_lookup_elem(&array, &key);

	if (!e)
		return 0;
	out[4]++;
	if (bpf_timer_init(&e->timer, &array, 1))
		return 2;
	bpf_timer_set_callback(&e->timer, tick);
	bpf_timer_start(&e->timer, period, 0);
	return 2;
}
