/* SPDX-License-Identifier: Apache-2.0 */
/* bpf_iter_num, and the marks that do nothing. */
#include <xdpsim/bpf.h>
#include "kfuncs.h"

char LICENSE[] SEC("license") = "GPL";

__u64 out[8];
__s64 total, calls;

static __always_inline void walk(int start, int end)
{
	struct bpf_iter_num it;
	int *value;

	out[0] = bpf_iter_num_new(&it, start, end);
	while ((value = bpf_iter_num_next(&it))) {
		total = total * 3 + *value;
		calls++;
	}
	out[1] = (__u64)bpf_iter_num_next(&it);
	bpf_iter_num_destroy(&it);
}

#define WALK(name, start, end)                      \
	SEC("xdp") int num_##name(struct xdp_md *c) \
	{                                           \
		walk(start, end);                   \
		return 2;                           \
	}

WALK(five, 0, 5)
WALK(empty, 3, 3)
WALK(down, 3, 2)
WALK(negative, -4, 3)
WALK(high, 0x7ffffffc, 0x7fffffff)
WALK(low, -0x7fffffff - 1, -0x7ffffffd)
WALK(too_many, 0, (8 << 20) + 1)
WALK(far_too_many, -0x7fffffff - 1, 0x7fffffff)
WALK(most, 0x7fffffff, 0x7fffffff)

SEC("xdp") int num_break(struct xdp_md *c)
{
	struct bpf_iter_num it;
	int *value;

	bpf_iter_num_new(&it, 10, 1000);
	while ((value = bpf_iter_num_next(&it))) {
		calls++;
		if (*value == 14)
			break;
	}
	bpf_iter_num_destroy(&it);
	return 2;
}

SEC("xdp") int num_nested(struct xdp_md *c)
{
	struct bpf_iter_num it;
	int *value;

	bpf_iter_num_new(&it, 0, 4);
	while ((value = bpf_iter_num_next(&it)))
		walk(*value, 6);
	bpf_iter_num_destroy(&it);
	return 2;
}

SEC("xdp") int marks(struct xdp_md *c)
{
	unsigned long flags;

	bpf_rcu_read_lock();
	bpf_preempt_disable();
	bpf_local_irq_save(&flags);
	out[0]++;
	bpf_local_irq_restore(&flags);
	bpf_preempt_enable();
	bpf_rcu_read_unlock();
	return 2;
}
