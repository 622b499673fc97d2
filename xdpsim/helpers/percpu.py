"""bpf_map_lookup_percpu_elem: another CPU's value. Follows kernel/bpf/helpers.c, arraymap.c and hashtab.c."""

from __future__ import annotations

from xdpsim.helpers.rows import native_helper
from xdpsim.maps.header import MAP
from xdpsim.memory.raw import call3, load32, load64
from xdpsim.memory.structs import RUN_STATE

_LOOKUP = MAP.offset("lookup")
_CPUS = MAP.offset("cpus")
_CPU_STRIDE = MAP.offset("cpu_stride")
_CPU = RUN_STATE.offset("cpu")
_LOW32 = 0xFFFF_FFFF


@native_helper(195, only_arguments=True)
def bpf_map_lookup_percpu_elem(rs: int, map_: int, key: int, cpu: int) -> int:
    """Address of the value of CPU `cpu` under `key`; 0 without one, for a CPU that is not there, or a shared value."""
    cpu = cpu & _LOW32
    stride = load64(map_ + _CPU_STRIDE)
    if cpu >= load32(map_ + _CPUS) or stride == 0:
        return 0
    own = call3(load64(map_ + _LOOKUP), rs, map_, key)
    if own == 0:
        return 0
    return own + (cpu - load32(rs + _CPU)) * stride
