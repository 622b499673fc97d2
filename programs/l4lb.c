/* SPDX-License-Identifier: Apache-2.0
 *
 * A layer-4 load balancer for the edge of a network: TCP and UDP services over IPv4 and IPv6, behind up to two VLAN
 * tags, with IPv4 options and IPv6 extension headers. Packets leave through the interface they came in by, in a tunnel
 * to the server of their flow: IPIP, IP in IPv6, or either in UDP. The servers answer clients themselves.
 *
 * Fragments follow their first one, ICMP errors the flow they quote. Echo requests for virtual addresses are answered
 * here, as are packets that would not fit into the tunnel: with "fragmentation needed" and "packet too big".
 *
 *   vips    address, port, protocol -> virtual service
 *   ring    RING_SIZE slots for each service, each with the index of a server (Maglev; see make_presets.py)
 *   reals   servers; slot 0 stays empty
 *   flows   the server of each flow seen: it keeps it when the ring changes
 *   pieces  the server of each fragmented packet
 *   stats   per service, per CPU
 *   fates   packets by enum fate
 */
#include "l4lb/choose.h"
#include "l4lb/icmp.h"
#include "l4lb/parse.h"
#include "l4lb/tunnel.h"
#include "l4lb/types.h"

static __noinline int finish(enum fate fate)
{
	__u32 key = fate;
	__u64 *slot = bpf_map_lookup_elem(&fates, &key);

	if (slot)
		__sync_fetch_and_add(slot, 1);
	if (fate <= FATE_TOO_BIG)
		return XDP_TX;
	return fate >= FATE_MALFORMED ? XDP_DROP : XDP_PASS;
}

static __always_inline enum fate balance(struct xdp_md *ctx)
{
	struct packet packet = {};
	struct target to = {};
	struct real *real;
	enum fate fate;
	__u32 hash, more;

	fate = parse(ctx, &packet);
	if (fate != FATE_OK)
		return fate;
	if (packet.kind == KIND_ECHO)
		return packet.piece == PIECE_WHOLE ? echo(ctx, &packet) : FATE_NO_PORTS;
	fate = choose(&packet, &to, &hash);
	if (fate != FATE_OK)
		return fate;
	real = bpf_map_lookup_elem(&reals, &to.real);
	if (!real || !real->family)
		return FATE_NO_SERVER;
	more = overhead(real, to.flags);
	if (packet.bytes + more > mtu)
		return too_big(ctx, &packet, mtu - more);
	return forward(ctx, &packet, real, to.flags, hash);
}

SEC("xdp")
int xdp_l4lb(struct xdp_md *ctx)
{
	return finish(balance(ctx));
}

char LICENSE[] SEC("license") = "Apache-2.0";
