"""Kernel functions on connection tracking entries. Follows net/netfilter/nf_conntrack_bpf.c and nf_nat_bpf.c.

The table is tables/conntrack.py; timeouts run on the virtual clock. Only the machine's own network namespace is
emulated, so every namespace id is one that does not exist (-ENONET).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from xdpsim.bits import M32, signed
from xdpsim.helpers.kinds import Arg, Ret
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import BadArgument, kfunc
from xdpsim.helpers.world import HZ, bpf_jiffies64
from xdpsim.memory.layout import U8, U16, U32, Struct, View
from xdpsim.tables.conntrack import BOTH_DIRECTIONS, ORIGINAL, REPLY, Connection, Conntrack, Ips, Tuple, Zone
from xdpsim.tables.interfaces import AF_INET, AF_INET6
from xdpsim.tables.sockets import TCP, UDP
from xdpsim.tables.tables import Tables

_EPERM, _ENOENT, _ENOMEM, _EBUSY, _EINVAL, _ETIME, _ENONET, _EPROTO, _EAFNOSUPPORT = 1, 2, 12, 16, 22, 62, 64, 71, 97
OPTS = Struct(
    "bpf_ct_opts",
    ("netns_id", U32),
    ("error", U32),
    ("l4proto", U8),
    ("dir", U8),
    ("ct_zone_id", U16),
    ("ct_zone_dir", U8),
    ("reserved", U8, 3),
)
_SMALL_OPTS_BYTES = 12
"""What programs from before zones pass."""
_RESERVED = OPTS.offset("reserved")
_TUPLE_FAMILIES = {12: AF_INET, 36: AF_INET6}
_FIRST_TIMEOUT_S = 10
_INT_MAX = (1 << 31) - 1
_FIXED = Ips.EXPECTED | Ips.CONFIRMED | Ips.DYING
"""Bits that a program may not ask to change."""
_KEPT = _FIXED | Ips.SRC_NAT | Ips.DST_NAT | Ips.SRC_NAT_DONE | Ips.DST_NAT_DONE | Ips.SEQ_ADJUST | Ips.TEMPLATE
_KEPT |= Ips.NAT_CLASH | Ips.OFFLOAD | Ips.HW_OFFLOAD
"""IPS_UNCHANGEABLE_MASK: bits that asking for leaves as they are."""
_SRC_MANIP = 0
_ENTRY = (Arg.BTF_ID,)
_ERROR_END = OPTS.offset("error") + U32
_LOOKUP = (Arg.CTX, Arg.MEM, Arg.SIZE_OR_ZERO, Arg.MEM_WRITE, Arg.SIZE_OR_ZERO)


def _table(machine: Machine) -> Conntrack:
    return machine.part(Tables).conntrack


def _now(machine: Machine) -> int:
    """nfct_time_stamp: the tick count's lower half."""
    return bpf_jiffies64(machine.run_state.address) & M32


def _entry_at(machine: Machine, address: int) -> Connection:
    found = _table(machine).at(address)
    if found is None:
        raise BadArgument(1)
    return found


@dataclass(slots=True)
class _Request:
    """What a lookup or an allocation is asked for."""

    opts: View
    tuple: Tuple
    zone: Zone


def _parse(machine: Machine, addresses: int, size: int, opts: View, opts_bytes: int, is_lookup: bool) -> _Request | int:
    """The request, or the error in it, checked in Linux's order."""
    if not addresses or opts_bytes not in (OPTS.size, _SMALL_OPTS_BYTES):
        return -_EINVAL
    is_small = opts_bytes == _SMALL_OPTS_BYTES
    reserved = opts.base + _RESERVED
    if opts.ct_zone_id if is_small else any(opts.buffer[reserved : reserved + 3]):
        return -_EINVAL
    is_known, netns = opts.l4proto in (TCP, UDP), signed(opts.netns_id, 32)
    if is_lookup and not is_known:
        return -_EPROTO
    if netns < -1:
        return -_EINVAL
    if not is_known:
        return -_EPROTO
    if size not in _TUPLE_FAMILIES:
        return -_EAFNOSUPPORT
    if netns >= 0:
        return -_ENONET
    zone = Zone()
    if not is_small:
        opts.ct_zone_dir = opts.ct_zone_dir or BOTH_DIRECTIONS
        zone = Zone(opts.ct_zone_id, opts.ct_zone_dir)
    return _Request(opts, _tuple(machine.space.read(addresses, size), opts.l4proto), zone)


