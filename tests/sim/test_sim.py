"""The public API: what it takes, what it gives, and what it says when it is given nonsense."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.support.corpus import OURS
from tests.support.elf_writer import ElfWriter
from tests.support.runtimes import ROOT
from xdpsim import XDP, InputError, Outcome, Rejected, Sim, Unsupported
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import encode_all

FIREWALL = ROOT / "programs" / "firewall.o"
HASH = {"type": "HASH", "key_size": 4, "value_size": 8, "max_entries": 16}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engine": "fast"}, "engine 'fast': expected interpreter, jit, kernel"),
        ({"cpus": 0}, "cpus=0: expected 1 to 256"),
        ({"cpus": 257}, "cpus=257: expected 1 to 256"),
        ({"linux": "banana"}, "banana"),
    ],
)
def test_nonsense_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Sim(**arguments)  # type: ignore[arg-type]


PAST_THE_END = "r2 = *(u32 *)(r1 +0); r0 = *(u8 *)(r2 +63); exit"


@pytest.mark.parametrize("engine", OURS)
def test_programs_are_verified_unless_one_says_otherwise(engine: str) -> None:
    with pytest.raises(Rejected) as caught:
        Sim(engine=engine).load_insns(PAST_THE_END, "XDP", name="wild")
    assert caught.value.message.startswith("wild: rejected (EACCES): invalid access to packet, off=63 size=1")
    assert (caught.value.errno, caught.value.exit_code) == (13, 4)
    assert caught.value.details["program"] == "wild"
    assert caught.value.details["slot"] == 1
    assert Sim(engine=engine, verify=False).load_insns(PAST_THE_END, "XDP").run(bytes(64)).value == 0


def test_a_rejected_program_spoils_no_other() -> None:
    elf = ElfWriter()
    elf.program("good", "xdp", encode_all(assemble("r0 = 2; exit")))
    elf.program("bad", "xdp/bad", encode_all(assemble(PAST_THE_END)))
    loaded = Sim().load(elf.build())
    assert loaded["good"].run(bytes(64)).value == 2
    with pytest.raises(Rejected, match="bad: rejected"):
        loaded["bad"]
    with pytest.raises(Rejected, match="bad: rejected"):
        Sim().load(elf.build(), strict=True)


def test_capabilities_decide() -> None:
    leak = "r0 = r1; exit"
    assert Sim().load_insns(leak, "XDP").run(bytes(64)).fault is None
    with pytest.raises(Rejected, match="R0 leaks addr as return value"):
        Sim(caps={"bpf", "net_admin"}).load_insns(leak, "XDP")
    with pytest.raises(InputError, match="expected some of bpf, net_admin, perfmon"):
        Sim(caps={"root"})


@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize("form", [str, assemble, lambda text: encode_all(assemble(text))])
def test_insns_in_three_forms(form: object, engine: str) -> None:
    given = form("r0 = 3; exit")  # type: ignore[operator]
    assert Sim(engine=engine).load_insns(given, "XDP").run(bytes(64)) == Outcome(XDP.TX, 3, bytes(64), insns=2)


@pytest.mark.parametrize(
    ("code", "type", "maps", "message"),
    [
        ("r0 = 2; exit", "XPD", (), "program type 'XPD': expected one of UNSPEC, SOCKET_FILTER"),
        ("r0 = ; exit", "XDP", (), "line 1"),
        (b"\0" * 7, "XDP", (), "7 bytes"),
        (b"\xff" * 8, "XDP", (), "insn 0"),
        (
            "r0 = 2; exit",
            "XDP",
            [{**HASH, "type": "HAHS"}],
            r"maps\[0\].type is 'HAHS': expected a map type such as HASH",
        ),
        ("r0 = 2; exit", "XDP", [{**HASH, "size": 3}], r"maps\[0\]: unknown size: expected flags, key_size"),
        (
            "r0 = 2; exit",
            "XDP",
            [{**HASH, "max_entries": -1}],
            r"maps\[0\].max_entries is -1: expected a number from 0 to",
        ),
        ("r0 = 2; exit", "XDP", [{**HASH, "key_size": "4"}], r"maps\[0\].key_size is '4'"),
        ("r0 = 2; exit", "XDP", [HASH, {**HASH, "key_size": 0}], "map1"),
    ],
)
def test_insns_that_are_none(code: object, type: str, maps: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Sim().load_insns(code, type, maps=maps)  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("r1 = map[0]; exit", r"insn 0 \(r1 = map\[0\]\): there is no map 0, only 0"),
        ("call 5000; exit", r"insn 0 \(call 5000\): no Linux up to 6.18 has helper 5000"),
    ],
)
def test_what_does_not_run_is_refused_by_name(code: str, message: str, engine: str) -> None:
    with pytest.raises(Unsupported, match=message):
        Sim(engine=engine, verify=False).load_insns(code, "XDP")


@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("r1 = map[0]; exit", r"rejected \(EBADF\): fd 0 is not pointing to valid bpf_map"),
        ("call 5000; exit", r"rejected \(EINVAL\): invalid func unknown#5000"),
    ],
)
def test_what_linux_has_not_is_rejected(code: str, message: str, engine: str) -> None:
    with pytest.raises(Rejected, match=message):
        Sim(engine=engine).load_insns(code, "XDP")


def test_objects_come_from_paths_bytes_and_files() -> None:
    data = FIREWALL.read_bytes()
    for source in (FIREWALL, str(FIREWALL), data, io.BytesIO(data)):
        assert list(Sim().load(source)) == ["xdp_firewall"]
    with FIREWALL.open("rb") as file:
        assert Sim().load(file).source.name == "firewall.o"
    assert Sim().load(data, name="mine.o").source.name == "mine.o"


def test_files_that_are_no_objects(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.o: No such file or directory"):
        Sim().load(tmp_path / "nowhere.o")
    with pytest.raises(InputError, match="Is a directory"):
        Sim().load(tmp_path)
    for data in (b"", b"\x7fELF", b"PK\3\4" + bytes(100)):
        with pytest.raises(InputError):
            Sim().load(data)


def test_a_program_that_is_not_there() -> None:
    loaded = Sim().load(FIREWALL)
    with pytest.raises(KeyError, match=r"firewall\.o has no program xdp_lb: it has xdp_firewall"):
        loaded["xdp_lb"]
    assert "xdp_lb" not in loaded
    assert "xdp_firewall" in loaded
    assert len(loaded) == 1
    assert "xdp_firewall" in repr(loaded)
    assert repr(loaded["xdp_firewall"]) == "<xdpsim program xdp_firewall (XDP)>"


@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize(("size", "errno"), [(0, "EINVAL"), (13, "EINVAL"), (73_153, "ENOMEM")])
def test_packets_that_test_run_refuses(size: int, errno: str, engine: str) -> None:
    program = Sim(engine=engine).load_insns("r0 = 2; exit", "XDP")
    with pytest.raises(
        InputError, match=f"a packet of {size} bytes is (shorter than 14|longer than 73152) bytes"
    ) as caught:
        program.run(bytes(size))
    assert caught.value.hint == f"BPF_PROG_TEST_RUN answers {errno}"


@pytest.mark.parametrize("engine", OURS)
def test_a_scapy_packet(engine: str) -> None:
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    packet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="10.0.0.1", dst="10.0.0.2") / UDP()
    outcome = Sim(engine=engine).load_insns("r0 = 2; exit", "XDP").run(packet)
    assert outcome.packet == bytes(packet)


def test_what_is_no_packet() -> None:
    with pytest.raises(InputError):
        Sim().load_insns("r0 = 2; exit", "XDP").run(17)


@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize(
    ("value", "action"),
    [
        (0, XDP.ABORTED),
        (1, XDP.DROP),
        (2, XDP.PASS),
        (3, XDP.TX),
        (4, XDP.REDIRECT),
        (5, XDP.ABORTED),
        (-1, XDP.ABORTED),
    ],
)
def test_values_and_actions(value: int, action: XDP, engine: str) -> None:
    outcome = Sim(engine=engine).load_insns(f"r0 = {value}; exit", "XDP").run(bytes(64))
    assert (outcome.action, outcome.value, outcome.redirect) == (action, value & 0xFFFF_FFFF, None)


@pytest.mark.parametrize("engine", OURS)
def test_seeds_repeat_and_differ(engine: str) -> None:
    def draws(seed: int) -> list[int]:
        program = Sim(seed=seed, engine=engine).load_insns("call 7; exit", "XDP")
        return [program.run(bytes(64)).value for _ in range(4)]

    assert draws(5) == draws(5)
    assert len(set(draws(5) + draws(6) + draws(0) + draws(2**63))) == 16


@pytest.mark.parametrize("engine", OURS)
def test_time_is_the_packets(engine: str) -> None:
    program = Sim(engine=engine).load_insns("call 5; r1 = 1000000000000 ll; r0 -= r1; exit", "XDP")
    assert [program.run(bytes(64), time_ns=at).value for at in (5_000, 5_700, 5_100, 6_000)] == [0, 700, 700, 1000]


def test_strict_takes_every_program() -> None:
    assert list(Sim().load(FIREWALL, strict=True)) == ["xdp_firewall"]


def test_two_sims_share_nothing() -> None:
    asm = "r1 = map_value[0]; r0 = *(u64 *)(r1 +0); r0 += 1; *(u64 *)(r1 +0) = r0; exit"
    maps = [{"type": "ARRAY", "key_size": 4, "value_size": 8, "max_entries": 1}]
    for engine in OURS:
        programs = [Sim(engine=engine).load_insns(asm, "XDP", maps=maps) for _ in range(2)]
        assert [program.run(bytes(64)).value for program in (*programs, *programs)] == [1, 1, 2, 2]
