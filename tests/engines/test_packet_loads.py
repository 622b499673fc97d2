"""LD_ABS and LD_IND on both engines: words in network order, offsets by header, the end of the program past the packet.

No program type that may use them runs yet, so they are let through here for XDP programs.
"""

from __future__ import annotations

import pytest

from tests.support.corpus import OURS, PACKET, Workbench
from xdpsim.engines import resolve
from xdpsim.isa.asm import assemble
from xdpsim.isa.rows import Family

NET, LL = -0x10_0000, -0x20_0000


@pytest.fixture(autouse=True)
def _let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = {family: why for family, why in resolve._REFUSED_FAMILIES.items() if family is not Family.LD_PACKET}
    monkeypatch.setattr(resolve, "_REFUSED_FAMILIES", refused)


def word(offset: int, size: int) -> int:
    """What is there, 0 past the packet: the program returns 7 behind a load that went well."""
    start = offset - NET + 14 if NET <= offset < 0 else offset - LL if LL <= offset < NET else offset
    if not 0 <= start <= len(PACKET) - size:
        return 0
    return int.from_bytes(PACKET[start : start + size], "big") + 7 & 0xFFFF_FFFF


@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize("size", [1, 2, 4])
def test_words(size: int, engine: str) -> None:
    bench = Workbench(engine)
    for offset in (0, 1, 13, 60, 61, 62, 63, 64, 65, 0x7FFF_FFFF, -1, NET, NET + 49, NET + 50, LL, LL + 63, LL - 1):
        absolute = f"r6 = r1; r0 = *(u{size * 8} *)skb[{offset}]; r0 += 7; exit"
        indirect = f"r6 = r1; r7 = {offset}; r0 = *(u{size * 8} *)skb[r7 + 0]; r0 += 7; exit"
        assert [bench.run(assemble(asm)).verdict for asm in (absolute, indirect)] == [word(offset, size)] * 2


@pytest.mark.parametrize("engine", OURS)
def test_a_subprogram_ends_alone(engine: str) -> None:
    asm = "r6 = r1; call f; r0 += 5; exit; f: r6 = r1; r0 = *(u32 *)skb[100]; r0 = 9; exit"
    ran = Workbench(engine).run(assemble(asm))
    assert (ran.verdict, ran.insns) == (5, 6)
