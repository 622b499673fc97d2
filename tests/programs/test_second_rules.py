"""The second set of programs do what their sources promise, packet by packet; checksums are judged by scapy."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from scapy.all import GRE, ICMP, IP, TCP, UDP, Dot1AD, Dot1Q, Ether, ICMPv6EchoRequest, IPv6, Packet, Raw

from tests.programs.test_second import acknowledgement, opened
from xdpsim import XDP
from xdpsim.maps.dump import dump_entries
from xdpsim.sim.outcome import Outcome
from xdpsim.sim.program import LoadedObject, Program

ETH = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
UDP4 = IP(src="10.0.0.1", dst="198.51.100.10") / UDP(sport=1000, dport=2000) / Raw(b"payload")
SECOND_NS = 1_000_000_000
START_NS = 1_717_243_200 * SECOND_NS
ENGINES = ["interpreter", pytest.param("kernel", marks=pytest.mark.live)]


def ready(name: str, engine: str = "interpreter") -> tuple[LoadedObject, Program]:
    """The program with its preset."""
    _, loaded, program = opened(name, engine)
    return loaded, program


def run(program: Program, packet: Packet, *, seconds: float = 0) -> Outcome:
    return program.run(bytes(packet), time_ns=START_NS + int(seconds * SECOND_NS))


def counted(loaded: LoadedObject, map_name: str, enum: str) -> dict[str, int]:
    """What a map of counters holds, by the names of the enum that numbers its slots; without the zeroes."""
    names = {value: name for name, value in loaded.source.btf.by_name(enum).values}  # type: ignore[union-attr]
    found: dict[str, int] = {}
    for entry in dump_entries(loaded.maps[map_name], plain=True):
        values: Any = [row["value"] for row in entry["values"]] if "values" in entry else [entry["value"]]  # type: ignore[attr-defined]
        total = sum(value["packets"] if isinstance(value, dict) else value for value in values)
        if total:
            found[names[entry["key"]]] = total
    return found


def right(frame: bytes) -> Packet:
    """The frame dissected; fails unless every checksum and length in it is what scapy would write."""
    packet = Ether(frame)
    again = Ether(frame)
    for layer in (IP, IPv6, TCP, UDP, ICMP, ICMPv6EchoRequest):
        for field in ("chksum", "cksum", "len", "plen"):
            if layer in again and field in again[layer].fields:
                delattr(again[layer], field)
    assert bytes(again) == frame
    return packet


@pytest.mark.parametrize(
    ("before", "verdict", "after"),
    [
        (ETH / UDP4, XDP.PASS, ETH / Dot1Q(vlan=900, prio=3) / UDP4),
        (ETH / Dot1Q(vlan=5) / UDP4, XDP.PASS, ETH / UDP4),
        (ETH / Dot1Q(vlan=5) / Dot1Q(vlan=6) / UDP4, XDP.PASS, ETH / Dot1Q(vlan=6) / UDP4),
        (ETH / Dot1AD(vlan=10) / Dot1Q(vlan=6) / UDP4, XDP.PASS, ETH / UDP4),
        (ETH / Dot1Q(vlan=10) / UDP4, XDP.PASS, ETH / UDP4),
        (ETH / Dot1Q(vlan=100, prio=5) / UDP4, XDP.PASS, ETH / Dot1Q(vlan=1100, prio=5) / UDP4),
        (ETH / Dot1Q(vlan=200, prio=2) / UDP4, XDP.TX, ETH / Dot1AD(vlan=2200, prio=2) / UDP4),
        (ETH / Dot1Q(vlan=400) / UDP4, XDP.TX, ETH / Dot1AD(vlan=40) / Dot1Q(vlan=400) / UDP4),
        (ETH / Dot1Q(vlan=0, prio=7) / UDP4, XDP.PASS, ETH / Dot1Q(vlan=0, prio=7) / UDP4),
        (ETH / Dot1Q(vlan=777) / UDP4, XDP.PASS, ETH / Dot1Q(vlan=777) / UDP4),
        (ETH / Dot1Q(vlan=300) / UDP4, XDP.DROP, ETH / Dot1Q(vlan=300) / UDP4),
    ],
    ids=lambda value: value.summary() if isinstance(value, Packet) else None,
)
def test_vlan_rewrite(before: Packet, verdict: XDP, after: Packet) -> None:
    outcome = run(ready("vlan_rewrite")[1], before)
    assert (outcome.action, outcome.packet) == (verdict, bytes(after))


def test_parser_chain_records_the_path_and_its_length() -> None:
    loaded, program = ready("parser_chain")
    assert run(program, ETH / Dot1AD(vlan=1) / Dot1Q(vlan=2) / UDP4).action == XDP.PASS
    bits = dict(loaded.source.btf.by_name("layer").values)  # type: ignore[union-attr]
    path = bits["LAYER_VLAN"] | bits["LAYER_VLAN_INNER"] | bits["LAYER_IPV4"] | bits["LAYER_UDP"]
    assert [entry["key"] for entry in dump_entries(loaded.maps["paths"], plain=True)] == [path]
    hops = [sum(row["value"] for row in entry["values"]) for entry in dump_entries(loaded.maps["hops"], plain=True)]  # type: ignore[attr-defined]
    assert hops.index(1) == 4


def test_parser_chain_passes_what_no_parser_is_there_for() -> None:
    loaded, program = ready("parser_chain")
    del loaded.maps["parsers"][1]
    assert run(program, ETH / UDP4).action == XDP.PASS
    bits = dict(loaded.source.btf.by_name("layer").values)  # type: ignore[union-attr]
    assert [entry["key"] for entry in dump_entries(loaded.maps["paths"], plain=True)] == [bits["LAYER_NO_PARSER"]]


@pytest.mark.parametrize("size", [0, 1, 2, 7, 64, 1300])
@pytest.mark.parametrize("kind", ["tcp", "udp", "echo"])
def test_nat64_translates_there_and_back(kind: str, size: int) -> None:
    _, program = ready("nat64")
    load = Raw((bytes(range(256)) * 6)[:size])
    upper: dict[str, tuple[Packet, Packet]] = {
        "tcp": (TCP(sport=5, dport=80, seq=1), TCP(sport=80, dport=5, seq=2)),
        "udp": (UDP(sport=5, dport=80), UDP(sport=80, dport=5)),
        "echo": (ICMPv6EchoRequest(id=7, seq=1), ICMP(type=0, id=7, seq=1)),
    }
    asked = run(program, ETH / IPv6(src="2001:db8:64::10", dst="64:ff9b::cb00:7150", hlim=9) / upper[kind][0] / load)
    assert asked.action == XDP.TX
    there = right(asked.packet)
    assert (there.src, there.dst) == (ETH.dst, ETH.src)
    assert (there[IP].src, there[IP].dst, there[IP].ttl) == ("192.0.2.10", "203.0.113.80", 8)
    assert ICMP not in there or there[ICMP].type == 8
    told = run(program, ETH / IP(src="203.0.113.80", dst="192.0.2.10", ttl=9) / upper[kind][1] / load)
    assert told.action == XDP.TX
    back = right(told.packet)
    assert (back[IPv6].src, back[IPv6].dst, back[IPv6].hlim) == ("64:ff9b::cb00:7150", "2001:db8:64::10", 8)
    assert bytes(told.packet).endswith(bytes(load))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("ip", [IP(src="10.9.0.1", dst="198.51.100.10"), IPv6(src="2001:db8::9", dst="2001:db8::10")],
                         ids=["ipv4", "ipv6"])  # fmt: skip
def test_syncookie_lets_in_who_brings_the_cookie_back(ip: Packet, engine: str) -> None:
    loaded, program = ready("syncookie", engine)
    options = [("MSS", 1400), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)]
    syn = ETH / ip / TCP(sport=4000, dport=80, flags="S", seq=0xFFFFFFFF, options=options)
    answer = run(program, syn)
    assert answer.action == XDP.TX
    told = right(answer.packet)[TCP]
    assert (told.sport, told.dport, told.flags, told.ack) == (80, 4000, "SA", 0)
    assert told.options[0][0] == "MSS"
    ack = Ether(acknowledgement(answer.packet))
    stray = ack.copy()
    stray[TCP].ack += 16  # a neighbour may be a cookie too: its lowest bits are the MSS
    assert run(program, stray).action == XDP.DROP
    assert run(program, ack).action == XDP.PASS
    assert run(program, stray).action == XDP.PASS, "of a flow that is known by now"
    expected = ["FATE_ANSWERED", "FATE_ADMITTED", "FATE_VERIFIED", "FATE_UNVERIFIED"]
    assert counted(loaded, "fates", "fate") == dict.fromkeys(expected, 1)
    assert len(loaded.maps["verified"]) == 1


def test_decap_opens_known_tunnels() -> None:
    _, program = ready("decap")
    outer, keyed = IP(src="203.0.113.7", dst="198.51.100.10"), IP(src="203.0.113.8", dst="198.51.100.10")
    six = IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=1, dport=2)
    full = GRE(chksum_present=1, key_present=1, seqnum_present=1, key=42)
    inner = Ether(src="02:00:00:00:00:03", dst="02:00:00:00:00:04") / UDP4
    for tunnel, expected in (
        (outer / GRE() / UDP4, ETH / UDP4),
        (outer / GRE() / six, ETH / six),
        (keyed / full / UDP4, ETH / UDP4),
        (outer / GRE(proto=0x6558) / inner, inner),
    ):
        outcome = run(program, ETH / tunnel)
        assert (outcome.action, outcome.packet) == (XDP.PASS, bytes(expected))
    assert run(program, ETH / outer / GRE(key_present=1, key=42) / UDP4).action == XDP.DROP


@pytest.mark.parametrize("first", [0x80, 0x82, 0x90, 0xA0, 0xB3])
def test_decap_leaves_the_payload_of_rtp(first: int) -> None:
    loaded, program = ready("decap")
    extra = bytes(first & 15) * 4 + (struct.pack(">HH", 7, 1) + bytes(4) if first & 0x10 else b"")
    padding = b"\0\0\3" if first & 0x20 else b""
    ip, udp = IP(src="10.0.0.1", dst="192.0.2.200"), UDP(sport=9, dport=5004)
    for number in (10, 11, 14, 13):
        head = struct.pack(">BBHII", first, 33, number, 0, 1)
        outcome = run(program, ETH / ip / udp / Raw(head + extra + b"the payload" + padding))
        packet = Ether(outcome.packet)
        assert (bytes(packet[UDP].payload), packet[UDP].len, packet[UDP].chksum) == (b"the payload", 19, 0)
        assert len(outcome.packet) == 14 + 20 + 19
        right(with_checksum(packet))
    ((_, stream),) = [item for item in loaded.maps["streams"].items() if item[0] == 5004]
    assert (stream["packets"], stream["lost"], stream["late"]) == (4, 2, 1)  # type: ignore[index]


def with_checksum(packet: Packet) -> bytes:
    """The packet with the UDP checksum that it may leave out."""
    del packet[UDP].chksum
    return bytes(packet)


def test_flow_export_tells_of_flows_that_end_fall_silent_or_last() -> None:
    loaded, program = ready("flow_export")
    layout = struct.Struct("<40s4QIIII")
    udp = ETH / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=5, dport=6)
    events = [event for second in (0, 1, 17) for event in run(program, udp, seconds=second).events]
    events += [event for second in range(18, 90, 6) for event in run(program, udp, seconds=second).events]
    tcp = [ETH / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=5, dport=6, flags=flags) for flags in ("S", "A", "FA")]
    events += [event for packet in tcp for event in run(program, packet, seconds=90).events]
    found = [layout.unpack(event.data["data"]) for event in events]  # type: ignore[index]
    # flow, first, last, packets, bytes, flags, -, reason, -
    assert [(row[3], row[4], row[5], row[7]) for row in found] == [(2, 56, 0, 1), (11, 308, 0, 2), (3, 120, 0x13, 3)]
    assert [(row[2] - row[1]) // SECOND_NS for row in found] == [1, 55, 0]
    assert len(loaded.maps["flows"]) == 1
    assert counted(loaded, "totals", "total") == {"TOTAL_PACKETS": 18, "TOTAL_FLOWS": 2, "TOTAL_EXPORTED": 3}


@pytest.mark.parametrize("ip", [IP(src="10.9.0.1", dst="10.9.0.2"), IPv6(src="2001:db8::9", dst="2001:db8::10")],
                         ids=["ipv4", "ipv6"])  # fmt: skip
@pytest.mark.parametrize("shift", [0, 1])
def test_option_walk_lowers_the_mss_and_blanks_options(ip: Packet, shift: int) -> None:
    options = [("NOP", None)] * shift + [("MSS", 1460), ("Timestamp", (0x01020304, 5)), ("WScale", 7)]
    outcome = run(ready("option_walk")[1], ETH / ip / TCP(sport=1, dport=2, flags="S", options=options) / Raw(b"odd"))
    assert outcome.action == XDP.PASS
    found = [option for option in right(outcome.packet)[TCP].options if option[0] not in ("NOP", "EOL")]
    assert found == [("MSS", 1400), ("WScale", 7)]


def test_option_walk_drops_source_routes_and_options_without_a_length() -> None:
    loaded, program = ready("option_walk")
    routed = IP(src="10.0.0.1", dst="10.0.0.2", options=[b"\x83\x07\x04\x0a\x09\x09\x09\x00"])
    broken = IP(src="10.0.0.1", dst="10.0.0.2") / TCP(dataofs=6) / Raw(b"\x02\x00\x05\xb4")
    assert run(program, ETH / routed / UDP(sport=1, dport=2)).action == XDP.DROP
    assert run(program, ETH / broken).action == XDP.DROP
    assert counted(loaded, "fates", "fate") == {"FATE_SOURCE_ROUTED": 1, "FATE_MALFORMED": 1}


def test_flow_cache_forwards_and_remembers() -> None:
    loaded, program = ready("flow_cache")
    packet = ETH / IP(src="10.0.0.1", dst="192.0.2.5", ttl=64) / UDP(sport=1, dport=2)
    for _ in range(3):
        outcome = run(program, packet)
        assert outcome.action == XDP.REDIRECT
        assert str(outcome.redirect) == "ports[2]"
        sent = right(outcome.packet)
        assert (sent.src, sent.dst, sent[IP].ttl) == ("02:00:00:00:02:01", "02:00:00:00:02:02", 63)
    loaded.maps[".bss"][0] = {"generation": 1}
    assert run(program, packet).action == XDP.REDIRECT
    assert counted(loaded, "totals", "total") == {"TOTAL_FAST": 2, "TOTAL_SLOW": 1, "TOTAL_STALE": 1}
    del loaded.maps["ports"][2]
    untouched = run(program, packet)
    assert (untouched.action, untouched.packet) == (XDP.PASS, bytes(packet))


@pytest.mark.parametrize("size", [10, 3000, 8000])
@pytest.mark.parametrize("ip", [IP(src="10.9.0.1", dst="10.9.0.2", tos=3), IPv6(src="2001:db8::9", dst="::1", tc=1)],
                         ids=["ipv4", "ipv6"])  # fmt: skip
def test_dynptr_parse_marks_packets_of_any_size(ip: Packet, size: int) -> None:
    outcome = run(ready("dynptr_parse")[1], ETH / Dot1Q(vlan=3) / ip / UDP(sport=1, dport=53) / Raw(bytes(size)))
    assert outcome.action == XDP.PASS
    packet = right(outcome.packet)
    assert (packet[IP].tos if IP in packet else packet[IPv6].tc) == 46 << 2 | (3 if IP in packet else 1)


@pytest.mark.parametrize("engine", ENGINES)
def test_ct_firewall_knows_whose_turn_it_is(engine: str) -> None:
    loaded, program = ready("ct_firewall", engine)
    inside, outside = {"src": "10.0.0.1", "dst": "203.0.113.1"}, {"src": "203.0.113.1", "dst": "10.0.0.1"}
    there, back = {"sport": 5000, "dport": 8443}, {"sport": 8443, "dport": 5000}
    steps = [
        (outside, back, "SA", "REASON_STRAY"),
        (outside, there, "S", "REASON_UNSOLICITED"),
        (inside, there, "S", "REASON_OPENED"),
        (inside, there, "A", "REASON_ESTABLISHED"),
        (outside, back, "SA", "REASON_ANSWERED"),
        (outside, back, "A", "REASON_ESTABLISHED"),
        (outside, back, "FA", "REASON_CLOSING"),
        (inside, there, "A", "REASON_ESTABLISHED"),
        (outside, {"sport": 7, "dport": 443}, "S", "REASON_OPENED"),
    ]
    before: dict[str, int] = {}
    for ends, ports, flags, reason in steps:
        action = run(program, ETH / IP(**ends) / TCP(**ports, flags=flags)).action
        after = counted(loaded, "verdicts", "reason")
        assert {key for key in after if after[key] != before.get(key)} == {reason}
        assert action == (XDP.DROP if reason in ("REASON_STRAY", "REASON_UNSOLICITED") else XDP.PASS)
        before = after
