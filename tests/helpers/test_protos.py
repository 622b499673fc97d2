"""Prototypes: every helper has one for every type that may call it, and which it is depends on type and attach type."""

from __future__ import annotations

import pytest

from tests.helpers.asking_protos import UNASKED, asked_protos
from tests.support.oracle import golden
from xdpsim.helpers.ids import HELPERS_BY_ID, HELPERS_BY_NAME, HELPERS_OF_TYPE
from xdpsim.helpers.kinds import Arg, Ret
from xdpsim.helpers.proto_rows import PROTOS, Proto
from xdpsim.helpers.protos import proto_for, row_for
from xdpsim.helpers.rows import HELPERS
from xdpsim.progtypes.attach import AttachType
from xdpsim.sim.sim import HELPER_MODULES


def named(name: str, program_type: str, attach_type: int = 0) -> tuple[Arg, ...] | None:
    """The argument kinds of a helper, None where it is not offered."""
    (number,) = (row.id for row in HELPERS_BY_ID.values() if row.name == "bpf_" + name)
    found = proto_for(number, program_type, attach_type)
    return found.args if found else None


def test_every_helper_has_a_prototype() -> None:
    assert {number for number, _ in PROTOS} == HELPERS_BY_ID.keys()
    assert all(row_for(number, name).id == number for name, ids in HELPERS_OF_TYPE.items() for number in ids)


def test_rows_of_bodies_follow_the_prototypes() -> None:
    assert HELPER_MODULES
    for (number, program_type), row in HELPERS.items():
        proto = row_for(number, program_type)
        assert (row.args, row.returns, row.moves_packet) == (proto.args, proto.returns, proto.moves_packet)


@pytest.mark.parametrize(
    ("name", "program_type", "attach", "args"),
    [
        ("get_cgroup_classid", "XDP", 0, ()),
        ("get_cgroup_classid", "SCHED_CLS", 0, (Arg.CTX,)),
        ("get_socket_cookie", "SCHED_CLS", 0, (Arg.CTX,)),
        ("get_socket_cookie", "SK_REUSEPORT", 0, (Arg.BTF_ID_SOCK_COMMON_OR_NULL,)),
        ("sk_assign", "SK_LOOKUP", AttachType.SK_LOOKUP, (Arg.CTX, Arg.SOCKET_OR_NULL, Arg.ANYTHING)),
        ("bind", "CGROUP_SOCK_ADDR", AttachType.CGROUP_INET4_CONNECT, (Arg.CTX, Arg.MEM_RDONLY, Arg.SIZE)),
        ("bind", "CGROUP_SOCK_ADDR", AttachType.CGROUP_INET4_BIND, None),
        ("get_retval", "CGROUP_SOCK_ADDR", AttachType.CGROUP_UDP4_RECVMSG, None),
        ("get_retval", "CGROUP_SOCK_ADDR", AttachType.CGROUP_UDP4_SENDMSG, ()),
        ("setsockopt", "CGROUP_SOCKOPT", AttachType.CGROUP_GETSOCKOPT, None),
        ("skb_store_bytes", "XDP", 0, None),
        ("copy_from_user", "XDP", 0, (Arg.UNINIT_MEM, Arg.SIZE_OR_ZERO, Arg.ANYTHING)),
    ],
)
def test_what_depends_on_the_type(name: str, program_type: str, attach: int, args: tuple[Arg, ...] | None) -> None:
    assert named(name, program_type, attach) == args


def test_kinds_have_the_kernels_flags() -> None:
    assert (Arg.UNINIT_MEM.base, Arg.UNINIT_MEM.flags) == ("ARG_PTR_TO_MEM", {"MEM_UNINIT", "MEM_WRITE"})
    assert (Arg.FIXED_MEM_20.size, Arg.MEM.size) == (20, 0)
    assert Arg.FIXED_MEM_20.words.endswith("MEM_RDONLY, 20 bytes")
    assert Ret.SOCKET_OR_NULL.flags == {"PTR_MAYBE_NULL"}


def test_kernel_types_stand_where_a_kind_needs_one() -> None:
    for row in PROTOS.values():
        assert bool(row.ret_btf) == (row.returns.base == "RET_PTR_TO_BTF_ID" and row.name != "bpf_kptr_xchg"), row.name
        needs = [kind.base == "ARG_PTR_TO_BTF_ID" for kind in row.args]
        assert [bool(name) for name in row.arg_btf] == (needs if row.arg_btf else []), row.name
        assert row.arg_btf or not any(needs) or row.name == "bpf_kptr_xchg", row.name


def test_which_argument_gives_a_reference_up() -> None:
    released = {row.name: row.release_arg for row in PROTOS.values() if row.release_arg}
    assert released == {
        "bpf_sk_release": 1,
        "bpf_ringbuf_submit": 1,
        "bpf_ringbuf_discard": 1,
        "bpf_ringbuf_submit_dynptr": 1,
        "bpf_ringbuf_discard_dynptr": 1,
        "bpf_kptr_xchg": 2,
    }


