"""Keys and values as people read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.elf_writer import BtfWriter
from xdpsim.analysis.readable import Reader, index_names, printable
from xdpsim.btf.parse import parse
from xdpsim.maps.map import Map, create_map
from xdpsim.maps.spec import MapSpec
from xdpsim.sim.sim import Sim

PROGRAMS = Path(__file__).parents[2] / "programs"


@pytest.mark.parametrize(
    ("program", "name", "first"),
    [
        ("firewall", "rule_hits", "RULE_DEFAULT_PASS"),
        ("lb", "fates", "FATE_FORWARDED"),
        ("ratelimit", "totals", "TOTAL_PASSED"),
        ("counter", "by_kind", "KIND_IPV4"),
        ("dnsfilter", "queries", "OUTCOME_PASSED"),
    ],
)
def test_the_enum_that_fits_an_array_names_its_elements(program: str, name: str, first: str) -> None:
    maps = Sim().load(PROGRAMS / f"{program}.o").maps
    assert index_names(maps[name])[0] == first
    others = [other for other in maps if other != name]
    assert not any(index_names(maps[other]) for other in others)


def made(
    *, key: int = 0, value: int = 0, btf: BtfWriter, key_size: int = 4, value_size: int, kind: str = "HASH"
) -> Map:
    spec = MapSpec("m", kind, key_size, value_size, 4, key_type=key, value_type=value, btf=parse(btf.build()))
    return create_map(spec, cpus=2, number=1)


def test_two_enums_that_fit_name_nothing() -> None:
    btf = BtfWriter()
    u32 = btf.int("unsigned int", 4)
    for name in ("one", "two"):
        btf.add(6, name, 4, "8I", *[word for n in range(4) for word in (btf.string(f"{name}{n}"), n)], vlen=4)
    assert index_names(made(key=u32, btf=btf, value_size=4, kind="ARRAY")) == {}


def test_an_enum_key_is_named() -> None:
    btf = BtfWriter()
    enum = btf.add(6, "colour", 4, "4I", btf.string("RED"), 1, btf.string("BLUE"), 9, vlen=2)
    reader = Reader(made(key=enum, btf=btf, value_size=4))
    assert reader.key((9).to_bytes(4, "little")) == "BLUE"
    assert reader.key((5).to_bytes(4, "little")) == "5"


def test_network_byte_order_mac_text_and_padding() -> None:
    btf = BtfWriter()
    u8, u16, u32 = (btf.int(name, size) for name, size in (("u8", 1), ("unsigned short", 2), ("unsigned int", 4)))
    char = btf.int("char", 1, 1)
    be16, be32 = btf.add(8, "__be16", u16), btf.add(8, "__be32", u32)
    mac, text = btf.array(u8, 6), btf.array(char, 8)
    members = [("addr", be32, 0), ("port", be16, 32), ("pad", u16, 48), ("mac", mac, 64), ("name", text, 112)]
    words = [word for name, kind, offset in members for word in (btf.string(name), kind, offset)]
    value = btf.add(4, "row", 22, "15I", *words, vlen=5)
    reader = Reader(made(value=value, btf=btf, value_size=22))
    data = bytes([10, 0, 0, 1, 0, 80, 0, 0, 2, 0, 0, 0, 0, 1]) + b"eth\x00\x00\x00\x00\x00"
    assert reader.leaves(data) == {"addr": "10.0.0.1", "port": 80, "mac": "02:00:00:00:00:01", "name": "eth"}
    assert reader.leaves(data.replace(b"eth", b"\x1b[2"))["name"] == "1b 5b 32 00 00 00 00 00"


def test_values_without_types() -> None:
    spec = MapSpec("m", "HASH", 4, 20, 4)
    reader = Reader(create_map(spec, cpus=1, number=1))
    assert reader.value(bytes(range(20))) == "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f .. (20 bytes)"
    assert reader.key(bytes(4)) == "0x00000000"


def test_nothing_reaches_a_terminal_as_a_command() -> None:
    assert printable("a\x1b[31mb\n") == "a\\x1b[31mb\\n"
