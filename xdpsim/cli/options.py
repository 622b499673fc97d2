"""What the command line was asked to do, as plain values: all that the argument parser hands on."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from xdpsim.cli.loading import Loading


class EngineName(StrEnum):
    """--engine: the names of sim.ENGINES."""

    INTERPRETER = "interpreter"
    JIT = "jit"
    KERNEL = "kernel"


class Other(StrEnum):
    """bench --against: whose time stands beside ours."""

    KERNEL = "kernel"


class CaptureSide(StrEnum):
    """--capture: which form of a packet -w writes."""

    EXIT = "exit"
    ENTRY = "entry"
    BOTH = "both"


class Layer2(StrEnum):
    """--l2: what to do with captures without Ethernet headers."""

    SYNTH = "synth"


@dataclass(frozen=True)
class RunOptions:
    """`xdpsim run`."""

    object: str
    read: str
    program: str = ""
    write: str = ""
    maps: tuple[str, ...] = ()
    engine: EngineName | None = None
    """None: the one that is likely to be done first."""
    limit: int | None = None
    per_packet: bool = False
    save_maps: str = ""
    json: bool = False
    seed: int = 0
    l2: Layer2 | None = None
    capture: CaptureSide = CaptureSide.EXIT
    drops: int = 5
    loading: Loading = field(default_factory=Loading)
    words: tuple[str, ...] = ()
    """The command line itself, for the report's last line."""
