"""What would have been right, for messages about calls and returns: arguments, references, locks, results, stacks.

Rules as in advice.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from xdpsim.helpers.capabilities import capability_for
from xdpsim.helpers.ids import HELPERS_BY_NAME, HELPERS_OF_TYPE
from xdpsim.helpers.map_pairs import MAPS_OF_HELPER
from xdpsim.maps.types import MAP_TYPES
from xdpsim.verifier.places import callee_at, range_text, reg_of, spot
from xdpsim.verifier.regtypes import CONST_PTR_TO_MAP, PTR_TO_STACK, SCALAR_VALUE, base
from xdpsim.verifier.state import REF_LOCK_MASK
from xdpsim.verifier.trail import Origin, releases

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env

Rule = Callable[["Env", "re.Match[str]"], str]
MOST_TYPES = 4
_FREED_BY = {
    "bpf_ringbuf_reserve": "bpf_ringbuf_submit or bpf_ringbuf_discard",
    "bpf_ringbuf_reserve_dynptr": "bpf_ringbuf_submit_dynptr or bpf_ringbuf_discard_dynptr",
    "bpf_sk_lookup_tcp": "bpf_sk_release",
    "bpf_sk_lookup_udp": "bpf_sk_release",
    "bpf_skc_lookup_tcp": "bpf_sk_release",
    "bpf_xdp_ct_lookup": "bpf_ct_release",
    "bpf_skb_ct_lookup": "bpf_ct_release",
    "bpf_xdp_ct_alloc": "bpf_ct_insert_entry or bpf_ct_release",
    "bpf_skb_ct_alloc": "bpf_ct_insert_entry or bpf_ct_release",
    "bpf_ct_insert_entry": "bpf_ct_release",
    "bpf_task_acquire": "bpf_task_release",
    "bpf_task_from_pid": "bpf_task_release",
    "bpf_cgroup_acquire": "bpf_cgroup_release",
    "bpf_cgroup_from_id": "bpf_cgroup_release",
    "bpf_obj_new_impl": "bpf_obj_drop, or by giving it to a list, a tree or a map",
}
"""What ends a reference, for calls that people forget it of."""


def _leak(env: Env, found: re.Match[str]) -> str:
    slot = int(found[2])
    freed = _FREED_BY.get(callee_at(env, slot), "")
    way = f", with {freed}," if freed else ""
    return f"release what {spot(env, slot)} acquired{way} on every path to the end: this one does not"


def _locked(env: Env, found: re.Match[str]) -> str:
    held = [ref.insn for ref in env.cur.refs if ref.kind & REF_LOCK_MASK]
    return f"unlock before this: the lock was taken by {spot(env, held[-1])}" if held else ""


def _helper(env: Env, found: re.Match[str]) -> str:
    known = HELPERS_BY_NAME.get(found[1])
    if known is None:
        return ""
    if known.id in HELPERS_OF_TYPE.get(env.prog_type, ()):
        capability = capability_for(known.id, env.prog_type)
        need = f"CAP_{capability.upper()}" if capability not in {"", *env.caps} else "another attach type"
        return f"{found[1]} needs {need} in programs of type {env.prog_type}"
    types = [name for name, helpers in HELPERS_OF_TYPE.items() if known.id in helpers]
    if not types:
        return f"no program of a network type may call {found[1]}"
    more = f" and {len(types) - MOST_TYPES} more types" if len(types) > MOST_TYPES else ""
    return f"{found[1]} is not for {env.prog_type}: {', '.join(types[:MOST_TYPES])}{more} may call it"


def _size(env: Env, found: re.Match[str]) -> str:
    """The size of a memory argument may be zero or too large; where no register is named, a map may have no keys."""
    first = reg_of(env, 1)
    if found[1] is None:
        if base(first.type) == CONST_PTR_TO_MAP and not first.extra[0].spec.key_size:
            spec = first.extra[0].spec
            return f"map {spec.name} ({spec.type}) has no keys: this helper does not work on it"
        return ""
    number = int(found[1])
    reg, buffer = reg_of(env, number), reg_of(env, number - 1)
    if reg.type != SCALAR_VALUE:
        return ""
    room = -buffer.off if base(buffer.type) == PTR_TO_STACK and buffer.off < 0 else 0
    most = f" and at most {room}" if room else ""
    return f"the size in R{number} {range_text(reg)}: check that it is at least 1{most} before the call"


def _returned(env: Env, found: re.Match[str]) -> str:
    number, low, high = int(found[1]), found[2], found[3]
    reg = reg_of(env, number)
    slot = Origin(env, number).slot
    source = f", from {spot(env, slot)}" if slot >= 0 else ""
    wanted = low if low == high else f"a value from {low} to {high}"
    told = f"R{number} {range_text(reg)}{source}" if reg.type == SCALAR_VALUE else f"R{number} holds a pointer"
    return f"return {wanted}: {told}"


def _deep(env: Env, found: re.Match[str]) -> str:
    names = [f"{sub.name or f'function {at}'} {sub.stack_depth}" for at, sub in enumerate(env.subprogs[:-1])]
    return (
        f"the functions of one chain of calls share 512 bytes (here {', '.join(names)}): "
        "move large buffers to a per-CPU array"
    )


def _argument(env: Env, found: re.Match[str]) -> str:
    """A register of the wrong kind is given to a call."""
    number, kind, expected = int(found[1]), found[2], found[3]
    origin = Origin(env, number)
    source = f", what {spot(env, origin.slot)} returned," if origin.slot >= 0 and callee_at(env, origin.slot) else ""
    if "_or_null" in kind:
        return f"compare R{number}{source} with NULL before the call"
    insn = env.code[origin.lost] if origin.lost >= 0 else None
    if kind == "scalar" and source and insn is not None and releases(env, insn):
        return f"R{number} was released by {spot(env, origin.lost)}: do not use it behind that call"
    wanted = expected.replace(", ", " or ", expected.count(", ")) if expected.count(", ") < MOST_TYPES else expected
    return f"R{number} must be {wanted}" + (f", it is a number{_from(env, origin)}" if kind == "scalar" else "")


def _from(env: Env, origin: Origin) -> str:
    return f", from {spot(env, origin.slot)}" if origin.slot >= 0 else ""


def _map_type(env: Env, found: re.Match[str]) -> str:
    number, name = int(found[1]), found[2]
    kind = next((row.name for row in MAP_TYPES.values() if row.id == number), str(number))
    helper = HELPERS_BY_NAME.get(name)
    fit = sorted(MAPS_OF_HELPER.get(helper.id, ())) if helper is not None else []
    return (
        f"{name} works on maps of type {', '.join(fit)}, not {kind}" if fit else f"{name} does not work on {kind} maps"
    )


CALL_RULES: tuple[tuple[str, Rule], ...] = (
    (r"Unreleased reference id=(\d+) alloc_insn=(\d+)", _leak),
    (r"bpf_spin_lock-ed region|while holding a lock", _locked),
    (r"program of this type cannot use helper (\w+)#", _helper),
    (r"(?:R(\d+) )?invalid zero-sized read", _size),
    (r"register R(\d+) has .* should have been in \[(-?\d+), (-?\d+)\]", _returned),
    (r"combined stack size of \d+ calls", _deep),
    (r"R(\d+) type=(\S+) expected=(.+)", _argument),
    (r"cannot pass map_type (\d+) into func (\w+)#", _map_type),
)
