"""The native structs of one emulated CPU and of a packet, each declared once (DESIGN: run state, frame pool, batch)."""

from __future__ import annotations

from xdpsim.memory.layout import U8, U32, U64, Struct

STACK_FRAME_BYTES = 512
"""MAX_BPF_STACK: what one call frame of a program may use."""
CALL_FRAMES = 8
"""MAX_CALL_FRAMES."""
MAX_TAIL_CALLS = 33
"""MAX_TAIL_CALL_CNT."""
STACK_BYTES = STACK_FRAME_BYTES * CALL_FRAMES * (MAX_TAIL_CALLS + 1)
"""Each tail call out of a subprogram starts a program that may nest as deep again."""

FRAME_BYTES = 4096
"""One frame of the pool: a page, as XDP drivers and BPF_PROG_TEST_RUN use."""
HEADROOM_BYTES = 256
"""XDP_PACKET_HEADROOM."""
XDP_FRAME_BYTES = 40
"""sizeof(struct xdp_frame): the part of the headroom that programs cannot have."""
SHARED_INFO_BYTES = 320
"""SKB_DATA_ALIGN(sizeof(struct skb_shared_info)): the tailroom that programs cannot have."""
LINEAR_END = FRAME_BYTES - SHARED_INFO_BYTES
"""Where the linear part of a packet ends at the latest, from the frame's start."""
LINEAR_BYTES = LINEAR_END - HEADROOM_BYTES
"""Longest packet that fits one frame: 3,520 bytes."""
MAX_FRAGS = 17
"""MAX_SKB_FRAGS."""

FRAG = Struct("frag", ("address", U64), ("length", U32), ("capacity", U32))
SHARED_INFO = Struct("shared_info", ("nr_frags", U32), ("frags_bytes", U32), ("frags", FRAG, MAX_FRAGS))

XDP_BUFF = Struct(
    "xdp_buff",
    ("data", U64),
    ("data_end", U64),
    ("data_meta", U64),
    ("data_hard_start", U64),
    ("frame_bytes", U32),
    ("has_frags", U32),
    ("ingress_ifindex", U32),
    ("rx_queue_index", U32),
    ("egress_ifindex", U32),
)
"""What an XDP program's r1 points to; the offsets that it uses are those of xdp_md, translated by the rows."""

REDIRECT = Struct("redirect", ("kind", U32), ("ifindex", U32), ("flags", U64), ("map", U64), ("key", U64))
"""The target that bpf_redirect and bpf_redirect_map leave behind (struct bpf_redirect_info)."""
REDIRECT_NONE, REDIRECT_IFINDEX, REDIRECT_MAP = 0, 1, 2

FAULT = Struct(
    "fault",
    ("code", U32),
    ("slot", U32),
    ("accessed", U64),  # an address, or what the kind says
    ("size", U32),
    ("is_write", U32),
    ("program", U32),  # the number of the program that `slot` is in
)

REGION = Struct(
    "region", ("start", U64), ("end", U64), ("stride", U64), ("valid", U64), ("is_writable", U64), ("number", U64)
)
"""A range that programs may touch: in each `stride` bytes from `start` on, the first `valid`."""

RUN_STATE = Struct(
    "run_state",
    ("ktime_ns", U64),
    ("tai_ns", U64),
    ("random", U64),
    ("cpu", U32),
    ("numa_node", U32),
    ("cpus", U32),
    ("tail_calls", U32),
    ("pending", U32),  # a Python helper left a fault whose slot its caller fills in
    ("running", U32),  # number of the program that called the Python helper
    ("insns", U64),
    ("budget", U64),
    ("regions", U64),  # address of the sorted REGION array
    ("region_count", U64),
    ("context", U64),  # what r1 holds when a program starts
    ("stack_low", U64),  # lowest address of the current function's stack frame: where the next one begins
    ("call_base", U64),  # where the running program's main function has its frame: calls are counted from there
    ("entries", U64),  # compiled programs: address of their entry points by number
    ("entry_count", U64),
    ("timer_ns", U64),  # when the first timer is due
    ("packet", U64),  # index of the packet in its batch, so that events find their packet
    ("fault", FAULT),
    ("redirect", REDIRECT),
    ("xdp", XDP_BUFF),
    ("scratch", U8, 512),
    ("stack", U8, STACK_BYTES),
)
