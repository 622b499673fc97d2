"""The rows of program types, attach types, helpers, map types and flags are those of Linux 6.18."""

from __future__ import annotations

import pytest

from tests.support.oracle import golden
from xdpsim.helpers.flags import HELPER_FLAGS
from xdpsim.helpers.ids import GPL_READ, HELPERS_BY_ID, HELPERS_OF_TYPE, may_call
from xdpsim.helpers.prototypes import PROTOTYPES
from xdpsim.maps import types as map_types
from xdpsim.progtypes.attach import AttachType
from xdpsim.progtypes.rows import PROG_TYPES, RUNNABLE, verdict_name
from xdpsim.progtypes.skb import TC
from xdpsim.progtypes.verdicts import SK
from xdpsim.progtypes.xdp import XDP
from xdpsim.versions import Linux

pytestmark = pytest.mark.golden


def enum(name: str, prefix: str) -> dict[str, int]:
    """A recorded enum without its prefix and its end marker."""
    members = {key: value for key, value in golden("progtypes")[name].items() if not key.startswith("__")}
    return {key.removeprefix(prefix): value for key, value in members.items()}


def test_program_types() -> None:
    assert {name: row.id for name, row in PROG_TYPES.items()} == enum("bpf_prog_type", "BPF_PROG_TYPE_")


def test_attach_types() -> None:
    assert {row.name: int(row) for row in AttachType} == enum("bpf_attach_type", "BPF_")


def test_map_types() -> None:
    known = enum("bpf_map_type", "BPF_MAP_TYPE_")
    assert {name: row.id for name, row in map_types.MAP_TYPES.items()}.items() <= known.items()
    missing = known.keys() - map_types.MAP_TYPES.keys()
    assert {name for name in missing if not name.endswith("_DEPRECATED")} == {"UNSPEC"}


def test_helpers() -> None:
    known = {name: number for name, number in enum("bpf_func_id", "BPF_FUNC_").items() if number}
    assert {row.name.removeprefix("bpf_"): number for number, row in HELPERS_BY_ID.items()} == known


@pytest.mark.parametrize(("rows", "recorded", "prefix"), [(XDP, "xdp_action", "XDP_"), (SK, "sk_action", "SK_")])
def test_verdicts(rows: type[XDP] | type[SK], recorded: str, prefix: str) -> None:
    assert {row.name: int(row) for row in rows} == enum(recorded, prefix)


def test_flags() -> None:
    known = golden("progtypes")["flags"]
    ours = HELPER_FLAGS | {name: value for name, value in vars(map_types).items() if name.startswith("BPF_")}
    assert {name: known[name] for name in ours} == ours


def test_which_type_may_call_which_helper() -> None:
    assert {name: sorted(ids) for name, ids in HELPERS_OF_TYPE.items()} == dict(golden("progtypes")["helpers"])


def test_which_helpers_an_attach_type_gives_and_takes() -> None:
    found = []
    for prog_type, attach_types in golden("progtypes")["attach_types"]:
        usual = HELPERS_OF_TYPE[prog_type]
        for attach in attach_types:
            ids = {number for number in HELPERS_BY_ID if may_call(number, prog_type, attach)}
            if ids != usual:
                found.append([prog_type, attach, sorted(ids - usual), sorted(usual - ids)])
    assert found == golden("progtypes")["helpers_by_attach"]


def test_which_helpers_ask_for_a_gpl_compatible_licence() -> None:
    recorded = set(golden("progtypes")["gpl_only"])
    asked = set().union(*HELPERS_OF_TYPE.values())
    assert {number for number, row in HELPERS_BY_ID.items() if row.gpl_only and number in asked} == recorded
    assert HELPERS_BY_ID.keys() - asked == GPL_READ


def test_versions_rise_with_the_numbers() -> None:
    helpers = [Linux(HELPERS_BY_ID[number].since) for number in sorted(HELPERS_BY_ID)]
    assert helpers == sorted(helpers)
    types = [Linux(row.since) for row in PROG_TYPES.values()]
    assert types == sorted(types)


def test_every_helper_of_xdp_tc_and_socket_filters_has_a_prototype() -> None:
    ids = set().union(*(HELPERS_OF_TYPE[name] for name in ("XDP", "SCHED_CLS", "SOCKET_FILTER")))
    assert PROTOTYPES.keys() == {HELPERS_BY_ID[number].name for number in ids}


def test_a_type_that_runs_has_context_and_verdicts() -> None:
    assert "XDP" in RUNNABLE
    assert all(PROG_TYPES[name].context for name in RUNNABLE)


@pytest.mark.parametrize(
    ("prog_type", "value", "name"),
    [
        ("XDP", 0, "XDP_ABORTED"),
        ("XDP", 4, "XDP_REDIRECT"),
        ("XDP", 7, "XDP_UNKNOWN(7)"),
        ("XDP", 1 << 32 | 1, "XDP_DROP"),
        ("XDP", 0xFFFF_FFFF, "XDP_UNKNOWN(-1)"),
        ("SCHED_CLS", 0xFFFF_FFFF, "TC_ACT_UNSPEC"),
        ("SCHED_CLS", int(TC.SHOT), "TC_ACT_SHOT"),
        ("SCHED_CLS", 99, "TC_ACT_UNKNOWN(99)"),
        ("SOCKET_FILTER", 50, "50"),
        ("SK_SKB", 1, "SK_PASS"),
        ("LWT_IN", 2, "BPF_DROP"),
        ("NETFILTER", 1, "NF_ACCEPT"),
    ],
)
def test_verdict_name(prog_type: str, value: int, name: str) -> None:
    assert verdict_name(prog_type, value) == name
