"""What a verification knows of an accepted program, as data that engines build on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdpsim.helpers.ids import HELPERS_BY_ID
from xdpsim.isa.rows import Family
from xdpsim.verifier.callinfo import TAIL_CALL, moves_packet
from xdpsim.verifier.facts import KERNEL, MAP_STRUCT, Facts, find_facts
from xdpsim.verifier.regtypes import (
    BASE_MASK,
    CONST_PTR_TO_MAP,
    PTR_TO_CTX,
    PTR_TO_MAP_VALUE,
    PTR_TO_MEM,
    PTR_TO_PACKET,
    PTR_TO_PACKET_META,
    PTR_TO_STACK,
    PTR_UNTRUSTED,
)
from xdpsim.verifier.vmap import VMap

if TYPE_CHECKING:
    from xdpsim.verifier.env import Aux, Env

REGIONS = {
    PTR_TO_CTX: "context",
    PTR_TO_STACK: "stack",
    PTR_TO_PACKET: "packet",
    PTR_TO_PACKET_META: "packet",
    PTR_TO_MAP_VALUE: "map_value",
    PTR_TO_MEM: "memory",
    CONST_PTR_TO_MAP: MAP_STRUCT,
}
"""Kinds of pointers whose accesses are not to the kernel's memory at large, in the words of Facts.accesses."""
_PACKET = (PTR_TO_PACKET, PTR_TO_PACKET_META)
_STORES = (Family.STORE_IMM, Family.STORE_REG, Family.STORE_RELEASE, Family.ATOMIC)
_PACKET_WRITERS = frozenset({"bpf_xdp_store_bytes", "bpf_skb_store_bytes", "bpf_dynptr_write"})
_DYNPTR_READERS = frozenset(
    f"bpf_dynptr_{name}"
    for name in ("from_skb", "from_xdp", "from_skb_meta", "slice", "adjust", "is_null", "is_rdonly", "size", "clone")
)
"""Kernel functions that take or make dynptrs and leave the bytes alone: what other ones do may end in the packet."""


def facts_of(env: Env) -> Facts:
    """Facts of a program that was accepted; those of the data flow where the walk says nothing more.

    None where Linux accepts what is not safe: engines then check all, as for a program that nobody verified.
    """
    if env.null_for_memory:
        return Facts()
    plain = find_facts(env.code, env.prog_type)
    contexts, accesses, members, calls, dead = {}, {}, {}, {}, set()
    writes_packet = env.seen_direct_write or env.packet_given_to_write
    for slot, aux in enumerate(env.aux):
        insn = env.code[slot]
        if insn is None:
            continue
        if not aux.seen:
            dead.add(slot)
            continue
        if aux.access_type is not None:
            kind = aux.access_type & BASE_MASK
            if kind == PTR_TO_CTX:
                contexts[slot] = insn.off
            accesses[slot] = _region(aux)
            if "members" in aux.notes:
                members[slot] = tuple(sorted(aux.notes["members"]))
            writes_packet |= kind in _PACKET and insn.family in _STORES
        if isinstance(aux.map_of_call, VMap) and aux.map_of_call.index >= 0 and insn.imm != TAIL_CALL:
            calls[slot] = aux.map_of_call.index
        if insn.family in (Family.CALL_HELPER, Family.CALL_KFUNC):
            writes_packet |= moves_packet(env, insn) or _writes_packet(env, slot)
    return Facts(
        context_offsets=contexts,
        call_maps=calls,
        stack_bytes=plain.stack_bytes,
        verified=True,
        dead=frozenset(sorted(dead)),  # as decoded ones are made: the jit goes by the text of facts
        accesses=accesses,
        kernel_members=members,
        written_maps=frozenset(map_.index for map_ in env.maps if _is_written(map_)),
        writes_packet=writes_packet,
    )


def _region(aux: Aux) -> str:
    """What an insn goes through; of several kinds only what holds for all of them."""
    kinds = aux.notes.get("accesses", {aux.access_type})
    told = {KERNEL if kind & PTR_UNTRUSTED else REGIONS.get(kind & BASE_MASK, KERNEL) for kind in kinds}
    if len(told) == 1:
        return told.pop()
    return KERNEL if told & {KERNEL, MAP_STRUCT} else "memory"


def _is_written(map_: VMap) -> bool:
    """A map of maps counts with the maps that it holds."""
    return "write" in map_.uses or (map_.inner is not None and _is_written(map_.inner))


def _writes_packet(env: Env, slot: int) -> bool:
    """Whether a call writes bytes of the packet, or hands out memory through which the program may."""
    insn = env.code[slot]
    if insn is None:
        return False
    if insn.family is Family.CALL_KFUNC:
        name = env.spec.kfuncs[insn.imm]
        return ("dynptr" in name and name not in _DYNPTR_READERS) or name.startswith("bpf_crypto_")
    known = HELPERS_BY_ID.get(insn.imm)
    return known is not None and known.name in _PACKET_WRITERS
