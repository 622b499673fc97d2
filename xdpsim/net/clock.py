"""Virtual time: what programs see as the clock follows the packets, never the wall."""

from __future__ import annotations

START_NS = 1_000 * 1_000_000_000
"""The emulated machine has been up for 1,000 s when its first packet comes."""
STEP_NS = 1_000
"""Time between packets that carry no time."""


class VirtualClock:
    """ktime = 1,000 s + (largest timestamp so far - first timestamp): monotonic, although captures are not."""

    def __init__(self) -> None:
        self.ktime_ns = START_NS
        self.tai_ns = START_NS
        self.first_ns: int | None = None

    def arrive(self, time_ns: int | None) -> None:
        """A packet comes, at `time_ns` nanoseconds since 1970 or, with None, one microsecond after the last one."""
        if time_ns is None:
            self.ktime_ns += STEP_NS
            self.tai_ns += STEP_NS
            return
        if self.first_ns is None:
            self.first_ns = time_ns - (self.ktime_ns - START_NS)
        self.ktime_ns = max(self.ktime_ns, START_NS + time_ns - self.first_ns)
        self.tai_ns = time_ns

    def advance(self, nanoseconds: int) -> None:
        """Let time pass without a packet."""
        self.ktime_ns += nanoseconds
        self.tai_ns += nanoseconds
