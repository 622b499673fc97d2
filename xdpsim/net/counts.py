"""What a sweep over a capture counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Count:
    """Packets, their bytes as captured, the number of the first one."""

    packets: int = 0
    bytes: int = 0
    first: int = 0

    def add(self, packets: int, size: int, first: int) -> None:
        """Count more; `first` is the number of their first one."""
        if packets:
            self.first = min(self.first or first, first)
            self.packets += packets
            self.bytes += size


@dataclass
class Swept:
    """Counts over a capture: packets by verdict, by fault and by the reason for which they never ran."""

    packets: int = 0
    bytes: int = 0
    insns: int = 0
    verdicts: dict[int, Count] = field(default_factory=dict)
    faults: Count = field(default_factory=Count)
    errors: dict[str, Count] = field(default_factory=dict)

    def counts(self) -> Iterator[Count]:
        """All of them."""
        yield from self.verdicts.values()
        yield self.faults
        yield from self.errors.values()

    def verdict(self, value: int) -> Count:
        """The count of a verdict."""
        return self.verdicts.setdefault(value, Count())
