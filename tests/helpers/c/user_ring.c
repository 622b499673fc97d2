/* SPDX-License-Identifier: Apache-2.0 */
/* bpf_user_ringbuf_drain. Each program finds the records that the tests feed: 8, 3, 0 and 20 bytes. */
#include <xdpsim/bpf.h>
#include "kfuncs.h"

char LICENSE[] SEC("license") = "GPL";

__u64 out[8];
__u64 seen;

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} fed SEC(".maps");

static long take(struct bpf_dynptr *record, __u64 *stop)
{
	__u64 word = 0;
	__u8 *data;

	seen = seen * 1000 + bpf_dynptr_size(record);
	out[1] += bpf_dynptr_read(&word, 3, record, 0, 0);
	out[2] = out[2] * 31 + word;
	data = bpf_dynptr_data(record, 0, 8);
	if (data)
		out[3] += data[7];
	return *stop == bpf_dynptr_size(record);
}

#define DRAIN(name, stop_at, flags)                                     \
	SEC("xdp") int drain_##name(struct xdp_md *ctx)                 \
	{                                                               \
		__u64 stop = stop_at;                                   \
		out[0] = bpf_user_ringbuf_drain(&fed, take, &stop, flags); \
		return 2;                                               \
	}

DRAIN(all, 99, 0)
DRAIN(first, 8, 0)
DRAIN(second, 3, 0)
DRAIN(no_wakeup, 99, 1)
DRAIN(force_wakeup, 99, 2)
DRAIN(flags, 99, 4)

SEC("xdp") int drain_again(struct xdp_md *ctx)
{
	__u64 stop = 3;

	out[0] = bpf_user_ringbuf_drain(&fed, take, &stop, 0);
	out[4] = bpf_user_ringbuf_drain(&fed, take, &stop, 0);
	out[5] = bpf_user_ringbuf_drain(&fed, take, &stop, 0);
	return 2;
}
