"""Whether bytes [off, off + size) behind a pointer belong to its region, whatever its variable offset is.

Used by loads, stores and memory arguments alike: map values, packets, and memory of a known size. Messages hold all
lines with which Linux's log ends. Follows check_mem_region_access(), check_map_access(), check_packet_access() and
may_access_direct_pkt_data() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from errno import EACCES, EINVAL
from typing import TYPE_CHECKING, Any, NoReturn

from xdpsim.bits import M32, signed
from xdpsim.maps.types import BPF_F_WRONLY_PROG
from xdpsim.progtypes.loading import LOAD_RULES, Packet
from xdpsim.verifier.env import Refusal
from xdpsim.verifier.fields import is_read_only
from xdpsim.verifier.log import type_str
from xdpsim.verifier.regtypes import (
    PTR_TO_MAP_KEY,
    PTR_TO_MAP_VALUE,
    PTR_TO_PACKET,
    PTR_TO_PACKET_END,
    PTR_TO_PACKET_META,
)
from xdpsim.verifier.scalar import S64_MIN
from xdpsim.verifier.tnum import tnum_text

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.state import Reg
    from xdpsim.verifier.vmap import VMap

MAX_VAR_OFF = 1 << 29
ACCESS_DIRECT, ACCESS_HELPER = 1, 2
"""Who touches a map value: an insn, or a helper that is given a pointer."""
KEPT_POINTERS = frozenset({"kptr_untrusted", "kptr", "percpu_kptr", "uptr"})
"""Kinds of special fields (btf_record.py) that insns may load and store."""


def also_fail(env: Env, refusal: Refusal, line: str, errno: int = 0) -> NoReturn:
    """Refuse with one more line behind those of `refusal`, which are in the log already."""
    if env.log_level:
        env.log.append(line + "\n")
    raise Refusal(errno or refusal.errno, f"{refusal.message}\n{line}")


def _outside(reg: Reg, regno: int, off: int, size: int, mem_size: int, zero_ok: bool) -> str:
    """Empty when the bytes lie in the region, else what Linux says (__check_mem_access)."""
    off = signed(off & M32, 32)
    if off >= 0 and (size > 0 or (size == 0 and zero_ok)) and off + size <= mem_size:
        return ""
    kind = reg.type
    if kind == PTR_TO_MAP_KEY:
        return f"invalid access to map key, key_size={mem_size} off={off} size={size}"
    if kind == PTR_TO_MAP_VALUE:
        return f"invalid access to map value, value_size={mem_size} off={off} size={size}"
    if kind in (PTR_TO_PACKET, PTR_TO_PACKET_META, PTR_TO_PACKET_END):
        return f"invalid access to packet, off={off} size={size}, R{regno}(id={reg.id},off={off},r={mem_size})"
    return f"invalid access to memory, mem_size={mem_size} off={off} size={size}"


def check_mem_region(env: Env, reg: Reg, regno: int, off: int, size: int, mem_size: int, zero_ok: bool) -> None:
    """The access lies in [0, mem_size) of the region for every value of the pointer's variable offset."""
    num = reg.num
    smin = num.smin
    if smin < 0 and (smin == S64_MIN or smin + off < 0 or smin + off != signed(smin + off & M32, 32)):
        env.fail(
            EACCES,
            f"R{regno} min value is negative, either use unsigned index or do a if (index >=0) check.",
        )
    if problem := _outside(reg, regno, smin + off, size, mem_size, zero_ok):
        env.fail(EACCES, f"{problem}\nR{regno} min value is outside of the allowed memory range")
    if num.umax == 0:
        return
    if num.umax >= MAX_VAR_OFF:
        env.fail(EACCES, f"R{regno} unbounded memory access, make sure to bounds check any such access")
    if problem := _outside(reg, regno, num.umax + off, size, mem_size, zero_ok):
        env.fail(EACCES, f"{problem}\nR{regno} max value is outside of the allowed memory range")


