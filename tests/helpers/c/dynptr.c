/* SPDX-License-Identifier: Apache-2.0 */
/* Dynptrs over values and over packets, with and without frags. */
#include <xdpsim/bpf.h>
#include "kfuncs.h"

char LICENSE[] SEC("license") = "GPL";

__u64 out[16];
__u8 bytes[32];

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8[40]);
} array SEC(".maps");

static __u8 *value(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&array, &key);
}

SEC("xdp") int mem(struct xdp_md *ctx)
{
	struct bpf_dynptr ptr;
	__u64 word = 0x0102030405060708ULL, read = 0;
	__u8 *memory = value(), *at;

	if (!memory)
		return 0;
	out[0] = bpf_dynptr_from_mem(memory, 40, 0, &ptr);
	out[1] = bpf_dynptr_size(&ptr);
	out[2] = bpf_dynptr_write(&ptr, 0, &word, 8, 0);
	out[3] = bpf_dynptr_write(&ptr, 32, &word, 8, 0);
	out[4] = bpf_dynptr_write(&ptr, 33, &word, 8, 0);
	out[5] = bpf_dynptr_write(&ptr, 40, &word, 0, 0);
	out[6] = bpf_dynptr_write(&ptr, 41, &word, 0, 0);
	out[7] = bpf_dynptr_write(&ptr, 8, &word, 8, 1);
	out[8] = bpf_dynptr_read(&read, 8, &ptr, 30, 0);
	out[9] = read;
	out[10] = bpf_dynptr_read(&read, 8, &ptr, 33, 0);
	out[11] = bpf_dynptr_read(&read, 8, &ptr, 0, 1);
	out[12] = bpf_dynptr_write(&ptr, 1ULL << 40, &word, 8, 0);
	out[13] = bpf_dynptr_write(&ptr, -1ULL, &word, 8, 0);
	at = bpf_dynptr_data(&ptr, 10, 5);
	if (at)
		at[4] = 0xee;
	out[14] = bpf_dynptr_data(&ptr, 36, 5) == NULL;
	out[15] = bpf_dynptr_is_rdonly(&ptr) + 2 * bpf_dynptr_is_null(&ptr) + 4;
	return 2;
}

SEC("xdp") int mem_errors(struct xdp_md *ctx)
{
	struct bpf_dynptr ptr;
	__u64 word = 5;
	__u8 *memory = value();

	if (!memory)
		return 0;
	out[0] = bpf_dynptr_from_mem(memory, 8, 1, &ptr);
	out[1] = bpf_dynptr_size(&ptr);
	out[2] = bpf_dynptr_is_null(&ptr);
	out[3] = bpf_dynptr_write(&ptr, 0, &word, 8, 0);
	out[4] = bpf_dynptr_read(&word, 8, &ptr, 0, 0);
	out[5] = bpf_dynptr_data(&ptr, 0, 1) == NULL;
	out[6] = bpf_dynptr_adjust(&ptr, 0, 0);
	out[7] = bpf_dynptr_is_rdonly(&ptr);
	out[8] = bpf_dynptr_from_mem(memory, 0, 0, &ptr);
	out[9] = bpf_dynptr_size(&ptr);
	out[10] = bpf_dynptr_is_null(&ptr);
	return 2;
}

SEC("xdp") int adjust(struct xdp_md *ctx)
{
	struct bpf_dynptr ptr, twin;
	__u64 word = 0x1112131415161718ULL;
	__u8 *memory = value(), *at;

	if (!memory)
		return 0;
	bpf_dynptr_from_mem(memory, 40, 0, &ptr);
	out[0] = bpf_dynptr_clone(&ptr, &twin);
	out[1] = bpf_dynptr_adjust(&ptr, 8, 24);
	out[2] = bpf_dynptr_size(&ptr);
	out[3] = bpf_dynptr_adjust(&ptr, 4, 3);
	out[4] = bpf_dynptr_adjust(&ptr, 0, 17);
	out[5] = bpf_dynptr_adjust(&ptr, 17, 17);
	out[6] = bpf_dynptr_adjust(&ptr, 4, 12);
	out[7] = bpf_dynptr_size(&ptr);
	out[8] = bpf_dynptr_write(&ptr, 0, &word, 8, 0);
	out[9] = bpf_dynptr_write(&ptr, 1, &word, 8, 0);
	out[10] = bpf_dynptr_size(&twin);
	out[11] = bpf_dynptr_adjust(&ptr, 8, 8);
	out[12] = bpf_dynptr_size(&ptr);
	at = bpf_dynptr_slice(&twin, 12, bytes, 8);
	if (at)
		out[13] = at[7];
	at = bpf_dynptr_slice_rdwr(&twin, 20, bytes, 4);
	if (at)
		at[0] = 0x99;
	return 2;
}

