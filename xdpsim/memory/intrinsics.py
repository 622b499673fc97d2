"""What numba compiles for the intrinsics of memory/raw.py. Imported by the build only: it needs numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from xdpsim.memory.raw import INTRINSICS

_I1, _I8, _I64 = ir.IntType(1), ir.IntType(8), ir.IntType(64)
_POINTER = ir.PointerType(_I8)

Emit = Callable[[Any, list[Any]], Any]


def _pointer(builder: Any, address: Any, bits: int = 8) -> Any:
    return builder.inttoptr(address, ir.PointerType(ir.IntType(bits)))


def _load(bits: int) -> Emit:
    def emit(builder: Any, args: list[Any]) -> Any:
        value = builder.load(_pointer(builder, args[0], bits), align=1)
        return value if bits == 64 else builder.zext(value, _I64)

    return emit


def _store(bits: int) -> Emit:
    def emit(builder: Any, args: list[Any]) -> None:
        value = args[1] if bits == 64 else builder.trunc(args[1], ir.IntType(bits))
        builder.store(value, _pointer(builder, args[0], bits), align=1)

    return emit


def _extern(builder: Any, name: str, result: Any, *args: Any) -> Any:
    found = builder.module.globals.get(name)
    return found or ir.Function(builder.module, ir.FunctionType(result, args), name)


def _copy(builder: Any, args: list[Any]) -> None:
    move = _extern(builder, "llvm.memmove.p0.p0.i64", ir.VoidType(), _POINTER, _POINTER, _I64, _I1)
    builder.call(move, [_pointer(builder, args[0]), _pointer(builder, args[1]), args[2], _I1(0)])


def _fill(builder: Any, args: list[Any]) -> None:
    fill = _extern(builder, "llvm.memset.p0.i64", ir.VoidType(), _POINTER, _I8, _I64, _I1)
    builder.call(fill, [_pointer(builder, args[0]), builder.trunc(args[1], _I8), args[2], _I1(0)])


def _same(builder: Any, args: list[Any]) -> Any:
    """Word by word, then byte by byte: no call into the C library, and LLVM unrolls it for constant sizes."""
    left, right, size = args
    words = _loop(builder, left, right, _I64(0), builder.and_(size, _I64(~7)), 64)
    bytes_ = _loop(builder, left, right, builder.select(words, builder.and_(size, _I64(~7)), size), size, 8)
    return builder.zext(builder.and_(words, bytes_), _I64)


def _loop(builder: Any, left: Any, right: Any, start: Any, end: Any, bits: int) -> Any:
    """True when all units of `bits` in [start, end) are equal."""
    before = builder.block
    head, body, after = (builder.append_basic_block(name) for name in ("same.head", "same.body", "same.end"))
    builder.branch(head)
    builder.position_at_end(head)
    at = builder.phi(_I64)
    at.add_incoming(start, before)
    builder.cbranch(builder.icmp_unsigned("<", at, end), body, after)
    builder.position_at_end(body)
    a = builder.load(_pointer(builder, builder.add(left, at), bits), align=1)
    b = builder.load(_pointer(builder, builder.add(right, at), bits), align=1)
    following = builder.add(at, _I64(bits // 8))
    at.add_incoming(following, body)
    builder.cbranch(builder.icmp_unsigned("==", a, b), head, after)
    builder.position_at_end(after)
    equal = builder.phi(_I1)
    equal.add_incoming(_I1(1), head)
    equal.add_incoming(_I1(0), body)
    return equal


def _swap(bits: int) -> Emit:
    def emit(builder: Any, args: list[Any]) -> Any:
        value = args[0] if bits == 64 else builder.trunc(args[0], ir.IntType(bits))
        swapped = builder.bswap(value)
        return swapped if bits == 64 else builder.zext(swapped, _I64)

    return emit


def _mulhi(builder: Any, args: list[Any]) -> Any:
    wide = ir.IntType(128)
    product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
    return builder.trunc(builder.lshr(product, wide(64)), _I64)


def _call(builder: Any, args: list[Any]) -> Any:
    function = ir.PointerType(ir.FunctionType(_I64, [_I64] * (len(args) - 1)))
    return builder.call(builder.inttoptr(args[0], function), args[1:])


_EMIT: dict[str, Emit] = {
    **{f"load{bits}": _load(bits) for bits in (8, 16, 32, 64)},
    **{f"store{bits}": _store(bits) for bits in (8, 16, 32, 64)},
    "copy": _copy,
    "fill": _fill,
    "same": _same,
    "sdiv": lambda b, args: b.sdiv(args[0], args[1]),
    "slt": lambda b, args: b.zext(b.icmp_signed("<", args[0], args[1]), _I64),
    "sar": lambda b, args: b.ashr(args[0], args[1]),
    "sext32": lambda b, args: b.sext(b.trunc(args[0], ir.IntType(32)), _I64),
    "bswap16": _swap(16),
    "bswap32": _swap(32),
    "bswap64": _swap(64),
    "clz64": lambda b, args: b.ctlz(args[0], _I1(0)),
    "mulhi": _mulhi,
    **{f"call{count}": _call for count in (2, 3, 4, 5)},
}


def _implement(name: str, arity: int, returns: bool) -> Any:
    emit = _EMIT[name]
    result = types.uint64 if returns else types.none
    signature = result(*[types.uint64] * arity)

    def generate(context: Any, builder: Any, sig: Any, args: list[Any]) -> Any:
        value = emit(builder, args)
        return value if returns else context.get_dummy_value()

    names = ", ".join(f"a{n}" for n in range(arity))
    scope: dict[str, Any] = {"signature": signature, "generate": generate}
    # numba's intrinsic() reads the parameter names of the typing function, so it has to have exactly `arity` of them.
    exec(f"def {name}(typingctx, {names}):\n    return signature, generate\n", scope)
    return intrinsic(scope[name])


INTRINSIC_IMPLEMENTATIONS: dict[str, Any] = {
    name: _implement(name, arity, returns) for name, (arity, returns) in INTRINSICS.items()
}
