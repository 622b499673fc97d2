"""What a user may say about an object before it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from xdpsim.loader.core.target import Target, shipped
from xdpsim.versions import DEFAULT, Linux


@dataclass(frozen=True, eq=False)
class LoadOptions:
    """Options of load_object; each has the value that asks for nothing.

    `type` names a program type as a section would ("xdp", "tc", "cgroup/connect4") or in the kernel's word ("XDP"): as
    text for every program whose own section says nothing, as a mapping from program names for just these. `constants`
    gives global variables, .kconfig externs and the sizes of maps (max_entries) by name. `target` yields the types that
    CO-RE relocations resolve against. `cpus` and `linux` are those of the machine.
    """

    type: str | Mapping[str, str] = ""
    constants: Mapping[str, object] = field(default_factory=dict)
    target: Callable[[], Target] = shipped
    cpus: int = 1
    linux: Linux = field(default_factory=lambda: Linux(DEFAULT))
