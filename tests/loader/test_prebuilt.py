"""The objects of Debian's libxdp1 and xdp-tools, read where the packages put them: they load and agree with Linux."""

from __future__ import annotations

from pathlib import Path

import pytest

from xdpsim import Sim
from xdpsim.errors import Unsupported
from xdpsim.frames.capture import open_capture
from xdpsim.loader.load import load_object
from xdpsim.sysbpf.syscall import available

MIXED = Path(__file__).parents[2] / "pcaps" / "mixed.pcap"
NAMES = (
    *("xdp-dispatcher.o", "xsk_def_xdp_prog.o", "xsk_def_xdp_prog_5.3.o", "xdpdump_bpf.o", "xdpdump_xdp.o"),
    *(f"xdpfilt_{policy}_{what}.o" for policy in ("alw", "dny") for what in ("all", "eth", "ip", "tcp", "udp")),
)
TRACING = {"xdpdump_bpf.o"}
AWAITED = {"xdpdump_bpf.o": "TRACING"}
"""Why an object does not run; a reason that is gone turns the test red."""
EACH = pytest.mark.parametrize("name", NAMES)


def installed(name: str) -> Path:
    found = next(iter(sorted(Path("/usr/lib").glob(f"*/bpf/{name}"))), None)
    if found is None:
        pytest.skip(f"{name} is not installed: it is in Debian's libxdp1 or xdp-tools")
    return found


@EACH
def test_it_loads_and_nothing_in_it_is_unknown(name: str) -> None:
    path = installed(name)
    loaded = load_object(path.read_bytes(), name)
    assert loaded.programs
    assert {n: (p.unsupported, p.poisoned) for n, p in loaded.programs.items()} == dict.fromkeys(
        loaded.programs, ("", {})
    )
    assert {p.type for p in loaded.programs.values()} == {"TRACING" if name in TRACING else "XDP"}


def answers(engine: str, path: Path) -> dict[str, list[object]]:
    """Program -> verdict, bytes and fault for each packet of mixed.pcap, then the contents of the maps."""
    found: dict[str, list[object]] = {}
    for name in Sim().load(path):
        loaded = Sim(engine=engine).load(path)
        with open_capture(str(MIXED)) as capture:
            results = [(r.verdict, r.data, r.fault and str(r.fault), r.error) for r in loaded[name].replay(capture)]
        found[name] = [*results, {n: sorted(m.items_bytes()) for n, m in loaded.maps.items()}]
    return found


@pytest.mark.live
@pytest.mark.skipif(bool(reason := available()), reason=reason)
@EACH
def test_it_does_what_linux_does(name: str) -> None:
    path = installed(name)
    if name in AWAITED:
        with pytest.raises(Unsupported, match=AWAITED[name]):
            answers("interpreter", path)
    else:
        assert answers("interpreter", path) == answers("kernel", path)
