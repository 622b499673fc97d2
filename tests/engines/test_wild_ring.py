"""A pointer into a ring buffer's memory, but into no open record: helpers in Python end the program in a fault."""

from __future__ import annotations

import pytest

from xdpsim import XDP, Sim
from xdpsim.engines.fault import FaultKind

RING = {"type": "RINGBUF", "max_entries": 4096}
# A record is reserved, submitted and then given to a helper, which no verifier would take.
CODE = """
r1 = map[0]; r2 = 64; r3 = 0; call 131; if r0 == 0 goto none; r6 = r0
r1 = r6; r2 = 0; call 132
{call}
r0 = 2; exit
none: r0 = 1; exit
"""
CALLS = {
    "bpf_get_current_comm": "r1 = r6; r2 = 16; call 16",
    "bpf_trace_printk": "r1 = r6; r2 = 16; call 6",
    "bpf_probe_read_kernel": "r1 = r6; r2 = 16; r3 = 0; call 113",
}


@pytest.mark.parametrize("name", CALLS)
def test_a_submitted_record_is_out_of_reach(name: str) -> None:
    out = Sim(verify=False).load_insns(CODE.format(call=CALLS[name]), "XDP", maps=[RING]).run(bytes(64))
    assert out.action is XDP.ABORTED
    assert out.fault is not None
    assert out.fault.kind is FaultKind.ACCESS
    assert "map map0" in str(out.fault)
