"""The connection tracking table: entries in both directions, with timeouts in ticks.

An entry's native record has the layout of struct nf_conn; status, timeout and mark live only there, as programs change
them. Follows net/netfilter/nf_conntrack_core.c. Entries are made by users and by programs, never by packets: nothing
tracks the traffic itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntFlag
from ipaddress import ip_address

from xdpsim.bits import M32, signed
from xdpsim.tables.kernel_structs import size_of
from xdpsim.tables.records import Memory, Record, RecordPool

ORIGINAL, REPLY = 0, 1
BOTH_DIRECTIONS = 3
"""NF_CT_DEFAULT_ZONE_DIR: a zone that holds for original and reply alike."""


class Ips(IntFlag):
    """IPS_*: the bits of nf_conn's status."""

    EXPECTED = 1 << 0
    SEEN_REPLY = 1 << 1
    ASSURED = 1 << 2
    CONFIRMED = 1 << 3
    SRC_NAT = 1 << 4
    DST_NAT = 1 << 5
    SEQ_ADJUST = 1 << 6
    SRC_NAT_DONE = 1 << 7
    DST_NAT_DONE = 1 << 8
    DYING = 1 << 9
    FIXED_TIMEOUT = 1 << 10
    TEMPLATE = 1 << 11
    NAT_CLASH = 1 << 12
    HELPER = 1 << 13
    OFFLOAD = 1 << 14
    HW_OFFLOAD = 1 << 15


@dataclass(frozen=True, slots=True)
class Tuple:
    """One direction of a connection: packed addresses, ports as numbers, and the families' own numbers."""

    family: int
    protocol: int
    src: bytes
    sport: int
    dst: bytes
    dport: int

    @property
    def inverse(self) -> Tuple:
        """The other direction."""
        return replace(self, src=self.dst, sport=self.dport, dst=self.src, dport=self.sport)


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone, and the directions (1 original, 2 reply) in which it holds."""

    id: int = 0
    directions: int = BOTH_DIRECTIONS

    def id_towards(self, direction: int) -> int:
        """The zone's id in a direction, 0 where it does not hold."""
        return self.id if self.directions >> direction & 1 else 0


class Connection:
    """One entry. It is found only when it is inserted, and until its time is over."""

    def __init__(self, record: Record, zone: Zone, original: Tuple) -> None:
        self.record, self.zone = record, zone
        self.tuples = [original, original.inverse]
        self._references = 0
        self._write_zone()
        for direction in (ORIGINAL, REPLY):
            self.set_tuple(direction, self.tuples[direction])

    @property
    def status(self) -> Ips:
        """The status bits."""
        return Ips(self.record.get("nf_conn", "status") & 0xFFFF)

    @status.setter
    def status(self, value: int) -> None:
        self.record.set("nf_conn", "status", value)

    @property
    def mark(self) -> int:
        """The mark that programs and rules give it."""
        return self.record.get("nf_conn", "mark")

    @mark.setter
    def mark(self, value: int) -> None:
        self.record.set("nf_conn", "mark", value)

    @property
    def timeout(self) -> int:
        """Ticks: how long before it is inserted, when (32 bits of the tick count) afterwards."""
        return self.record.get("nf_conn", "timeout")

    @timeout.setter
    def timeout(self, value: int) -> None:
        self.record.set("nf_conn", "timeout", value)

    def refer(self, change: int) -> int:
        """Count who holds the entry, the table included; how many do now."""
        self._references += change
        self.record.set("nf_conn", "ct_general.use", self._references)
        return self._references

    def is_expired(self, now: int) -> bool:
        """Whether its time is over at a tick count."""
        return signed(self.timeout - now & M32, 32) <= 0

    def set_tuple(self, direction: int, tuple_: Tuple) -> None:
        """Change one direction, as translation of addresses does."""
        self.tuples[direction] = tuple_
        at = f"tuplehash[{direction}].tuple."
        members: dict[str, int | bytes] = {
            "src.u3.all": tuple_.src.ljust(16, b"\0"),
            "src.u.all": tuple_.sport.to_bytes(2, "big"),
            "src.l3num": tuple_.family,
            "dst.u3.all": tuple_.dst.ljust(16, b"\0"),
            "dst.u.all": tuple_.dport.to_bytes(2, "big"),
            "dst.protonum": tuple_.protocol,
            "dst.dir": direction,
        }
        for path, value in members.items():
            self.record.set("nf_conn", at + path, value)

    def _write_zone(self) -> None:
        self.record.set("nf_conn", "zone.id", self.zone.id)
        self.record.set("nf_conn", "zone.dir", self.zone.directions)

    def __repr__(self) -> str:
        return f"<xdpsim connection {self.record.label}: {self.status!r}>"


