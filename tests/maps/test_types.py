"""Numbers of map types and flags against the running kernel's own type information."""

from __future__ import annotations

from pathlib import Path

import pytest

from xdpsim.btf.parse import parse
from xdpsim.btf.types import Enum
from xdpsim.maps import types
from xdpsim.maps.kind import KINDS
from xdpsim.maps.map import KIND_MODULES
from xdpsim.maps.special import SPECIAL_STRUCTS


@pytest.mark.live
def test_numbers_are_the_kernels() -> None:
    btf = parse(Path("/sys/kernel/btf/vmlinux").read_bytes())
    numbers = {name: value for row in btf.types if isinstance(row, Enum) for name, value in row.values}
    assert {name: row.id for name, row in types.MAP_TYPES.items()} == {
        name: numbers[f"BPF_MAP_TYPE_{name}"] for name in types.MAP_TYPES
    }
    named = {name for name in vars(types) if name.startswith("BPF_")}
    assert {name: getattr(types, name) for name in named} == {name: numbers[name] for name in named}
    assert len(types.MAP_TYPES) == numbers["__MAX_BPF_MAP_TYPE"] - 1
    for name, (size, _) in SPECIAL_STRUCTS.items():
        row = btf.by_name(name)
        assert row is not None
        assert btf.size_of(row.id) == size


def test_every_kind_module_declares_its_kinds() -> None:
    declared = {
        row.type.name for module in KIND_MODULES for row in vars(module).values() if type(row) is type(KINDS["HASH"])
    }
    assert declared == set(KINDS)
