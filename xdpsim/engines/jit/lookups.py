"""Operations on maps that are known when a program is compiled, as LLVM IR.

Lookups in arrays are a comparison and an address, those in hashes by keys of 4 and 8 bytes a walk along a chain; other
operations are called by their own address rather than through the map's table. Sizes, strides and masks are constants
of the code, addresses are symbols.
"""

from __future__ import annotations

from collections.abc import Callable

from xdpsim.engines.jit.function import FunctionEmitter
from xdpsim.helpers.map_ops import bpf_map_delete_elem, bpf_map_lookup_elem, bpf_map_update_elem
from xdpsim.helpers.rows import Helper
from xdpsim.maps.array import array_lookup, percpu_array_lookup
from xdpsim.maps.hash import hash_lookup4, hash_lookup8
from xdpsim.maps.hash_nodes import HASH_FACTOR, HASH_SEED, NODE_KEY
from xdpsim.maps.header import MAP
from xdpsim.maps.map import Map
from xdpsim.memory.native import NativeFunction


def call_on_map(f: FunctionEmitter, row: Helper, made: Map, index: int) -> bool:
    """Emit a map helper's call on a known map; False, and nothing emitted, for other helpers."""
    if row.body is bpf_map_lookup_elem:
        operation = made.kind.lookup_for(made.spec)
        if operation in _INLINE:
            _INLINE[operation](f, made, index)
            return True
    elif row.body is bpf_map_update_elem:
        operation = made.kind.update
    elif row.body is bpf_map_delete_elem:
        operation = made.kind.delete
    else:
        return False
    arguments = [f.register(number) for number in range(2, row.arity + 1)]
    f.set_register(0, f.call(f"xdpsim_{operation.name}", "%rs", f.map_header(index), *arguments))
    return True


def _array(f: FunctionEmitter, made: Map, index: int) -> None:
    """maps/array.py's lookup with its numbers filled in."""
    key = f.value(f"load i32, ptr {f.pointer(f.register(2))}, align 1")
    inside = f.value(f"icmp ult i32 {key}, {made.spec.max_entries}")
    values = _header_word(f, index, "values")
    offset = f.value(f"mul i64 {f.value(f'zext i32 {key} to i64')}, {made.header.value_stride}")
    address = f.value(f"add i64 {values}, {offset}")
    if made.kind.per_cpu:
        cpu = f.value(f"zext i32 {f.state_word('cpu', 32)} to i64")
        address = f.value(f"add i64 {address}, {f.value(f'mul i64 {cpu}, {made.header.cpu_stride}')}")
    f.set_register(0, f.value(f"select i1 {inside}, i64 {address}, i64 0"))


def _hash(f: FunctionEmitter, made: Map, index: int) -> None:
    """maps/hash.py's lookup by a key of 4 or 8 bytes, hash_mix of maps/hash_nodes.py in it."""
    bits = made.spec.key_size * 8
    key = f.value(f"load i{bits}, ptr {f.pointer(f.register(2))}, align 1")
    word = f.value(f"xor i64 {key if bits == 64 else f.value(f'zext i{bits} {key} to i64')}, {HASH_SEED}")
    wide = f.value(f"mul i128 {f.value(f'zext i64 {word} to i128')}, {HASH_FACTOR}")
    high = f.value(f"trunc i128 {f.value(f'lshr i128 {wide}, 64')} to i64")
    mixed = f.value(f"xor i64 {f.value(f'trunc i128 {wide} to i64')}, {high}")
    bucket = f.value(f"shl i64 {f.value(f'and i64 {mixed}, {made.header.bucket_mask}')}, 3")
    first = f.value(f"add i64 {_header_word(f, index, 'buckets')}, {bucket}")
    before, head, compare, following, missed, found, end = (f.label() for _ in range(7))
    f.line(f"br label %{before}")
    f.place(before)
    f.line(f"br label %{head}")
    f.place(head)
    link = f.value(f"phi i64 [ {first}, %{before} ], [ %node{before}, %{following} ]")
    f.line(f"%node{before} = load i64, ptr {f.pointer(link)}")
    f.line(f"br i1 {f.value(f'icmp eq i64 %node{before}, 0')}, label %{missed}, label %{compare}")
    f.place(compare)
    at = f.pointer(f.value(f"add i64 %node{before}, {NODE_KEY}"))
    same = f.value(f"icmp eq i{bits} {f.value(f'load i{bits}, ptr {at}, align 1')}, {key}")
    f.line(f"br i1 {same}, label %{found}, label %{following}")
    f.place(following)
    f.line(f"br label %{head}")
    f.place(found)
    value = f.value(f"add i64 %node{before}, {NODE_KEY + 8}")
    f.line(f"br label %{end}")
    f.place(missed)
    f.line(f"br label %{end}")
    f.place(end)
    f.set_register(0, f.value(f"phi i64 [ {value}, %{found} ], [ 0, %{missed} ]"))


def _header_word(f: FunctionEmitter, index: int, name: str) -> str:
    pointer = f.value(f"getelementptr i8, ptr @{f.map_symbol(index)}, i64 {MAP.offset(name)}")
    return f.value(f"load i64, ptr {pointer}")


_INLINE: dict[NativeFunction, Callable[[FunctionEmitter, Map, int], None]] = {
    array_lookup: _array,
    percpu_array_lookup: _array,
    hash_lookup4: _hash,
    hash_lookup8: _hash,
}
"""Lookups that are emitted in place; tests show that they find what the native functions find."""
