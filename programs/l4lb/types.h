/* SPDX-License-Identifier: Apache-2.0
 *
 * What l4lb keeps: its maps, its settings, and what it knows of the packet at hand.
 */
#ifndef L4LB_TYPES_H
#define L4LB_TYPES_H

#include <xdpsim/bpf.h>
#include <xdpsim/net.h>

#define MAX_VIPS 16
#define MAX_REALS 256
#define RING_SIZE 61 /* a prime, as Maglev wants it; real use takes 65537 */
#define MAX_FLOWS 4096
#define MAX_PIECES 256
#define MAX_TAGS 2
#define LINK_MAX (sizeof(struct ethhdr) + MAX_TAGS * sizeof(struct vlan_hdr))
#define GUE_PORT 6080
#define IPPROTO_IPV6 41

/* Where the tunnels begin: 192.0.2.1 and 2001:db8:ffff::1. */
volatile const __be32 source4 = bpf_htonl(0xc0000201);
volatile const __be32 source6[4] = {bpf_htonl(0x20010db8), bpf_htonl(0xffff0000), 0, bpf_htonl(1)};
/* Balancers with the same seed send a flow to the same server. */
volatile const __u32 hash_seed = 0x9e3779b9;
/* The longest IP packet that the network towards the servers carries. */
volatile const __u32 mtu = 1500;

enum fate {
	FATE_OK = 0, /* while the packet is worked on */
	FATE_FORWARDED = 1,
	FATE_ECHOED = 2, /* an echo request for a virtual address, answered */
	FATE_TOO_BIG = 3, /* answered with the ICMP error that says what would fit */
	FATE_NOT_OURS = 4, /* no such virtual service: passed on, as all up to FATE_MALFORMED */
	FATE_NOT_IP = 5,
	FATE_NO_PORTS = 6,
	FATE_MALFORMED = 7, /* dropped, as all that follow */
	FATE_SHORT = 8,
	FATE_SOURCE_ROUTE = 9, /* RFC 5095 forbids IPv6 routing headers of type 0 */
	FATE_DEEP = 10, /* more extension headers than anybody sends */
	FATE_PIECE = 11, /* a fragment whose first one was not seen */
	FATE_NO_SERVER = 12,
	FATE_NO_ROOM = 13,
	FATE_MAX = 14,
};

struct service {
	struct in6_addr addr; /* IPv4 as ::ffff:a.b.c.d */
	__u16 port; /* as people write it; 0: every port that has no entry of its own */
	__u8 proto; /* ICMP or ICMPv6 with port 0: the balancer answers echo requests */
	__u8 pad;
};

#define VIP_GUE 1 /* tunnels in UDP (RFC 8086's sibling, GUE variant 1): routers spread them by port */
#define VIP_BY_CLIENT 2 /* all flows of a client go to one server */

struct vip {
	__u32 id;
	__u32 flags;
};

struct real {
	struct in6_addr addr; /* IPv4 as ::ffff:a.b.c.d: the tunnel is of the address's family */
	__u8 mac[ETH_ALEN];
	__u8 family; /* 4, 6, or 0: no server in this slot */
	__u8 pad;
};

/* Where packets of a flow or a fragmented packet go. */
struct target {
	__u32 real;
	__u32 vip;
	__u32 flags; /* of the vip */
};

struct flow_key {
	struct in6_addr client;
	struct in6_addr vip;
	__u16 client_port;
	__u16 vip_port;
	__u8 proto;
	__u8 pad[3];
};

struct piece_key {
	struct in6_addr client;
	struct in6_addr vip;
	__u32 id;
	__u32 proto;
};

struct stat {
	__u64 packets;
	__u64 bytes;
	__u64 flows; /* that no table knew */
	__u64 pieces; /* fragments */
	__u64 errors; /* ICMP errors passed to the server they are for */
};

enum kind {
	KIND_FLOW = 0,
	KIND_ERROR = 1, /* ICMP quotes a packet of the flow */
	KIND_ECHO = 2,
};

enum piece {
	PIECE_WHOLE = 0,
	PIECE_FIRST = 1,
	PIECE_LATER = 2, /* its ports are in another packet */
};

/* What is known of the packet at hand. */
struct packet {
	struct flow_key flow; /* for an ICMP error, that of the packet it quotes */
	__u32 id; /* of the fragmented packet */
	__u32 l4; /* bytes from the IP header to the transport header */
	__u16 bytes; /* of the IP packet */
	__u8 tags;
	__u8 family;
	__u8 tos;
	__u8 kind;
	__u8 piece;
	__u8 syn;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct service);
	__type(value, struct vip);
} vips SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_VIPS * RING_SIZE);
	__type(key, __u32);
	__type(value, __u32);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_REALS);
	__type(key, __u32);
	__type(value, struct real);
} reals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_FLOWS);
	__type(key, struct flow_key);
	__type(value, struct target);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_PIECES);
	__type(key, struct piece_key);
	__type(value, struct target);
} pieces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_VIPS);
	__type(key, __u32);
	__type(value, struct stat);
} stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FATE_MAX);
	__type(key, __u32);
	__type(value, __u64);
} fates SEC(".maps");

#endif
