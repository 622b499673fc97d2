"""Asks the running kernel what loads and stores through pointers to sockets, and to the keys of a flow dissector."""

from __future__ import annotations

from typing import Any

from tests.progtypes.asking import SIZES
from tests.support.record import recorder
from xdpsim.progtypes.attach import AttachType as At
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.sysbpf.maps import MapDefinition, create_map
from xdpsim.sysbpf.programs import ProgramDefinition, verifier_log

LAST_OFFSET = 120
BOUNDED = -8
_XSKMAP = 17
_RETURN = bytes.fromhex("b700000000000000 9500000000000000")
_NOT_NULL = "5502020000000000 b700000001000000 9500000000000000"
_FROM_RESULT = "bf02000000000000"


def _ways(xskmap: int) -> dict[str, tuple[str, int, str]]:
    """Kind of pointer -> program type, attach type, code that brings such a pointer into r2."""
    map_in_r1 = "18110000" + xskmap.to_bytes(4, "little").hex() + "00" * 8
    lookup = map_in_r1 + "bfa2000000000000 07020000fcffffff 620afcff00000000 8500000001000000" + _FROM_RESULT
    as_tcp = "7911000000000000 8500000060000000" + _FROM_RESULT
    return {
        "sock": ("CGROUP_SOCK_ADDR", At.CGROUP_INET4_BIND, "7912400000000000"),
        "sock_common": ("SCHED_CLS", 0, "7912a80000000000" + _NOT_NULL),
        "tcp_sock": ("CGROUP_SOCKOPT", At.CGROUP_GETSOCKOPT, as_tcp + _NOT_NULL),
        "xdp_sock": ("XDP", 0, lookup + _NOT_NULL),
        "flow_keys": ("FLOW_DISSECTOR", 0, "7912900000000000"),
    }


@recorder("socks")
def record() -> dict[str, Any]:
    """Rows [kind, direction, size, offsets that load], of the offsets from BOUNDED up to LAST_OFFSET."""
    rows = []
    with create_map(MapDefinition(_XSKMAP, 4, 4, 1), 1).fd as xskmap:
        for kind, (prog_type, attach, code) in _ways(xskmap.number).items():
            number, before = PROG_TYPES[prog_type].id, bytes.fromhex(code)
            for size, bits in SIZES.items():
                for direction, opcode, regs in (("read", 0x61, 0x23), ("write", 0x62, 0x02)):
                    good = []
                    for at in range(BOUNDED, LAST_OFFSET):
                        insn = bytes((opcode | bits, regs)) + at.to_bytes(2, "little", signed=True) + bytes(4)
                        definition = ProgramDefinition(number, before + insn + _RETURN, "ask", attach)
                        if not verifier_log(definition)[0]:
                            good.append(at)
                    rows.append([kind, direction, size, as_runs(good)])
    return {"rows": rows}


def as_runs(numbers: list[int]) -> str:
    """Rising numbers as a text such as "0-3 8"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return " ".join(f"{first}-{last}" if first != last else str(first) for first, last in runs)
