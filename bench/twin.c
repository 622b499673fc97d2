/* SPDX-License-Identifier: Apache-2.0
 *
 * The tasks of bench/programs.py as native C, looped as xdpsim loops a batch: a call a packet through a pointer, the
 * packet's limits and the verdict in memory, so that no compiler can hoist or vectorise the work away.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct packet {
	uint8_t *data, *end;
	uint32_t verdict;
};

struct entry {
	struct entry *next;
	uint32_t hash, key;
	uint64_t value;
};

#define BUCKETS 16384
static struct entry *table[BUCKETS];
static struct { uint64_t packets, bytes; } by_protocol[256], by_kind[4];

static uint16_t load16(const uint8_t *at) { uint16_t v; memcpy(&v, at, 2); return v; }
static uint32_t load32(const uint8_t *at) { uint32_t v; memcpy(&v, at, 4); return v; }

static uint32_t hash32(uint32_t key)
{
	uint64_t h = key * 0x9e3779b97f4a7c15ull;

	return h >> 32;
}

void twin_add(uint32_t key)
{
	struct entry *e = calloc(1, sizeof(*e));

	e->key = key;
	e->hash = hash32(key);
	e->next = table[e->hash % BUCKETS];
	table[e->hash % BUCKETS] = e;
}

static uint32_t twin_pass(struct packet *p) { (void)p; return 2; }

static uint32_t twin_parse(struct packet *p)
{
	const uint8_t *d = p->data;

	if (d + 42 > p->end || load16(d + 12) != 8 || d[14] != 0x45 || d[23] != 17 || load16(d + 36) == 0x5000)
		return 1;
	return 2;
}

static uint32_t twin_counter(struct packet *p)
{
	const uint8_t *d = p->data;
	uint64_t bytes = p->end - d;
	int kind = 2;

	if (d + 34 > p->end) {
		kind = 3;
	} else if (load16(d + 12) == 8) {
		by_protocol[d[23]].packets += 1;
		by_protocol[d[23]].bytes += bytes;
		kind = 0;
	} else if (load16(d + 12) == 0xdd86 && d + 54 <= p->end) {
		by_protocol[d[20]].packets += 1;
		by_protocol[d[20]].bytes += bytes;
		kind = 1;
	}
	__sync_fetch_and_add(&by_kind[kind].packets, 1);
	__sync_fetch_and_add(&by_kind[kind].bytes, bytes);
	return 2;
}

static uint32_t twin_acl(struct packet *p)
{
	const uint8_t *d = p->data;
	uint32_t key, hash;

	if (d + 34 > p->end || load16(d + 12) != 8)
		return 2;
	key = load32(d + 26);
	hash = hash32(key);
	for (struct entry *e = table[hash % BUCKETS]; e; e = e->next)
		if (e->hash == hash && e->key == key)
			return 1;
	return 2;
}

/* The kernel's binary trie (kernel/bpf/lpm_trie.c), without its locks. */
struct node {
	struct node *child[2];
	uint32_t length, is_fork, data;
	uint64_t value;
};

static struct node *root;

static uint32_t shared_bits(uint32_t a, uint32_t b, uint32_t most)
{
	uint32_t bits = a == b ? 32 : __builtin_clz(a ^ b);

	return bits < most ? bits : most;
}

void twin_add_prefix(uint32_t length, uint32_t key)
{
	uint32_t data = __builtin_bswap32(key), bits = 0;
	struct node **link = &root, *made = calloc(1, sizeof(*made)), *node;

	made->length = length;
	made->data = data;
	while ((node = *link)) {
		bits = shared_bits(node->data, data, node->length < length ? node->length : length);
		if (bits != node->length || node->length == length)
			break;
		link = &node->child[data >> (31 - node->length) & 1];
	}
	if (node && node->length == bits) {
		made->child[0] = node->child[0];
		made->child[1] = node->child[1];
		*link = made;
	} else if (node && bits == length) {
		made->child[node->data >> (31 - bits) & 1] = node;
		*link = made;
	} else if (node) {
		struct node *fork = calloc(1, sizeof(*fork));

		fork->length = bits;
		fork->data = node->data;
		fork->is_fork = 1;
		fork->child[node->data >> (31 - bits) & 1] = node;
		fork->child[data >> (31 - bits) & 1] = made;
		*link = fork;
	} else {
		*link = made;
	}
}

static uint32_t twin_lpm(struct packet *p)
{
	const uint8_t *d = p->data;
	const struct node *node = root, *found = NULL;
	uint32_t data;

	if (d + 34 > p->end || load16(d + 12) != 8)
		return 2;
	data = __builtin_bswap32(load32(d + 26));
	while (node && shared_bits(node->data, data, node->length) == node->length) {
		if (!node->is_fork)
			found = node;
		node = node->length < 32 ? node->child[data >> (31 - node->length) & 1] : NULL;
	}
	return found ? 1 : 2;
}

static uint32_t (*const tasks[])(struct packet *) = {twin_pass, twin_parse, twin_counter, twin_acl, twin_lpm};

/* Run task `number` `count` times over `packets` packets; the sum of the verdicts. */
uint64_t twin_run(int number, struct packet *batch, uint64_t packets, uint64_t count)
{
	uint32_t (*volatile task)(struct packet *) = tasks[number];
	uint64_t sum = 0;

	for (uint64_t n = 0; n < count; n++)
		for (uint64_t i = 0; i < packets; i++) {
			batch[i].verdict = task(&batch[i]);
			sum += batch[i].verdict;
		}
	return sum;
}
