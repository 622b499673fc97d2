"""The two programs of real size, l4lb and classifier: what they promise packet by packet, and every verdict, byte and
map over the bundled captures and packets of their own, on every engine, as Linux answered (golden `programs_big`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from scapy.all import (
    ICMP,
    IP,
    TCP,
    UDP,
    Dot1AD,
    Dot1Q,
    Ether,
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    IPerror,
    IPerror6,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    Packet,
    Raw,
)

from tests.programs.test_objects import BIG
from tests.programs.test_second import CAPTURES, assert_same, digest, dump, file_hash, opened, records
from tests.programs.test_second_rules import counted, ready, right, run
from tests.support.big_packets import ETH, VIP4, VIP6, packets
from tests.support.corpus import OURS
from tests.support.oracle import golden
from tests.support.record import recorder
from tests.support.runtimes import ROOT
from xdpsim import XDP, Sim
from xdpsim.analysis.coverage import Coverage
from xdpsim.frames.record import Record
from xdpsim.maps.files import load_presets
from xdpsim.sysbpf import programs as sysbpf_programs
from xdpsim.sysbpf.programs import ProgramDefinition

GOLDEN = "programs_big"
SOURCES = (*CAPTURES, "own")
RUNS = [(name, source) for name in BIG for source in SOURCES]
CLASSES, GUE_PORT = 5, 6080
LEAST_INSNS, LEAST_WALKED = 2_000, 50_000
MOST_OF_THE_BLOCKS = 0.9
CLIENT6, TCP80 = "2001:db8::1", TCP(sport=4000, dport=80, flags="A")
PAYLOAD = Raw(b"payload")
OPTIONS, SOURCE_ROUTE = IPv6ExtHdrDestOpt(), IPv6ExtHdrRouting(type=0, segleft=1, addresses=["::1"])
ENGINES = ["interpreter", pytest.param("kernel", marks=pytest.mark.live)]


@cache
def source_records(source: str) -> tuple[Record, ...]:
    if source != "own":
        return records(source)
    return tuple(Record(number, None, data, len(data)) for number, data in enumerate(packets(), 1))


def run_source(name: str, source: str, engine: str, batch_size: int = 1024) -> dict[str, Any]:
    """What a program does to all packets of a source, as the golden file holds it."""
    _, loaded, program = opened(name, engine)
    results = list(program.replay(source_records(source), batch_size=batch_size))
    assert not [str(result.fault) for result in results if result.fault]
    verdicts = [-1 if result.error else result.verdict for result in results]
    return {
        "verdicts": [[verdict, len(list(group))] for verdict, group in itertools.groupby(verdicts)],
        "packets": "".join(digest(name, result) for result in results),
        "maps": {key: dump(made.items_bytes()) for key, made in loaded.maps.items()},
    }


@recorder(GOLDEN)
def record() -> dict[str, Any]:
    """Linux's answers."""
    hashes = {capture: file_hash(capture) for capture in CAPTURES}
    return {**hashes, "runs": [{"name": n, "source": s, **run_source(n, s, "kernel")} for n, s in RUNS]}


def recorded(name: str, source: str) -> dict[str, Any]:
    answers = golden(GOLDEN)
    assert [answers[capture] for capture in CAPTURES] == [file_hash(capture) for capture in CAPTURES]
    (found,) = (row for row in answers["runs"] if (row["name"], row["source"]) == (name, source))
    return {key: found[key] for key in ("verdicts", "packets", "maps")}


@pytest.mark.golden
@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize(("name", "source"), RUNS)
def test_every_packet_and_map_is_as_in_linux(name: str, source: str, engine: str) -> None:
    assert_same(run_source(name, source, engine), recorded(name, source))


@pytest.mark.live
@pytest.mark.parametrize(("name", "source"), RUNS)
def test_linux_still_says_so(name: str, source: str) -> None:
    assert_same(run_source(name, source, "kernel"), recorded(name, source))