_MEMORY = "fp|pkt|pkt_meta|map_key|map_value|mem|ringbuf_mem|buf|trusted_ptr_"
_SOCK = "sock_common|sock|tcp_sock|xdp_sock"
WORDS = {
    "ARG_ANYTHING": "any",
    "ARG_CONST_MAP_PTR": "map_ptr",
    "ARG_PTR_TO_MAP_KEY": _MEMORY,
    "ARG_PTR_TO_MAP_VALUE": _MEMORY,
    "ARG_PTR_TO_CTX": "ctx",
    "ARG_PTR_TO_MEM": _MEMORY,
    "ARG_CONST_SIZE": "size",
    "ARG_CONST_SIZE_OR_ZERO": "size?",
    "ARG_CONST_ALLOC_SIZE_OR_ZERO": "const",
    "ARG_PTR_TO_CONST_STR": "map_value",
    "ARG_PTR_TO_FUNC": "func",
    "ARG_PTR_TO_STACK": "fp",
    "ARG_PTR_TO_SPIN_LOCK": "map_value|ptr_",
    "ARG_PTR_TO_TIMER": "map_value",
    "ARG_PTR_TO_DYNPTR": "fp|dynptr_ptr",
    "ARG_PTR_TO_RINGBUF_MEM": "ringbuf_mem",
    "ARG_KPTR_XCHG_DEST": "map_value|ptr_",
    "ARG_PTR_TO_BTF_ID": "ptr_|trusted_ptr_|rcu_ptr_",
    "ARG_PTR_TO_PERCPU_BTF_ID": "percpu_ptr_|percpu_rcu_ptr_|percpu_trusted_ptr_",
    "ARG_PTR_TO_SOCKET": "sock",
    "ARG_PTR_TO_SOCK_COMMON": _SOCK,
    "ARG_PTR_TO_BTF_ID_SOCK_COMMON": f"{_SOCK}|ptr_|trusted_ptr_",
}
"""What Linux says that it expected, by the base of a kind."""


def word(kind: Arg) -> str:
    """The kind's word in a recorded signature."""
    writes = kind.base in ("ARG_PTR_TO_MEM", "ARG_PTR_TO_MAP_VALUE") and "MEM_WRITE" in kind.flags
    return WORDS[kind.base] + "?" * ("PTR_MAYBE_NULL" in kind.flags) + "w" * writes


def agrees(proto: Proto, signature: str) -> bool:
    """Whether the prototype is what Linux's answers show, as far as they go."""
    found, ours = signature.split(), [word(kind) for kind in proto.args]
    if found[-1:] == [UNASKED]:
        return ours[: len(found) - 1] == found[:-1]
    return ours == found


@pytest.mark.golden
@pytest.mark.parametrize(("name", "signature", "types"), golden("protos")["signatures"])
def test_argument_kinds_are_those_that_linux_asks_for(name: str, signature: str, types: str) -> None:
    number = HELPERS_BY_NAME[name].id
    for program_type in types.split():
        assert agrees(row_for(number, program_type), signature), program_type


@pytest.mark.golden
def test_every_prototype_was_asked() -> None:
    asked = {(name, kind) for name, _, types in golden("protos")["signatures"] for kind in types.split()}
    assert {(proto.name, kind) for kind, _, proto in asked_protos()} == asked


@pytest.mark.golden
@pytest.mark.parametrize(("name", "at", "is_good"), golden("protos")["unwritten"])
def test_which_memory_need_not_have_been_written(name: str, at: int, is_good: bool) -> None:
    kind = row_for(HELPERS_BY_NAME[name].id, "SCHED_CLS").args[at]
    assert ("MEM_UNINIT" in kind.flags) == is_good


RESULTS = {
    Ret.INTEGER: "scalar",
    Ret.MAP_VALUE: "map_value",
    Ret.MAP_VALUE_OR_NULL: "map_value_or_null",
    Ret.DYNPTR_MEM_OR_NULL: "mem_or_null",
    Ret.BTF_ID: "ptr_",
    Ret.BTF_ID_TRUSTED: "trusted_ptr_",
    Ret.BTF_ID_OR_NULL: "ptr_or_null_",
    Ret.SOCKET_OR_NULL: "sock_or_null",
    Ret.TCP_SOCK_OR_NULL: "tcp_sock_or_null",
    Ret.SOCK_COMMON_OR_NULL: "sock_common_or_null",
}
"""What Linux's log says of r0 after the call."""


@pytest.mark.golden
@pytest.mark.parametrize(("name", "result"), golden("protos")["results"])
def test_results_are_those_that_linux_tells(name: str, result: str) -> None:
    rows = [row for row in PROTOS.values() if row.name == name]
    assert {RESULTS[row.returns] + row.ret_btf for row in rows} == {result}


@pytest.mark.golden
def test_which_calls_void_packet_pointers() -> None:
    recorded = golden("protos")
    moving = {row.name for row in PROTOS.values() if row.moves_packet}
    assert not moving & set(recorded["keeps_packet"])
    # A function that makes a tail call keeps its own pointers; those of its callers are void.
    assert moving - set(recorded["moves_packet"]) == {"bpf_tail_call"}
