"""Hooks of the whole suite: which tests ask the running kernel, and the line that says how many did."""

from tests.support.oracle import (
    kernel_oracle,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_terminal_summary,
)

__all__ = ["kernel_oracle", "pytest_collection_modifyitems", "pytest_configure", "pytest_terminal_summary"]
