"""`xdpsim map`: saved maps looked into and changed, with the object that defines them and without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran, Xdpsim

OBJECT = "programs/firewall.o"
LB = "programs/lb.o"
Do = Callable[..., Ran]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A directory as --save-maps writes it."""
    hits = [
        {"key": [f"0x{n:02x}", *["0x00"] * 3], "value": [f"0x{n:02x}", *["0x00"] * 7, f"0x{n * 2:02x}", *["0x00"] * 7]}
        for n in range(9)
    ]
    (tmp_path / "rule_hits.json").write_text(json.dumps(hits))
    v4 = {"key": ["0x10", "0x00", "0x00", "0x00", "0x0a", "0x42", "0x00", "0x00"], "value": ["0x07", *["0x00"] * 7]}
    v4["formatted"] = {"key": {"prefixlen": 16, "addr": 16906}, "value": {"hits": 7}}  # type: ignore[assignment]
    (tmp_path / "blocked_v4.json").write_text(json.dumps([v4]))
    stats = [
        {
            "key": ["0x01", "0x00", "0x00", "0x00"],
            "values": [{"cpu": n, "value": [f"0x{n + 1:02x}", *["0x00"] * 15]} for n in range(4)],
        }
    ]
    (tmp_path / "stats.json").write_text(json.dumps(stats))
    return tmp_path


@pytest.fixture
def do(xdpsim: Xdpsim, saved: Path) -> Do:
    return lambda action, name, *words: xdpsim("map", action, saved, name, *words)


def entries(saved: Path, name: str) -> list[dict[str, object]]:
    found = json.loads((saved / f"{name}.json").read_text())
    assert isinstance(found, list)
    return found


def test_dump_without_the_object(do: Do) -> None:
    assert do("dump", "blocked_v4").out == (
        'key: {"prefixlen": 16, "addr": 16906}  value: {"hits": 7}\nFound 1 element\n'
    )
    lines = do("dump", "rule_hits").out.splitlines()
    assert lines[3] == "key: 03 00 00 00  value: 03 00 00 00 00 00 00 00 06 00 00 00 00 00 00 00"
    assert lines[-1] == "Found 9 elements"


def test_dump_by_its_types(do: Do) -> None:
    assert do("dump", "blocked_v4", "--object", OBJECT).out == "key: 10.66.0.0/16  value: hits 7\nFound 1 element\n"
    assert do("dump", "rule_hits", "--object", OBJECT).out.splitlines()[3] == (
        "key: RULE_BLOCKED_SRC_V4  value: packets 3, bytes 6"
    )


def test_a_per_cpu_map(do: Do) -> None:
    expected = ["key: 1"] + [f"  value (CPU {n}): packets {n + 1}, bytes 0" for n in range(4)]
    assert do("lookup", "stats", "key", "1", "--object", LB).out.splitlines() == expected
    plain = do("lookup", "stats", "key", "hex", "01", "00", "00", "00").out.splitlines()
    assert (plain[0], plain[4]) == ("key: 01 00 00 00", "  value (CPU 3): 04" + " 00" * 15)


@pytest.mark.parametrize("key", [("3", "0", "0", "0"), ("0x03", "0x00", "0", "0"), ("hex", "03", "00", "00", "00")])
def test_keys_in_bytes(key: tuple[str, ...], do: Do) -> None:
    for options in ((), ("--object", OBJECT)):
        entry = do("lookup", "rule_hits", "key", *key, "-j", *options).json
        assert entry["key"] == ["0x03", "0x00", "0x00", "0x00"]
        assert entry["value"][8] == "0x06"


def test_an_lpm_lookup_finds_the_covering_entry(do: Do) -> None:
    assert (
        do("lookup", "blocked_v4", "key", "10.66.1.1", "--object", OBJECT).out == "key: 10.66.1.1/32  value: hits 7\n"
    )
    missing = do("lookup", "blocked_v4", "key", "10.67.1.1", "--object", OBJECT)
    assert (missing.code, missing.out) == (3, "")
    assert "blocked_v4.json: map blocked_v4: key 10.67.1.1/32: not found" in missing.err


def test_update_by_type(do: Do, saved: Path) -> None:
    assert do("update", "blocked_v4", "key", "192.0.2.0/24", "value", '{"hits": 5}', "--object", OBJECT).code == 0
    assert [entry["formatted"] for entry in entries(saved, "blocked_v4")][1] == {  # type: ignore[index]
        "key": {"prefixlen": 24, "addr": 131264},
        "value": {"hits": 5},
    }
    assert do("update", "stats", "key", "1", "value", '{"packets": 9, "bytes": 1}', "--object", LB).code == 0
    assert len(entries(saved, "stats")[0]["values"]) == 4  # type: ignore[arg-type]