SEC("xdp") int copies(struct xdp_md *ctx)
{
	struct bpf_dynptr mem, packet;
	__u8 *memory = value();

	if (!memory)
		return 0;
	bpf_dynptr_from_mem(memory, 40, 0, &mem);
	bpf_dynptr_from_xdp(ctx, 0, &packet);
	out[0] = bpf_dynptr_copy(&mem, 4, &packet, 10, 20);
	out[1] = bpf_dynptr_copy(&packet, 0, &mem, 8, 16);
	out[2] = bpf_dynptr_copy(&packet, 60, &mem, 8, 16);
	out[3] = bpf_dynptr_copy(&mem, 0, &packet, 60, 16);
	out[4] = bpf_dynptr_memset(&mem, 36, 4, 0x5a);
	out[5] = bpf_dynptr_memset(&packet, 40, 8, 0xa5);
	out[6] = bpf_dynptr_memset(&packet, 60, 8, 0xa5);
	/* overlapping */
	out[7] = bpf_dynptr_copy(&mem, 6, &mem, 4, 20);
	return 2;
}

SEC("xdp") int packet(struct xdp_md *ctx)
{
	struct bpf_dynptr ptr;
	__u64 word = 0x0102030405060708ULL, read = 0;
	__u8 *at;

	out[0] = bpf_dynptr_from_xdp(ctx, 0, &ptr);
	out[1] = bpf_dynptr_size(&ptr);
	out[2] = bpf_dynptr_write(&ptr, 3, &word, 8, 0);
	out[3] = bpf_dynptr_read(&read, 8, &ptr, 56, 0);
	out[4] = read;
	out[5] = bpf_dynptr_read(&read, 8, &ptr, 57, 0);
	out[6] = bpf_dynptr_write(&ptr, 3, &word, 8, 1);
	out[7] = bpf_dynptr_is_rdonly(&ptr);
	at = bpf_dynptr_slice(&ptr, 14, bytes, 20);
	if (at)
		out[8] = at[0] + at[19] * 256;
	at = bpf_dynptr_slice_rdwr(&ptr, 40, bytes, 4);
	if (at)
		at[3] = 0x77;
	out[9] = bpf_dynptr_slice(&ptr, 61, bytes, 4) == NULL;
	out[10] = bpf_dynptr_slice(&ptr, 14, NULL, 20) != NULL;
	out[11] = bpf_dynptr_adjust(&ptr, 14, 34);
	out[12] = bpf_dynptr_size(&ptr);
	out[13] = bpf_dynptr_read(&read, 8, &ptr, 4, 0);
	out[14] = read;
	return 2;
}

