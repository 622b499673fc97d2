"""Section names mean what libbpf takes them for; where the library is installed it is asked."""

from __future__ import annotations

import ctypes
import functools

import pytest

from xdpsim.progtypes.attach import AttachType as At
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.progtypes.sections import SECTIONS, SectionMatch, section_program

# Names that the libbpf of Debian 12 (1.1) does not know yet.
_YOUNGER = (
    *("tcx/", "tc/", "netkit/", "netfilter", "struct_ops.s", "usdt.s", "sk_skb/verdict"),
    *("cgroup/connect_unix", "cgroup/sendmsg_unix", "cgroup/recvmsg_unix", "cgroup/getpeername_unix"),
    *("cgroup/getsockname_unix", "kprobe.session", "uprobe.multi", "uretprobe.multi", "uprobe.session"),
)
NOT_EXACT = ("xdp/", "xdp/foo", "xdp_foo", "xdpfoo", "xdp.frags/foo", "tc/foo", "tc_ingress", "socket/1", "socket1",
             "classifier/ingress", "cgroup/skb/1", "sk_skb/stream_parser/x", "kprobefoo", "fentry.sfoo", "lsm.x",
             "sockops/1", "prog", "", "maps", "license", "2/1", "XDP")  # fmt: skip


@functools.cache
def library() -> ctypes.CDLL | None:
    """libbpf 1.x, None where it is not installed."""
    try:
        found = ctypes.CDLL("libbpf.so.1")
    except OSError:
        return None
    found.libbpf_set_print(None)
    return found


def libbpf_says(section: str) -> tuple[int, int] | None:
    """Program type and attach type, None where libbpf does not know the name."""
    if (libbpf := library()) is None:
        pytest.skip("libbpf.so.1 is not installed")
    prog_type, attach = ctypes.c_uint(0), ctypes.c_uint(0)
    error = libbpf.libbpf_prog_type_by_name(section.encode(), ctypes.byref(prog_type), ctypes.byref(attach))
    return None if error else (prog_type.value, attach.value)


def ours(section: str) -> tuple[int, int] | None:
    match = section_program(section)
    return (PROG_TYPES[match.type].id, match.attach_type) if match else None


@pytest.mark.parametrize("name", [row.name for row in SECTIONS if not row.name.startswith(_YOUNGER)])
@pytest.mark.parametrize("suffix", ["", "/", "/func", "/a/b", "func"])
def test_libbpf_agrees(name: str, suffix: str) -> None:
    assert ours(name + suffix) == libbpf_says(name + suffix)


@pytest.mark.parametrize("name", NOT_EXACT)
def test_a_name_that_only_begins_like_one_is_unknown(name: str) -> None:
    assert section_program(name) is None
    assert libbpf_says(name) is None


@pytest.mark.parametrize(
    ("section", "match"),
    [
        ("xdp", SectionMatch("XDP", At.XDP, False, False)),
        ("?xdp", SectionMatch("XDP", At.XDP, False, False)),
        ("xdp.frags", SectionMatch("XDP", At.XDP, True, False)),
        ("xdp/devmap", SectionMatch("XDP", At.XDP_DEVMAP, False, False)),
        ("xdp.frags/cpumap", SectionMatch("XDP", At.XDP_CPUMAP, True, False)),
        ("tc", SectionMatch("SCHED_CLS", 0, False, False)),
        ("tcx/ingress", SectionMatch("SCHED_CLS", At.TCX_INGRESS, False, False)),
        ("tc/egress", SectionMatch("SCHED_CLS", At.TCX_EGRESS, False, False)),
        ("netkit/peer", SectionMatch("SCHED_CLS", At.NETKIT_PEER, False, False)),
        ("cgroup/connect_unix", SectionMatch("CGROUP_SOCK_ADDR", At.CGROUP_UNIX_CONNECT, False, False)),
        ("fentry.s/some_function", SectionMatch("TRACING", At.TRACE_FENTRY, False, True)),
        ("kprobe.session/x*", SectionMatch("KPROBE", At.TRACE_KPROBE_SESSION, False, False)),
        ("syscall", SectionMatch("SYSCALL", 0, False, True)),
        ("struct_ops.s/name", SectionMatch("STRUCT_OPS", 0, False, True)),
    ],
)
def test_what_a_name_says(section: str, match: SectionMatch) -> None:
    assert section_program(section) == match


def test_the_table_names_known_types_once() -> None:
    assert {row.type for row in SECTIONS} <= PROG_TYPES.keys()
    assert len({row.name for row in SECTIONS}) == len(SECTIONS)
