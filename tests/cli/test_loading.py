"""--type, --set and --btf: how they are read, and that they reach the loader."""

from __future__ import annotations

import json

import pytest

from xdpsim.cli.errors import UsageError
from xdpsim.cli.loading import Loading
from xdpsim.cli.main import main

FIREWALL = ["run", "programs/firewall.o", "-r", "pcaps/mixed.pcap", "--json", "--limit", "400"]


def test_one_type_for_all_or_one_for_each() -> None:
    assert Loading(types=("xdp",)).type == "xdp"
    assert Loading(types=("a=xdp", "b=tc")).type == {"a": "xdp", "b": "tc"}
    assert Loading().type == {}
    with pytest.raises(UsageError, match="--type xdp tc: one type for all programs"):
        Loading(types=("xdp", "tc")).type  # noqa: B018  the property raises


def test_values_are_numbers_json_or_text() -> None:
    given = ("a=5", "b=0x10", "c=[1, 2]", "d=true", "e=10.0.0.1", "f=x=y")
    values = {"a": 5, "b": 16, "c": [1, 2], "d": True, "e": "10.0.0.1", "f": "x=y"}
    assert Loading(constants=given).set == values
    with pytest.raises(UsageError, match="--set limit: expected NAME=VALUE"):
        Loading(constants=("limit",)).set  # noqa: B018  the property raises


def test_a_constant_changes_what_the_firewall_does(capsys: pytest.CaptureFixture[str]) -> None:
    def hits(*more: str) -> dict[str, int]:
        assert main([*FIREWALL, *more]) == 0
        verdicts: dict[str, int] = json.loads(capsys.readouterr().out)["verdicts"]
        return verdicts

    assert hits("--set", "icmp_per_second=0")["XDP_DROP"] > hits()["XDP_DROP"]


def test_an_unknown_constant_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIREWALL, "--set", "nonsense=1"]) == 3
    assert "constant nonsense: no variable and no map is called that" in capsys.readouterr().err


FLOWS = ["run", "programs/flow_export.o", "-r", "pcaps/second.pcap", "--maps", "programs/presets/flow_export.json"]


def records(capsys: pytest.CaptureFixture[str], *more: str) -> list[dict[str, object]]:
    assert main([*FLOWS, "--per-packet", *more]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [event["data"] for line in lines for event in line.get("events", []) if event["kind"] == "ringbuf"]


def test_records_of_a_ring_buffer_are_decoded(capsys: pytest.CaptureFixture[str]) -> None:
    plain, typed = records(capsys), records(capsys, "--event", "records=struct flow")
    assert plain
    assert [row["data"] for row in plain] == [row["data"] for row in typed]
    assert not any("value" in row for row in plain)
    value = typed[0]["value"]
    assert isinstance(value, dict)
    assert value["proto"] == bytes.fromhex(str(typed[0]["data"]))[36]


@pytest.mark.parametrize(
    ("event", "code", "message"),
    [
        ("records", 2, "--event records: expected MAP=TYPE"),
        ("rocords=struct flow", 3, "flow_export.o has no map rocords: it has"),
        ("records=struct fliw", 3, "flow_export.o has no type struct fliw"),
    ],
)
def test_events_that_do_not_exist(event: str, code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FLOWS, "--event", event]) == code
    assert message in capsys.readouterr().err
