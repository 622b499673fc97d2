"""BPF_PROG_TEST_RUN: its answers, and which contexts it takes."""

from __future__ import annotations

import errno
import struct

import pytest

from tests.engines.kernel.xdp_contract import REFUSED_CONTEXTS, ask_context
from tests.support.oracle import golden
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import encode_all
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.sysbpf.programs import ProgramDefinition, load_program
from xdpsim.sysbpf.syscall import BpfError
from xdpsim.sysbpf.testrun import MOST_CTX_BYTES, MOST_DATA_BYTES, TestRunner


def runner(text: str, kind: str = "XDP") -> TestRunner:
    return TestRunner(load_program(ProgramDefinition(PROG_TYPES[kind].id, encode_all(assemble(text)))))


@pytest.mark.live
def test_value_packet_and_context_come_back() -> None:
    made = runner("r0 = -1; exit")
    outcome = made.run(b"x" * 64, struct.pack("=6I", 0, 64, 0, 1, 0, 0))
    assert (outcome.value, outcome.data) == (0xFFFFFFFF, b"x" * 64)
    assert struct.unpack("=6I", outcome.ctx) == (0, 64, 0, 1, 0, 0)
    assert made.run(b"y" * 14).data == b"y" * 14
    assert made.run(b"y" * 14).ctx == b""


@pytest.mark.live
def test_repeating_hands_the_changed_packet_on() -> None:
    text = "r6 = r1; r2 = -1; call 44; r0 = *(u32 *)(r6 + 4); r1 = *(u32 *)(r6 + 0); r0 -= r1; exit"
    assert runner(text).run(bytes(64), repeat=10).value == 74


@pytest.mark.live
def test_a_refusal_is_an_errno_or_an_error() -> None:
    made = runner("r0 = 1; exit")
    assert made.try_run(bytes(13)) == errno.EINVAL
    with pytest.raises(BpfError, match="13-byte packet: EINVAL"):
        made.run(bytes(13))
    assert made.try_run(bytes(MOST_DATA_BYTES + 1)) == errno.EINVAL
    assert made.try_run(bytes(64), bytes(MOST_CTX_BYTES + 1)) == errno.EINVAL


@pytest.mark.live
@pytest.mark.parametrize("row", golden("xdp_test_run")["contexts"], ids=lambda row: row["name"].replace(" ", "-"))
def test_contexts_are_taken_as_recorded(row: dict[str, object]) -> None:
    assert ask_context(REFUSED_CONTEXTS[str(row["name"])]) == row["errno"]
