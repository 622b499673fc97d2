"""The state that helpers of instrumented programs read: a one-entry array map, shared with the kernel by mmap.

What the helpers compute from it on the emulator's side is in xdpsim.helpers.world, whose formulas are used here.
"""

from __future__ import annotations

import mmap

from xdpsim.bits import M64
from xdpsim.helpers.world import JIFFIES_AT_BOOT, TICK_NS
from xdpsim.maps.types import BPF_F_MMAPABLE, MAP_TYPES
from xdpsim.memory.layout import U32, U64, Struct, View
from xdpsim.sysbpf.maps import MapDefinition, create_map

WORLD = Struct(
    "world",
    ("ktime_ns", U64),
    ("coarse_ns", U64),
    ("tai_ns", U64),
    ("jiffies", U64),
    ("random", U64),
    ("cpu", U32),
    ("numa_node", U32),
)


class World:
    """The map and its memory. `fill` before a packet, `random` after it; no system call is made for either."""

    def __init__(self) -> None:
        definition = MapDefinition(MAP_TYPES["ARRAY"].id, 4, WORLD.size, 1, flags=BPF_F_MMAPABLE, name="xdpsim_world")
        self.map = create_map(definition, 1)
        self._memory = mmap.mmap(self.map.fd.number, mmap.PAGESIZE)
        self._view = View(WORLD, memoryview(self._memory), 0, 0)

    def fill(self, run_state: View, ktime_ns: int, tai_ns: int) -> None:
        """What the next packet's program is to see; the generator goes on from the run state's."""
        view = self._view
        view.ktime_ns, view.tai_ns = ktime_ns, tai_ns
        view.coarse_ns = ktime_ns - ktime_ns % TICK_NS
        view.jiffies = (JIFFIES_AT_BOOT + ktime_ns // TICK_NS) & M64
        view.random = run_state.random
        view.cpu, view.numa_node = run_state.cpu, run_state.numa_node

    @property
    def random(self) -> int:
        """The generator's state as the program left it."""
        return self._view.random
