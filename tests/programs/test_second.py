"""The programs that need more than maps and packets (tail calls, callbacks, kernel functions, ring buffers, cookies):
every verdict, byte, map and record over both bundled captures, on every engine.

What Linux answers is recorded in golden file `programs_second`. SYN cookies hold a secret of the machine that made
them, so the sequence numbers and checksums of answers are left out. An engine without a helper says so by name, and
the test is skipped with its words until it has it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import itertools
import json
import mmap
import struct
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest

from tests.programs.test_objects import PROGRAMS, SECOND
from tests.support.corpus import OURS
from tests.support.oracle import golden
from tests.support.record import recorder
from xdpsim import XDP, Sim
from xdpsim.analysis.coverage import Coverage
from xdpsim.engines.kernel.engine import KernelEngine
from xdpsim.engines.kernel.network import PrivateNetwork
from xdpsim.frames.capture import open_capture
from xdpsim.frames.record import Record
from xdpsim.maps.files import load_presets
from xdpsim.maps.map import Map
from xdpsim.net.datapath import Result
from xdpsim.sim.program import LoadedObject, Program

PCAPS = PROGRAMS.parent / "pcaps"
CAPTURES = ("second", "mixed")
LONGEST_DUMP = 40
MOST_OF_THE_BLOCKS = 0.9
RUNS = [(name, capture) for name in SECOND for capture in CAPTURES]
KEPT = ("verdicts", "packets", "maps", "records")


def opened(name: str, engine: str, **load: Any) -> tuple[Sim, LoadedObject, Program]:
    """A fresh simulation with the program and its preset; in Linux, with a connection table of its own."""
    sim = Sim(engine=engine)
    if isinstance(sim.engine, KernelEngine):
        sim.engine.network = PrivateNetwork()
    loaded = sim.load(PROGRAMS / f"{name}.o", **load)
    load_presets(loaded.maps, PROGRAMS / "presets" / f"{name}.json")
    return sim, loaded, loaded[f"xdp_{name}"]


@cache
def records(capture: str) -> tuple[Record, ...]:
    with open_capture(PCAPS / f"{capture}.pcap") as opened_capture:
        return tuple(opened_capture)


def run_all(name: str, capture: str, engine: str, batch_size: int = 1024) -> dict[str, Any]:
    """What a program does to a whole capture, as the golden file holds it."""
    sim, loaded, program = opened(name, engine)
    results = list(program.replay(records(capture), batch_size=batch_size))
    assert not [str(result.fault) for result in results if result.fault]
    verdicts = [-1 if result.error else result.verdict for result in results]
    return {
        "verdicts": [[verdict, len(list(group))] for verdict, group in itertools.groupby(verdicts)],
        "packets": "".join(digest(name, result) for result in results),
        "maps": {key: dump(made.items_bytes()) for key, made in loaded.maps.items() if made.spec.type != "RINGBUF"},
        "records": digest_of(told(sim, loaded, results)),
    }


def digest(name: str, result: Result) -> str:
    """Four hex digits over the verdict and the packet."""
    data = without_cookie(result.data) if name == "syncookie" and result.verdict == XDP.TX else result.data
    return hashlib.sha256(f"{bool(result.error)} {result.verdict} ".encode() + data).hexdigest()[:4]


def without_cookie(answer: bytes) -> bytes:
    """A SYN-ACK without what its cookie decides: the sequence number and the checksum."""
    tcp = 34 if answer[12:14] == b"\x08\x00" else 54
    return answer[: tcp + 4] + answer[tcp + 8 : tcp + 16] + answer[tcp + 18 :]


def dump(items: Iterable[tuple[bytes, bytes]]) -> Any:
    """A map's content: key and value in hex, or number and hash."""
    entries = sorted([key.hex(), value.hex()] for key, value in items)
    if len(entries) <= LONGEST_DUMP:
        return entries
    return {"entries": len(entries), "sha256": hashlib.sha256(json.dumps(entries).encode()).hexdigest()}


def digest_of(pieces: list[bytes]) -> list[Any]:
    """How many records there are, and a hash over all of them."""
    return [len(pieces), hashlib.sha256(b"".join(pieces)).hexdigest()]


def told(sim: Sim, loaded: LoadedObject, results: list[Result]) -> list[bytes]:
    """What the program put into its ring buffer."""
    if isinstance(sim.engine, KernelEngine):
        rings = [made for made in loaded.maps.values() if made.spec.type == "RINGBUF"]
        return [piece for ring in rings for piece in ring_of_linux(sim.engine, ring)]
    events = (event for result in results for event in result.events)
    return [event.data["data"] for event in events]  # type: ignore[index]


