"""Imports every helper module by name, which fills the table of rows."""

from __future__ import annotations

from xdpsim.helpers import (
    callbacks,
    checksum,
    map_ops,
    percpu,
    printf,
    probe,
    redirect,
    strings,
    syncookie,
    timers,
    trace,
    world,
    xdp_bytes,
    xdp_packet,
)

MODULES = (
    callbacks,
    timers,
    checksum,
    map_ops,
    redirect,
    trace,
    world,
    xdp_packet,
    xdp_bytes,
    strings,
    printf,
    syncookie,
    percpu,
    probe,
)
