"""Rows of kernel functions: who may call which, and what the shipped types say of their parameters."""

from __future__ import annotations

import functools
import struct

import pytest

from xdpsim.btf.linux618 import kfuncs, linux618
from xdpsim.btf.make_linux618 import HOST
from xdpsim.btf.parse import parse
from xdpsim.btf.types import Btf, Func, FuncProto, Kind
from xdpsim.engines.kernel.kfuncs import function_ids
from xdpsim.helpers import all as _bodies  # noqa: F401
from xdpsim.helpers.kfunc_rows import ITER_NEXT, KERNEL_CONTEXTS, KFUNC_ROWS, RELEASE, RET_NULL, SLEEPABLE
from xdpsim.helpers.rows import KFUNCS
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.sysbpf.programs import ProgramDefinition, verifier_log

ATTACH = {
    **dict.fromkeys(("SOCKET_FILTER", "SCHED_CLS", "SCHED_ACT", "XDP", "CGROUP_SKB", "SK_SKB", "SK_MSG"), 0),
    **dict.fromkeys(("LWT_IN", "LWT_OUT", "LWT_XMIT", "LWT_SEG6LOCAL", "FLOW_DISSECTOR"), 0),
    "CGROUP_SOCK": 2,
    "SOCK_OPS": 3,
    "CGROUP_DEVICE": 6,
    "CGROUP_SOCK_ADDR": 10,
    "CGROUP_SYSCTL": 18,
    "CGROUP_SOCKOPT": 21,
    "SK_LOOKUP": 36,
    "SK_REUSEPORT": 39,
    "NETFILTER": 45,
}
"""Types of program that belong to the network, with an attach type of each."""
CALL_AND_EXIT = "<BBhi"


def ask(name: str, program_type: str) -> str:
    """What Linux says of a program that only calls the function."""
    slots = (0x85, 0x20, 0, function_ids()[name.encode()]), (0xB7, 0, 0, 0), (0x95, 0, 0, 0)
    code = b"".join(struct.pack(CALL_AND_EXIT, *slot) for slot in slots)
    definition = ProgramDefinition(PROG_TYPES[program_type].id, code, attach_type=ATTACH[program_type])
    return verifier_log(definition)[1]


@pytest.mark.live
@pytest.mark.parametrize("name", sorted(kfuncs()))
def test_who_may_call_it_is_what_linux_says(name: str) -> None:
    row = KFUNC_ROWS.get(name)
    for program_type in ATTACH:
        said = ask(name, program_type)
        may = f"calling kernel function {name} is not allowed" not in said
        assert may == (row is not None and program_type in row.programs), program_type
        if may and row is not None:
            assert ("must be sleepable" in said) == bool(row.flags & SLEEPABLE)
            assert ("require device-bound program" in said) == row.needs_device


def prototype(btf: Btf, name: str) -> tuple[str, list[tuple[str, str]]]:
    """A function's result and parameters as text."""
    row = btf.by_name(name, Kind.FUNC)
    assert isinstance(row, Func)
    proto = btf.get(row.type_id)
    assert isinstance(proto, FuncProto)
    return btf.type_name(proto.return_id), [(p.name, btf.type_name(p.type_id)) for p in proto.params]


@functools.cache
def host() -> Btf:
    return parse(HOST.read_bytes())


@pytest.mark.live
def test_prototypes_are_those_of_the_running_kernel() -> None:
    for name in sorted(kfuncs()):
        assert prototype(linux618().btf, name) == prototype(host(), name), name


def test_every_row_is_of_a_function_that_there_is() -> None:
    assert KFUNC_ROWS.keys() <= kfuncs()


def test_every_function_with_a_body_has_a_row() -> None:
    assert KFUNCS.keys() - KFUNC_ROWS.keys() == set()


def test_flags_agree_with_prototypes() -> None:
    btf = linux618().btf
    for row in KFUNC_ROWS.values():
        returns, params = prototype(btf, row.name)
        if row.flags & ITER_NEXT:
            assert row.flags & RET_NULL
            assert returns.endswith("*")
        if row.flags & RET_NULL and "res_spin" not in row.name:
            assert returns.endswith("*"), row.name
        if row.flags & RELEASE:
            assert params[0][1].endswith("*")


def test_the_kernels_contexts_are_in_the_shipped_types() -> None:
    for program_type in ATTACH:
        assert linux618().btf.by_name(KERNEL_CONTEXTS[program_type], Kind.STRUCT) is not None, program_type
