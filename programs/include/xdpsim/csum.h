/* SPDX-License-Identifier: Apache-2.0
 *
 * The Internet checksum (RFC 1071) and its incremental update (RFC 1624) over bpf_csum_diff.
 */
#ifndef XDPSIM_CSUM_H
#define XDPSIM_CSUM_H

#include <xdpsim/bpf.h>

/* Fold a sum to 16 bits and complement it: what goes into a header. */
static __always_inline __sum16 csum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__sum16)~sum;
}

/* A header's checksum after `from` (from_size bytes) in what it covers became `to`; sizes are multiples of four. */
static __always_inline __sum16 csum_replace(__sum16 check, void *from, __u32 from_size, void *to, __u32 to_size)
{
	return csum_fold((__u32)bpf_csum_diff(from, from_size, to, to_size, (__u16)~check));
}

/* The same for one 16-bit word. */
static __always_inline __sum16 csum_replace2(__sum16 check, __u16 from, __u16 to)
{
	return csum_fold((__u64)(__u16)~check + (__u16)~from + to);
}

#endif
