/* SPDX-License-Identifier: Apache-2.0 */
/* bpf_throw, from the program and from a function, with and without a function that catches. */
#include <xdpsim/bpf.h>
#include "kfuncs.h"

char LICENSE[] SEC("license") = "GPL";

__u64 out[8];

SEC("xdp") int throw_zero(struct xdp_md *c)
{
	out[0]++;
	bpf_throw(0);
	out[1]++;
	return 2;
}

SEC("xdp") int throw_cookie(struct xdp_md *c)
{
	bpf_throw(3);
	return 2;
}

SEC("xdp") int throw_wide(struct xdp_md *c)
{
	bpf_throw(0x500000001ULL);
	return 2;
}

__noinline __u64 deeper(__u64 value)
{
	if (value > 60)
		bpf_throw(value);
	out[2]++;
	return value;
}

__noinline __u64 deep(__u64 value)
{
	__u64 got = deeper(value);

	out[3]++;
	return got + 1;
}

SEC("xdp") int throw_from_function(struct xdp_md *c)
{
	out[0] = deep(c->data_end - c->data);
	return 2;
}

SEC("xdp") int no_throw(struct xdp_md *c)
{
	out[0] = deep(c->data_end - c->data - 30);
	return 2;
}

__noinline int caught(__u64 cookie)
{
	out[4] = cookie;
	return cookie == 64 ? 3 : 1;
}

SEC("xdp") __exception_cb(caught) int throw_caught(struct xdp_md *c)
{
	out[0]++;
	bpf_throw(64);
	return 2;
}

SEC("xdp") __exception_cb(caught) int throw_caught_from_function(struct xdp_md *c)
{
	out[0] = deep(c->data_end - c->data + 1);
	return 2;
}

SEC("xdp") __exception_cb(caught) int caught_not_needed(struct xdp_md *c)
{
	out[0] = deep(5);
	return 2;
}
