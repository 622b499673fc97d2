/* SPDX-License-Identifier: Apache-2.0
 *
 * Measures flows and exports their records through a ring buffer, as IPFIX meters do (RFC 5102, RFC 7011).
 *
 *   flows    the flows at hand; the least recently used ones make room for new ones
 *   records  ring buffer of struct record: what ended (FIN, RST), fell silent, or has gone on for long
 *   totals   by enum total
 *
 * Time stands still between packets here: a flow that falls silent is exported when its next packet comes, or never.
 * A consumer that polls `flows` for old ones makes up for that.
 */
#include <xdpsim/bpf.h>
#include <xdpsim/flow.h>

#define NSEC_PER_SEC 1000000000ULL
#define TCP_FIN 0x01
#define TCP_RST 0x04

enum total {
	TOTAL_PACKETS = 0,
	TOTAL_FLOWS = 1,
	TOTAL_EXPORTED = 2,
	TOTAL_LOST = 3, /* records that found no room */
	TOTAL_IGNORED = 4, /* packets that belong to no flow: fragments, other protocols, short ones */
	TOTAL_UNTRACKED = 5, /* packets whose flow found no room */
	TOTAL_MAX = 6,
};

/* Why a record was written: flowEndReason of RFC 5102. */
enum end_reason {
	END_IDLE = 1,
	END_ACTIVE = 2,
	END_DETECTED = 3,
};

/* A flow silent for so long is over; one that goes on is exported so often. */
volatile const __u64 idle_seconds = 15;
volatile const __u64 active_seconds = 60;

struct counts {
	__u64 first_ns;
	__u64 last_ns;
	__u64 packets;
	__u64 bytes; /* of IP packets */
	__u32 tcp_flags; /* of all packets together */
	__u32 pad;
};

struct record {
	struct flow flow;
	struct counts counts;
	__u32 reason; /* enum end_reason */
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct flow);
	__type(value, struct counts);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TOTAL_MAX);
	__type(key, __u32);
	__type(value, __u64);
} totals SEC(".maps");

static __noinline int count(enum total total)
{
	__u32 key = total;
	__u64 *slot = bpf_map_lookup_elem(&totals, &key);

	if (slot)
		++*slot;
	return XDP_PASS;
}

static __always_inline void export(const struct flow *flow, const struct counts *counts, enum end_reason reason)
{
	struct record *record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);

	if (!record) {
		count(TOTAL_LOST);
		return;
	}
	record->flow = *flow;
	record->counts = *counts;
	record->reason = reason;
	record->pad = 0;
	bpf_ringbuf_submit(record, 0);
	count(TOTAL_EXPORTED);
}

/* The flow begins, or begins anew, with this packet. */
static __always_inline void start(struct counts *counts, __u64 now)
{
	counts->first_ns = now;
	counts->packets = 0;
	counts->bytes = 0;
	counts->tcp_flags = 0;
	counts->pad = 0;
}

static __always_inline int measure(const struct flow *flow, const struct flow_headers *at)
{
	struct counts *counts = bpf_map_lookup_elem(&flows, flow);
	__u64 now = bpf_ktime_get_ns();
	struct counts fresh = {};

	if (!counts) {
		start(&fresh, now);
		if (bpf_map_update_elem(&flows, flow, &fresh, BPF_NOEXIST))
			return count(TOTAL_UNTRACKED);
		count(TOTAL_FLOWS);
		counts = bpf_map_lookup_elem(&flows, flow);
		if (!counts)
			return count(TOTAL_UNTRACKED);
	} else if (now - counts->last_ns > idle_seconds * NSEC_PER_SEC) {
		export(flow, counts, END_IDLE);
		start(counts, now);
	} else if (now - counts->first_ns > active_seconds * NSEC_PER_SEC) {
		export(flow, counts, END_ACTIVE);
		start(counts, now);
	}
	counts->last_ns = now;
	counts->packets++;
	counts->bytes += at->bytes;
	counts->tcp_flags |= at->tcp_flags;
	if (at->tcp_flags & (TCP_FIN | TCP_RST)) {
		export(flow, counts, END_DETECTED);
		bpf_map_delete_elem(&flows, flow);
	}
	return count(TOTAL_PACKETS);
}

SEC("xdp")
int xdp_flow_export(struct xdp_md *ctx)
{
	struct flow_headers at = {};
	struct flow flow = {};

	if (flow_parse(ctx, &flow, &at) != FLOW_OK)
		return count(TOTAL_IGNORED);
	return measure(&flow, &at);
}

char LICENSE[] SEC("license") = "Apache-2.0";
