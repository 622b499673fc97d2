"""verify(): both passes over one program, and what they found (bpf_check() of kernel/bpf/verifier.c)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from errno import E2BIG, EBADF, EINVAL
from typing import TYPE_CHECKING

from xdpsim.btf.linux618 import linux618
from xdpsim.errors import Unsupported
from xdpsim.isa.disasm import disasm
from xdpsim.isa.rows import Family, Imm64
from xdpsim.maps.spec import MapSpec
from xdpsim.verifier import check_cfg, fastcall, func_info, live_regs, scc
from xdpsim.verifier.btf_record import record_of_map
from xdpsim.verifier.entry import check_main, check_subprogs_by_themselves
from xdpsim.verifier.env import ALL_CAPS, ENOTSUPP, Env, Refusal
from xdpsim.verifier.load_rules import check_may_load, check_sleepable
from xdpsim.verifier.map_rules import check_map_prog_compatibility
from xdpsim.verifier.stack_depth import add_of_inlined, check_max_stack_depth, depths
from xdpsim.verifier.stack_live import StackLiveness
from xdpsim.verifier.subprogs import check_subprogs, find_subprogs
from xdpsim.verifier.vmap import VMap

if TYPE_CHECKING:
    from xdpsim.btf.types import Btf
    from xdpsim.isa.insn import Insn
    from xdpsim.loader.model import ProgramSpec

MAX_WALKED = 1_000_000
MAX_USED_MAPS = 64
MAX_VAR_OFF = 1 << 29
_DIRECT_VALUES = frozenset({"ARRAY", "ARENA", "INSN_ARRAY"})
"""Map types whose value an LD_IMM64 may point to (map_direct_value_addr)."""


@dataclass
class Verdict:
    """What became of a program. `errno` is positive, 0 when it is accepted; `message` is Linux's, empty likewise.

    `insn_idx` is the slot at which it was refused. `stack_depth` sums a program's deepest chain of calls in bytes by
    subprogram as Linux prints it.
    """

    accepted: bool
    errno: int = 0
    message: str = ""
    insn_idx: int = 0
    insns_processed: int = 0
    total_states: int = 0
    peak_states: int = 0
    max_states_per_insn: int = 0
    stack_depth: tuple[int, ...] = ()
    log: str = ""
    env: Env | None = field(default=None, repr=False)
    """The verification itself, for those who read facts or explain a refusal."""

    @property
    def statistics(self) -> str:
        """The last line of Linux's log."""
        return (
            f"processed {self.insns_processed} insns (limit {MAX_WALKED}) max_states_per_insn "
            f"{self.max_states_per_insn} total_states {self.total_states} peak_states {self.peak_states} mark_read 0"
        )


def verify(
    spec: ProgramSpec,
    maps: Sequence[MapSpec],
    btf: Btf | None,
    *,
    caps: frozenset[str] = ALL_CAPS,
    kernel_btf: Btf | None = None,
    log_level: int = 0,
    strict_alignment: bool = False,
    test_state_freq: bool = False,
    device_bound: bool = False,
    watch: Callable[[Env], None] | None = None,
) -> Verdict:
    """Decide as Linux 6.18 decides on loading `spec` with these maps. Never raises for a bad program.

    Unsupported, by name, when it reads variables of the kernel, of which nothing is known here.

    `caps` are the capabilities of the loader: "bpf", "perfmon", "net_admin"; none of them is an unprivileged one.
    `log_level` is that of BPF_PROG_LOAD: 1 the path to the refusal, 2 every state, 4 the statistics alone.
    `device_bound` says that it is loaded for one device (BPF_F_XDP_DEV_BOUND_ONLY) and may ask it about packets.
    `watch` is given the Env before anything is done.
    """
    vmaps = tuple(make_vmap(map_, index) for index, map_ in enumerate(maps))
    env = Env(
        spec,
        vmaps,
        btf,
        caps=caps,
        kernel_btf=kernel_btf if kernel_btf is not None else linux618().btf,
        log_level=log_level,
        strict_alignment=strict_alignment,
        test_state_freq=test_state_freq and "bpf" in caps,
        device_bound=device_bound,
    )
    verdict = Verdict(True, env=env)
    if watch is not None:
        watch(env)
    try:
        _check(env)
    except Refusal as refusal:
        verdict.accepted, verdict.errno, verdict.message = False, refusal.errno, refusal.message
        verdict.insn_idx = env.insn_idx
    _fill(verdict, env)
    return verdict


