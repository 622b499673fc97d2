/* SPDX-License-Identifier: Apache-2.0
 *
 * Headers of the protocols that the programs read, written from the RFCs, with the field names that Linux uses.
 * Multi-byte fields are in network byte order (__be16, __be32, __sum16).
 */
#ifndef XDPSIM_NET_H
#define XDPSIM_NET_H

#include <xdpsim/bpf.h>

#define ETH_ALEN 6
#define ETH_P_IP 0x0800
#define ETH_P_ARP 0x0806
#define ETH_P_TEB 0x6558
#define ETH_P_8021Q 0x8100
#define ETH_P_IPV6 0x86dd
#define ETH_P_8021AD 0x88a8

#define IPPROTO_HOPOPTS 0
#define IPPROTO_ICMP 1
#define IPPROTO_IPIP 4
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ROUTING 43
#define IPPROTO_FRAGMENT 44
#define IPPROTO_GRE 47
#define IPPROTO_ESP 50
#define IPPROTO_AH 51
#define IPPROTO_ICMPV6 58
#define IPPROTO_NONE 59
#define IPPROTO_DSTOPTS 60

/* IEEE 802.3 */
struct ethhdr {
	__u8 h_dest[ETH_ALEN];
	__u8 h_source[ETH_ALEN];
	__be16 h_proto;
};

/* IEEE 802.1Q: what follows the EtherType of a tag. */
struct vlan_hdr {
	__be16 h_vlan_TCI;
	__be16 h_vlan_encapsulated_proto;
};
#define VLAN_VID_MASK 0x0fff

/* RFC 826, without the addresses. */
struct arphdr {
	__be16 ar_hrd;
	__be16 ar_pro;
	__u8 ar_hln;
	__u8 ar_pln;
	__be16 ar_op;
};

/* RFC 791 */
struct iphdr {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	__u8 ihl : 4;
	__u8 version : 4;
#else
	__u8 version : 4;
	__u8 ihl : 4;
#endif
	__u8 tos;
	__be16 tot_len;
	__be16 id;
	__be16 frag_off;
	__u8 ttl;
	__u8 protocol;
	__sum16 check;
	__be32 saddr;
	__be32 daddr;
};
#define IP_DF 0x4000
#define IP_MF 0x2000
#define IP_OFFSET 0x1fff

/* RFC 4291: an address as bytes or as words. */
struct in6_addr {
	union {
		__u8 u6_addr8[16];
		__be32 u6_addr32[4];
	} in6_u;
};

/* RFC 8200 */
struct ipv6hdr {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	__u8 priority : 4;
	__u8 version : 4;
#else
	__u8 version : 4;
	__u8 priority : 4;
#endif
	__u8 flow_lbl[3];
	__be16 payload_len;
	__u8 nexthdr;
	__u8 hop_limit;
	struct in6_addr saddr;
	struct in6_addr daddr;
};

/* RFC 8200 section 4: hop-by-hop, routing and destination options; hdrlen counts 8 bytes beyond the first 8. */
struct ipv6_opt_hdr {
	__u8 nexthdr;
	__u8 hdrlen;
};

/* RFC 8200 section 4.5 */
struct frag_hdr {
	__u8 nexthdr;
	__u8 reserved;
	__be16 frag_off;
	__be32 identification;
};
#define IP6_OFFSET 0xfff8

/* RFC 9293 */
struct tcphdr {
	__be16 source;
	__be16 dest;
	__be32 seq;
	__be32 ack_seq;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	__u16 res1 : 4;
	__u16 doff : 4;
	__u16 fin : 1;
	__u16 syn : 1;
	__u16 rst : 1;
	__u16 psh : 1;
	__u16 ack : 1;
	__u16 urg : 1;
	__u16 ece : 1;
	__u16 cwr : 1;
#else
	__u16 doff : 4;
	__u16 res1 : 4;
	__u16 cwr : 1;
	__u16 ece : 1;
	__u16 urg : 1;
	__u16 ack : 1;
	__u16 psh : 1;
	__u16 rst : 1;
	__u16 syn : 1;
	__u16 fin : 1;
#endif
	__be16 window;
	__sum16 check;
	__be16 urg_ptr;
};

/* RFC 9293 section 3.1, RFC 7323, RFC 2018, RFC 2385: kinds of TCP options. */
#define TCPOPT_EOL 0
#define TCPOPT_NOP 1
#define TCPOPT_MSS 2
#define TCPOPT_WINDOW 3
#define TCPOPT_SACK_PERM 4
#define TCPOPT_SACK 5
#define TCPOPT_TIMESTAMP 8
#define TCPOPT_MD5SIG 19
#define TCPOLEN_MSS 4

/* RFC 791 section 3.1: kinds of IPv4 options. */
#define IPOPT_END 0
#define IPOPT_NOOP 1
#define IPOPT_LSRR 131
#define IPOPT_SSRR 137

/* RFC 768 */
struct udphdr {
	__be16 source;
	__be16 dest;
	__be16 len;
	__sum16 check;
};

/* RFC 792 */
struct icmphdr {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be32 rest;
};
#define ICMP_ECHOREPLY 0
#define ICMP_ECHO 8

/* RFC 4443 */
struct icmp6hdr {
	__u8 icmp6_type;
	__u8 icmp6_code;
	__sum16 icmp6_cksum;
	__be32 icmp6_rest;
};
#define ICMPV6_ECHO_REQUEST 128
#define ICMPV6_ECHO_REPLY 129

/* RFC 1035 section 4.1.1 */
struct dnshdr {
	__be16 id;
	__be16 flags;
	__be16 qdcount;
	__be16 ancount;
	__be16 nscount;
	__be16 arcount;
};
#define DNS_RESPONSE 0x8000

/* RFC 2784, RFC 2890: four bytes, then checksum, key and sequence number (four bytes each) as the flags say. */
struct gre_base_hdr {
	__be16 flags;
	__be16 protocol;
};
#define GRE_CSUM 0x8000
#define GRE_ROUTING 0x4000
#define GRE_KEY 0x2000
#define GRE_SEQ 0x1000
#define GRE_VERSION 0x0007

/* RFC 3550 section 5.1, then cc contributors of four bytes each. */
struct rtphdr {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	__u8 cc : 4;
	__u8 extension : 1;
	__u8 padding : 1;
	__u8 version : 2;
	__u8 type : 7;
	__u8 marker : 1;
#else
	__u8 version : 2;
	__u8 padding : 1;
	__u8 extension : 1;
	__u8 cc : 4;
	__u8 marker : 1;
	__u8 type : 7;
#endif
	__be16 sequence;
	__be32 timestamp;
	__be32 ssrc;
};

/* RFC 3550 section 5.3.1: length counts words of four bytes behind this one. */
struct rtp_ext_hdr {
	__be16 profile;
	__be16 length;
};

#endif
