/* SPDX-License-Identifier: Apache-2.0 */
/* Ring buffers, perf events, and maps without keys. */
#include <xdpsim/bpf.h>
#include "kfuncs.h"

char LICENSE[] SEC("license") = "GPL";

__u64 out[12];

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
	__uint(max_entries, 4);
} perf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 3);
	__type(value, __u64);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 3);
	__type(value, __u64);
} stack SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 100);
	__type(value, __u64);
} filter SEC(".maps");

struct record {
	__u64 a;
	__u32 b;
	__u32 c;
};

SEC("xdp") int ring_output(struct xdp_md *ctx)
{
	struct record r = { 1, 2, 3 };

	out[0] = bpf_ringbuf_output(&ring, &r, sizeof(r), 0);
	out[1] = bpf_ringbuf_output(&ring, &r, 3, 0);
	out[2] = bpf_ringbuf_output(&ring, &r, 8, 1);
	out[3] = bpf_ringbuf_output(&ring, &r, 9, 2);
	out[4] = bpf_ringbuf_output(&ring, &r, 8, 4);
	out[5] = bpf_ringbuf_output(&ring, &r, 8, 1ULL << 32);
	out[6] = bpf_ringbuf_output(&ring, &r, 0, 0);
	out[7] = bpf_ringbuf_query(&ring, 0);
	out[8] = bpf_ringbuf_query(&ring, 1);
	out[9] = bpf_ringbuf_query(&ring, 2);
	out[10] = bpf_ringbuf_query(&ring, 3);
	out[11] = bpf_ringbuf_query(&ring, 4);
	return 2;
}

SEC("xdp") int ring_reserve(struct xdp_md *ctx)
{
	struct record *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0), *second, *third;

	if (!r)
		return 0;
	r->a = 7;
	r->b = 8;
	r->c = 9;
	second = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!second) {
		bpf_ringbuf_discard(r, 0);
		return 0;
	}
	second->a = 17;
	second->b = 18;
	second->c = 19;
	bpf_ringbuf_submit(second, 0);
	out[0] = bpf_ringbuf_query(&ring, 0);
	bpf_ringbuf_submit(r, 2);
	third = bpf_ringbuf_reserve(&ring, 4, 0);
	if (third)
		bpf_ringbuf_discard(third, 0);
	third = bpf_ringbuf_reserve(&ring, 4, 1);
	out[1] = third == NULL;
	if (third)
		bpf_ringbuf_discard(third, 0);
	third = bpf_ringbuf_reserve(&ring, 4096, 0);
	out[2] = third == NULL;
	if (third)
		bpf_ringbuf_discard(third, 0);
	out[3] = bpf_ringbuf_query(&ring, 3);
	return 2;
}

static long put(__u32 index, void *context)
{
	struct record r = { index, index, index };

	return bpf_ringbuf_output(&ring, &r, sizeof(r), 0) != 0;
}

SEC("xdp") int ring_full(struct xdp_md *ctx)
{
	struct record r = {};

	out[0] = bpf_loop(1000, put, NULL, 0);
	out[1] = bpf_ringbuf_output(&ring, &r, sizeof(r), 0);
	out[2] = bpf_ringbuf_output(&ring, &r, 0, 0);
	out[3] = bpf_ringbuf_query(&ring, 0);
	return 2;
}

SEC("xdp") int ring_dynptr(struct xdp_md *ctx)
{
	struct bpf_dynptr ptr;
	__u32 size = ctx->data_end - ctx->data;
	__u64 word = 0x1122334455667788ULL;
	__u8 *data;

	out[0] = bpf_ringbuf_reserve_dynptr(&ring, size, 0, &ptr);
	out[1] = bpf_dynptr_size(&ptr);
	out[2] = bpf_dynptr_write(&ptr, 0, &word, 8, 0);
	out[3] = bpf_dynptr_write(&ptr, 8, &word, 8, 0);
	out[4] = bpf_dynptr_memset(&ptr, 16, size - 16, 0xab);
	data = bpf_dynptr_data(&ptr, 20, 4);
	if (data)
		data[1] = 1;
	out[5] = bpf_dynptr_write(&ptr, size - 7, &word, 8, 0);
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	return 2;
}

SEC("xdp") int ring_dynptr_discard(struct xdp_md *ctx)
{
	struct bpf_dynptr ptr;

	out[0] = bpf_ringbuf_reserve_dynptr(&ring, 100, 0, &ptr);
	bpf_ringbuf_discard_dynptr(&ptr, 0);
	out[1] = bpf_ringbuf_query(&ring, 3);
	out[2] = bpf_ringbuf_reserve_dynptr(&ring, 5000, 0, &ptr);
	out[3] = bpf_dynptr_size(&ptr);
	bpf_ringbuf_discard_dynptr(&ptr, 0);
	out[4] = bpf_ringbuf_reserve_dynptr(&ring, 10, 1, &ptr);
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	out[5] = bpf_ringbuf_reserve_dynptr(&ring, 1 << 24, 0, &ptr);
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	out[6] = bpf_ringbuf_reserve_dynptr(&ring, 1 << 24, 1, &ptr);
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	return 2;
}

