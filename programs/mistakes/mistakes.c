/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs that Linux refuses, one typical mistake each, and what comes beside them: `xdpsim verify` says what is wrong.
 */
#include <xdpsim/bpf.h>
#include <xdpsim/net.h>

struct counter {
	__u64 packets;
	__u64 bytes;
	char name[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct counter);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct counter);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct locked {
	struct bpf_spin_lock lock;
	__u64 hits;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct locked);
} guarded SEC(".maps");

const volatile __u32 limit = 10;

#define opaque(variable) asm volatile("" : "+r"(variable))

/* Reads the Ethernet header of packets that may be shorter. */
SEC("xdp")
int no_bounds_check(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	return eth->h_proto == bpf_htons(ETH_P_IP) ? XDP_PASS : XDP_DROP;
}

/* Compares the end of the Ethernet header, reads on into the IP header. */
SEC("xdp")
int short_bounds_check(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	if (eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	return ip->protocol == IPPROTO_UDP ? XDP_DROP : XDP_PASS;
}

/* Uses what a lookup returned without comparing it with NULL. */
SEC("xdp")
int no_null_check(struct xdp_md *ctx)
{
	__u32 key = ctx->ingress_ifindex;
	struct counter *found = bpf_map_lookup_elem(&counters, &key);

	found->packets += 1;
	return XDP_PASS;
}

/* Keeps a packet pointer over a call that moves the packet. */
SEC("xdp")
int stale_pointer(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	if (bpf_xdp_adjust_head(ctx, -4))
		return XDP_DROP;
	eth->h_proto = 0;
	return XDP_TX;
}

/* An offset that comes from the packet, and may be anything up to 255. */
SEC("xdp")
int unbounded_index(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 key = 0;
	struct counter *found;

	if (data + 1 > end)
		return XDP_PASS;
	found = bpf_map_lookup_elem(&table, &key);
	if (!found)
		return XDP_PASS;
	found->name[data[0]] = 1;
	return XDP_PASS;
}

/* Reads bytes of its stack that nobody wrote: refused without CAP_PERFMON only. */
SEC("socket")
int uninitialised_stack(struct __sk_buff *skb)
{
	char unset[16];

	opaque(skb);
	bpf_skb_load_bytes(skb, 0, unset, 8);
	return unset[12];
}

/* Reads a variable that only one of two branches has set. */
SEC("xdp")
__attribute__((naked)) int unset_register(void)
{
	asm volatile("r2 = *(u32 *)(r1 + 12);"
		     "if r2 == 1 goto 1f;"
		     "r0 = 2;"
		     "1: exit;");
}

/* A loop whose end the packet decides, and which is too long. */
SEC("xdp")
int endless_loop(struct xdp_md *ctx)
{
	__u32 i = 0;

	while (ctx->rx_queue_index != 7)
		asm volatile("" : "+r"(i));
	return XDP_PASS;
}

/* A loop with a bound far above what can be walked. */
SEC("xdp")
int long_loop(struct xdp_md *ctx)
{
	(void)ctx;
	__u64 sum = 0;

	for (__u32 i = 0; i < 2000000; i++) {
		asm volatile("" : "+r"(sum));
		sum += i;
	}
	return sum & 1;
}

/* Reserves a record and forgets it on one path. */
SEC("xdp")
int leaked_record(struct xdp_md *ctx)
{
	__u64 *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);

	if (!record)
		return XDP_PASS;
	if (ctx->rx_queue_index == 3)
		return XDP_DROP;
	*record = 1;
	bpf_ringbuf_submit(record, 0);
	return XDP_PASS;
}

/* Uses a record after it was submitted. */
SEC("xdp")
int used_after_submit(struct xdp_md *ctx)
{
	(void)ctx;
	__u64 *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);

	if (!record)
		return XDP_PASS;
	bpf_ringbuf_submit(record, 0);
	*record = 1;
	return XDP_PASS;
}

/* Calls a helper that is for skbs only. */
SEC("xdp")
int wrong_helper(struct xdp_md *ctx)
{
	char bytes[4] = {};

	return bpf_skb_load_bytes((void *)ctx, 0, bytes, sizeof(bytes)) ? XDP_DROP : XDP_PASS;
}

/* Looks up a ring buffer as if it were a hash. */
SEC("xdp")
int wrong_map(struct xdp_md *ctx)
{
	(void)ctx;
	__u32 key = 0;

	return bpf_map_lookup_elem(&events, &key) ? XDP_DROP : XDP_PASS;
}

/* Returns with a lock held. */
SEC("xdp")
int forgotten_unlock(struct xdp_md *ctx)
{
	__u32 key = 0;
	struct locked *found = bpf_map_lookup_elem(&guarded, &key);

	if (!found)
		return XDP_PASS;
	bpf_spin_lock(&found->lock);
	found->hits += 1;
	if (ctx->rx_queue_index)
		return XDP_DROP;
	bpf_spin_unlock(&found->lock);
	return XDP_PASS;
}

/* Writes a field of the context that programs may only read. */
SEC("xdp")
int written_context(struct xdp_md *ctx)
{
	ctx->rx_queue_index = 1;
	return XDP_PASS;
}

/* Writes a constant. */
SEC("xdp")
int written_constant(struct xdp_md *ctx)
{
	(void)ctx;
	*(volatile __u32 *)&limit = 20;
	return XDP_PASS;
}

/* Passes a length that may be larger than the buffer. */
SEC("tc")
int unbounded_length(struct __sk_buff *skb)
{
	char bytes[64];
	__u32 length = skb->len;

	if (bpf_skb_load_bytes(skb, 0, bytes, length))
		return TC_ACT_OK;
	opaque(length);
	return bytes[0] == 4 ? TC_ACT_SHOT : TC_ACT_OK;
}

/* Needs more stack than there is. */
static __attribute__((noinline)) int deep(struct xdp_md *ctx, int seed)
{
	volatile char bytes[320];

	bytes[seed & 255] = seed;
	bytes[0] = ctx->rx_queue_index;
	return bytes[0];
}

SEC("xdp")
int deep_stack(struct xdp_md *ctx)
{
	volatile char bytes[320];

	bytes[ctx->ingress_ifindex & 255] = 1;
	bytes[0] = 1;
	return deep(ctx, bytes[0]) + bytes[0];
}

/* Returns what no hook of this kind knows. */
SEC("cgroup_skb/ingress")
int wrong_return(struct __sk_buff *skb)
{
	return skb->len;
}

/* Checks one pointer, and uses another with an offset of its own. */
SEC("xdp")
int other_pointer(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 length;

	if (data + 1 > end)
		return XDP_PASS;
	length = data[0] & 15;
	if (data + 14 + 20 > end)
		return XDP_PASS;
	return data[14 + length * 4] == 6 ? XDP_DROP : XDP_PASS;
}

/* Multiplies a pointer, in effect. */
SEC("xdp")
__attribute__((naked)) int pointer_arithmetic(void)
{
	asm volatile("r2 = *(u32 *)(r1 + 0);"
		     "r2 <<= 1;"
		     "r0 = 2;"
		     "exit;");
}

/* The packet's bounds compared and all accesses inside them. */
SEC("xdp")
int right(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	__u32 key = ctx->ingress_ifindex;
	struct counter *found;

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	found = bpf_map_lookup_elem(&counters, &key);
	if (found)
		found->packets += 1;
	return eth->h_proto == bpf_htons(ETH_P_IP) ? XDP_PASS : XDP_DROP;
}

/* Attaches to a function of the kernel: nothing that xdpsim verifies. */
SEC("kprobe/do_unlinkat")
int traced(void *ctx)
{
	(void)ctx;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
