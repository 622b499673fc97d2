"""Licences of programs that may use what the kernel keeps for GPL (include/linux/license.h)."""

from __future__ import annotations

GPL_COMPATIBLE = frozenset(
    ("GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL")
)
"""Those that license_is_gpl_compatible() takes."""
