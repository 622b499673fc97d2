"""Decisions, remembered: the verdict on a program with its facts, kept on disk by everything that it depends on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from xdpsim.helpers.kfunc_rows import KFUNC_ROWS
from xdpsim.isa.decode import encode_all
from xdpsim.maps.spec import MapSpec
from xdpsim.verifier.env import ALL_CAPS
from xdpsim.verifier.explain import Explanation, explain
from xdpsim.verifier.facts import Facts
from xdpsim.verifier.main import Verdict, verify
from xdpsim.verifier.proven import facts_of
from xdpsim.verifier.remembered import keep, recall
from xdpsim.verifier.source_hash import source_hash

if TYPE_CHECKING:
    from xdpsim.btf.types import Btf
    from xdpsim.loader.model import ProgramSpec
    from xdpsim.verifier.env import Env

WORTH_KEEPING = 300
"""Insns walked below which a program is verified as fast as its decision is written and read."""


@dataclass(frozen=True)
class Decision:
    """What becomes of a program: accepted with its facts, or refused with an explanation.

    `insns` were walked, `states` kept; `stack_bytes` are the stacks of the functions as Linux prints them, `peak_stack`
    those of the deepest chain of calls together. What was `remembered` was not walked now.
    """

    accepted: bool
    insns: int
    states: int
    peak_states: int
    stack_bytes: tuple[int, ...]
    facts: Facts = field(default_factory=Facts)
    refusal: Explanation | None = None
    peak_stack: int = 0
    remembered: bool = False


def decide(
    spec: ProgramSpec,
    maps: Sequence[MapSpec],
    btf: Btf | None,
    *,
    caps: frozenset[str] = ALL_CAPS,
    kernel_btf: Btf | None = None,
    remember: bool = True,
    watch: Callable[[Env], None] | None = None,
) -> Decision:
    """Verify the program, or say again what was found when the same program was verified before.

    `watch` is given the verification when it begins, for those who look at its progress from another thread.
    """
    key = _key(spec, maps, btf, caps, kernel_btf) if remember else ""
    known = _known(key) if key else None
    if known is not None:
        return known
    made = decision_of(verify_as_loaded(spec, maps, btf, caps=caps, kernel_btf=kernel_btf, watch=watch))
    if key and made.insns >= WORTH_KEEPING:
        keep(key, _encoded(made))
    return made


def verify_as_loaded(
    spec: ProgramSpec,
    maps: Sequence[MapSpec],
    btf: Btf | None,
    *,
    caps: frozenset[str] = ALL_CAPS,
    kernel_btf: Btf | None = None,
    log_level: int = 0,
    strict_alignment: bool = False,
    watch: Callable[[Env], None] | None = None,
) -> Verdict:
    """Verify as the loader has to load it: an XDP program that asks its device about packets is bound to one."""
    is_bound = spec.type == "XDP" and any(KFUNC_ROWS[name].needs_device for name in spec.kfuncs if name in KFUNC_ROWS)
    return verify(
        *(spec, maps, btf),
        caps=caps,
        kernel_btf=kernel_btf,
        log_level=log_level,
        strict_alignment=strict_alignment,
        device_bound=is_bound,
        watch=watch,
    )


def decision_of(verdict: Verdict) -> Decision:
    """What a verification decided, with its facts or its explanation."""
    env = verdict.env
    return Decision(
        verdict.accepted,
        verdict.insns_processed,
        verdict.total_states,
        verdict.peak_states,
        verdict.stack_depth,
        facts_of(env) if verdict.accepted and env is not None else Facts(),
        None if verdict.accepted else explain(verdict),
        env.peak_stack if env is not None else 0,
    )


def _known(key: str) -> Decision | None:
    """The decision kept under `key`; None when there is none, or one in a shape that is not ours."""
    kept = recall(key)
    try:
        return _decoded(kept) if kept is not None else None
    except (KeyError, TypeError, ValueError):
        return None


def _key(
    spec: ProgramSpec, maps: Sequence[MapSpec], btf: Btf | None, caps: frozenset[str], kernel_btf: Btf | None
) -> str:
    made = hashlib.sha256(source_hash().encode())
    for piece in (
        *(encode_all(spec.code), spec.type, spec.attach_type, spec.licence, spec.frags, spec.sleepable),
        *(spec.kfuncs, spec.func_info, spec.line_info, sorted(caps)),
        btf.raw if btf is not None else b"",
        kernel_btf.raw if kernel_btf is not None else b"",
        *(_map_key(map_) for map_ in maps),
    ):
        data = piece if isinstance(piece, bytes) else repr(piece).encode()
        made.update(f"{len(data)} ".encode() + data)
    return f"verdict-{made.hexdigest()}"


def _map_key(map_: MapSpec) -> bytes:
    sizes = (map_.name, map_.type, map_.key_size, map_.value_size, map_.max_entries, map_.flags, map_.map_extra)
    types = (map_.key_type, map_.value_type, map_.read_only, map_.initial if map_.read_only else None)
    raw = map_.btf.raw if map_.btf is not None and map_.value_type else b""
    return repr((sizes, types)).encode() + raw + (_map_key(map_.inner) if map_.inner is not None else b"")


def _encoded(made: Decision) -> dict[str, Any]:
    facts = made.facts
    return {
        "accepted": made.accepted,
        "counts": [made.insns, made.states, made.peak_states, made.peak_stack],
        "stack": list(made.stack_bytes),
        "contexts": list(facts.context_offsets.items()),
        "calls": list(facts.call_maps.items()),
        "facts": [facts.stack_bytes, facts.verified, facts.writes_packet],
        "dead": sorted(facts.dead),
        "accesses": list(facts.accesses.items()),
        "members": list(facts.kernel_members.items()),
        "written": None if facts.written_maps is None else sorted(facts.written_maps),
        "refusal": made.refusal.as_json() if made.refusal else None,
    }


def _decoded(kept: dict[str, Any]) -> Decision:
    stack_bytes, verified, writes_packet = kept["facts"]
    facts = Facts(
        context_offsets=dict(kept["contexts"]),
        call_maps=dict(kept["calls"]),
        stack_bytes=stack_bytes,
        verified=verified,
        dead=frozenset(kept["dead"]),
        accesses=dict(kept["accesses"]),
        kernel_members={slot: tuple((name, off) for name, off in found) for slot, found in kept["members"]},
        written_maps=None if kept["written"] is None else frozenset(kept["written"]),
        writes_packet=writes_packet,
    )
    refusal = Explanation.from_json(kept["refusal"]) if kept["refusal"] else None
    insns, states, peak_states, peak_stack = kept["counts"]
    stack = tuple(kept["stack"])
    return Decision(kept["accepted"], insns, states, peak_states, stack, facts, refusal, peak_stack, True)