@pytest.mark.golden
@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("name", BIG)
def test_the_batch_size_does_not_matter(name: str, batch_size: int) -> None:
    assert_same(run_source(name, "second", "jit", batch_size), recorded(name, "second"))


@pytest.mark.parametrize("name", BIG)
def test_packets_reach_nearly_all_of_the_program(name: str) -> None:
    """Each rule of the classifier is of each class once: what it does with a match is compiled for it alone."""
    sim = Sim(engine="jit")
    sim.engine.counts_blocks = True  # type: ignore[attr-defined]
    loaded = sim.load(ROOT / "programs" / f"{name}.o")
    load_presets(loaded.maps, ROOT / "programs" / "presets" / f"{name}.json")
    program, coverage = loaded[f"xdp_{name}"], Coverage()
    for turn in range(CLASSES if name == "classifier" else 1):
        for key, rule in list(loaded.maps["rules"].items()) if turn else ():
            changed = {"class": (rule["class"] + 1) % CLASSES, "ether_type": 0x0800 if turn == 1 else 0}  # type: ignore[index, operator]
            loaded.maps["rules"][key] = dict(rule) | changed  # type: ignore[arg-type]
        for source in SOURCES[1:]:
            list(program.replay(source_records(source)))
    coverage.add(program.spec, *program._runner.executed())  # type: ignore[attr-defined]
    blocks = coverage.blocks(program.spec)
    assert blocks.reached >= MOST_OF_THE_BLOCKS * blocks.total, (blocks.reached, blocks.total, blocks.missing)


@pytest.mark.live
@pytest.mark.parametrize("name", BIG)
def test_linux_walks_far_to_accept_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are of a size at which a verifier's speed shows."""
    asked: list[ProgramDefinition] = []
    load = sysbpf_programs._load

    def watched(definition: ProgramDefinition, log_level: int, log_bytes: int) -> tuple[int, str]:
        asked.append(definition)
        if log_level:
            return load(definition, log_level, log_bytes)
        statistics, log = load(definition, 4, 1 << 16)
        walked.append(int(log.partition("processed ")[2].split()[0]))
        return statistics, log

    walked: list[int] = []
    monkeypatch.setattr(sysbpf_programs, "_load", watched)
    opened(name, "kernel", strict=True)
    assert min(len(definition.code) // 8 for definition in asked) >= LEAST_INSNS
    assert min(walked) >= LEAST_WALKED


def balanced(packet: Packet, engine: str = "interpreter") -> Packet:
    """What l4lb makes of a packet that it sends on."""
    outcome = run(ready("l4lb", engine)[1], packet)
    assert outcome.action == XDP.TX
    sent = Ether(outcome.packet)
    if UDP in sent and sent[UDP].dport == GUE_PORT:
        assert sent[UDP].chksum == 0, "RFC 6935"
        assert sent[UDP].len == len(sent[UDP])
        return sent
    return right(outcome.packet)


def inner(packet: Packet) -> bytes:
    """The packet in a tunnel, by its outer header."""
    outer = packet.payload
    while isinstance(outer, (Dot1Q, Dot1AD)):
        outer = outer.payload
    assert isinstance(outer, (IP, IPv6))
    return bytes(outer[UDP].payload if outer.payload.name == "UDP" else outer.payload)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "packet",
    [
        IP(src="10.0.0.1", dst=VIP4) / TCP80 / PAYLOAD,
        IP(src="10.0.0.1", dst=VIP4, options=b"\1" * 12) / TCP80 / PAYLOAD,
        IP(src="10.0.0.1", dst=VIP4) / TCP(dport=443) / PAYLOAD,
        IP(src="10.0.0.1", dst="198.51.100.53") / UDP(sport=9, dport=53) / PAYLOAD,
        IPv6(src=CLIENT6, dst=VIP6) / TCP80 / PAYLOAD,
        IPv6(src=CLIENT6, dst=VIP6) / TCP(dport=443) / PAYLOAD,
        IPv6(src=CLIENT6, dst=VIP6) / UDP(sport=9, dport=7777) / PAYLOAD,
        IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / TCP80 / PAYLOAD,
        IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrRouting(type=4, segleft=0) / TCP80 / PAYLOAD,
    ],
    ids=lambda packet: packet.summary().replace(" ", ""),
)
@pytest.mark.parametrize("link", [ETH, ETH / Dot1Q(vlan=5), ETH / Dot1AD(vlan=7) / Dot1Q(vlan=9)], ids=len)
def test_l4lb_wraps_the_whole_packet_behind_its_tags(link: Packet, packet: Packet, engine: str) -> None:
    wrapped = balanced(link / packet, engine)
    assert inner(wrapped) == bytes(packet)
    tags = [layer for layer in (Dot1Q, Dot1AD) if layer in link]
    assert [wrapped[layer].vlan for layer in tags] == [link[layer].vlan for layer in tags]
    assert (wrapped.src, wrapped.dst[:8]) == (ETH.dst, "02:00:00")


