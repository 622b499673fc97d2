"""What the running Linux's verifier says of a program: accepted or not, message, how far it walked.

`Asker` keeps the maps and types that it made, so that thousands of programs over the same maps are asked in a second.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.capabilities import only
from xdpsim.engines.kernel.instrument import bind_maps, maps_used
from xdpsim.engines.kernel.kfuncs import bind_kfuncs
from xdpsim.engines.kernel.mirror import definition_of
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.sysbpf.btf import load_btf
from xdpsim.sysbpf.info import possible_cpus
from xdpsim.sysbpf.maps import KernelMap, create_map
from xdpsim.sysbpf.programs import F_SLEEPABLE, F_XDP_HAS_FRAGS, ProgramDefinition, log_tail, verifier_log
from xdpsim.sysbpf.syscall import Fd, errno_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xdpsim.btf.types import Btf
    from xdpsim.loader.model import ProgramSpec
    from xdpsim.maps.spec import MapSpec

LEVEL1, LEVEL2, STATS = 1, 2, 4
ALL_CAPS = frozenset({"bpf", "perfmon", "net_admin"})
_STATISTICS = re.compile(
    r"processed (\d+) insns \(limit \d+\) max_states_per_insn (\d+) total_states (\d+) peak_states (\d+) mark_read"
)
_STATISTICS_LINE = re.compile(r"processed \d+ insns \(limit.*")  # some messages lack the newline before it
_STACK = re.compile(r"^stack depth ([\d+]+)", re.MULTILINE)
_BEFORE_MESSAGE = re.compile(
    r"(from )?\d+(: \([0-9a-f]{2}\)|: (frame\d+: )?(R\d+|fp-\d+|refs=|cb|async_cb)| to \d+( |:))"
)
"""How a line begins that tells an instruction or a state."""
_ON_ONE_LINE = re.compile(
    r": \([0-9a-f]{2}\) (?:(?:if .+ )?(?:goto|gotol|may_goto) pc[+-]\d+|call \S+|exit) (?! *;|\d+: |frame\d+: )(\S.*)"
)
"""A message behind an instruction: Linux ends that line only when a state follows."""
_TRAILER = re.compile(
    r"processed \d+ insns|verification time|stack depth|mark_precise|last_idx|parent|regs=|insns processed"
)


@dataclass(frozen=True)
class Answer:
    """`errno` is 0 for an accepted program; the rest is of the log, -1 and empty where it does not say."""

    errno: int
    message: str
    processed: int = -1
    total_states: int = -1
    peak_states: int = -1
    stack_depth: str = ""
    log: str = ""

    @property
    def accepted(self) -> bool:
        return self.errno == 0

    @property
    def errno_name(self) -> str:
        """ "" for 0."""
        return errno_name(self.errno) if self.errno else ""


def answer_of(errno: int, log: str) -> Answer:
    """An answer from the errno of BPF_PROG_LOAD and its log."""
    numbers, stack = _STATISTICS.search(log), _STACK.search(log)
    processed, total, peak = (int(numbers[1]), int(numbers[3]), int(numbers[4])) if numbers else (-1, -1, -1)
    message = message_of(log) if errno else ""
    return Answer(errno, message, processed, total, peak, stack[1] if stack else "", log)


def message_of(log: str) -> str:
    """What a log tells behind its last instruction or state, without statistics."""
    lines = _STATISTICS_LINE.sub("", log).rstrip("\n").split("\n")
    while lines and (not lines[-1] or _TRAILER.match(lines[-1])):
        lines.pop()
    start = next((n + 1 for n in range(len(lines) - 1, -1, -1) if _BEFORE_MESSAGE.match(lines[n])), 0)
    told = [line for line in lines[start:] if not _TRAILER.match(line)]
    if start and (joined := _ON_ONE_LINE.search(lines[start - 1])):
        told.insert(0, joined[1])
    return "\n".join(told)


def unprivileged_reason() -> str:
    """Empty when this kernel lets processes without CAP_BPF load programs, else why not."""
    held = Path("/proc/sys/kernel/unprivileged_bpf_disabled")
    value = held.read_text().strip() if held.exists() else "?"
    return "" if value == "0" else f"kernel.unprivileged_bpf_disabled is {value}"


class Asker:
    """The kernel's verifier with the maps of a case or of many."""

    def __init__(self) -> None:
        self._maps: dict[tuple[object, ...], KernelMap] = {}
        self._types: dict[int, tuple[Btf, Fd]] = {}

    def ask(
        self,
        spec: ProgramSpec,
        maps: Sequence[MapSpec] = (),
        btf: Btf | None = None,
        *,
        caps: frozenset[str] = ALL_CAPS,
        flags: int = 0,
        log_level: int = LEVEL1,
        tail_only: bool = False,
    ) -> Answer:
        """Put a program to the verifier. InputError when a map or the types are refused already.

        With `tail_only` only the last 64 KiB of its log are taken, which is much faster where it is long.
        """
        code = bind_kfuncs(spec.code, spec.kfuncs)
        used = maps_used(code)
        owner = (spec.type, spec.attach_type, spec.frags, spec.sleepable)
        fds = [self.map(m, owner).fd.number if n in used else -1 for n, m in enumerate(maps)]
        definition = ProgramDefinition(
            type=PROG_TYPES[spec.type].id,
            code=bind_maps(code, fds),
            name=spec.name,
            attach_type=spec.attach_type,
            licence=spec.licence,
            flags=F_XDP_HAS_FRAGS * spec.frags | F_SLEEPABLE * spec.sleepable | flags,
            btf=self.types(btf) if btf and spec.func_info else None,
            func_info=spec.func_info if btf else (),
            line_info=spec.line_info if btf and spec.func_info else (),
        )
        with only(caps):
            errno, log = (log_tail if tail_only else verifier_log)(definition, log_level)
        return answer_of(errno, log)

    def types(self, btf: Btf) -> Fd:
        """The kernel's handle of a BTF."""
        if id(btf) not in self._types:
            self._types[id(btf)] = (btf, load_btf(btf.raw))
        return self._types[id(btf)][1]

    def map(self, spec: MapSpec, owner: tuple[object, ...] = ()) -> KernelMap:
        """The kernel's map of a definition, with its first value and frozen where the definition says so.

        Maps that hold or run programs take those of one kind of `owner` only.
        """
        owner = owner if spec.type in ("PROG_ARRAY", "DEVMAP", "DEVMAP_HASH", "CPUMAP") else ()
        key = (
            *(getattr(spec, f) for f in spec.__dataclass_fields__ if f not in ("btf", "inner")),
            id(spec.btf),
            spec.inner,
            owner,
        )
        if key not in self._maps:
            self._maps[key] = self._make(spec)
        return self._maps[key]

    def _make(self, spec: MapSpec) -> KernelMap:
        wants_types = spec.btf is not None and (spec.key_type or spec.value_type)
        definition = definition_of(spec, self.types(spec.btf) if wants_types and spec.btf else None)
        if spec.inner is not None:
            definition = replace(definition, inner=self.map(spec.inner).fd)
        made = create_map(definition, possible_cpus())
        if spec.initial is not None:
            made.update(bytes(4), spec.initial)
        if spec.read_only:
            made.freeze()
        return made


def running() -> str:
    """The version of the running kernel."""
    return os.uname().release
