"""What a map is to be: the definition that an object file or a user gives, before any memory exists."""

from __future__ import annotations

from dataclasses import dataclass

from xdpsim.btf.types import Btf


@dataclass(frozen=True)
class MapSpec:
    """A map definition. Sizes in bytes; `key_type` and `value_type` are ids in `btf`, 0 where nothing is known.

    `initial` is the content of slot 0 of a global-data map; `read_only` says that programs may not write it and that
    it is frozen for users (.rodata).
    """

    name: str
    type: str
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0
    key_type: int = 0
    value_type: int = 0
    btf: Btf | None = None
    initial: bytes | None = None
    pinning: int = 0
    inner: MapSpec | None = None
    numa_node: int = 0
    map_extra: int = 0
    read_only: bool = False
