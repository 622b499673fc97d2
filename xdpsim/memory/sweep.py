"""Packets from the bytes of a pcap into a batch and verdicts out of it, without a Python object a packet.

`scan_records` does for the bytes behind a pcap's header what frames/pcap.py does one record at a time, and what the
datapath does with each record: the clock goes on, the packet gets its place. `tally_batch` counts what came out.
"""

from __future__ import annotations

from xdpsim.memory.batch import BATCH
from xdpsim.memory.layout import U64, Struct
from xdpsim.memory.native import native
from xdpsim.memory.raw import bswap32, copy, fill, load32, load64, store32, store64
from xdpsim.memory.structs import HEADROOM_BYTES, LINEAR_BYTES, LINEAR_END

SCAN = Struct(
    "scan",
    # what is read
    ("at", U64),  # address of the next record
    ("end", U64),  # behind the last byte that is there
    ("header_bytes", U64),
    ("tick_ns", U64),
    ("is_swapped", U64),
    ("snaplen", U64),
    ("longest", U64),  # a record that announces more is damage
    ("shortest", U64),  # a packet below that never reaches the program
    ("stops_short", U64),  # such packets are not only counted: the scan stops at them, as at long ones
    ("records", U64),  # how many were read
    ("limit", U64),  # and how many may be
    # the clock
    ("first_ns", U64),
    ("has_first", U64),
    ("start_ns", U64),
    ("ktime_ns", U64),
    ("tai_ns", U64),
    # where packets go
    ("frames", U64),  # addresses of frames to copy to; 0: packets stay where they are
    ("sources", U64),  # for each packet of the batch that was copied, where it stood;
    ("numbers", U64),  # for each packet of the batch the number of its record,
    ("lengths", U64),  # its length as captured
    ("wire_lengths", U64),  # and on the wire
    # packets that never run
    ("short_packets", U64),
    ("short_bytes", U64),
    ("short_first", U64),
)
"""What a scan goes by and where it stands."""
MORE, FULL, LONG, DAMAGED, LIMIT = range(5)
"""Why a scan stopped: no whole record is left, the batch is full, the next packet needs frags, damage, the limit."""

TALLIED = 8
TALLY = Struct("tally", ("packets", U64), ("bytes", U64), ("first", U64))
"""Of each verdict below TALLIED - 1, and of all others together; the insns of all packets come last."""

_AT, _SCAN_END, _HEADER, _TICK = (SCAN.offset(name) for name in ("at", "end", "header_bytes", "tick_ns"))
_SWAPPED, _SNAPLEN, _LONGEST, _SHORTEST = (
    SCAN.offset(name) for name in ("is_swapped", "snaplen", "longest", "shortest")
)
_STOPS_SHORT = SCAN.offset("stops_short")
_RECORDS, _LIMIT = SCAN.offset("records"), SCAN.offset("limit")
_FIRST, _HAS_FIRST, _START, _KTIME, _TAI = (
    SCAN.offset(name) for name in ("first_ns", "has_first", "start_ns", "ktime_ns", "tai_ns")
)
_FRAMES, _SOURCES = SCAN.offset("frames"), SCAN.offset("sources")
_NUMBERS, _LENGTHS, _WIRE = (SCAN.offset(name) for name in ("numbers", "lengths", "wire_lengths"))
_SHORT, _SHORT_BYTES, _SHORT_FIRST = (SCAN.offset(f"short_{name}") for name in ("packets", "bytes", "first"))

_B_FRAME, _B_KTIME, _B_TAI = (BATCH.offset(name) for name in ("frame", "ktime_ns", "tai_ns"))
_B_START, _B_LENGTH, _B_META = (BATCH.offset(name) for name in ("start", "length", "meta"))
_B_FRAGS = BATCH.offset("has_frags")
_B_VERDICT, _B_KIND, _B_INSNS = (BATCH.offset(name) for name in ("verdict", "redirect_kind", "insns"))
_SECOND = 1_000_000_000
_TALLY_BYTES, _T_BYTES, _T_FIRST = TALLY.size, TALLY.offset("bytes"), TALLY.offset("first")
_LAST = TALLIED - 1
_COUNT_BITS = 32


