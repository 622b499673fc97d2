"""What TEST_RUN was recorded to do with packets of every size, interpreter and jit do too (golden xdp_test_run).

Rows that Linux refuses to run are the datapath's matter (net/datapath.refusal), not an engine's.
"""

from __future__ import annotations

import functools

import pytest

from tests.support.corpus import OURS
from tests.support.oracle import Row, load_rows, row_name
from tests.support.replay import replay
from xdpsim.engines.interpreter.engine import InterpreterEngine
from xdpsim.engines.jit.engine import JitEngine
from xdpsim.errors import Unsupported
from xdpsim.helpers.ids import HELPERS_BY_ID
from xdpsim.helpers.rows import HELPERS
from xdpsim.isa.decode import decode
from xdpsim.isa.rows import Family
from xdpsim.memory.batch import Stop
from xdpsim.net.datapath import refusal

MAKERS = {"interpreter": InterpreterEngine, "jit": JitEngine}
ROWS = load_rows("xdp_test_run")
RUN = [row for row in ROWS if not row.errno]


@functools.cache
def declared() -> frozenset[int]:
    return frozenset(number for number, _ in HELPERS)


def lacks(row: Row) -> str:
    """The first helper that the row calls and xdpsim has not."""
    called = (insn.imm for insn in decode(row.insns) if insn is not None and insn.family is Family.CALL_HELPER)
    return next((HELPERS_BY_ID[number].name for number in called if number not in declared()), "")


@pytest.mark.golden
@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize("row", RUN, ids=row_name)
def test_the_engine_gives_linuxs_answer(row: Row, engine: str) -> None:
    if name := lacks(row):
        with pytest.raises(Unsupported, match=f"helper {name} does not run yet"):
            replay(row, MAKERS[engine])
        return
    found = replay(row, MAKERS[engine])
    assert (found.errno, found.stop, found.value, found.meta) == (0, Stop.END, row.value, row.out_meta)
    assert row.left(found.data)


@pytest.mark.golden
@pytest.mark.parametrize("row", [row for row in ROWS if row.errno and row.ctx is None], ids=row_name)
def test_what_linux_refuses_never_reaches_a_program(row: Row) -> None:
    assert refusal(row.packet)
