"""Arguments whose contents the verifier reads: constant strings and formats, keys of look-ups that are known numbers.

Follows check_reg_const_str(), check_bpf_snprintf_call() and get_constant_map_key() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

import errno

from xdpsim.bits import signed
from xdpsim.helpers.printf import Refused, split_format
from xdpsim.maps.types import BPF_F_RDONLY_PROG
from xdpsim.verifier import precision, region
from xdpsim.verifier.env import ENOTSUPP, Env, Refusal
from xdpsim.verifier.region import ACCESS_HELPER
from xdpsim.verifier.regtypes import PTR_TO_MAP_VALUE, PTR_TO_STACK, SCALAR_VALUE
from xdpsim.verifier.state import SPILL, ZERO_BYTE, Reg
from xdpsim.verifier.vmap import VMap

_DIRECT_MAPS = frozenset({"ARRAY"})
"""Maps whose values have an address that the kernel tells (map_direct_value_addr)."""
UNKNOWN_KEY = -1


def check_reg_const_str(env: Env, reg: Reg, regno: int) -> None:
    """Refuse what is no string that never changes; its NUL must lie within the value."""
    if reg.type != PTR_TO_MAP_VALUE:
        raise Refusal(errno.EINVAL, "")
    vmap: VMap = reg.extra[0]
    spec = vmap.spec
    if not (spec.flags & BPF_F_RDONLY_PROG and vmap.frozen):
        env.fail(errno.EACCES, f"R{regno} does not point to a readonly map'")
    if reg.num.mask:
        env.fail(errno.EACCES, f"R{regno} is not a constant address'")
    if spec.type not in _DIRECT_MAPS:
        env.fail(errno.EACCES, "no direct value access support for this map type")
    region.check_map_access(env, regno, reg.off, spec.value_size - reg.off, False, ACCESS_HELPER)
    off = signed(reg.off + reg.num.value, 32)
    if spec.max_entries != 1:
        env.fail(ENOTSUPP, "direct value access on string failed")
    if off >= spec.value_size:
        env.fail(errno.EINVAL, "direct value access on string failed")
    if 0 not in _contents(vmap)[off:]:
        env.fail(errno.EINVAL, "string is not zero-terminated")


def _contents(vmap: VMap) -> bytes:
    return vmap.spec.initial if vmap.spec.initial is not None else bytes(vmap.spec.value_size)


def check_snprintf_format(env: Env, text: Reg, length: Reg) -> None:
    """Refuse a format that bpf_snprintf could not print with that many values."""
    if length.num.value % 8:
        raise Refusal(errno.EINVAL, "")
    vmap: VMap = text.extra[0]
    template = _contents(vmap)[signed(text.off + text.num.value, 32) :].partition(b"\0")[0]
    try:
        for _ in split_format(template, length.num.value // 8):
            pass
    except Refused as refused:
        env.fail(refused.errno, "Invalid format string")


def constant_map_key(env: Env, key: Reg, key_size: int) -> int:
    """The number that the key on the stack is for certain, which becomes precise; UNKNOWN_KEY when it is not known."""
    if not env.bpf_capable or key.type != PTR_TO_STACK or key.num.mask:
        return UNKNOWN_KEY
    place = -signed(key.off + key.num.value, 32) - 1
    spi, at = place // 8, place % 8
    slot = env.cur.frames[key.frameno].stack[spi]
    kinds = slot.kinds
    if _run(kinds, at, ZERO_BYTE) >= key_size:
        return 0
    if kinds[7] != SPILL or slot.reg.type != SCALAR_VALUE or _run(kinds, at, SPILL) != key_size or slot.reg.num.mask:
        return UNKNOWN_KEY
    precision.mark_stack_slot_precise(env, key.frameno, spi)
    return signed(slot.reg.num.value, 64)


def _run(kinds: bytes, at: int, kind: int) -> int:
    """How many bytes of that kind there are from index `at` downwards, which is upwards in memory."""
    count = 0
    while at >= 0 and kinds[at] == kind:
        count, at = count + 1, at - 1
    return count