@native
def scan_word(address: int, is_swapped: int) -> int:
    """A 32-bit word of a record's header."""
    word = load32(address)
    return bswap32(word) if is_swapped else word


@native
def scan_copy(scan: int, batch: int, index: int, data: int, size: int) -> int:
    """Put packet `index` into a frame of its own; the frame. What the packet before has left there is cleared."""
    frame = load64(load64(scan + _FRAMES) + index * 8)
    fill(frame, 0, HEADROOM_BYTES)
    copy(frame + HEADROOM_BYTES, data, size)
    store64(frame + LINEAR_END, 0)
    store64(load64(scan + _SOURCES) + index * 8, data)
    store32(load64(batch + _B_START) + index * 4, HEADROOM_BYTES)
    store32(load64(batch + _B_META) + index * 4, 0)
    store32(load64(batch + _B_FRAGS) + index * 4, 0)
    store32(load64(batch + _B_KIND) + index * 4, 0)
    return frame


@native
def scan_short(scan: int, number: int, size: int) -> int:
    """Count a packet that is too short to run."""
    if load64(scan + _SHORT) == 0:
        store64(scan + _SHORT_FIRST, number)
    store64(scan + _SHORT, load64(scan + _SHORT) + 1)
    store64(scan + _SHORT_BYTES, load64(scan + _SHORT_BYTES) + size)
    return 0


@native
def scan_records(scan: int, batch: int, capacity: int) -> int:
    """Fill the batch from its start: the number of packets, and above bit 32 why it stopped.

    The clock goes on as net/clock.py has it. What is the same for all packets is in the batch already.
    """
    at = load64(scan + _AT)
    end = load64(scan + _SCAN_END)
    header = load64(scan + _HEADER)
    is_swapped = load64(scan + _SWAPPED)
    tick = load64(scan + _TICK)
    snaplen = load64(scan + _SNAPLEN)
    longest = load64(scan + _LONGEST)
    shortest = load64(scan + _SHORTEST)
    stops_short = load64(scan + _STOPS_SHORT)
    number = load64(scan + _RECORDS)
    limit = load64(scan + _LIMIT)
    start_ns = load64(scan + _START)
    ktime = load64(scan + _KTIME)
    tai = load64(scan + _TAI)
    first = load64(scan + _FIRST)
    has_first = load64(scan + _HAS_FIRST)
    copies = load64(scan + _FRAMES)
    frames = load64(batch + _B_FRAME)
    ktimes = load64(batch + _B_KTIME)
    tais = load64(batch + _B_TAI)
    lengths = load64(batch + _B_LENGTH)
    numbers = load64(scan + _NUMBERS)
    captured_lengths = load64(scan + _LENGTHS)
    wire_lengths = load64(scan + _WIRE)
    count = 0
    why = FULL
    while count < capacity:
        if number == limit:
            why = LIMIT
            break
        if end - at < header:
            why = MORE
            break
        captured = scan_word(at + 8, is_swapped)
        if captured > longest:
            why = DAMAGED
            break
        if end - at - header < captured:
            why = MORE
            break
        size = captured if captured < snaplen else snaplen
        if size > LINEAR_BYTES or (stops_short and size < shortest):
            why = LONG
            break
        number += 1
        if size < shortest:
            scan_short(scan, number, size)
        else:
            tai = scan_word(at, is_swapped) * _SECOND + scan_word(at + 4, is_swapped) * tick
            if has_first == 0:
                has_first = 1
                first = tai - (ktime - start_ns)
            passed = tai - first
            if passed >> 63 == 0 and start_ns + passed > ktime:
                ktime = start_ns + passed
            frame = at + header - HEADROOM_BYTES
            if copies:
                frame = scan_copy(scan, batch, count, at + header, size)
            store64(frames + count * 8, frame)
            store64(ktimes + count * 8, ktime)
            store64(tais + count * 8, tai)
            store32(lengths + count * 4, size)
            store64(numbers + count * 8, number)
            store32(captured_lengths + count * 4, size)
            store32(wire_lengths + count * 4, scan_word(at + 12, is_swapped))
            count += 1
        at += header + captured
    store64(scan + _AT, at)
    store64(scan + _RECORDS, number)
    store64(scan + _KTIME, ktime)
    store64(scan + _TAI, tai)
    store64(scan + _FIRST, first)
    store64(scan + _HAS_FIRST, has_first)
    return count | why << _COUNT_BITS


