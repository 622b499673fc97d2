"""Tables of the checks of helper calls: no hole, and in agreement with each other and with Linux."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.support.verifier_cases import Case, load_cases, make_case
from tests.support.verifier_linux import Asker
from xdpsim.helpers.capabilities import capability_for
from xdpsim.helpers.ids import HELPERS_BY_ID, HELPERS_OF_TYPE
from xdpsim.helpers.kinds import Arg, Ret
from xdpsim.helpers.map_pairs import HELPERS_OF_MAP, MAPS_OF_HELPER
from xdpsim.helpers.proto_rows import PROTOS, Proto
from xdpsim.helpers.protos import proto_for
from xdpsim.isa.rows import Family
from xdpsim.maps.types import MAP_TYPES
from xdpsim.verifier.arg_types import COMPATIBLE, kind_of
from xdpsim.verifier.helper_callbacks import CALLBACKS
from xdpsim.verifier.helper_returns import MAKERS
from xdpsim.verifier.helper_rules import RULES

_UNTESTED = frozenset({"ARG_PTR_TO_SOCKET"})
"""Kinds of arguments that no helper of a network program type has."""


def _cases() -> list[Case]:
    return [case for case in load_cases() if case.file == "helpers"]


def _protos_called() -> list[Proto]:
    found = []
    for case in _cases():
        calls = {insn.imm for insn in case.spec.code if insn is not None and insn.family is Family.CALL_HELPER}
        protos = (
            proto_for(number, case.spec.type, case.spec.attach_type) for number in calls if number in HELPERS_BY_ID
        )
        found += [proto for proto in protos if proto is not None]
    return found


def test_every_kind_of_argument_has_its_types_of_registers() -> None:
    assert {arg.base for arg in Arg} - COMPATIBLE.keys() == {"ARG_ANYTHING"}
    assert all(kind_of(arg).types or arg is Arg.ANYTHING for arg in Arg)


def test_every_kind_of_result_is_made() -> None:
    assert {ret.base for ret in Ret} == MAKERS.keys()


def test_every_callback_has_its_arguments_and_is_walked() -> None:
    assert {proto.calls_back for proto in PROTOS.values()} - {""} == CALLBACKS.keys()
    assert all(proto.id in RULES for proto in PROTOS.values() if proto.calls_back)


def test_every_kind_of_argument_and_result_stands_in_a_case() -> None:
    protos = _protos_called()
    assert {arg.base for arg in Arg} - {arg.base for proto in protos for arg in proto.args} <= _UNTESTED
    assert {ret.base for ret in Ret} == {proto.returns.base for proto in protos}


def test_cases_show_many_messages() -> None:
    messages = Counter(case.message for case in _cases() if not case.accept)
    assert len(messages) > 150


def test_map_pairs_name_helpers_that_take_maps_and_types_of_maps_that_are() -> None:
    takers = {proto.id for proto in PROTOS.values() if {Arg.CONST_MAP_PTR, Arg.KPTR_XCHG_DEST} & set(proto.args)}
    assert HELPERS_OF_MAP.keys() <= MAP_TYPES.keys()
    assert set().union(*MAPS_OF_HELPER.values()) <= MAP_TYPES.keys()
    assert MAPS_OF_HELPER.keys() | set().union(*HELPERS_OF_MAP.values()) <= takers | _DYNPTR_GIVERS


_DYNPTR_GIVERS = frozenset({199, 200})
"""Helpers that Linux lists for ring buffers although they take a dynptr and no map."""


@pytest.mark.live
@pytest.mark.parametrize("program_type", ["XDP", "SYSCALL", "SOCKET_FILTER"])
def test_helpers_that_need_perfmon_are_those_that_linux_takes_away_without_it(program_type: str) -> None:
    asker = Asker()
    for number in sorted(HELPERS_OF_TYPE[program_type]):
        entry = {"name": "", "type": program_type, "asm": f"call {number}; exit", "caps": ["bpf", "net_admin"]}
        case = make_case(entry | {"sleepable": program_type == "SYSCALL"})
        answer = asker.ask(case.spec, caps=case.caps)
        is_gone = "cannot use helper" in answer.message
        assert is_gone == (capability_for(number, program_type) == "perfmon"), HELPERS_BY_ID[number].name
