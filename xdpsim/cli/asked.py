"""What all commands but `xdpsim run` were asked to do, as plain values; `module` names who does it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from xdpsim.cli.loading import Loading


@dataclass(frozen=True)
class Asked:
    """A command with its options: `module` has a function `run` that takes them and returns the exit code."""

    module: ClassVar[str]


@dataclass(frozen=True)
class InspectOptions(Asked):
    """`xdpsim inspect`."""

    module = "xdpsim.cli.inspect"
    object: str
    disasm: bool = False
    source: bool = False
    btf: bool = False
    dot: str = ""
    json: bool = False
    verify: bool = True


@dataclass(frozen=True)
class MapOptions(Asked):
    """`xdpsim map`; `words` is what stands behind the map's name: `key ..`, `value ..`, a flag."""

    module = "xdpsim.cli.map"
    action: str
    place: str
    name: str
    words: tuple[str, ...] = ()
    object: str = ""
    json: bool = False


@dataclass(frozen=True)
class TraceOptions(Asked):
    """`xdpsim trace`."""

    module = "xdpsim.cli.trace"
    object: str
    read: str
    number: int
    program: str = ""
    maps: tuple[str, ...] = ()
    seed: int = 0
    l2: str = ""
    json: bool = False
    loading: Loading = field(default_factory=Loading)


@dataclass(frozen=True)
class VerifyOptions(Asked):
    """`xdpsim verify`; `log_level` is that of BPF_PROG_LOAD, 0 for no log."""

    module = "xdpsim.cli.verify"
    objects: tuple[str, ...]
    programs: tuple[str, ...] = ()
    linux: str = ""
    caps: str = ""
    strict_alignment: bool = False
    log_level: int = 0
    json: bool = False
    sarif: bool = False
    loading: Loading = field(default_factory=Loading)


@dataclass(frozen=True)
class BenchOptions(Asked):
    """`xdpsim bench`."""

    module = "xdpsim.cli.bench"
    object: str
    read: str = ""
    program: str = ""
    maps: tuple[str, ...] = ()
    engine: str = "jit"
    against: str = ""
    seconds: float = 1.0
    json: bool = False
    loading: Loading = field(default_factory=Loading)


@dataclass(frozen=True)
class ProgRunOptions(Asked):
    """`xdpsim prog run`: `place` is OBJ or OBJ:PROG, `words` are bpftool's."""

    module = "xdpsim.cli.prog"
    place: str
    words: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()
    engine: str = "jit"
    json: bool = False
    loading: Loading = field(default_factory=Loading)
