"""The programs do what they say, alike on every engine, and the bundled capture reaches nearly all of them."""

from __future__ import annotations

import socket
import struct
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from tests.programs.test_objects import NAMES, PROGRAMS
from xdpsim import XDP, Sim
from xdpsim.frames.capture import open_capture
from xdpsim.frames.record import Record
from xdpsim.isa.rows import Family
from xdpsim.maps.dump import dump_entries
from xdpsim.maps.files import load_presets
from xdpsim.sim.program import LoadedObject, Program

CAPTURE = PROGRAMS.parent / "pcaps" / "mixed.pcap"
MAC = bytes(range(12))
COMPARED_PACKETS = 600


def open_program(name: str, engine: str) -> tuple[LoadedObject, Program]:
    """A fresh simulation with the program and its preset."""
    loaded = Sim(engine=engine).load(PROGRAMS / f"{name}.o")
    load_presets(loaded.maps, PROGRAMS / "presets" / f"{name}.json")
    return loaded, loaded[f"xdp_{name}"]


def records(limit: int | None = None) -> list[Record]:
    """Packets of the bundled capture."""
    with open_capture(CAPTURE) as capture:
        return [record for record, _ in zip(capture, range(limit or 1 << 30), strict=False)]


def ipv4(
    proto: int, payload: bytes, *, source: str = "10.1.1.1", target: str = "198.51.100.10", frag: int = 0
) -> bytes:
    """An Ethernet frame with an IPv4 packet; checksums are not looked at."""
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 1, frag, 64, proto, 0) + ends
    return MAC + b"\x08\x00" + header + payload


def tcp(dport: int, flags: int = 0x02) -> bytes:
    return struct.pack(">HHIIBBHHH", 40000, dport, 1, 0, 0x50, flags, 1024, 0, 0)


def udp(dport: int, payload: bytes = b"") -> bytes:
    return struct.pack(">HHHH", 40000, dport, 8 + len(payload), 0) + payload


def dns(name: str, flags: int = 0x0100) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return udp(53, struct.pack(">6H", 1, flags, 1, 0, 0, 0) + labels + b"\0\0\1\0\1")


def short(value: object) -> str | None:
    """A test's name without the frame's bytes."""
    return f"{len(value)}-bytes" if isinstance(value, bytes) else None


def tagged(vlan: int, frame: bytes, kind: int = 0x8100) -> bytes:
    return frame[:12] + struct.pack(">HH", kind, vlan) + frame[12:]


@pytest.mark.parametrize("engine", ["jit", pytest.param("kernel", marks=pytest.mark.live)])
@pytest.mark.parametrize("name", NAMES)
def test_engines_agree_on_verdicts_bytes_and_maps(name: str, engine: str) -> None:
    packets = records(COMPARED_PACKETS)
    outcomes, maps = [], []
    for one in ("interpreter", engine):
        loaded, program = open_program(name, one)
        outcomes.append([(result.verdict, result.data) for result in program.replay(packets)])
        maps.append({key: sorted(map(str, dump_entries(loaded.maps[key]))) for key in loaded.maps})
    assert outcomes[0] == outcomes[1]
    assert maps[0] == maps[1]


@pytest.mark.parametrize("name", NAMES)
def test_the_bundled_capture_reaches_nearly_all_of_the_program(name: str) -> None:
    _, program = open_program(name, "interpreter")
    seen: set[int] = set()
    program._runner.engine.observer = lambda _, slot: seen.add(slot)  # type: ignore[attr-defined]
    verdicts = Counter(result.verdict for result in program.replay(records()) if not result.error)
    leaders = set(block_leaders(program))
    assert len(leaders & seen) >= 0.9 * len(leaders), sorted(leaders - seen)
    assert name == "counter" or len(verdicts) > 1


def block_leaders(program: Program) -> Iterator[int]:
    """Slots at which a basic block begins."""
    code = program.spec.code
    yield from (row.slot for row in program.spec.subprograms)
    for slot, insn in enumerate(code):
        if insn is not None and insn.family in (Family.BRANCH, Family.JUMP):
            yield slot + 1 + insn.jump_offset
        if insn is not None and insn.family in (Family.BRANCH, Family.JUMP, Family.EXIT) and slot + 1 < len(code):
            yield slot + 1


