/* SPDX-License-Identifier: Apache-2.0 */
/* What a device knows of a packet. Linux loads such a program for one device only, so there is no TEST_RUN to compare. */
#include <xdpsim/bpf.h>
#include "kfuncs.h"

char LICENSE[] SEC("license") = "GPL";

extern int bpf_xdp_metadata_rx_timestamp(const struct xdp_md *ctx, __u64 *timestamp) __ksym;
extern int bpf_xdp_metadata_rx_hash(const struct xdp_md *ctx, __u32 *hash, __u32 *type) __ksym;
extern int bpf_xdp_metadata_rx_vlan_tag(const struct xdp_md *ctx, __be16 *protocol, __u16 *tci) __ksym;

__s64 errors[3];
__u64 timestamp;
__u32 hash, type;
__be16 protocol;
__u16 tci;

SEC("xdp") int own_metadata(struct xdp_md *ctx)
{
	__u64 when = 0;
	__u32 h = 0, t = 0;
	__be16 p = 0;
	__u16 v = 0;

	errors[0] = bpf_xdp_metadata_rx_timestamp(ctx, &when);
	errors[1] = bpf_xdp_metadata_rx_hash(ctx, &h, &t);
	errors[2] = bpf_xdp_metadata_rx_vlan_tag(ctx, &p, &v);
	timestamp = when;
	hash = h;
	type = t;
	protocol = p;
	tci = v;
	return 2;
}
