/* SPDX-License-Identifier: Apache-2.0 */
/* bpf_obj_new and its kin, bpf_kptr_xchg, bpf_spin_lock. */
#include <xdpsim/bpf.h>
#include "kfuncs.h"

char LICENSE[] SEC("license") = "GPL";

__u64 out[8];

struct thing {
	__u64 a;
	__u32 b;
	struct bpf_refcount ref;
};

struct outer {
	__u64 a;
	struct thing __kptr *inner;
};

struct counter {
	__u64 count;
};

struct element {
	struct bpf_spin_lock lock;
	__u32 count;
	struct thing __kptr *thing;
	struct outer __kptr *outer;
	struct counter __percpu_kptr *counter;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct element);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, struct element);
} hash SEC(".maps");

static struct element *first(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&array, &key);
}

SEC("xdp") int new_drop(struct xdp_md *ctx)
{
	struct thing *t = bpf_obj_new(struct thing);

	if (!t)
		return 0;
	t->a = 5;
	t->b = 6;
	out[0] = t->a + t->b;
	bpf_obj_drop(t);
	return 2;
}

SEC("xdp") int new_many(struct xdp_md *ctx)
{
	for (int i = 0; i < 50; i++) {
		struct thing *t = bpf_obj_new(struct thing);

		if (!t)
			return 0;
		t->a = i;
		out[0] += t->a;
		bpf_obj_drop(t);
	}
	return 2;
}

SEC("xdp") int refcount(struct xdp_md *ctx)
{
	struct thing *t = bpf_obj_new(struct thing), *other;

	if (!t)
		return 0;
	t->a = 1;
	other = bpf_refcount_acquire(t);
	if (!other) {
		bpf_obj_drop(t);
		return 0;
	}
	out[0] = t == other;
	bpf_obj_drop(t);
	other->a += 4;
	out[1] = other->a;
	bpf_obj_drop(other);
	return 2;
}

SEC("xdp") int kptr(struct xdp_md *ctx)
{
	struct element *e = first();
	struct thing *t, *old;

	if (!e || !(t = bpf_obj_new(struct thing)))
		return 0;
	t->a = 77;
	old = bpf_kptr_xchg(&e->thing, t);
	out[0] = old == NULL;
	if (old)
		bpf_obj_drop(old);
	if (!(t = bpf_obj_new(struct thing)))
		return 0;
	t->a = 78;
	old = bpf_kptr_xchg(&e->thing, t);
	if (old) {
		out[1] = old->a;
		bpf_obj_drop(old);
	}
	old = bpf_kptr_xchg(&e->thing, NULL);
	if (old) {
		out[2] = old->a;
		bpf_obj_drop(old);
	}
	old = bpf_kptr_xchg(&e->thing, NULL);
	out[3] = old == NULL;
	if (old)
		bpf_obj_drop(old);
	return 2;
}

SEC("xdp") int kptr_stays_unseen(struct xdp_md *ctx)
{
	struct element *e = first();
	struct thing *t, *old;

	if (!e || !(t = bpf_obj_new(struct thing)))
		return 0;
	e->count = 9;
	old = bpf_kptr_xchg(&e->thing, t);
	if (old)
		bpf_obj_drop(old);
	out[0] = e->thing != NULL;
	return 2;
}

SEC("xdp") int kptr_in_object(struct xdp_md *ctx)
{
	struct element *e = first();
	struct outer *o;
	struct thing *t;

	if (!e || !(o = bpf_obj_new(struct outer)))
		return 0;
	if (!(t = bpf_obj_new(struct thing))) {
		bpf_obj_drop(o);
		return 0;
	}
	t->a = 5;
	t = bpf_kptr_xchg(&o->inner, t);
	if (t)
		bpf_obj_drop(t);
	o = bpf_kptr_xchg(&e->outer, o);
	if (o)
		bpf_obj_drop(o);
	o = bpf_kptr_xchg(&e->outer, NULL);
	if (!o)
		return 1;
	t = bpf_kptr_xchg(&o->inner, NULL);
	if (t) {
		out[0] = t->a;
		bpf_obj_drop(t);
	}
	bpf_obj_drop(o);
	return 2;
}

#define FORGETS(name, map, setup)                               \
	SEC("xdp") int name##_update_drops(struct xdp_md *ctx)  \
	{                                                       \
		struct element fresh = { .count = 3 }, *e;      \
		struct thing *t;                                \
		__u32 key = 0;                                  \
								\
		setup;                                          \
		e = bpf_map_lookup_elem(&map, &key);            \
		if (!e || !(t = bpf_obj_new(struct thing)))     \
			return 0;                               \
		t = bpf_kptr_xchg(&e->thing, t);                \
		if (t)                                          \
			bpf_obj_drop(t);                        \
		bpf_map_update_elem(&map, &key, &fresh, 0);     \
		e = bpf_map_lookup_elem(&map, &key);            \
		if (!e)                                         \
			return 0;                               \
		t = bpf_kptr_xchg(&e->thing, NULL);             \
		out[0] = t == NULL;                             \
		if (t)                                          \
			bpf_obj_drop(t);                        \
		return 2;                                       \
	}

FORGETS(array, array, )
FORGETS(hash, hash, bpf_map_update_elem(&hash, &key, &fresh, 0))

SEC("xdp") int locks(struct xdp_md *ctx)
{
	struct element *e = first();

	if (!e)
		return 0;
	bpf_spin_lock(&e->lock);
	e->count += 5;
	bpf_spin_unlock(&e->lock);
	bpf_spin_lock(&e->lock);
	e->count *= 3;
	bpf_spin_unlock(&e->lock);
	out[0] = e->count;
	return 2;
}

private(a) struct bpf_spin_lock global_lock;

SEC("xdp") int global_locks(struct xdp_md *ctx)
{
	bpf_spin_lock(&global_lock);
	out[0]++;
	bpf_spin_unlock(&global_lock);
	return 2;
}

SEC("xdp") int percpu_object(struct xdp_md *ctx)
{
	struct counter __percpu_kptr *fresh;
	struct element *e = first();
	struct counter *c;

	if (!e)
		return 0;
	fresh = bpf_percpu_obj_new(struct counter);
	if (!fresh)
		return 0;
	fresh = bpf_kptr_xchg(&e->counter, fresh);
	if (fresh)
		bpf_percpu_obj_drop(fresh);
	bpf_rcu_read_lock();
	fresh = e->counter;
	if (fresh) {
		c = bpf_this_cpu_ptr(fresh);
		c->count = 41;
		c = bpf_per_cpu_ptr(fresh, 0);
		if (c)
			out[0] = c->count + 1;
		c = bpf_per_cpu_ptr(fresh, 1);
		if (c) {
			c->count = 6;
			out[1] = c->count;
		}
		out[2] = bpf_per_cpu_ptr(fresh, 300) == NULL;
	}
	bpf_rcu_read_unlock();
	return 2;
}
