"""A map as the verifier sees it: its definition, its special fields, constant contents, the shape of inner maps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from xdpsim.maps.spec import MapSpec


@dataclass(eq=False)
class VMap:
    """One map of the program; two programs' tables never share one. Equal only to itself."""

    spec: MapSpec
    index: int
    """Its place in the object's maps, which LD_IMM64 names; -1 for the shape of an inner map."""
    inner: VMap | None = None
    record: Any = None
    """Special fields of the value by BTF (locks, timers, kptrs, list heads), None when there are none."""
    frozen: bool = False
    uses: set[str] = field(default_factory=set)
    """"write" when a store or a helper may change a value of it."""
