"""The kernel's own struct xdp_buff as XDP programs reach it through bpf_cast_to_kern_ctx, with the device behind it.

It is a copy of the context, in the layout of the shipped Linux types, made anew whenever the program looks at it, or
in native code whenever the packet has moved. Of
the receive queue only device and number are there, of the device only its number: the rest cannot be touched.
"""

from __future__ import annotations

from xdpsim.helpers.machine import Machine
from xdpsim.memory.arena import Block
from xdpsim.memory.layout import View
from xdpsim.memory.space import Piece, Region
from xdpsim.memory.structs import RUN_STATE, XDP_BUFF
from xdpsim.tables.kernel_structs import member_at, place, size_of

_HAS_FRAGS = 1
"""XDP_FLAGS_HAS_FRAGS."""
_SHARED = ("data", "data_end", "data_meta", "data_hard_start")
_QUEUE_AT, _DEVICE_AT = 256, 1024


KNOWN_MEMBERS = {
    "xdp_buff": ("data", "data_end", "data_meta", "data_hard_start", "rxq", "frame_sz", "flags"),
    "xdp_rxq_info": ("dev", "queue_index"),
    "net_device": ("ifindex",),
}
"""What is there of the kernel's structs."""


class KernelContext:
    """The structs of one machine."""

    def __init__(self, machine: Machine) -> None:
        state = machine.run_state
        at = RUN_STATE.offset("xdp")
        self._context = View(XDP_BUFF, state.buffer, state.base + at, state.address + at)
        self._block = Block(4096, "kernel context")
        ifindex, txq = place("net_device", "ifindex"), place("xdp_buff", "txq")
        queue_end = place("xdp_rxq_info", "queue_index")
        for name, offset, size in (
            ("struct xdp_buff", 0, txq.offset),
            ("struct xdp_buff", txq.offset + txq.width, size_of("xdp_buff") - txq.offset - txq.width),
            ("struct xdp_rxq_info", _QUEUE_AT, queue_end.offset + queue_end.width),
            ("struct net_device.ifindex", _DEVICE_AT + ifindex.offset, ifindex.width),
        ):
            machine.space.add(_Copied(self, name, self._block, offset, size))

    @property
    def address(self) -> int:
        """Where the struct xdp_buff lies."""
        return self._block.address

    def missing_at(self, address: int) -> str:
        """The member at an address that programs cannot touch; empty outside of the structs."""
        at = address - self.address
        for base, name in ((_DEVICE_AT, "net_device"), (_QUEUE_AT, "xdp_rxq_info"), (0, "xdp_buff")):
            if base <= at < base + size_of(name):
                return member_at(name, at - base)
        return ""

    def fill(self) -> None:
        """Bring the copy up to date."""
        context, queue, device = self._context, self.address + _QUEUE_AT, self.address + _DEVICE_AT
        for name in _SHARED:
            self._put(0, "xdp_buff", name, getattr(context, name))
        self._put(0, "xdp_buff", "rxq", queue)
        self._put(0, "xdp_buff", "frame_sz", context.frame_bytes)
        self._put(0, "xdp_buff", "flags", _HAS_FRAGS if context.has_frags else 0)
        self._put(_QUEUE_AT, "xdp_rxq_info", "dev", device)
        self._put(_QUEUE_AT, "xdp_rxq_info", "queue_index", context.rx_queue_index)
        self._put(_DEVICE_AT, "net_device", "ifindex", context.ingress_ifindex)

    def _put(self, base: int, struct_name: str, member: str, value: int) -> None:
        where = place(struct_name, member)
        at = base + where.offset
        self._block.view[at : at + where.width] = value.to_bytes(where.width, "little")


class _Copied(Region):
    """Read-only memory that is filled when it is looked at; nobody keeps a piece of it."""

    __slots__ = ("_source",)

    def __init__(self, source: KernelContext, name: str, block: Block, offset: int, size: int) -> None:
        super().__init__(name, block, offset=offset, valid=size, writable=False)
        self._source = source

    def piece_at(self, addr: int, size: int) -> Piece | None:
        """All of it, for one access."""
        if addr < self.start or addr + size > self.end:
            return None
        self._source.fill()
        return Piece(self.name, 1, 0, self.block.address, self.block.view, writable=False)