class Conntrack:
    """All entries, inserted or not yet."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._pool: RecordPool | None = None
        self._found: dict[tuple[int, Tuple], tuple[Connection, int]] = {}
        self._by_address: dict[int, Connection] = {}

    def __iter__(self) -> Iterator[Connection]:
        return iter([found for found, direction in self._found.values() if direction == ORIGINAL])

    def new(self, original: Tuple, zone: Zone, timeout: int) -> Connection:
        """An entry that is not in the table yet; `timeout` in ticks."""
        if self._pool is None:
            self._pool = RecordPool(self._memory, "nf_conn", size_of("nf_conn"), writable=True)
        made = Connection(self._pool.new(label_of(original)), zone, original)
        made.timeout = timeout
        made.refer(1)
        self._by_address[made.record.address] = made
        return made

    def insert(self, entry: Connection, now: int) -> bool:
        """Put an entry into the table; False, and the entry is gone, when one of its directions is there already."""
        if not entry.status & Ips.CONFIRMED:
            entry.timeout = entry.timeout + now & M32
        entry.status |= Ips.CONFIRMED
        keys = [(entry.zone.id_towards(n), entry.tuples[n]) for n in (ORIGINAL, REPLY)]
        for key in keys:
            other = self._found.get(key)
            if other is not None and not self._drop_if_expired(other[0], now):
                self._free(entry)
                return False
        entry.refer(1)
        for direction, key in enumerate(keys):
            self._found[key] = entry, direction
        return True

    def find(self, tuple_: Tuple, zone: Zone, now: int) -> tuple[Connection, int] | None:
        """The entry that has it as one direction, now held once more, and which; zones must agree in that direction."""
        for direction in (ORIGINAL, REPLY):
            found = self._found.get((zone.id_towards(direction), tuple_))
            if found is not None and found[1] == direction and not self._drop_if_expired(found[0], now):
                found[0].refer(1)
                return found
        return None

    def is_taken(self, tuple_: Tuple) -> bool:
        """Whether some entry of the default zone has this direction."""
        return (0, tuple_) in self._found

    def at(self, address: int) -> Connection | None:
        """The entry whose nf_conn starts at `address`."""
        return self._by_address.get(address)

    def release(self, entry: Connection) -> None:
        """Let go of an entry; who does so last forgets it."""
        if entry.refer(-1) <= 0:
            self._free(entry)

    def _free(self, entry: Connection) -> None:
        if self._by_address.pop(entry.record.address, None) is not None and self._pool is not None:
            self._pool.release(entry.record)

    def _drop_if_expired(self, entry: Connection, now: int) -> bool:
        """Take an entry whose time is over out of the table."""
        if not entry.is_expired(now):
            return False
        for direction in (ORIGINAL, REPLY):
            self._found.pop((entry.zone.id_towards(direction), entry.tuples[direction]), None)
        entry.status |= Ips.DYING
        self.release(entry)
        return True


def label_of(tuple_: Tuple) -> str:
    """An entry's name in messages."""
    protocol = {6: "tcp", 17: "udp"}.get(tuple_.protocol, str(tuple_.protocol))
    ends = ((tuple_.src, tuple_.sport), (tuple_.dst, tuple_.dport))
    return f"{protocol} " + " -> ".join(f"{_text(address)}:{port}" for address, port in ends)


def _text(packed: bytes) -> str:
    found = ip_address(packed)
    return f"[{found}]" if found.version == 6 else str(found)
