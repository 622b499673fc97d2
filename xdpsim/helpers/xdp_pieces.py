"""The bytes of an XDP packet across its linear part and its frags, for helpers in Python.

Follows bpf_xdp_pointer() and bpf_xdp_copy_buf() in net/core/filter.c.
"""

from __future__ import annotations

from xdpsim.helpers.leases import Lease
from xdpsim.helpers.machine import Machine
from xdpsim.memory.structs import RUN_STATE, XDP_BUFF

_EINVAL, _EFAULT = 22, 14
_MOST = 0xFFFF
"""bpf_xdp_pointer looks at no offset and no length above."""
_XDP = RUN_STATE.offset("xdp")


def _word(machine: Machine, field: str) -> int:
    member = XDP_BUFF.members[field]
    at = machine.run_state.base + _XDP + member.offset
    return int.from_bytes(machine.run_state.buffer[at : at + member.width], "little")


def packet_pieces(machine: Machine) -> list[tuple[int, int]]:
    """Address and length of each part of the packet, the linear one first."""
    start = _word(machine, "data")
    pieces = [(start, _word(machine, "data_end") - start)]
    if _word(machine, "has_frags"):
        pieces += machine.pool.frags(_word(machine, "data_hard_start"))
    return pieces


def packet_bytes(machine: Machine) -> int:
    """How long the whole packet is."""
    return sum(length for _, length in packet_pieces(machine))


def range_error(machine: Machine, offset: int, length: int) -> int:
    """Why Linux does not look at [offset, offset + length) of the packet: a negative errno, or 0."""
    if offset > _MOST or length > _MOST:
        return -_EFAULT
    return -_EINVAL if offset + length > packet_bytes(machine) else 0


def load_packet(machine: Machine, offset: int, length: int) -> bytes | int:
    """Bytes of the packet, or a negative errno."""
    if error := range_error(machine, offset, length):
        return error
    view, base = machine.pool.block.view, machine.pool.block.address
    data = b"".join(view[at - base : at - base + size] for at, size in _parts(machine, offset, length))
    assert len(data) == length
    return data


def packet_head(machine: Machine, length: int) -> bytes:
    """The first `length` bytes of the packet, which has so many."""
    view, base = machine.pool.block.view, machine.pool.block.address
    return b"".join(view[at - base : at - base + size] for at, size in _parts(machine, 0, length))


def store_packet(machine: Machine, offset: int, data: bytes) -> int:
    """Write bytes of the packet: 0 or a negative errno."""
    if error := range_error(machine, offset, len(data)):
        return error
    view, base = machine.pool.block.view, machine.pool.block.address
    done = 0
    for at, size in _parts(machine, offset, len(data)):
        view[at - base : at - base + size] = data[done : done + size]
        done += size
    return 0


def _parts(machine: Machine, offset: int, length: int) -> list[tuple[int, int]]:
    """Address and length of each stretch that [offset, offset + length) consists of."""
    found = []
    for start, size in packet_pieces(machine):
        here = min(max(size - offset, 0), length)
        if here:
            found.append((start + offset, here))
            length -= here
        offset = max(offset - size, 0)
    return found


def packet_pointer(machine: Machine, offset: int, length: int) -> int:
    """Where [offset, offset + length) lies if that is in one part of the packet; 0 when it is not, or not there."""
    if range_error(machine, offset, length):
        return 0
    pieces = packet_pieces(machine)
    for number, (start, size) in enumerate(pieces):
        if offset < size:
            if offset + length > size:
                return 0
            if number:
                machine.part(OpenFrags).open(start, size)
            return start + offset
        offset -= size
    return pieces[0][0] if not offset and not length else 0


class OpenFrags:
    """Frags of the running packet that the program got a pointer into."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._leases: dict[int, Lease] = {}
        self._packet = (0, 0)

    def open(self, address: int, length: int) -> None:
        """Let the program touch a frag as long as this packet runs."""
        state = self._machine.run_state
        packet = state.packet, state.ktime_ns
        if packet != self._packet:
            self.close()
            self._packet = packet
        if address not in self._leases:
            block = self._machine.pool.block
            lease = Lease("packet's frag", block, address - block.address, length)
            self._leases[address] = lease
            self._machine.space.add(lease)

    def close(self) -> None:
        """The packet is gone."""
        for lease in self._leases.values():
            self._machine.space.remove(lease)
            lease.close()
        self._leases.clear()