def _tuple(raw: bytes, protocol: int) -> Tuple:
    half = (len(raw) - 4) // 2
    sport, dport = int.from_bytes(raw[-4:-2], "big"), int.from_bytes(raw[-2:], "big")
    return Tuple(_TUPLE_FAMILIES[len(raw)], protocol, raw[:half], sport, raw[half : 2 * half], dport)


def _opts_at(machine: Machine, address: int, size: int) -> View | None:
    """The options, unless there is no room for an error; Linux writes one also behind options that are shorter."""
    piece = machine.space.piece_at(address, max(min(size, OPTS.size), _ERROR_END))
    if piece is None or not piece.writable:
        return None
    return View(OPTS, piece.view, address - piece.base, address)


def _refuse(opts: View, error: int) -> int:
    """Leave the error in the options; NULL."""
    opts.error = error & M32
    return 0


def _lookup(machine: Machine, addresses: int, size: int, opts_address: int, opts_bytes: int) -> int:
    opts = _opts_at(machine, opts_address, opts_bytes)
    if opts is None:
        return 0
    asked = _parse(machine, addresses, size, opts, opts_bytes, True)
    if isinstance(asked, int):
        return _refuse(opts, asked)
    found = _table(machine).find(asked.tuple, asked.zone, _now(machine))
    if found is None:
        return _refuse(opts, -_ENOENT)
    opts.dir = found[1]
    return found[0].record.address


def _alloc(machine: Machine, addresses: int, size: int, opts_address: int, opts_bytes: int) -> int:
    opts = _opts_at(machine, opts_address, opts_bytes)
    if opts is None:
        return 0
    asked = _parse(machine, addresses, size, opts, opts_bytes, False)
    if isinstance(asked, int):
        return _refuse(opts, asked)
    return _table(machine).new(asked.tuple, asked.zone, _FIRST_TIMEOUT_S * HZ).record.address


@kfunc(args=_LOOKUP, returns=Ret.BTF_ID_OR_NULL)
def bpf_xdp_ct_lookup(machine: Machine, ctx: int, addresses: int, size: int, opts: int, opts_bytes: int) -> int:
    """The entry that has these ends as one direction, which `dir` then says; else NULL and `error`."""
    return _lookup(machine, addresses, size, opts, opts_bytes)


@kfunc(args=_LOOKUP, returns=Ret.BTF_ID_OR_NULL)
def bpf_skb_ct_lookup(machine: Machine, ctx: int, addresses: int, size: int, opts: int, opts_bytes: int) -> int:
    """As bpf_xdp_ct_lookup, for tc programs."""
    return _lookup(machine, addresses, size, opts, opts_bytes)


@kfunc(args=_LOOKUP, returns=Ret.BTF_ID_OR_NULL)
def bpf_xdp_ct_alloc(machine: Machine, ctx: int, addresses: int, size: int, opts: int, opts_bytes: int) -> int:
    """A new entry, not yet in the table, that would last 10 s; else NULL and `error`."""
    return _alloc(machine, addresses, size, opts, opts_bytes)


@kfunc(args=_LOOKUP, returns=Ret.BTF_ID_OR_NULL)
def bpf_skb_ct_alloc(machine: Machine, ctx: int, addresses: int, size: int, opts: int, opts_bytes: int) -> int:
    """As bpf_xdp_ct_alloc, for tc programs."""
    return _alloc(machine, addresses, size, opts, opts_bytes)


@kfunc(args=_ENTRY, returns=Ret.BTF_ID_OR_NULL)
def bpf_ct_insert_entry(machine: Machine, entry: int) -> int:
    """Put a new entry into the table; NULL, and the entry is gone, when it holds one of the directions already."""
    found = _entry_at(machine, entry)
    return found.record.address if _table(machine).insert(found, _now(machine)) else 0


@kfunc(args=_ENTRY, returns=Ret.VOID)
def bpf_ct_release(machine: Machine, entry: int) -> int:
    """Let go of an entry."""
    _table(machine).release(_entry_at(machine, entry))
    return 0


