"""The modules that hold runtime functions: what the build compiles and what the staleness check hashes.

They are named as text because they lie in higher layers; only the build imports them through this list, and a test
shows that it is complete.
"""

from __future__ import annotations

NATIVE_MODULES: tuple[str, ...] = (
    "xdpsim.helpers.checks",
    "xdpsim.helpers.checksum",
    "xdpsim.helpers.events",
    "xdpsim.helpers.locks",
    "xdpsim.helpers.map_ops",
    "xdpsim.helpers.packet_load",
    "xdpsim.helpers.percpu",
    "xdpsim.helpers.redirect",
    "xdpsim.helpers.strings",
    "xdpsim.helpers.syncookie",
    "xdpsim.helpers.world",
    "xdpsim.helpers.xdp_bytes",
    "xdpsim.helpers.xdp_packet",
    "xdpsim.helpers.xdp_pull",
    "xdpsim.maps.array",
    "xdpsim.maps.bloom",
    "xdpsim.maps.hash",
    "xdpsim.maps.hash_nodes",
    "xdpsim.maps.header",
    "xdpsim.maps.keyless",
    "xdpsim.maps.local_storage",
    "xdpsim.maps.lpm",
    "xdpsim.maps.lpm_index",
    "xdpsim.maps.lpm_nodes",
    "xdpsim.maps.lru",
    "xdpsim.maps.lru_links",
    "xdpsim.maps.lru_lists",
    "xdpsim.maps.nested",
    "xdpsim.maps.percpu_hash",
    "xdpsim.maps.perf",
    "xdpsim.maps.plain",
    "xdpsim.maps.references",
    "xdpsim.maps.ringbuf",
    "xdpsim.maps.special",
    "xdpsim.maps.targets",
    "xdpsim.memory.batch_ops",
    "xdpsim.memory.space_ops",
    "xdpsim.memory.sweep",
)
