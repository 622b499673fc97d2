"""Run-time limits that all engines share."""

from __future__ import annotations

MAY_GOTO_LIMIT = 8 * 1024 * 1024
"""BPF_MAX_LOOPS: how often a may_goto falls through before it jumps, in each call frame."""
DEFAULT_BUDGET = 1 << 24
"""Insns (interpreter) or backward jumps (JIT) after which an unverified program is taken for one that never ends."""
