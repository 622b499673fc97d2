/* SPDX-License-Identifier: Apache-2.0 */
/* Lists and trees of objects. */
#include <xdpsim/bpf.h>
#include "kfuncs.h"

char LICENSE[] SEC("license") = "GPL";

__u64 out[8];
/* What is found on the way, folded into one number. */
__u64 seen;

struct item {
	__u64 key;
	struct bpf_list_node link;
	struct bpf_rb_node place;
	struct bpf_refcount ref;
	__u64 tail;
};

private(a) struct bpf_spin_lock lock;
private(a) struct bpf_list_head list __contains(item, link);
private(a) struct bpf_rb_root tree __contains(item, place);

struct element {
	struct bpf_spin_lock lock;
	struct bpf_list_head list __contains(item, link);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, struct element);
} hash SEC(".maps");

static __always_inline void note(__u64 value)
{
	seen = seen * 31 + value + 1;
}

static bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct item, place)->key < container_of(b, struct item, place)->key;
}

static __noinline int push(__u64 key, int front)
{
	struct item *item = bpf_obj_new(struct item);
	int result;

	if (!item)
		return -1;
	item->key = key;
	bpf_spin_lock(&lock);
	if (front)
		result = bpf_list_push_front(&list, &item->link);
	else
		result = bpf_list_push_back(&list, &item->link);
	bpf_spin_unlock(&lock);
	return result;
}

static __noinline int pop(int front)
{
	struct bpf_list_node *node;
	struct item *item;

	bpf_spin_lock(&lock);
	node = front ? bpf_list_pop_front(&list) : bpf_list_pop_back(&list);
	bpf_spin_unlock(&lock);
	if (!node) {
		note(999);
		return 0;
	}
	item = container_of(node, struct item, link);
	note(item->key);
	bpf_obj_drop(item);
	return 1;
}

SEC("xdp") int list_empty(struct xdp_md *ctx)
{
	pop(0);
	pop(1);
	return 2;
}

SEC("xdp") int list_queue(struct xdp_md *ctx)
{
	for (int i = 0; i < 5; i++)
		out[0] += push(i * 3, 0);
	for (int i = 0; i < 7; i++)
		pop(1);
	return 2;
}

SEC("xdp") int list_stack(struct xdp_md *ctx)
{
	for (int i = 0; i < 5; i++)
		push(i * 3, 1);
	for (int i = 0; i < 4; i++)
		pop(1);
	return 2;
}

SEC("xdp") int list_both_ends(struct xdp_md *ctx)
{
	for (int i = 0; i < 8; i++)
		push(i, i & 1);
	for (int i = 0; i < 9; i++)
		pop(i % 3 == 0);
	return 2;
}

SEC("xdp") int list_ends_stay(struct xdp_md *ctx)
{
	struct bpf_list_node *node;

	bpf_spin_lock(&lock);
	node = bpf_list_front(&list);
	out[0] = node == NULL;
	node = bpf_list_back(&list);
	out[1] = node == NULL;
	bpf_spin_unlock(&lock);
	push(4, 0);
	push(5, 0);
	bpf_spin_lock(&lock);
	node = bpf_list_front(&list);
	if (node)
		out[2] = container_of(node, struct item, link)->key;
	node = bpf_list_back(&list);
	if (node)
		out[3] = container_of(node, struct item, link)->key;
	bpf_spin_unlock(&lock);
	return 2;
}

SEC("xdp") int list_in_map(struct xdp_md *ctx)
{
	struct element fresh = {}, *e;
	struct bpf_list_node *node;
	struct item *item;
	__u32 key = 4;

	bpf_map_update_elem(&hash, &key, &fresh, 0);
	e = bpf_map_lookup_elem(&hash, &key);
	if (!e || !(item = bpf_obj_new(struct item)))
		return 0;
	item->key = 12;
	bpf_spin_lock(&e->lock);
	bpf_list_push_back(&e->list, &item->link);
	node = bpf_list_pop_front(&e->list);
	bpf_spin_unlock(&e->lock);
	if (node) {
		item = container_of(node, struct item, link);
		note(item->key);
		bpf_obj_drop(item);
	}
	if (!(item = bpf_obj_new(struct item)))
		return 0;
	bpf_spin_lock(&e->lock);
	bpf_list_push_back(&e->list, &item->link);
	bpf_spin_unlock(&e->lock);
	/* A new element begins with an empty list. */
	bpf_map_delete_elem(&hash, &key);
	bpf_map_update_elem(&hash, &key, &fresh, 0);
	e = bpf_map_lookup_elem(&hash, &key);
	if (!e)
		return 0;
	bpf_spin_lock(&e->lock);
	node = bpf_list_pop_front(&e->list);
	bpf_spin_unlock(&e->lock);
	out[0] = node == NULL;
	if (node)
		bpf_obj_drop(container_of(node, struct item, link));
	return 2;
}

static __noinline int plant(__u64 key)
{
	struct item *item = bpf_obj_new(struct item);
	int result;

	if (!item)
		return -1;
	item->key = key;
	bpf_spin_lock(&lock);
	result = bpf_rbtree_add(&tree, &item->place, less);
	bpf_spin_unlock(&lock);
	return result;
}

/* The smallest, taken out; 0 from an empty tree. */
static __noinline int take_first(void)
{
	struct bpf_rb_node *node;
	struct item *item;

	bpf_spin_lock(&lock);
	node = bpf_rbtree_first(&tree);
	if (node)
		node = bpf_rbtree_remove(&tree, node);
	bpf_spin_unlock(&lock);
	if (!node)
		return 0;
	item = container_of(node, struct item, place);
	note(item->key);
	bpf_obj_drop(item);
	return 1;
}