def test_l4lb_keeps_a_flow_at_its_server_when_the_ring_changes() -> None:
    loaded, program = ready("l4lb")
    packet = ETH / IP(src="10.0.0.1", dst=VIP4) / TCP80
    before = run(program, packet).packet
    target = Ether(before)[IP].dst
    other = next(key for key, real in loaded.maps["reals"].items() if key and not str(real["addr"]).endswith(target))  # type: ignore[index]
    for slot in range(61):
        loaded.maps["ring"][slot] = other
    assert run(program, packet).packet == before
    begun = ETH / IP(src="10.0.0.1", dst=VIP4) / TCP(sport=4000, dport=80, flags="S")
    assert Ether(run(program, begun).packet)[IP].dst != target


@pytest.mark.parametrize("ip", [IP(src="10.0.0.1", dst=VIP4), IPv6(src=CLIENT6, dst=VIP6)], ids=["v4", "v6"])
def test_l4lb_sends_icmp_errors_where_the_flow_goes(ip: Packet) -> None:
    loaded, program = ready("l4lb")
    flow = Ether(run(program, ETH / ip / TCP80).packet)
    quoted = type(ip)(src=ip.dst, dst=ip.src) / TCP(sport=80, dport=4000)
    router = {
        IP: IP(src="192.0.2.9", dst=VIP4) / ICMP(type=11),
        IPv6: IPv6(src=CLIENT6, dst=VIP6) / ICMPv6DestUnreach(),
    }
    error = Ether(run(program, ETH / router[type(ip)] / quoted).packet)
    assert (error.dst, error.payload.dst) == (flow.dst, flow.payload.dst)
    errors = [sum(row["errors"] for row in values) for values in per_cpu(loaded.maps["stats"])]
    assert sum(errors) == 1


def per_cpu(made: Any) -> list[list[dict[str, int]]]:
    """The values of a per-CPU map, CPU by CPU."""
    return [[dict(row) for row in values] for _, values in made.items()]


def test_l4lb_sends_fragments_behind_the_first_one() -> None:
    loaded, program = ready("l4lb")
    later = IP(src="10.0.0.3", dst=VIP4, id=7, frag=100, proto=6) / Raw(bytes(64))
    assert run(program, ETH / later).action == XDP.DROP
    first = IP(src="10.0.0.3", dst=VIP4, id=7, flags="MF") / TCP80 / Raw(bytes(64))
    sent = [Ether(run(program, ETH / packet).packet)[IP].dst for packet in (first, later)]
    assert sent[0] == sent[1]
    assert counted(loaded, "fates", "fate") == {"FATE_PIECE": 1, "FATE_FORWARDED": 2}
    chain = IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrFragment(m=1, offset=0, id=8) / TCP80 / Raw(bytes(32))
    rest = IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrFragment(m=0, offset=9, id=8) / Raw(bytes(32))
    sent = [Ether(run(program, ETH / packet).packet)[IPv6].dst for packet in (chain, rest)]
    assert sent[0] == sent[1]


