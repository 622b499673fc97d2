"""How fast programs are verified: insns walked a second, against the kernel on the same program, and start-up with and
without what the cache remembers."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.measure import best, process_ms
from bench.programs import ROOT
from tests.support.verifier_linux import STATS, Asker
from xdpsim.btf.types import Btf
from xdpsim.loader.load import load_object
from xdpsim.loader.model import ProgramSpec
from xdpsim.maps.spec import MapSpec
from xdpsim.sysbpf.syscall import available
from xdpsim.verifier.main import verify

OBJECTS = ("counter", "lb", "firewall", "dnsfilter", "l4lb", "classifier")
START = ("-m", "xdpsim", "run", "programs/dnsfilter.o", "-r", "pcaps/mixed.pcap", "--limit", "1")
_LONG_S = 2.0
"""A walk that takes longer is measured once."""


@dataclass(frozen=True)
class Walk:
    """One program: insns walked, seconds of CPU here, and seconds that Linux takes to load it (None: not asked)."""

    program: str
    insns: int
    ours_s: float
    linux_s: float | None

    @property
    def insns_per_second(self) -> float:
        """Walked here."""
        return self.insns / self.ours_s


def walks(names: Sequence[str] = OBJECTS) -> list[Walk]:
    """The largest program of each object, every one from scratch."""
    asker = None if available() else Asker()
    made = []
    for name in names:
        source = load_object((ROOT / "programs" / f"{name}.o").read_bytes(), name)
        spec = max(source.programs.values(), key=lambda spec: len(spec.code))
        made.append(_walk(spec, source.maps, source.btf, asker))
    return made


def _walk(spec: ProgramSpec, maps: tuple[MapSpec, ...], btf: Btf | None, asker: Asker | None) -> Walk:
    insns = 0

    def ours() -> float:
        nonlocal insns
        begun = time.process_time()
        insns = verify(spec, maps, btf).insns_processed
        return time.process_time() - begun

    def linux() -> float:
        assert asker is not None
        begun = time.process_time()
        asker.ask(spec, maps, btf, log_level=STATS)
        return time.process_time() - begun

    first = ours()
    ours_s = first if first > _LONG_S else min(first, best(ours, 3))
    return Walk(spec.name, insns, ours_s, best(linux, 3) if asker else None)


def start_ms() -> tuple[float, float]:
    """A whole `xdpsim run` of one packet in milliseconds: with an empty memory for decisions, and with a warm one."""
    with tempfile.TemporaryDirectory(prefix="xdpsim-bench-") as folder:
        os.chmod(folder, 0o700)
        process_ms(*START, "--no-verify", attempts=1, XDPSIM_CACHE_DIR=folder)  # compiles the runtime
        cold = process_ms(*START, attempts=1, XDPSIM_CACHE_DIR=folder)
        return cold, process_ms(*START, XDPSIM_CACHE_DIR=folder)
