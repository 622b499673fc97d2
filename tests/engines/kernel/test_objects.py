"""The programs that come with xdpsim: Linux accepts them, and their copies on the virtual clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from xdpsim import Sim

OBJECTS = sorted((Path(__file__).parents[3] / "programs").glob("*.o"))


@pytest.mark.live
@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.name)
def test_linux_accepts_it(path: Path) -> None:
    loaded = Sim(engine="kernel").load(path)
    for name in loaded:
        assert loaded[name].run(bytes(64)).value <= 4
