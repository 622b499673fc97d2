"""Which maps may be the template of a map of maps, and which may stand in its place: Linux's answers and ours."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from tests.support import bpfmaps
from tests.support.record import recorder
from xdpsim.errors import InputError
from xdpsim.maps.map import create_map
from xdpsim.maps.nested import same_shape
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import BPF_F_INNER_MAP, BPF_F_NUMA_NODE, MAP_TYPES

GOLDEN = "map_templates"
_REFUSED = -524
GOOD: dict[str, tuple[int, int, int, int]] = {
    "ARRAY": (4, 8, 4, 0),
    "PERCPU_ARRAY": (4, 8, 4, 0),
    "HASH": (8, 8, 4, 0),
    "PERCPU_HASH": (8, 8, 4, 0),
    "LRU_HASH": (8, 8, 4, 0),
    "LRU_PERCPU_HASH": (8, 8, 4, 0),
    "LPM_TRIE": (8, 8, 4, 1),
    "PROG_ARRAY": (4, 4, 4, 0),
    "PERF_EVENT_ARRAY": (4, 4, 4, 0),
    "QUEUE": (0, 8, 4, 0),
    "STACK": (0, 8, 4, 0),
    "BLOOM_FILTER": (0, 8, 4, 0),
    "RINGBUF": (0, 0, 4096, 0),
    "DEVMAP": (4, 4, 4, 0),
    "DEVMAP_HASH": (4, 4, 4, 0),
    "CPUMAP": (4, 4, 4, 0),
    "XSKMAP": (4, 4, 4, 0),
}
"""Key size, value size, entries and flags of a map of each type."""


def variants(kind: str) -> list[MapSpec]:
    """The map itself, one of twice the entries, and one with another flag; an array that may vary in entries, too."""
    spec = MapSpec(kind, kind, *GOOD[kind])
    found = [spec, replace(spec, max_entries=spec.max_entries * 2)]
    if not kind.startswith(("PERCPU", "LRU_PERCPU")):
        found.append(replace(spec, flags=spec.flags | BPF_F_NUMA_NODE))
    if kind == "ARRAY":
        found += [replace(each, flags=BPF_F_INNER_MAP) for each in found[:2]]
    return found


def _make(spec: MapSpec) -> int:
    fd = bpfmaps.create(MAP_TYPES[spec.type].id, spec.key_size, spec.value_size, spec.max_entries, spec.flags)
    assert fd >= 0, spec
    return fd


def ask_linux(kind: str) -> list[list[int]]:
    """For each variant as the template: what an update with each variant says; [-524] where it cannot be one."""
    fds, answers = [_make(spec) for spec in variants(kind)], []
    for template in fds:
        outer = bpfmaps.create(MAP_TYPES["ARRAY_OF_MAPS"].id, 4, 4, 1, 0, inner=template)
        if outer < 0:
            answers.append([outer])
            continue
        os.close(outer)
        held = bpfmaps.KernelMap(MAP_TYPES["ARRAY_OF_MAPS"].id, (4, 4, 1, 0), 1, inner=template)
        answers.append([held.update(bytes(4), fd.to_bytes(4, "little"), 0) for fd in fds])
        held.close()
    for fd in fds:
        os.close(fd)
    return answers


def ask_xdpsim(kind: str) -> list[list[int]]:
    """What we say to the same."""
    answers = []
    for template in variants(kind):
        try:
            create_map(MapSpec("outer", "ARRAY_OF_MAPS", 4, 4, 1, inner=template), cpus=2, number=1)
        except InputError as err:
            answers.append([_REFUSED if err.hint.endswith("ENOTSUPP") else 0])
            continue
        answers.append([0 if same_shape(template, each) else -22 for each in variants(kind)])
    return answers


@recorder(GOLDEN)
def record_templates() -> dict[str, Any]:
    """Ask the running kernel."""
    return {"types": [[kind, ask_linux(kind)] for kind in GOOD]}
