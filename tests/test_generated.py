"""What is generated from rows is up to date in the tree."""

from __future__ import annotations

import pytest

from docs.generate import REFERENCE, pages


@pytest.mark.parametrize("name", sorted(pages()))
def test_reference_page_is_current(name: str) -> None:
    assert (REFERENCE / name).read_text() == pages()[name], "stale: run make docs"