@pytest.mark.parametrize(
    ("rule", "frame"),
    [
        ("RULE_DEFAULT_PASS", ipv4(6, tcp(443))),
        ("RULE_DEFAULT_PASS", MAC + b"\x08\x06" + bytes(28)),
        ("RULE_MALFORMED", MAC + b"\x08\x00" + bytes(3)),
        ("RULE_MALFORMED", ipv4(6, tcp(443))[:-1]),
        ("RULE_MALFORMED", ipv4(17, b"\0" * 7)),
        ("RULE_BLOCKED_SRC_V4", ipv4(6, tcp(443), source="10.66.1.2")),
        ("RULE_FRAGMENT", ipv4(17, bytes(64), frag=100)),
        ("RULE_BAD_TCP_FLAGS", ipv4(6, tcp(443, 0x03))),
        ("RULE_BAD_TCP_FLAGS", ipv4(6, tcp(443, 0x00))),
        ("RULE_BLOCKED_PORT", ipv4(6, tcp(22))),
        ("RULE_BLOCKED_PORT", tagged(5, ipv4(6, tcp(22)))),
        ("RULE_VLAN_DENIED", tagged(100, ipv4(6, tcp(443)))),
        ("RULE_VLAN_DENIED", tagged(5, tagged(6, ipv4(6, tcp(443))), 0x88A8)),
    ],
    ids=short,
)
def test_firewall_rules(rule: str, frame: bytes) -> None:
    loaded, program = open_program("firewall", "interpreter")
    outcome = program.run(frame)
    names = dict(loaded.source.btf.by_name("rule").values)  # type: ignore[union-attr]
    hits = {key: entry["packets"] for key, entry in loaded.maps["rule_hits"].items()}  # type: ignore[index]
    assert {key for key, count in hits.items() if count} == {names[rule]}
    assert outcome.action == (XDP.PASS if rule == "RULE_DEFAULT_PASS" else XDP.DROP)


def test_firewall_in_monitor_mode_counts_and_passes() -> None:
    loaded, program = open_program("firewall", "interpreter")
    loaded.maps["config"][0] = {"monitor": 1}
    assert program.run(ipv4(6, tcp(22))).action == XDP.PASS
    assert loaded.maps["rule_hits"][7]["packets"] == 1  # type: ignore[index]


def test_firewall_limits_echo_requests() -> None:
    _, program = open_program("firewall", "interpreter")
    echo = ipv4(1, b"\x08" + bytes(7))
    second = 1_700_000_000_000_000_000
    verdicts = [program.run(echo, time_ns=second + number * 1000).action for number in range(8)]
    assert verdicts == [XDP.PASS] * 5 + [XDP.DROP] * 3
    assert program.run(echo, time_ns=second + 1_100_000_000).action == XDP.PASS


def test_ratelimit_gives_the_burst_and_then_the_rate() -> None:
    _, program = open_program("ratelimit", "interpreter")
    frame, start = ipv4(17, udp(9), source="10.66.0.1"), 1_700_000_000_000_000_000  # 10 a second, burst of 5
    together = [program.run(frame, time_ns=start).action for _ in range(7)]
    assert together == [XDP.PASS] * 5 + [XDP.DROP] * 2
    later = [program.run(frame, time_ns=start + 100_000_000).action for _ in range(2)]
    assert later == [XDP.PASS, XDP.DROP]
    free = ipv4(17, udp(9), source="10.66.0.2")
    assert {program.run(free, time_ns=start + 100_000_000).action for _ in range(200)} == {XDP.PASS}


def test_lb_wraps_a_flow_for_one_server_and_keeps_it_there() -> None:
    _, program = open_program("lb", "interpreter")
    frame = ipv4(6, tcp(80))
    first, second = program.run(frame), program.run(frame)
    assert first.action == XDP.TX
    packet = first.packet
    assert packet == second.packet
    outer = packet[14:34]
    assert packet[34:] == frame[14:]
    assert sum(struct.unpack(">10H", outer)) % 0xFFFF == 0, "the outer header's checksum"
    assert str(IPv4Address(outer[16:20])) in {"192.0.2.11", "192.0.2.12", "192.0.2.13"}
    assert packet[:6] == bytes([2, 0, 0, 0, 2, outer[19]])
    assert packet[6:12] == frame[:6]


@pytest.mark.parametrize(
    ("frame", "verdict"),
    [
        (ipv4(17, udp(53), target="198.51.100.53"), XDP.TX),
        (ipv4(17, udp(9999)), XDP.DROP),
        (ipv4(6, tcp(81)), XDP.PASS),
        (ipv4(6, tcp(80), frag=0x2000), XDP.PASS),
    ],
    ids=short,
)
def test_lb_verdicts(frame: bytes, verdict: XDP) -> None:
    assert open_program("lb", "interpreter")[1].run(frame).action == verdict


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("blocked.example", XDP.DROP),
        ("WWW.Blocked.Example", XDP.DROP),
        ("x1.y2.ads.example", XDP.DROP),
        ("notblocked.example", XDP.PASS),
        ("blocked.example.com", XDP.PASS),
        ("example", XDP.PASS),
        (".".join(["a" * 60] * 3), XDP.PASS),
    ],
)
def test_dnsfilter(name: str, verdict: XDP) -> None:
    assert open_program("dnsfilter", "interpreter")[1].run(ipv4(17, dns(name))).action == verdict


def test_dnsfilter_passes_answers() -> None:
    assert open_program("dnsfilter", "interpreter")[1].run(ipv4(17, dns("ads.example", 0x8180))).action == XDP.PASS


def test_counter_counts_by_protocol() -> None:
    loaded, program = open_program("counter", "interpreter")
    frame = ipv4(17, udp(9))
    program.run(frame)
    program.run(frame)
    (udp_entry,) = [row for row in dump_entries(loaded.maps["by_protocol"], plain=True) if row["key"] == 17]
    assert udp_entry["values"][0]["value"] == {"packets": 2, "bytes": 2 * len(frame)}  # type: ignore[index]