@native
def tally_batch(batch: int, start: int, end: int, numbers: int, lengths: int, tally: int) -> int:
    """Count packets [start, end) of a batch that ran, by verdict; `lengths` are those that they came with."""
    total = load64(tally + TALLIED * _TALLY_BYTES)
    verdicts = load64(batch + _B_VERDICT)
    insns = load64(batch + _B_INSNS)
    while start < end:
        verdict = load32(verdicts + start * 4)
        if verdict > _LAST:
            verdict = _LAST
        place = tally + verdict * _TALLY_BYTES
        packets = load64(place)
        if packets == 0:
            store64(place + _T_FIRST, load64(numbers + start * 8))
        store64(place, packets + 1)
        store64(place + _T_BYTES, load64(place + _T_BYTES) + load32(lengths + start * 4))
        total += load64(insns + start * 8)
        start += 1
    store64(tally + TALLIED * _TALLY_BYTES, total)
    return 0


WRITE = Struct(
    "write",
    ("numbers", U64),
    ("lengths", U64),
    ("wire_lengths", U64),
    ("interface", U64),
    ("out", U64),  # where the next block goes
    ("end", U64),  # behind the room for blocks
)
"""What blocks are written from, beside the batch."""
_W_LENGTHS, _W_WIRE, _W_INTERFACE, _W_OUT, _W_END = (
    WRITE.offset(name) for name in ("lengths", "wire_lengths", "interface", "out", "end")
)
MOST_BLOCK_BYTES = LINEAR_END + 64
_VERDICT_OPTION, _HOOK_XDP, _OPTIONS_BYTES, _HEAD_BYTES = 7 | 9 << 16, 2, 20, 28
_LAST_PLAIN = 3
"""XDP_TX: what comes behind it needs a word of comment."""


@native
def write_block(out: int, interface: int, time_ns: int, length: int, wire: int) -> int:
    """The head of a pcapng enhanced packet block, and its length at the end."""
    total = _HEAD_BYTES + (length + 3 & ~3) + _OPTIONS_BYTES + 4
    store32(out, 6)
    store32(out + 4, total)
    store32(out + 8, interface)
    store32(out + 12, time_ns >> 32)
    store32(out + 16, time_ns)
    store32(out + 20, length)
    store32(out + 24, wire)
    store32(out + total - 4, total)
    return total


@native
def write_batch(batch: int, index: int, end: int, write: int) -> int:
    """Write packets [index, end) with their verdicts as pcapng blocks; where it stopped.

    It stops at the end, when there is no room for a block, and at a packet of which more is to be said than a verdict:
    XDP_ABORTED by a fault is the caller's to know, redirects, unknown verdicts, metadata and frags are seen here.
    """
    frames = load64(batch + _B_FRAME)
    starts = load64(batch + _B_START)
    lengths = load64(batch + _B_LENGTH)
    verdicts = load64(batch + _B_VERDICT)
    times = load64(batch + _B_TAI)
    metas = load64(batch + _B_META)
    frags = load64(batch + _B_FRAGS)
    captured = load64(write + _W_LENGTHS)
    wires = load64(write + _W_WIRE)
    out = load64(write + _W_OUT)
    room = load64(write + _W_END)
    while index < end:
        verdict = load32(verdicts + index * 4)
        if verdict > _LAST_PLAIN or load32(metas + index * 4) or load32(frags + index * 4):
            break
        if room - out < MOST_BLOCK_BYTES:
            break
        length = load32(lengths + index * 4)
        was = load32(captured + index * 4)
        wire = load32(wires + index * 4)
        wire = length + wire - was if wire > was else length
        total = write_block(out, load64(write + _W_INTERFACE), load64(times + index * 8), length, wire)
        options = out + total - 4 - _OPTIONS_BYTES
        store32(options - 4, 0)  # the padding of the packet lies in here
        copy(out + _HEAD_BYTES, load64(frames + index * 8) + load32(starts + index * 4), length)
        store32(options, _VERDICT_OPTION)
        store64(options + 4, _HOOK_XDP | verdict << 8)
        store64(options + 12, 0)
        out += total
        index += 1
    store64(write + _W_OUT, out)
    return index