@pytest.mark.parametrize("link", [ETH, ETH / Dot1Q(vlan=5)], ids=len)
def test_l4lb_answers_pings(link: Packet) -> None:
    ping = link / IP(src="10.0.0.1", dst=VIP4, options=b"\1" * 4) / ICMP(id=3, seq=4) / PAYLOAD
    pong = balanced(ping)
    assert (pong[IP].src, pong[IP].dst, pong[ICMP].type, pong[ICMP].id) == (VIP4, "10.0.0.1", 0, 3)
    assert (pong.src, pong.dst) == (ETH.dst, ETH.src)
    pong = balanced(link / IPv6(src=CLIENT6, dst=VIP6) / ICMPv6EchoRequest(id=3, data=b"data"))
    assert (pong[IPv6].src, pong[IPv6].dst, pong[ICMPv6EchoReply].data) == (VIP6, CLIENT6, b"data")
    other = link / IP(src="10.0.0.1", dst="198.51.100.99") / ICMP()
    assert run(ready("l4lb")[1], other).action == XDP.PASS


@pytest.mark.parametrize("link", [ETH, ETH / Dot1AD(vlan=7) / Dot1Q(vlan=9)], ids=len)
def test_l4lb_says_what_would_fit(link: Packet) -> None:
    long4 = IP(src="10.0.0.1", dst=VIP4) / TCP80 / Raw(bytes(1460))
    told = balanced(link / long4)
    assert (told[IP].src, told[IP].dst, told[ICMP].type, told[ICMP].code) == (VIP4, "10.0.0.1", 3, 4)
    assert told[ICMP].nexthopmtu == 1480
    assert bytes(told[IPerror]) == bytes(long4)[:68]
    long6 = IPv6(src=CLIENT6, dst=VIP6) / TCP80 / Raw(bytes(1440))
    told = balanced(link / long6)
    assert (told[IPv6].src, told[IPv6].dst, told[ICMPv6PacketTooBig].mtu) == (VIP6, CLIENT6, 1460)
    assert bytes(told[IPerror6]) == bytes(long6)[:256]


@pytest.mark.parametrize(
    ("packet", "fate", "verdict"),
    [
        (IP(dst="198.51.100.99") / TCP80, "FATE_NOT_OURS", XDP.PASS),
        (IP(dst=VIP4) / UDP(dport=9999), "FATE_NO_SERVER", XDP.DROP),
        (IP(dst=VIP4, proto=47) / PAYLOAD, "FATE_NO_PORTS", XDP.PASS),
        (IP(dst=VIP4, ihl=4) / TCP80, "FATE_MALFORMED", XDP.DROP),
        (IPv6(dst=VIP6) / SOURCE_ROUTE / TCP80, "FATE_SOURCE_ROUTE", XDP.DROP),
        (IPv6(dst=VIP6) / OPTIONS / OPTIONS / OPTIONS / OPTIONS / TCP80, "FATE_DEEP", XDP.DROP),
        (Raw(bytes(40)), "FATE_NOT_IP", XDP.PASS),
    ],
)  # fmt: skip
def test_l4lb_fates(packet: Packet, fate: str, verdict: XDP) -> None:
    loaded, program = ready("l4lb")
    assert run(program, ETH / packet).action == verdict
    assert counted(loaded, "fates", "fate") == {fate: 1}


def classified(packets: Sequence[Packet]) -> tuple[list[XDP], set[int], dict[str, int]]:
    """Verdicts, the rules that counted, and the fates of packets that come at once."""
    loaded, program = ready("classifier")
    verdicts = [run(program, packet).action for packet in packets]
    rules = {key for key, rule in loaded.maps["rules"].items() if rule["packets"]}  # type: ignore[index]
    return verdicts, rules, counted(loaded, "fates", "fate")