def check_map_access_type(env: Env, reg: Reg, off: int, size: int, write: bool) -> None:
    """Programs may read (write) values of the map at all; a write is noted with the map."""
    vmap: VMap = reg.extra[0]
    spec = vmap.spec
    if write:
        if is_read_only(vmap):
            env.fail(EACCES, f"write into map forbidden, value_size={spec.value_size} off={off} size={size}")
        vmap.uses.add("write")
    elif spec.flags & BPF_F_WRONLY_PROG:
        env.fail(EACCES, f"read from map forbidden, value_size={spec.value_size} off={off} size={size}")


def check_map_access(env: Env, regno: int, off: int, size: int, zero_ok: bool, src: int) -> None:
    """The access lies in the map value and touches no special field of it that it may not."""
    reg: Reg = env.regs[regno]
    vmap: VMap = reg.extra[0]
    check_mem_region(env, reg, regno, off, size, vmap.spec.value_size, zero_ok)
    if vmap.record is not None:
        for field in vmap.record.fields:
            if reg.num.smin + off < field.offset + field.size and field.offset < reg.num.umax + off + size:
                _check_field_access(env, reg, field, off, size, src)


def _check_field_access(env: Env, reg: Reg, field: Any, off: int, size: int, src: int) -> None:
    """Only pointers kept in a map are loaded and stored, and only whole, by insns."""
    name = field.name
    if field.kind not in KEPT_POINTERS:
        env.fail(EACCES, f"{name} cannot be accessed directly by load/store")
    if src != ACCESS_DIRECT:
        env.fail(EACCES, f"{name} cannot be accessed indirectly by helper")
    if reg.num.mask:
        env.fail(EACCES, f"{name} access cannot have variable offset")
    place = off + reg.num.value
    if field.offset != place:
        env.fail(EACCES, f"{name} access misaligned expected={field.offset} off={place}")
    if size != 8:
        env.fail(EACCES, f"{name} access size must be BPF_DW")


_READ_ONLY_PACKETS = frozenset(name for name, rules in LOAD_RULES.items() if rules.packet is Packet.READ)
_WRITABLE_PACKETS = frozenset(name for name, rules in LOAD_RULES.items() if rules.packet is Packet.WRITE)
_OPTIONS = frozenset(name for name, rules in LOAD_RULES.items() if rules.packet is Packet.OPTION)


def may_access_direct_pkt_data(env: Env, helper_may: bool | None, write: bool) -> bool:
    """Whether the program may use packet bytes; `helper_may`: what the called helper allows, None for an insn.

    An insn that asks this makes Linux copy the packet's head before the program runs (seen_direct_write).
    """
    kind = env.prog_type
    if kind in _READ_ONLY_PACKETS and write:
        return False
    if kind in _READ_ONLY_PACKETS or kind in _WRITABLE_PACKETS:
        if helper_may is not None:
            return helper_may
        env.seen_direct_write = True
        return True
    if kind in _OPTIONS:
        env.seen_direct_write = env.seen_direct_write or write
        return True
    return False


def check_packet_access(env: Env, regno: int, off: int, size: int, zero_ok: bool) -> None:
    """The bytes were proven to be in the packet; `off` holds the pointer's fixed offset."""
    reg: Reg = env.regs[regno]
    if reg.num.smin < 0:
        env.fail(
            EACCES,
            f"R{regno} min value is negative, either use unsigned index or do a if (index >=0) check.",
        )
    proven = reg.extra
    if off >= 0 and size > 0 and off + size <= proven:
        return
    if proven < 0:
        env.fail(EINVAL, f"R{regno} offset is outside of the packet")
    if problem := _outside(reg, regno, off, size, proven, zero_ok):
        env.fail(EACCES, f"{problem}\nR{regno} offset is outside of the packet")


def check_ptr_off_reg(env: Env, reg: Reg, regno: int, fixed_off_ok: bool = False) -> None:
    """The pointer is as it was made, or (fixed_off_ok) moved forward by a known distance."""
    if reg.off < 0:
        env.fail(EACCES, f"negative offset {type_str(reg.type)} ptr R{regno} off={reg.off} disallowed")
    if reg.off and not fixed_off_ok:
        env.fail(EACCES, f"dereference of modified {type_str(reg.type)} ptr R{regno} off={reg.off} disallowed")
    num = reg.num
    if num.mask or num.value:
        env.fail(EACCES, f"variable {type_str(reg.type)} access var_off={tnum_text(num.value, num.mask)} disallowed")
