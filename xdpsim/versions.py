"""Linux versions, and the rule that a row's `since` is compared with the kernel chosen by the user."""

from __future__ import annotations

import re
from functools import total_ordering

from xdpsim.errors import InputError, Unsupported

DEFAULT = "6.18"


@total_ordering
class Linux:
    """A kernel version such as `Linux("5.15")`; compares by number, prints as it was written."""

    __slots__ = ("numbers", "text")

    def __init__(self, text: str | Linux) -> None:
        text = str(text)
        if not re.fullmatch(r"\d{1,3}\.\d{1,5}(\.\d{1,5})?", text):
            raise InputError(f"kernel version {text!r}: expected MAJOR.MINOR such as 5.15")
        self.text = text
        self.numbers = tuple(int(part) for part in text.split("."))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Linux) and self._padded() == other._padded()

    def __lt__(self, other: Linux) -> bool:
        return self._padded() < other._padded()

    def __hash__(self) -> int:
        return hash(self._padded())

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Linux({self.text!r})"

    def _padded(self) -> tuple[int, ...]:
        return (*self.numbers, 0)[:3]


def require(what: str, since: str, chosen: Linux) -> None:
    """Raise Unsupported when `what` came with a later kernel than the chosen one."""
    if Linux(since) > chosen:
        raise Unsupported(f"{what} needs Linux {since}; chosen is {chosen}")
