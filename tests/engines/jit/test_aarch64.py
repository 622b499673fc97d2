"""The instruction cases, compiled for aarch64, leave the same r0 under qemu: what is emitted rests on no machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.aarch64 import QEMU, run_on_aarch64
from tests.support.insn_cases import case_name, load_cases


@pytest.mark.skipif(QEMU is None, reason="qemu-aarch64 is not installed (Debian: qemu-user-static)")
def test_every_instruction_case(tmp_path: Path) -> None:
    cases = load_cases()
    found = run_on_aarch64([case.code for case in cases], tmp_path)
    wrong = [case_name(case) for case, left in zip(cases, found, strict=True) if left != (case.r0, 0)]
    assert wrong == []