#define SAMPLE(name, flags)                                              \
	SEC("xdp") int perf_##name(struct xdp_md *ctx)                   \
	{                                                                \
		struct { __u32 a, b, c; } s = { 1, 2, 3 };               \
		out[0] = bpf_perf_event_output(ctx, &perf, flags, &s, 12); \
		return 2;                                                \
	}

#define CURRENT 0xffffffffULL
SAMPLE(current, CURRENT)
SAMPLE(cpu0, 0)
SAMPLE(cpu1, 1)
SAMPLE(no_event, 3)
SAMPLE(past, 4)
SAMPLE(packet, CURRENT | 16ULL << 32)
SAMPLE(packet_all, CURRENT | 64ULL << 32)
SAMPLE(packet_too_long, CURRENT | 65ULL << 32)
SAMPLE(packet_too_long_and_past, 4 | 65ULL << 32)
SAMPLE(flag_bit, CURRENT | 1ULL << 52)
SAMPLE(flag_high, CURRENT | 1ULL << 63)

SEC("xdp.frags") int perf_frags(struct xdp_md *ctx)
{
	__u32 mark = 0xabcd;

	out[0] = bpf_perf_event_output(ctx, &perf, CURRENT | 4000ULL << 32, &mark, 4);
	return 2;
}

SEC("xdp") int perf_empty(struct xdp_md *ctx)
{
	__u32 mark = 0xabcd;

	out[0] = bpf_perf_event_output(ctx, &perf, CURRENT | 4ULL << 32, &mark, 0);
	return 2;
}

struct perf_value {
	__u64 counter, enabled, running;
};

SEC("xdp") int perf_read(struct xdp_md *ctx)
{
	struct perf_value value = { 1, 2, 3 };

	out[0] = bpf_perf_event_read(&perf, CURRENT);
	out[1] = bpf_perf_event_read(&perf, 0);
	out[2] = bpf_perf_event_read(&perf, 1);
	out[3] = bpf_perf_event_read(&perf, 3);
	out[4] = bpf_perf_event_read(&perf, 4);
	out[5] = bpf_perf_event_read(&perf, 1ULL << 32);
	out[6] = bpf_perf_event_read_value(&perf, CURRENT, (void *)&value, 24);
	out[7] = value.counter;
	value.running = 5;
	out[8] = bpf_perf_event_read_value(&perf, 3, (void *)&value, 24);
	out[9] = value.running;
	return 2;
}

SEC("xdp") int perf_read_errors(struct xdp_md *ctx)
{
	struct perf_value value = { 1, 2, 3 };

	out[0] = bpf_perf_event_read_value(&perf, CURRENT, (void *)&value, 16);
	out[1] = value.counter;
	out[2] = value.running;
	out[3] = bpf_perf_event_read_value(&perf, 1ULL << 32, (void *)&value, 24);
	out[4] = bpf_perf_event_read_value(&perf, 4, (void *)&value, 24);
	out[5] = bpf_perf_event_read_value(&perf, 1, (void *)&value, 24);
	return 2;
}

#define KEYLESS(map)                                                \
	SEC("xdp") int map##_all(struct xdp_md *ctx)                \
	{                                                           \
		__u64 value = 99;                                   \
								    \
		out[0] = bpf_map_pop_elem(&map, &value);            \
		out[1] = value;                                     \
		for (int i = 0; i < 4; i++) {                       \
			__u64 fresh = i * 5 + 1;                    \
			out[2] = out[2] * 16 + bpf_map_push_elem(&map, &fresh, 0); \
		}                                                   \
		value = 77;                                         \
		out[3] = bpf_map_push_elem(&map, &value, 2);        \
		out[4] = bpf_map_push_elem(&map, &value, 1);        \
		out[5] = bpf_map_push_elem(&map, &value, 4);        \
		out[6] = bpf_map_peek_elem(&map, &value);           \
		out[7] = value;                                     \
		for (int i = 0; i < 4; i++) {                       \
			out[8] = bpf_map_pop_elem(&map, &value);    \
			out[9] = out[9] * 100 + value;              \
		}                                                   \
		out[10] = bpf_map_peek_elem(&map, &value);          \
		return 2;                                           \
	}

KEYLESS(queue)
KEYLESS(stack)

SEC("xdp") int filter_all(struct xdp_md *ctx)
{
	__u64 value = 12;

	out[0] = bpf_map_peek_elem(&filter, &value);
	out[1] = bpf_map_push_elem(&filter, &value, 0);
	out[2] = bpf_map_peek_elem(&filter, &value);
	out[3] = bpf_map_push_elem(&filter, &value, 1);
	out[4] = value;
	return 2;
}
