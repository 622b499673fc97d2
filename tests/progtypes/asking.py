"""Asks the running kernel about program types: its enums, which context accesses load, which helpers may be called."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

from tests.support.record import recorder
from xdpsim.btf.parse import parse
from xdpsim.btf.types import Enum
from xdpsim.helpers.ids import HELPERS_OF_TYPE
from xdpsim.progtypes.attach import AttachType as At
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.sysbpf.programs import F_SLEEPABLE, ProgramDefinition, verifier_log

ENUMS = ("bpf_prog_type", "bpf_attach_type", "bpf_map_type", "bpf_func_id", "xdp_action", "sk_action")
CONTEXT_TYPES = ("SOCKET_FILTER", "SCHED_CLS", "SCHED_ACT", "XDP", "CGROUP_SKB", "CGROUP_SOCK", "LWT_IN", "LWT_OUT",
                 "LWT_XMIT", "SOCK_OPS", "SK_SKB", "CGROUP_DEVICE", "SK_MSG", "CGROUP_SOCK_ADDR", "LWT_SEG6LOCAL",
                 "SK_REUSEPORT", "FLOW_DISSECTOR", "CGROUP_SYSCTL", "CGROUP_SOCKOPT", "SK_LOOKUP",
                 "NETFILTER")  # fmt: skip
ATTACH_TYPES_THAT_MATTER = {"XDP": (0, At.XDP_DEVMAP, At.XDP_CPUMAP, At.XDP)}
"""Types that load with every attach type and see different contexts; of the others it is those that load."""
SIZES = {1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}
LAST_OFFSET = 236
LAST_HELPER = 211

# Some types load for one attach type only.
_ATTACH = {
    "CGROUP_SOCK_ADDR": At.CGROUP_INET4_BIND,
    "SK_LOOKUP": At.SK_LOOKUP,
    "CGROUP_SOCKOPT": At.CGROUP_GETSOCKOPT,
    "NETFILTER": At.NETFILTER,
}
_CANNOT = re.compile("unknown func|invalid func|cannot use helper|might sleep")
_FLAG = re.compile("BPF_(F_|ANY|NOEXIST|EXIST)")
_EXIT = "9500000000000000"
_MOV_R0 = {0: "b700000000000000", 1: "b700000001000000"}


@recorder("progtypes")
def record() -> dict[str, Any]:
    """Everything below, for the golden file."""
    helpers = {prog_type: callable_helpers(prog_type) for prog_type in HELPERS_OF_TYPE}
    return {
        **kernel_enums(),
        "attach_types": [[name, attach_types(name)] for name in HELPERS_OF_TYPE],
        "contexts": [[name, at, context_accesses(name, at)] for name in CONTEXT_TYPES for at in asked_with(name)],
        "yields": [[name, at, pointers(name, at)] for name in CONTEXT_TYPES for at in asked_with(name)],
        "helpers_by_attach": helpers_by_attach(),
        "helpers": [[prog_type, sorted(ids)] for prog_type, (ids, _) in helpers.items()],
        "gpl_only": sorted(set().union(*(gpl for _, gpl in helpers.values()))),
    }


def kernel_enums() -> dict[str, dict[str, int]]:
    """The enums named above, and under "flags" the BPF_F_* (and update flags) of the enums without a name."""
    btf = parse(Path("/sys/kernel/btf/vmlinux").read_bytes())
    found: dict[str, dict[str, int]] = {"flags": {}}
    for row in btf.types:
        if not isinstance(row, Enum):
            continue
        if row.name in ENUMS:
            found[row.name] = dict(row.values)
        elif not row.name:
            found["flags"].update((name, value) for name, value in row.values if _FLAG.match(name))
    return dict(sorted(found.items()))


@functools.cache
def attach_types(prog_type: str) -> list[int]:
    """The expected attach types with which a program of the type loads."""
    flags = F_SLEEPABLE if prog_type == "SYSCALL" else 0
    codes = [bytes.fromhex(result + _EXIT) for result in _MOV_R0.values()]
    return [int(attach) for attach in At if any(not _errno(prog_type, attach, code.hex(), flags) for code in codes)]


def asked_with(prog_type: str) -> list[int]:
    """The attach types for which contexts are asked: all that load, one where every one does."""
    good = attach_types(prog_type)
    return list(map(int, ATTACH_TYPES_THAT_MATTER.get(prog_type, good if len(good) < len(At) else good[:1])))


def context_accesses(prog_type: str, attach: int = 0) -> dict[str, dict[str, list[int]]]:
    """Direction -> size -> the offsets at which such an access to the context loads."""
    answers: dict[str, dict[str, list[int]]] = {"read": {}, "write": {}}
    for size, code in SIZES.items():
        loads = [at for at in range(LAST_OFFSET) if _takes(prog_type, attach, f"{0x61 | code:02x}10{at:02x}0000000000")]
        stores = [
            at for at in range(LAST_OFFSET) if _takes(prog_type, attach, f"{0x62 | code:02x}01{at:02x}0000000000")
        ]
        answers["read"][str(size)], answers["write"][str(size)] = loads, stores
    return answers


@functools.cache
def _result(prog_type: str, attach: int) -> str:
    """A move to r0 with which the type loads at all: 0, or 1 where that is the only good result."""
    for value in _MOV_R0.values():
        if not _errno(prog_type, attach, value + _EXIT):
            return value
    raise AssertionError(f"{prog_type} loads neither with 0 nor with 1")


def _takes(prog_type: str, attach: int, insn: str) -> bool:
    return not _errno(prog_type, attach, insn + _result(prog_type, attach) + _EXIT)


def _errno(prog_type: str, attach: int, code: str, flags: int = 0) -> int:
    definition = ProgramDefinition(PROG_TYPES[prog_type].id, bytes.fromhex(code), "ask", attach, "GPL", flags)
    return verifier_log(definition)[0]


def pointers(prog_type: str, attach: int = 0) -> dict[str, str]:
    """Offset -> what a load from there leaves in the register, where that is no scalar: "pkt", "sock_or_null" ..."""
    found = {}
    for size, offset in ((size, offset) for size in (4, 8) for offset in range(0, LAST_OFFSET, 4)):
        code = f"{0x61 | SIZES[size]:02x}12{offset:02x}0000000000" + _result(prog_type, attach) + _EXIT
        definition = ProgramDefinition(PROG_TYPES[prog_type].id, bytes.fromhex(code), "ask", attach)
        error, log = verifier_log(definition, 2)
        state = re.search(r" R2(?:_w)?=([a-z_]+)\(", log)
        if not error and state and state[1] != "scalar":
            found[str(offset)] = state[1]
    return found


@functools.cache
def callable_helpers(prog_type: str, attach: int = -1) -> tuple[set[int], set[int]]:
    """The helpers that a program of the type may call, and those of them that ask for a GPL-compatible licence.

    `attach` -1 is the attach type with which the type is asked first.
    """
    ids, gpl = set(), set()
    for number in range(1, LAST_HELPER + 1):
        code = bytes.fromhex(f"85000000{number:02x}000000" + _EXIT)
        flags = F_SLEEPABLE if prog_type == "SYSCALL" else 0
        at = int(_ATTACH.get(prog_type, 0)) if attach < 0 else attach
        kernel_type = PROG_TYPES[prog_type].id
        _, log = verifier_log(ProgramDefinition(kernel_type, code, "ask", at, "GPL", flags))
        if _CANNOT.search(log):
            continue
        ids.add(number)
        _, log = verifier_log(ProgramDefinition(kernel_type, code, "ask", at, "Proprietary", flags))
        if "GPL-restricted" in log:
            gpl.add(number)
    return ids, gpl


def helpers_by_attach() -> list[list[Any]]:
    """[type, attach type, helpers gained, helpers lost] for each attach type with which it can call other helpers."""
    rows = []
    for prog_type in HELPERS_OF_TYPE:
        usual = callable_helpers(prog_type)[0]
        for attach in attach_types(prog_type):
            found = callable_helpers(prog_type, attach)[0]
            if found != usual:
                rows.append([prog_type, attach, sorted(found - usual), sorted(usual - found)])
    return rows