def ring_of_linux(engine: KernelEngine, ring: Map) -> list[bytes]:
    """The records in a ring buffer of the kernel's, none of which was read yet (kernel/bpf/ringbuf.c)."""
    page, fd = mmap.PAGESIZE, engine.mirror(ring).kernel.fd.number
    with mmap.mmap(fd, page + ring.spec.max_entries, prot=mmap.PROT_READ, offset=page) as area:
        (end,) = struct.unpack_from("<Q", area)
        found, at = [], page
        while at < page + end:
            (size,) = struct.unpack_from("<I", area, at)
            assert size < 1 << 30, "busy or discarded"
            found.append(area[at + 8 : at + 8 + size])
            at += (8 + size + 7) & ~7
    return found


@recorder("programs_second")
def record() -> dict[str, Any]:
    """Linux's answers."""
    hashes = {capture: file_hash(capture) for capture in CAPTURES}
    runs = [{"name": name, "capture": capture, **run_all(name, capture, "kernel")} for name, capture in RUNS]
    return {**hashes, "runs": runs}


def file_hash(capture: str) -> str:
    return hashlib.sha256((PCAPS / f"{capture}.pcap").read_bytes()).hexdigest()


def recorded(name: str, capture: str) -> dict[str, Any]:
    answers = golden("programs_second")
    assert answers[capture] == file_hash(capture), f"recorded for another {capture}.pcap"
    (found,) = (row for row in answers["runs"] if (row["name"], row["capture"]) == (name, capture))
    return {key: found[key] for key in KEPT}


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Equal, or the first packets and the maps that differ."""
    digits = [[side["packets"][at : at + 4] for at in range(0, len(side["packets"]), 4)] for side in (found, expected)]
    differing = [number for number, (left, right) in enumerate(zip(*digits, strict=True), 1) if left != right]
    assert differing[:5] == [], "packets differ"
    assert [key for key in expected["maps"] if found["maps"][key] != expected["maps"][key]] == [], "maps differ"
    assert found == expected


@pytest.mark.golden
@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize(("name", "capture"), RUNS)
def test_every_packet_map_and_record_is_as_in_linux(name: str, capture: str, engine: str) -> None:
    found = run_all(name, capture, engine)
    assert_same(found, recorded(name, capture))


@pytest.mark.live
@pytest.mark.parametrize(("name", "capture"), RUNS)
def test_linux_still_says_so(name: str, capture: str) -> None:
    assert_same(run_all(name, capture, "kernel"), recorded(name, capture))


@pytest.mark.live
@pytest.mark.parametrize("name", SECOND)
def test_linux_accepts_every_program_of_the_object(name: str) -> None:
    _, loaded, _ = opened(name, "kernel", strict=True)
    assert [program for program in loaded if loaded[program].name != program] == []


@pytest.mark.golden
@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("name", ["parser_chain", "flow_export", "ct_firewall"])
def test_the_batch_size_does_not_matter(name: str, batch_size: int) -> None:
    found = run_all(name, "second", "interpreter", batch_size)
    assert_same(found, recorded(name, "second"))


@pytest.mark.parametrize("name", SECOND)
def test_the_captures_reach_the_program(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    reached, total, missing = 0, 0, []
    sim, loaded, program = opened(name, "interpreter", strict=True)
    coverage = Coverage()
    sim.engine.observer = coverage.observe  # type: ignore[attr-defined]
    for capture in CAPTURES:
        results = list(program.replay(records(capture)))
        if name == "syncookie":  # whose clients, in captures, cannot know the cookies
            list(program.replay(Record(1, None, data, len(data)) for data in acknowledgements(results) * 2))
    for part in loaded.values():
        blocks = coverage.blocks(part.spec)
        reached, total = reached + blocks.reached, total + blocks.total
        missing += [(part.name, block[0]) for block in blocks.missing]
    with capsys.disabled():
        print(f"\n{program.name}: {reached} of {total} blocks ({100 * reached / total:.1f} %)", end="")
    assert reached >= MOST_OF_THE_BLOCKS * total, missing


def acknowledgements(results: list[Result]) -> list[bytes]:
    """What clients answer to the SYN-ACKs among the packets."""
    return [acknowledgement(result.data) for result in results if result.verdict == XDP.TX]


def acknowledgement(answer: bytes) -> bytes:
    """The ACK that completes the handshake of a SYN-ACK."""
    from scapy.all import IP, TCP, Ether, IPv6

    told = Ether(answer)
    ip, tcp = told.payload, told[TCP]
    ports = {"sport": tcp.dport, "dport": tcp.sport, "seq": tcp.ack, "ack": (tcp.seq + 1) & 0xFFFFFFFF}
    segment = type(ip)(src=ip.dst, dst=ip.src) / TCP(flags="A", **ports)
    assert isinstance(ip, (IP, IPv6))
    return bytes(Ether(src=told.dst, dst=told.src) / segment)


def test_the_script_makes_the_same_capture(tmp_path: Any) -> None:
    path = tmp_path / "second.pcap"
    subprocess.run([sys.executable, PCAPS / "make_second.py", path], check=True, capture_output=True, cwd=tmp_path)
    version = importlib.metadata.version("scapy")
    assert path.read_bytes() == (PCAPS / "second.pcap").read_bytes(), f"scapy {version} makes a different second.pcap"
