"""bpf_check_mtu for XDP programs. Follows bpf_xdp_check_mtu in net/core/filter.c."""

from __future__ import annotations

from xdpsim.bits import signed
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import helper
from xdpsim.memory.structs import RUN_STATE, XDP_BUFF
from xdpsim.tables.tables import Tables

_ENODEV, _EINVAL = 19, 22
BPF_MTU_CHK_RET_FRAG_NEEDED = 1
_ETHERNET_BYTES = 14
"""hard_header_len of every interface here, loopback included."""
_ETHERNET_MTU = 1500
_XDP = RUN_STATE.offset("xdp")


@helper(163, programs=("XDP",))
def bpf_check_mtu(machine: Machine, ctx: int, ifindex: int, mtu_len: int, len_diff: int, flags: int) -> int:
    """0 when the packet, `len_diff` bytes longer, fits the interface's MTU, which `*mtu_len` then holds; 1 when not.

    A `*mtu_len` that is not 0 is taken for the packet's length from the network header on; frags are not counted.
    """
    if flags:
        return -_EINVAL
    mtu = _mtu_of(machine, ifindex & 0xFFFF_FFFF)
    if mtu is None:
        return -_ENODEV
    given = int.from_bytes(machine.space.read(mtu_len, 4), "little")
    length = given + _ETHERNET_BYTES if given else _field(machine, "data_end", 8) - _field(machine, "data", 8)
    is_longer = signed(length + len_diff, 32) > mtu + _ETHERNET_BYTES
    machine.space.write(mtu_len, mtu.to_bytes(4, "little"))
    return BPF_MTU_CHK_RET_FRAG_NEEDED if is_longer else 0


def _mtu_of(machine: Machine, ifindex: int) -> int | None:
    """MTU of an interface, 0 being the packet's own, which exists whether it was declared or not."""
    ingress = _field(machine, "ingress_ifindex", 4)
    interface = machine.part(Tables).interfaces.get(ifindex or ingress)
    if interface is None:
        return _ETHERNET_MTU if ifindex in (0, ingress) else None
    return interface.mtu


def _field(machine: Machine, name: str, size: int) -> int:
    state = machine.run_state
    at = state.base + _XDP + XDP_BUFF.offset(name)
    return int.from_bytes(state.buffer[at : at + size], "little")