def _ticks(milliseconds: int) -> int:
    """msecs_to_jiffies: rounded up; negative numbers of 32 bits are for ever."""
    milliseconds &= M32
    if milliseconds > _INT_MAX:
        return _INT_MAX
    return -(-milliseconds * HZ // 1000)


def _set_timeout(machine: Machine, entry: Connection, ticks: int) -> None:
    is_confirmed = Ips.CONFIRMED in entry.status
    entry.timeout = min(ticks, _INT_MAX) + (_now(machine) if is_confirmed else 0)


@kfunc(args=(Arg.BTF_ID, Arg.ANYTHING), returns=Ret.VOID)
def bpf_ct_set_timeout(machine: Machine, entry: int, milliseconds: int) -> int:
    """How long a new entry shall last."""
    _set_timeout(machine, _entry_at(machine, entry), _ticks(milliseconds))
    return 0


@kfunc(args=(Arg.BTF_ID, Arg.ANYTHING), returns=Ret.INTEGER)
def bpf_ct_change_timeout(machine: Machine, entry: int, milliseconds: int) -> int:
    """How long from now on an entry shall last; -EPERM for one with a fixed timeout, -ETIME for one that is dying."""
    found = _entry_at(machine, entry)
    if Ips.FIXED_TIMEOUT in found.status:
        return -_EPERM
    _set_timeout(machine, found, _ticks(milliseconds))
    return -_ETIME if Ips.DYING in found.status else 0


def _change_status(entry: Connection, wanted: int) -> int:
    """nf_ct_change_status_common: set the bits that may be set; none is ever cleared."""
    changed = entry.status ^ wanted
    if changed & _FIXED:
        return -_EBUSY
    for bit in (Ips.SEEN_REPLY, Ips.ASSURED):
        if changed & bit and not wanted & bit:
            return -_EBUSY
    entry.status |= wanted & 0xFFFF & ~_KEPT
    return 0


@kfunc(args=(Arg.BTF_ID, Arg.ANYTHING), returns=Ret.INTEGER)
def bpf_ct_set_status(machine: Machine, entry: int, status: int) -> int:
    """Set status bits of a new entry; -EBUSY for those that are not a program's to change."""
    return _change_status(_entry_at(machine, entry), status & M32)


@kfunc(args=(Arg.BTF_ID, Arg.ANYTHING), returns=Ret.INTEGER)
def bpf_ct_change_status(machine: Machine, entry: int, status: int) -> int:
    """As bpf_ct_set_status, of an entry in the table."""
    return _change_status(_entry_at(machine, entry), status & M32)


@kfunc(args=(Arg.BTF_ID, Arg.FIXED_MEM_16, Arg.ANYTHING, Arg.ANYTHING), returns=Ret.INTEGER)
def bpf_ct_set_nat_info(machine: Machine, entry: int, address: int, port: int, manip: int) -> int:
    """Have a new entry's source (manip 0) or destination (1) translated; port 0 keeps the port if that is free.

    -ENOMEM when that side is translated already. Where the kept port is taken, Linux tries others at random; here the
    next free one is used.
    """
    found = _entry_at(machine, entry)
    is_source = manip & M32 == _SRC_MANIP
    done, changed = (Ips.SRC_NAT_DONE, Ips.SRC_NAT) if is_source else (Ips.DST_NAT_DONE, Ips.DST_NAT)
    if Ips.CONFIRMED in found.status:
        return 0
    if done in found.status:
        return -_ENOMEM
    current = found.tuples[REPLY].inverse
    new_address = machine.space.read(address, 16)[: len(found.tuples[ORIGINAL].src)]
    wanted = _translated(current, is_source, new_address, signed(port, 32))
    while signed(port, 32) <= 0 and _table(machine).is_taken(wanted.inverse):
        taken = wanted.sport if is_source else wanted.dport
        wanted = _translated(wanted, is_source, new_address, taken % 65535 + 1)
    if wanted != current:
        found.set_tuple(REPLY, wanted.inverse)
        found.status |= changed
    found.status |= done
    return 0


def _translated(tuple_: Tuple, is_source: bool, address: bytes, port: int) -> Tuple:
    if is_source:
        return replace(tuple_, src=address, sport=port & 0xFFFF if port > 0 else tuple_.sport)
    return replace(tuple_, dst=address, dport=port & 0xFFFF if port > 0 else tuple_.dport)
