"""Results, capabilities, attach types and packet access of the program types are those of Linux 6.18."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.oracle import golden
from xdpsim.helpers.protos import proto_for
from xdpsim.progtypes.attach import AttachType
from xdpsim.progtypes.loading import LOAD_RULES, Packet, Sleep, attach_type_of, takes_attach_type
from xdpsim.progtypes.returns import return_range
from xdpsim.progtypes.rows import PROG_TYPES

pytestmark = pytest.mark.golden

ATTACH_TYPES: dict[str, list[int]] = dict(golden("progtypes")["attach_types"])
PACKET_ANSWERS = {
    Packet.NONE: (False, False, False),
    Packet.READ: (False, True, False),
    Packet.WRITE: (True, True, False),
    Packet.OPTION: (True, True, True),
}
_GET_SMP_PROCESSOR_ID = 8
SLEEP = {"must": Sleep.MUST, "may": Sleep.SOME}


def test_every_type_has_rules() -> None:
    assert LOAD_RULES.keys() | {"UNSPEC"} == PROG_TYPES.keys()


@pytest.mark.parametrize("prog_type", ATTACH_TYPES)
def test_attach_types_with_which_a_type_loads(prog_type: str) -> None:
    good = [int(attach) for attach in AttachType if takes_attach_type(prog_type, attach)]
    assert good == ATTACH_TYPES[prog_type]


def test_no_attach_type_may_mean_one() -> None:
    assert attach_type_of("CGROUP_SOCK", 0) == AttachType.CGROUP_INET_SOCK_CREATE
    assert attach_type_of("SK_REUSEPORT", 0) == AttachType.SK_REUSEPORT_SELECT
    assert attach_type_of("XDP", 0) == 0


@pytest.mark.parametrize("prog_type", ATTACH_TYPES)
def test_results(prog_type: str) -> None:
    recorded = {at: found for name, at, found in golden("load_rules")["results"] if name == prog_type}
    usual = next(iter(recorded.values()))
    for attach in ATTACH_TYPES[prog_type]:
        found = return_range(prog_type, attach)
        assert (list(found) if found else None) == recorded.get(attach, usual), attach


@pytest.mark.parametrize("recorded", golden("load_rules")["rules"], ids=lambda row: row["type"])
def test_rules(recorded: dict[str, Any]) -> None:
    rules = LOAD_RULES[recorded["type"]]
    assert sorted(rules.capabilities | {"bpf"}) == recorded["capabilities"]
    assert rules.ld_abs == (recorded["ld_abs"] == "")
    assert rules.sleepable is SLEEP.get(recorded["sleepable"], Sleep.NEVER)
    proto = proto_for(_GET_SMP_PROCESSOR_ID, recorded["type"], recorded["attach"])
    assert proto is not None
    assert proto.allow_fastcall == recorded["fastcall"]
    if recorded["packet"]:
        assert tuple(not message for message in recorded["packet"].values()) == PACKET_ANSWERS[rules.packet]
    else:
        assert rules.packet is Packet.NONE