def make_vmap(spec: MapSpec, index: int) -> VMap:
    """A map as the verifier sees it."""
    inner = make_vmap(spec.inner, -1) if spec.inner is not None else None
    return VMap(spec, index, inner, record_of_map(spec), spec.read_only)


def _check(env: Env) -> None:
    check_may_load(env)
    func_info.check_early(env)
    find_subprogs(env)
    check_subprogs(env)
    func_info.check(env)
    _resolve_maps(env)
    check_cfg.check_cfg(env)
    env.stack_live = StackLiveness(env)
    check_sleepable(env)
    scc.compute(env)
    env.has_scc = any(aux.scc for aux in env.aux)
    live_regs.compute(env)
    fastcall.mark(env)
    check_main(env)
    check_subprogs_by_themselves(env)
    fastcall.drop_pairs(env)
    check_max_stack_depth(env)
    add_of_inlined(env)


def _resolve_maps(env: Env) -> None:
    """Maps that the program names must suit it (resolve_pseudo_ldimm64)."""
    used: list[VMap] = []
    for slot, insn in enumerate(env.code):
        if insn is None or insn.family is not Family.LD_IMM64:
            continue
        if insn.op == Imm64.BTF_ID.name:
            raise Unsupported(f"{env.spec.name}: insn {slot} ({disasm(insn)}): btf_id references do not run yet")
        if insn.op in (Imm64.VALUE.name, Imm64.FUNC.name):
            continue
        if not 0 <= insn.imm < len(env.maps):
            env.fail(EBADF, f"fd {insn.imm} is not pointing to valid bpf_map")
        map_ = env.maps[insn.imm]
        if map_ not in used:
            if len(used) >= MAX_USED_MAPS:
                env.fail(E2BIG, f"The total number of maps per program has reached the limit of {MAX_USED_MAPS}")
            check_map_prog_compatibility(env, map_, used)
            used.append(map_)
        env.aux[slot].map = map_
        if insn.op in (Imm64.MAP_VALUE.name, Imm64.MAP_IDX_VALUE.name):
            _check_direct_value(env, map_, insn)


def _check_direct_value(env: Env, map_: VMap, insn: Insn) -> None:
    off, spec = insn.next_imm & 0xFFFF_FFFF, map_.spec
    if off >= MAX_VAR_OFF:
        env.fail(EINVAL, f"direct value offset of {off} is not allowed")
    if spec.type not in _DIRECT_VALUES:
        env.fail(EINVAL, "no direct value access support for this map type")
    if spec.type == "ARRAY" and (spec.max_entries != 1 or off >= spec.value_size):
        errno = EINVAL if spec.max_entries == 1 else ENOTSUPP
        env.fail(errno, f"invalid access to map value pointer, value_size={spec.value_size} off={off}")


def _fill(verdict: Verdict, env: Env) -> None:
    verdict.insns_processed, verdict.total_states = env.insn_processed, env.total_states
    verdict.peak_states, verdict.max_states_per_insn = env.peak_states, env.max_states_per_insn
    verdict.stack_depth = depths(env, accepted=verdict.accepted)
    if env.log_level:
        if env.log_level & 4:
            env.log.append(f"stack depth {'+'.join(map(str, verdict.stack_depth))}\n")
        env.log.append(verdict.statistics + "\n")
        verdict.log = "".join(env.log)