/* Offsets of more than 32 bits. */
SEC("xdp") int wide(struct xdp_md *ctx)
{
	struct bpf_dynptr mem, packet;
	__u64 word = 0x0102030405060708ULL;
	__u8 *memory = value();

	if (!memory)
		return 0;
	bpf_dynptr_from_mem(memory, 40, 0, &mem);
	bpf_dynptr_from_xdp(ctx, 0, &packet);
	out[0] = bpf_dynptr_slice(&mem, (1ULL << 32) + 2, bytes, 4) == NULL;
	out[1] = bpf_dynptr_slice_rdwr(&packet, (1ULL << 32) + 2, bytes, 4) == NULL;
	out[2] = bpf_dynptr_copy(&mem, (1ULL << 32) + 4, &packet, 10, 4);
	out[3] = bpf_dynptr_copy(&mem, 4, &packet, (1ULL << 32) + 10, 4);
	out[4] = bpf_dynptr_copy(&mem, 4, &packet, 10, (1ULL << 32) + 4);
	out[5] = bpf_dynptr_memset(&mem, (1ULL << 32) + 4, 3, 7);
	out[6] = bpf_dynptr_memset(&mem, 12, (1ULL << 32) + 3, 7);
	out[7] = bpf_dynptr_data(&mem, (1ULL << 32) + 20, 4) == NULL;
	out[8] = bpf_dynptr_read(bytes, 4, &mem, (1ULL << 32) + 4, 0);
	out[9] = bpf_dynptr_adjust(&mem, 1ULL << 32, (1ULL << 32) + 2);
	out[10] = bpf_dynptr_adjust(&mem, 0, (1ULL << 32) + 2);
	out[11] = bpf_dynptr_size(&mem);
	return 2;
}

/* Past what Linux looks at in a packet. */
SEC("xdp.frags") int packet_far(struct xdp_md *ctx)
{
	struct bpf_dynptr ptr;
	__u8 *at;

	bpf_dynptr_from_xdp(ctx, 0, &ptr);
	out[0] = bpf_dynptr_size(&ptr);
	out[1] = bpf_dynptr_read(bytes, 8, &ptr, 65000, 0);
	out[2] = bpf_dynptr_write(&ptr, 66000, bytes, 8, 0);
	at = bpf_dynptr_slice(&ptr, 3520, bytes, 8);
	if (at)
		out[3] = at[0];
	at = bpf_dynptr_slice(&ptr, 5999, bytes, 1);
	if (at)
		out[4] = at[0] + 1;
	out[5] = bpf_dynptr_slice(&ptr, 6000, bytes, 1) == NULL;
	out[6] = bpf_dynptr_memset(&ptr, 3500, 40, 0x31);
	return 2;
}

SEC("xdp") int packet_flags(struct xdp_md *ctx)
{
	struct bpf_dynptr ptr;
	__u64 word = 0;

	out[0] = bpf_dynptr_from_xdp(ctx, 1, &ptr);
	out[1] = bpf_dynptr_is_null(&ptr);
	out[2] = bpf_dynptr_read(&word, 8, &ptr, 0, 0);
	out[3] = bpf_dynptr_slice(&ptr, 0, bytes, 4) == NULL;
	return 2;
}

SEC("xdp.frags") int packet_frags(struct xdp_md *ctx)
{
	struct bpf_dynptr ptr;
	__u64 word = 0x0102030405060708ULL, read = 0;
	__u8 *at;

	out[0] = bpf_dynptr_from_xdp(ctx, 0, &ptr);
	out[1] = bpf_dynptr_size(&ptr);
	out[2] = bpf_dynptr_read(&read, 8, &ptr, 3516, 0);
	out[3] = read;
	out[4] = bpf_dynptr_write(&ptr, 3517, &word, 8, 0);
	out[5] = bpf_dynptr_write(&ptr, 5990, &word, 8, 0);
	out[6] = bpf_dynptr_write(&ptr, 5993, &word, 8, 0);
	/* in a frag, across, across without a buffer, past the end */
	at = bpf_dynptr_slice_rdwr(&ptr, 4000, bytes, 8);
	if (at) {
		out[7] = at[0];
		at[1] = 0x55;
		out[8] = at != bytes;
	}
	at = bpf_dynptr_slice(&ptr, 3515, bytes, 10);
	if (at) {
		out[9] = at[9];
		out[10] = at == bytes;
	}
	out[11] = bpf_dynptr_slice(&ptr, 3515, NULL, 10) == NULL;
	out[12] = bpf_dynptr_slice(&ptr, 5999, bytes, 2) == NULL;
	out[13] = bpf_dynptr_data(&ptr, 0, 4) == NULL;
	return 2;
}
