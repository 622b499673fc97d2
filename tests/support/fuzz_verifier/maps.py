"""The maps of all generated programs, by name; a program brings only those along that it names."""

from __future__ import annotations

from tests.support.verifier_cases import types_of
from xdpsim.maps.spec import MapSpec

_RDONLY_PROG = 1 << 7
LOCKED_TYPE = "struct locked { struct bpf_spin_lock lock; u32 a; u64 b[4]; }; typedef u32 locked_key;"


def _locked() -> MapSpec:
    text, btf = types_of(LOCKED_TYPE)
    key, value = text.types["locked_key"], text.types["locked"]
    return MapSpec("locked", "ARRAY", 4, 40, 2, key_type=key, value_type=value, btf=btf)


MAPS: dict[str, MapSpec] = {
    spec.name: spec
    for spec in (
        MapSpec("counts", "ARRAY", 4, 48, 1),
        MapSpec("big", "ARRAY", 4, 256, 1),
        MapSpec("array", "ARRAY", 4, 16, 8),
        MapSpec("hash", "HASH", 4, 24, 16),
        MapSpec("wide", "HASH", 8, 40, 16),
        MapSpec("lru", "LRU_HASH", 4, 12, 16),
        MapSpec("percpu", "PERCPU_ARRAY", 4, 32, 4),
        MapSpec("ring", "RINGBUF", 0, 0, 4096),
        MapSpec("jumps", "PROG_ARRAY", 4, 4, 8),
        MapSpec("fixed", "ARRAY", 4, 16, 1, _RDONLY_PROG, initial=bytes(range(1, 17)), read_only=True),
        MapSpec("queue", "QUEUE", 0, 8, 4),
        _locked(),
        MapSpec("devices", "DEVMAP", 4, 4, 4),
    )
}
LOOKED_UP = ("counts", "big", "array", "hash", "wide", "lru", "percpu")
