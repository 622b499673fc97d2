"""SYN cookies without a socket: bpf_tcp_raw_gen_syncookie_ipv4 and its three relatives.

The cookie's make-up, its tables of segment sizes and its age limit are those of net/ipv4/syncookies.c and
net/ipv6/syncookies.c; the helpers are in net/core/filter.c. Linux draws its two secrets at random when it starts: here
they are fixed, so that a cookie depends on the packet and the virtual clock alone.
"""

from __future__ import annotations

from xdpsim.bits import M64
from xdpsim.helpers.rows import native_helper
from xdpsim.helpers.world import HZ, bpf_jiffies64
from xdpsim.memory.native import native
from xdpsim.memory.raw import bswap16, bswap32, copy, load8, load16, load32, load64, store32
from xdpsim.memory.structs import RUN_STATE

_EACCES = -13 & M64
_EINVAL = -22 & M64
_LOW32 = 0xFFFF_FFFF
_SCRATCH = RUN_STATE.offset("scratch")

_SIP0, _SIP1, _SIP2, _SIP3 = 0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573
_FIRST_SECRET = 0x9E3779B97F4A7C15
_SECOND_SECRET = 0xD1B54A32D192ED03
"""Two keys each, which differ in their second half by _KEY_STEP."""
_KEY_STEP = 0x632BE59BD9B4E019

_PERIOD_TICKS = 60 * HZ
"""TCP_SYNCOOKIE_PERIOD: the counter in a cookie grows once a minute."""
_MAX_AGE = 2
_COUNT_SHIFT = 24
"""COOKIEBITS: what is below the counter hides the index of the segment size."""
_DATA_MASK = 0xFF_FFFF
_NO_INDEX = 0xFFFF_FFFF
_SEGMENT_SIZES = 4

_TCP_BYTES = 20
_IPV4_ADDRESSES, _IPV4_ADDRESS_WORDS = 12, 1
_IPV6_ADDRESSES, _IPV6_ADDRESS_WORDS = 8, 4
_SEQ, _ACK, _DATA_OFFSET = 4, 8, 12
_OPTION_END, _OPTION_NOP, _OPTION_MSS, _OPTION_MSS_BYTES = 0, 1, 2, 4
_IPV4_DEFAULT_MSS = 536
_IPV6_DEFAULT_MSS = 1220


@native
def siphash_words(at: int, words: int, key0: int, key1: int) -> int:
    """SipHash-2-4 of `words` 64-bit words."""
    v0 = key0 ^ _SIP0
    v1 = key1 ^ _SIP1
    v2 = key0 ^ _SIP2
    v3 = key1 ^ _SIP3
    block = 0
    while block <= words + 1:
        message = 0
        rounds = 2
        if block < words:
            message = load64(at + block * 8)
        elif block == words:
            message = words << 59
        else:
            v2 = v2 ^ 0xFF
            rounds = 4
        v3 = v3 ^ message
        while rounds:
            v0 = v0 + v1
            v1 = ((v1 << 13) | (v1 >> 51)) ^ v0
            v0 = (v0 << 32) | (v0 >> 32)
            v2 = v2 + v3
            v3 = ((v3 << 16) | (v3 >> 48)) ^ v2
            v0 = v0 + v3
            v3 = ((v3 << 21) | (v3 >> 43)) ^ v0
            v2 = v2 + v1
            v1 = ((v1 << 17) | (v1 >> 47)) ^ v2
            v2 = (v2 << 32) | (v2 >> 32)
            rounds = rounds - 1
        v0 = v0 ^ message
        block = block + 1
    return v0 ^ v1 ^ v2 ^ v3


@native
def cookie_hash(rs: int, addresses: int, words: int, ports: int, count: int, secret: int) -> int:
    """32 bits that only the holder of the secret can tell from the addresses, the ports and the counter."""
    at = rs + _SCRATCH
    copy(at, addresses, words * 8)
    store32(at + words * 8, ports)
    store32(at + words * 8 + 4, count)
    return siphash_words(at, words + 1, secret, secret ^ _KEY_STEP) & _LOW32


