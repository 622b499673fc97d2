"""Kernel functions of XDP programs: what the device knows of a packet, the kernel's context, linear data.

What a device would say comes with `prog.run(packet, rx_timestamp=...)`; as loopback, it otherwise says nothing. Follows
bpf_xdp_metadata_rx_timestamp() and its neighbours in net/core/xdp.c.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdpsim.bits import M32
from xdpsim.helpers.kern_ctx import KernelContext
from xdpsim.helpers.kinds import Arg, Ret
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import BadArgument, kfunc
from xdpsim.helpers.xdp_pull import xdp_pull_data

_EOPNOTSUPP = 95


@dataclass(slots=True)
class RxMetadata:
    """What the device says of the packet: nanoseconds; hash and XDP_RSS_TYPE_* bits; VLAN protocol and TCI."""

    timestamp: int | None = None
    hash: tuple[int, int] | None = None
    vlan_tag: tuple[int, int] | None = None


class Device:
    """The device that packets come from."""

    def __init__(self, machine: Machine) -> None:
        self.metadata = RxMetadata()


def _write(machine: Machine, number: int, address: int, value: int, width: int) -> None:
    if not machine.space.writable(address, width):
        raise BadArgument(number)
    machine.space.write(address, (value & (1 << 8 * width) - 1).to_bytes(width, "little"))


@kfunc(args=(Arg.CTX, Arg.ANYTHING), returns=Ret.INTEGER)
def bpf_xdp_metadata_rx_timestamp(machine: Machine, ctx: int, timestamp: int) -> int:
    """When the packet came, in nanoseconds; -EOPNOTSUPP when the device does not say."""
    found = machine.part(Device).metadata.timestamp
    if found is None:
        return -_EOPNOTSUPP
    _write(machine, 2, timestamp, found, 8)
    return 0


@kfunc(args=(Arg.CTX, Arg.ANYTHING, Arg.ANYTHING), returns=Ret.INTEGER)
def bpf_xdp_metadata_rx_hash(machine: Machine, ctx: int, hash: int, rss_type: int) -> int:
    """The device's hash and over what it is; -EOPNOTSUPP when the device does not say."""
    found = machine.part(Device).metadata.hash
    if found is None:
        return -_EOPNOTSUPP
    _write(machine, 2, hash, found[0], 4)
    _write(machine, 3, rss_type, found[1], 4)
    return 0


@kfunc(args=(Arg.CTX, Arg.ANYTHING, Arg.ANYTHING), returns=Ret.INTEGER)
def bpf_xdp_metadata_rx_vlan_tag(machine: Machine, ctx: int, protocol: int, tci: int) -> int:
    """The tag that the device took off, its protocol in network order; -EOPNOTSUPP when the device does not say."""
    found = machine.part(Device).metadata.vlan_tag
    if found is None:
        return -_EOPNOTSUPP
    _write(machine, 2, protocol, int.from_bytes(found[0].to_bytes(2, "big"), "little"), 2)
    _write(machine, 3, tci, found[1], 2)
    return 0


@kfunc(args=(Arg.CTX,), returns=Ret.BTF_ID, copies_context=True)
def bpf_cast_to_kern_ctx(machine: Machine, ctx: int) -> int:
    """The kernel's struct xdp_buff of the packet."""
    copied = machine.part(KernelContext)
    copied.fill()
    return copied.address


@kfunc(args=(Arg.CTX, Arg.ANYTHING), returns=Ret.INTEGER, moves_packet=True)
def bpf_xdp_pull_data(machine: Machine, ctx: int, length: int) -> int:
    """Have the first `length` bytes of the packet linear; -EINVAL past its end or what its frame can hold."""
    return xdp_pull_data(ctx, length & M32)
