"""Imports every helper module by name, which fills the table of rows."""

from __future__ import annotations

from xdpsim.helpers import checksum, map_ops, redirect, trace, world, xdp_packet

MODULES = (checksum, map_ops, redirect, trace, world, xdp_packet)