def test_update_in_bytes(do: Do, saved: Path) -> None:
    assert do("update", "rule_hits", "key", "2", "0", "0", "0", "value", "hex", "ff" * 16, "-j").out == "null\n"
    assert entries(saved, "rule_hits")[2] == {"key": ["0x02", "0x00", "0x00", "0x00"], "value": ["0xff"] * 16}
    assert do("update", "rule_hits", "key", "hex", "09000000", "value", "hex", "00" * 16, "noexist").code == 0
    assert len(entries(saved, "rule_hits")) == 10


def test_a_formatted_entry_that_is_overwritten_forgets_its_text(do: Do, saved: Path) -> None:
    key = entries(saved, "blocked_v4")[0]["key"]
    assert do("update", "blocked_v4", "key", *key, "value", "1", *["0"] * 7, "exist").code == 0  # type: ignore[misc]
    assert entries(saved, "blocked_v4") == [{"key": key, "value": ["0x01", *["0x00"] * 7]}]
    assert do("dump", "blocked_v4", "--object", OBJECT).out.startswith("key: 10.66.0.0/16  value: hits 1\n")


@pytest.mark.parametrize("options", [(), ("--object", OBJECT)])
def test_delete(options: tuple[str, ...], do: Do, saved: Path) -> None:
    key = ["hex", "10 00 00 00 0a 42 00 00"]
    assert do("delete", "blocked_v4", "key", *key, *options).code == 0
    assert entries(saved, "blocked_v4") == []
    gone = do("delete", "blocked_v4", "key", *key, *options)
    assert (gone.code, gone.out) == (3, "")


@pytest.mark.parametrize("options", [(), ("--object", OBJECT)])
def test_getnext_walks_all_keys(options: tuple[str, ...], do: Do) -> None:
    seen = [do("getnext", "rule_hits", "-j", *options).json["key"]]
    while (ran := do("getnext", "rule_hits", "key", *seen[-1], "-j", *options)).code == 0:
        seen.append(ran.json["key"])
    assert [key[0] for key in seen] == [f"0x{n:02x}" for n in range(9)]
    assert "there is no next key" in ran.err


def test_a_preset_file_keeps_its_other_maps(xdpsim: Xdpsim, tmp_path: Path) -> None:
    path = tmp_path / "presets.json"
    path.write_text(json.dumps({"config": [{"key": 0, "value": {"monitor": 0}}], "denied_vlans": {"7": {"hits": 0}}}))
    assert xdpsim("map", "dump", path, "denied_vlans").out.startswith('key: 7  value: {"hits": 0}\n')
    assert xdpsim("map", "update", path, "config", "key", "0", "value", '{"monitor": 1}', "--object", OBJECT).code == 0
    document = json.loads(path.read_text())
    assert document["denied_vlans"] == {"7": {"hits": 0}}
    assert document["config"][0]["formatted"]["value"] == {"monitor": 1}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("lookup", "rule_hits"), 2, "map lookup: expected behind the name: key DATA"),
        (("lookup", "rule_hits", "key"), 2, "map lookup: expected behind the name: key DATA"),
        (("update", "rule_hits", "key", "1"), 2, "expected behind the name: key DATA value DATA [any|exist|noexist]"),
        (("dump", "rule_hits", "key", "1"), 2, "map dump: expected behind the name: nothing"),
        (("lookup", "rule_hits", "key", "hex", "0g"), 2, "hex 0g: expected pairs of hex digits"),
        (("lookup", "nope", "key", "1"), 3, "there is no map nope\n  maps are: blocked_v4, rule_hits, stats"),
        (("update", "rule_hits", "key", "77", "value", "1"), 3, "key 77: expected 4 bytes, such as hex 0a 00"),
        (("update", "rule_hits", "key", "0", "0", "0", "0", "value", "1"), 3, "value 1: expected 16 bytes"),
        (("update", "rule_hits", "key", "0", "0", "0", "0", "value", "hex", "00" * 16, "noexist"), 3, "EEXIST"),
        (("update", "rule_hits", "key", "0", "0", "0", "9", "value", "hex", "00" * 16, "exist"), 3, "ENOENT"),
        (("lookup", "rule_hits", "key", "1", "--object", "programs/lb.o"), 3, "there is no map rule_hits"),
        (("update", "rule_hits", "key", "9", "value", "{}", "--object", OBJECT), 3, "E2BIG"),
    ],
)
def test_mistakes(arguments: tuple[str, ...], code: int, message: str, do: Do) -> None:
    ran = do(*arguments)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err


@pytest.mark.parametrize(
    "text", ["{", "[1]", '[{"key": 1}]', '[{"key": 1, "values": 7}]', '[{"key": 1, "value": 2, "formatted": []}]', "7"]
)
def test_damaged_files(text: str, do: Do, saved: Path) -> None:
    (saved / "stats.json").write_text(text)
    ran = do("dump", "stats")
    assert (ran.code, ran.out) == (3, "")
    assert "stats.json" in ran.err
