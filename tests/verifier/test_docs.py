"""docs/verifier.md: its examples run, and the logs that it shows are ours and Linux's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.first_passes import linux_log, masked, spec_of
from xdpsim.helpers.ids import HELPERS_BY_NAME
from xdpsim.isa.asm import assemble
from xdpsim.isa.insn import Code
from xdpsim.verifier.main import verify

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "verifier.md").read_text(encoding="utf-8")
PAIRS = re.findall(r"^```asm\n(.*?)^```\n\n```log\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PACKAGE = ROOT / "xdpsim" / "verifier"


def _code(text: str) -> Code:
    return assemble(text, helpers={name: row.id for name, row in HELPERS_BY_NAME.items()})


def _stripped(log: str) -> str:
    return "\n".join(line.rstrip() for line in log.splitlines())


def test_there_are_samples() -> None:
    assert len(PAIRS) == PAGE.count("```log") == PAGE.count("```asm") == 3


@pytest.mark.parametrize(("text", "shown"), PAIRS)
def test_our_log_holds_what_is_shown(text: str, shown: str) -> None:
    assert _stripped(shown) in _stripped(verify(spec_of(_code(text)), (), None, log_level=2).log)


@pytest.mark.live
@pytest.mark.parametrize(("text", "shown"), PAIRS)
def test_linux_log_holds_what_is_shown(text: str, shown: str) -> None:
    assert _stripped(masked(shown)) in _stripped(linux_log(_code(text))[1])


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    exec(compile(code, "example", "exec"), {})


def test_modules_that_are_named_exist() -> None:
    table = PAGE[PAGE.index("## Where things are") :]
    names = {name for row in table.splitlines() if row.startswith("|") for name in re.findall(r"`([a-z_0-9*]+)`", row)}
    assert len(names) > 50
    assert [name for name in names if not list(PACKAGE.glob(f"{name}.py"))] == []