/* Down from the root by the bits of `path`; the key there. */
static __noinline __u64 at_path(__u32 path, __u32 depth)
{
	struct bpf_rb_node *node;
	__u64 key = 9999;
	int i;

	bpf_spin_lock(&lock);
	node = bpf_rbtree_root(&tree);
	for (i = 0; i < 5; i++) {
		if (!node || i >= depth)
			break;
		if (path >> i & 1)
			node = bpf_rbtree_right(&tree, node);
		else
			node = bpf_rbtree_left(&tree, node);
	}
	if (node)
		key = container_of(node, struct item, place)->key;
	bpf_spin_unlock(&lock);
	return key;
}

static __always_inline void note_shape(void)
{
	__u32 i;

	for (i = 0; i < 31; i++) {
		/* All paths of up to four steps. */
		__u32 depth = i < 1 ? 0 : i < 3 ? 1 : i < 7 ? 2 : i < 15 ? 3 : 4;
		note(at_path(i + 1 - (1 << depth), depth));
	}
}

SEC("xdp") int tree_empty(struct xdp_md *ctx)
{
	out[0] = take_first();
	note_shape();
	return 2;
}

SEC("xdp") int tree_sorts(struct xdp_md *ctx)
{
	for (int i = 0; i < 12; i++)
		out[0] += plant(i * 7 % 12);
	for (int i = 0; i < 13; i++)
		out[1] += take_first();
	return 2;
}

#define SHAPE(name, count, factor, modulus, taken)    \
	SEC("xdp") int tree_##name(struct xdp_md *ctx)\
	{                                             \
		for (int i = 0; i < count; i++)       \
			plant(i * factor % modulus);  \
		note_shape();                         \
		for (int i = 0; i < taken; i++)       \
			take_first();                 \
		note_shape();                         \
		return 2;                             \
	}

SHAPE(ascending, 14, 1, 100, 5)
SHAPE(descending, 14, 99, 100, 6)
SHAPE(mixed, 20, 37, 101, 9)
SHAPE(equal, 9, 0, 2, 3)
SHAPE(pairs, 16, 5, 4, 7)

/* Takes the root out again and again. */
static __noinline int take_root(void)
{
	struct bpf_rb_node *node;
	struct item *item;

	bpf_spin_lock(&lock);
	node = bpf_rbtree_root(&tree);
	if (node)
		node = bpf_rbtree_remove(&tree, node);
	bpf_spin_unlock(&lock);
	if (!node)
		return 0;
	item = container_of(node, struct item, place);
	note(item->key);
	bpf_obj_drop(item);
	return 1;
}

#define ROOTS(name, count, factor, modulus)           \
	SEC("xdp") int roots_##name(struct xdp_md *ctx)\
	{                                             \
		for (int i = 0; i < count; i++)       \
			plant(i * factor % modulus);  \
		for (int i = 0; i < count; i++) {     \
			out[0] += take_root();        \
			if (i % 3 == 0)               \
				note_shape();         \
		}                                     \
		return 2;                             \
	}

ROOTS(ascending, 15, 1, 100)
ROOTS(mixed, 18, 29, 83)
ROOTS(descending, 13, 82, 83)

/* One object in a list and in a tree at once. */
SEC("xdp") int both(struct xdp_md *ctx)
{
	struct item *item = bpf_obj_new(struct item), *again;
	struct bpf_rb_node *node;
	struct bpf_list_node *link;

	if (!item)
		return 0;
	item->key = 31;
	again = bpf_refcount_acquire(item);
	if (!again) {
		bpf_obj_drop(item);
		return 0;
	}
	bpf_spin_lock(&lock);
	out[0] = bpf_list_push_back(&list, &item->link);
	out[1] = bpf_rbtree_add(&tree, &again->place, less);
	bpf_spin_unlock(&lock);
	bpf_spin_lock(&lock);
	link = bpf_list_pop_front(&list);
	bpf_spin_unlock(&lock);
	if (link) {
		item = container_of(link, struct item, link);
		item->key = 32;
		bpf_obj_drop(item);
	}
	return take_first() ? 2 : 1;
}

SEC("xdp") int pushed_twice(struct xdp_md *ctx)
{
	struct item *item = bpf_obj_new(struct item), *again;

	if (!item)
		return 0;
	again = bpf_refcount_acquire(item);
	if (!again) {
		bpf_obj_drop(item);
		return 0;
	}
	bpf_spin_lock(&lock);
	out[0] = bpf_list_push_back(&list, &item->link);
	out[1] = bpf_list_push_front(&list, &again->link);
	bpf_spin_unlock(&lock);
	pop(1);
	pop(1);
	return 2;
}

SEC("xdp") int remove_what_is_not_in(struct xdp_md *ctx)
{
	struct item *item = bpf_obj_new(struct item), *again;
	struct bpf_rb_node *node;

	if (!item)
		return 0;
	again = bpf_refcount_acquire(item);
	if (!again) {
		bpf_obj_drop(item);
		return 0;
	}
	plant(4);
	bpf_spin_lock(&lock);
	bpf_list_push_back(&list, &item->link);
	node = bpf_rbtree_remove(&tree, &again->place);
	bpf_spin_unlock(&lock);
	out[0] = node == NULL;
	if (node)
		bpf_obj_drop(container_of(node, struct item, place));
	bpf_obj_drop(again);
	return 2;
}
