"""Build hook: compiles the native runtime to bitcode, so that who installs the wheel needs no numba."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class RuntimeBuildHook(BuildHookInterface):  # type: ignore[misc]
    """Puts xdpsim/memory/bitcode/runtime-HASH.bc into the tree and the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        sys.path.insert(0, str(root))
        try:
            from xdpsim.memory import runtime
        finally:
            sys.path.remove(str(root))
        target = runtime.BITCODE_DIR / f"runtime-{runtime.source_hash()}.bc"
        if not target.exists():
            self.app.display_info("compiling the native runtime to bitcode")
            runtime.build(target)
