"""What a capture is made of: records (one packet each) and the interfaces they came in on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

MAX_CAPTURED_BYTES = 262_144  # libpcap's MAXIMUM_SNAPLEN: nobody writes larger records, so a larger length is damage


class Record(NamedTuple):
    """One packet of a capture.

    `n` counts from 1; `time_ns` is nanoseconds since 1970, None when the record carries no time; `length` is the
    length on the wire in bytes, never below `len(data)`; `interface` indexes `Capture.interfaces`.
    """

    n: int
    time_ns: int | None
    data: bytes
    length: int
    interface: int = 0
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Interface:
    """Where packets were captured.

    `tsresol` is pcapng's octet: 6 = microseconds, 9 = nanoseconds, with the high bit set a power of two;
    `tsoffset` is in seconds; `snaplen` 0 means no limit.
    """

    name: str = ""
    linktype: int = 1
    snaplen: int = 0
    tsresol: int = 6
    tsoffset: int = 0

    @property
    def units_per_second(self) -> int:
        """Clock ticks a second, from `tsresol`."""
        power = self.tsresol & 0x7F
        units: int = 2**power if self.tsresol & 0x80 else 10**power
        return units


def whole_before(n: int) -> str:
    """The hint of an error in record `n`: what could be read."""
    if n <= 2:
        return "the record before it is whole" if n == 2 else ""
    return f"the {n - 1:,} records before it are whole"
