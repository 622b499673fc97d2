"""The raw-memory intrinsics that native runtime functions are written with, as bounds-checked Python.

These bodies are the twins used by XDPSIM_RUNTIME=python and by the fuzzers; memory/intrinsics.py holds what numba
compiles in their place. All arguments and results are unsigned 64-bit words; addresses are native addresses.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from xdpsim.bits import M64, signed
from xdpsim.errors import XdpsimBug
from xdpsim.memory.arena import block_at

_WORDS = {width: struct.Struct("<" + code) for width, code in ((1, "B"), (2, "H"), (4, "I"), (8, "Q"))}


def _locate(addr: int, size: int) -> tuple[memoryview, int]:
    block = block_at(addr, size)
    if block is None:
        raise XdpsimBug(f"native code would touch {size} bytes at {addr:#x}, outside all memory of xdpsim")
    return block.view, addr - block.address


def _load(width: int) -> Callable[[int], int]:
    unpack = _WORDS[width].unpack_from

    def load(addr: int) -> int:
        value: int = unpack(*_locate(addr, width))[0]
        return value

    return load


def _store(width: int) -> Callable[[int, int], None]:
    pack, limit = _WORDS[width].pack_into, (1 << 8 * width) - 1

    def store(addr: int, value: int) -> None:
        pack(*_locate(addr, width), value & limit)

    return store


load8, load16, load32, load64 = _load(1), _load(2), _load(4), _load(8)
store8, store16, store32, store64 = _store(1), _store(2), _store(4), _store(8)


def copy(dst: int, src: int, size: int) -> None:
    """memmove: the ranges may overlap."""
    if size:
        source, at = _locate(src, size)
        data = bytes(source[at : at + size])
        target, to = _locate(dst, size)
        target[to : to + size] = data


def fill(dst: int, byte: int, size: int) -> None:
    """memset."""
    if size:
        target, to = _locate(dst, size)
        target[to : to + size] = bytes([byte & 0xFF]) * size


def same(a: int, b: int, size: int) -> int:
    """1 when the two ranges hold the same bytes, else 0."""
    if not size:
        return 1
    left, at = _locate(a, size)
    right, to = _locate(b, size)
    return int(left[at : at + size] == right[to : to + size])


def sdiv(a: int, b: int) -> int:
    """Signed 64-bit division towards zero; b must not be 0."""
    quotient = abs(signed(a, 64)) // abs(signed(b, 64))
    return (-quotient if (a ^ b) >> 63 else quotient) & M64


def slt(a: int, b: int) -> int:
    """1 when a < b as signed 64-bit words."""
    return int(signed(a, 64) < signed(b, 64))


def sar(a: int, count: int) -> int:
    """Arithmetic shift right of a 64-bit word, count 0 to 63."""
    return (signed(a, 64) >> count) & M64


def sext32(a: int) -> int:
    """The low 32 bits, sign-extended to 64."""
    return signed(a, 32) & M64


def bswap16(a: int) -> int:
    """The low 16 bits with their bytes reversed."""
    return int.from_bytes((a & 0xFFFF).to_bytes(2, "little"), "big")


def bswap32(a: int) -> int:
    """The low 32 bits with their bytes reversed."""
    return int.from_bytes((a & 0xFFFF_FFFF).to_bytes(4, "little"), "big")


def bswap64(a: int) -> int:
    """The word with its bytes reversed."""
    return int.from_bytes(a.to_bytes(8, "little"), "big")


def clz64(a: int) -> int:
    """Leading zero bits of a 64-bit word; 64 for 0."""
    return 64 - a.bit_length()


def mulhi(a: int, b: int) -> int:
    """The upper 64 bits of the 128-bit product."""
    return a * b >> 64


def call2(target: int, a: int, b: int) -> int:
    """Call the native function at `target`, an address out of an operations table."""
    return _targets[target](a, b)


def call3(target: int, a: int, b: int, c: int) -> int:
    """As call2, with three arguments."""
    return _targets[target](a, b, c)


def call4(target: int, a: int, b: int, c: int, d: int) -> int:
    """As call2, with four arguments."""
    return _targets[target](a, b, c, d)


def call5(target: int, a: int, b: int, c: int, d: int, e: int) -> int:
    """As call2, with five arguments."""
    return _targets[target](a, b, c, d, e)


_targets: dict[int, Callable[..., int]] = {}


def bind_target(target: int, function: Callable[..., int]) -> None:
    """Say what `call2` to `call5` reach under the number `target` when the runtime is Python."""
    _targets[target] = function


INTRINSICS: dict[str, tuple[int, bool]] = {
    # name: (number of arguments, whether it returns a word)
    **{f"load{bits}": (1, True) for bits in (8, 16, 32, 64)},
    **{f"store{bits}": (2, False) for bits in (8, 16, 32, 64)},
    "copy": (3, False),
    "fill": (3, False),
    "same": (3, True),
    "sdiv": (2, True),
    "slt": (2, True),
    "sar": (2, True),
    "sext32": (1, True),
    "bswap16": (1, True),
    "bswap32": (1, True),
    "bswap64": (1, True),
    "clz64": (1, True),
    "mulhi": (2, True),
    **{f"call{count}": (count + 1, True) for count in (2, 3, 4, 5)},
}