@native
def cookie_time(rs: int) -> int:
    """Minutes since boot, as the counter in a cookie."""
    return (bpf_jiffies64(rs) // _PERIOD_TICKS) & _LOW32


@native
def make_cookie(rs: int, addresses: int, words: int, th: int, index: int) -> int:
    """The initial sequence number that holds `index`."""
    ports = load32(th)
    count = cookie_time(rs)
    hidden = (cookie_hash(rs, addresses, words, ports, count, _SECOND_SECRET) + index) & _DATA_MASK
    first = cookie_hash(rs, addresses, words, ports, 0, _FIRST_SECRET)
    return (first + bswap32(load32(th + _SEQ)) + (count << _COUNT_SHIFT) + hidden) & _LOW32


@native
def cookie_index(rs: int, addresses: int, words: int, th: int) -> int:
    """The index in the cookie that an ACK brings back, all ones if it is too old; a forged one gives any number."""
    ports = load32(th)
    cookie = bswap32(load32(th + _ACK)) - 1 - (bswap32(load32(th + _SEQ)) - 1)
    cookie = (cookie - cookie_hash(rs, addresses, words, ports, 0, _FIRST_SECRET)) & _LOW32
    count = cookie_time(rs)
    age = (count - (cookie >> _COUNT_SHIFT)) & (_LOW32 >> _COUNT_SHIFT)
    if age >= _MAX_AGE:
        return _NO_INDEX
    return (cookie - cookie_hash(rs, addresses, words, ports, (count - age) & _LOW32, _SECOND_SECRET)) & _DATA_MASK


@native
def tcp_mss_option(th: int, end: int) -> int:
    """The last maximum segment size that is not 0 among the options up to `end`, 0 without one."""
    at = th + _TCP_BYTES
    mss = 0
    while at < end:
        kind = load8(at)
        if kind == _OPTION_END:
            return mss
        if kind == _OPTION_NOP:
            at = at + 1
        else:
            if end - at < 2:
                return mss
            size = load8(at + 1)
            if size < 2 or size > end - at:
                return mss
            if kind == _OPTION_MSS and size == _OPTION_MSS_BYTES and load16(at + 2):
                mss = bswap16(load16(at + 2))
            at = at + size
    return mss


@native
def ipv4_segment_size(index: int) -> int:
    """msstab of net/ipv4/syncookies.c."""
    if index == 0:
        return 536
    if index == 1:
        return 1300
    return 1440 if index == 2 else 1460


@native
def ipv6_segment_size(index: int) -> int:
    """msstab of net/ipv6/syncookies.c."""
    if index == 0:
        return 1220
    if index == 1:
        return 1420
    return 1440 if index == 2 else 8940


@native
def segment_size(words: int, index: int) -> int:
    """The size behind an index, of the table for addresses of that many words."""
    return ipv4_segment_size(index) if words == _IPV4_ADDRESS_WORDS else ipv6_segment_size(index)


@native
def gen_syncookie(rs: int, addresses: int, words: int, th: int, th_len: int, default_mss: int) -> int:
    """Cookie and, in the upper half, the segment size that it holds; -EINVAL unless `th_len` is the header's length."""
    if th_len < _TCP_BYTES:
        return _EINVAL
    if th_len != (load8(th + _DATA_OFFSET) >> 4) * 4:
        return _EINVAL
    mss = tcp_mss_option(th, th + th_len)
    if mss == 0:
        mss = default_mss
    index = _SEGMENT_SIZES - 1
    while index and mss < segment_size(words, index):
        index = index - 1
    return make_cookie(rs, addresses, words, th, index) | (segment_size(words, index) << 32)


@native
def check_syncookie(rs: int, addresses: int, words: int, th: int) -> int:
    """0 when the ACK brings back a cookie of ours from the last two minutes, else -EACCES."""
    return 0 if cookie_index(rs, addresses, words, th) < _SEGMENT_SIZES else _EACCES


@native_helper(204)
def bpf_tcp_raw_gen_syncookie_ipv4(rs: int, iph: int, th: int, th_len: int) -> int:
    """The cookie for a SYN over IPv4, with the segment size in the upper half; -EINVAL for a wrong `th_len`."""
    th_len = th_len & _LOW32
    return gen_syncookie(rs, iph + _IPV4_ADDRESSES, _IPV4_ADDRESS_WORDS, th, th_len, _IPV4_DEFAULT_MSS)


@native_helper(205)
def bpf_tcp_raw_gen_syncookie_ipv6(rs: int, iph: int, th: int, th_len: int) -> int:
    """As tcp_raw_gen_syncookie_ipv4, over IPv6."""
    th_len = th_len & _LOW32
    return gen_syncookie(rs, iph + _IPV6_ADDRESSES, _IPV6_ADDRESS_WORDS, th, th_len, _IPV6_DEFAULT_MSS)


@native_helper(206)
def bpf_tcp_raw_check_syncookie_ipv4(rs: int, iph: int, th: int) -> int:
    """0 when the ACK brings back a cookie made by tcp_raw_gen_syncookie_ipv4 in the last two minutes, else -EACCES."""
    return check_syncookie(rs, iph + _IPV4_ADDRESSES, _IPV4_ADDRESS_WORDS, th)


@native_helper(207)
def bpf_tcp_raw_check_syncookie_ipv6(rs: int, iph: int, th: int) -> int:
    """As tcp_raw_check_syncookie_ipv4, over IPv6."""
    return check_syncookie(rs, iph + _IPV6_ADDRESSES, _IPV6_ADDRESS_WORDS, th)