@pytest.mark.parametrize(
    ("packet", "rules", "fate"),
    [
        (IP(src="203.0.113.1") / TCP(dport=22, flags="A"), {2}, "FATE_DENIED"),
        (IP(src="10.0.0.1") / TCP(dport=22, flags="A"), {0}, "FATE_ADMITTED"),
        (IP(src="10.66.0.1") / TCP(dport=22, flags="A"), {0}, "FATE_ADMITTED"),
        (IP(src="10.66.0.1") / UDP(dport=9), {3}, "FATE_DENIED"),
        (IPv6(src="2001:db8:f::7") / UDP(dport=9), {4}, "FATE_DENIED"),
        (IP(src="203.0.113.1") / TCP(dport=1, flags="SF"), {5}, "FATE_DENIED"),
        (IP(src="203.0.113.1") / TCP(dport=1, flags=0), {6}, "FATE_DENIED"),
        (IP(src="203.0.113.1", flags="MF") / UDP(dport=9), {7}, "FATE_DENIED"),
        (Dot1Q(vlan=150) / IP(src="203.0.113.1") / UDP(dport=9), {8}, "FATE_DENIED"),
        (IP(src="203.0.113.1") / UDP(dport=138), {9}, "FATE_DENIED"),
        (IP(src="10.0.0.1") / ICMP(), {1}, "FATE_ADMITTED"),
        (IP(src="203.0.113.1") / UDP(dport=5004), {13}, "FATE_PASSED"),
        (IP(src="203.0.113.1") / TCP(dport=443, flags="S"), {11, 14}, "FATE_PASSED"),
        (IP(src="203.0.113.1") / TCP(dport=443, flags="A") / Raw(bytes(400)), set(), "FATE_PASSED"),
        (Dot1Q(vlan=5) / IP(src="203.0.113.1", dst="198.51.100.53") / UDP(dport=53), {10, 17}, "FATE_STEERED"),
        (IP(src="203.0.113.1", dst="198.51.100.53") / UDP(dport=99), {18}, "FATE_STEERED"),
        (IPv6(src=CLIENT6, dst="2001:db8:6::1") / TCP(dport=80, flags="A"), {16, 19}, "FATE_STEERED"),
        (Raw(bytes(30)), set(), "FATE_PASSED"),
    ],
)
def test_classifier_rules(packet: Packet, rules: set[int], fate: str) -> None:
    verdicts, found, fates = classified([ETH / packet])
    expected = {"FATE_DENIED": XDP.DROP, "FATE_STEERED": XDP.REDIRECT}.get(fate, XDP.PASS)
    assert (verdicts, found, fates) == ([expected], rules, {fate: 1})


def test_classifier_marks_and_keeps_checksum_and_ecn() -> None:
    _, program = ready("classifier")
    marked = right(run(program, ETH / IP(src="203.0.113.1", tos=3) / UDP(dport=5004) / PAYLOAD).packet)
    assert marked[IP].tos == 46 << 2 | 3
    cleared = right(run(program, ETH / IP(src="203.0.113.1", tos=46 << 2 | 1) / UDP(dport=9)).packet)
    assert cleared[IP].tos == 1
    tagged = ETH / Dot1AD(vlan=7) / Dot1Q(vlan=9) / IPv6(src=CLIENT6, tc=2, fl=0xABCDE) / TCP(dport=80, flags="A")
    marked = Ether(run(program, tagged).packet)
    assert (marked[IPv6].tc, marked[IPv6].fl) == (10 << 2 | 2, 0xABCDE)


def test_classifier_polices_bursts_and_refills() -> None:
    _, program = ready("classifier")
    query = ETH / IP(src="203.0.113.1") / UDP(dport=53) / Raw(bytes(72))  # 100 bytes; 400 may come at once
    assert [run(program, query).action for _ in range(6)] == [XDP.PASS] * 4 + [XDP.DROP] * 2
    assert run(program, query, seconds=0.008).action == XDP.PASS  # 100 bytes at 80 us each
    assert run(program, query, seconds=0.008).action == XDP.DROP
