"""Operations on maps that are known when a program is compiled, as LLVM IR.

Lookups in arrays are a comparison and an address; other operations are called by their own address rather than through
the map's table. Sizes and strides are constants of the code, addresses are symbols.
"""

from __future__ import annotations

from xdpsim.engines.jit.function import FunctionEmitter
from xdpsim.helpers.map_ops import bpf_map_delete_elem, bpf_map_lookup_elem, bpf_map_update_elem
from xdpsim.helpers.rows import Helper
from xdpsim.maps.array import array_lookup, percpu_array_lookup
from xdpsim.maps.header import MAP
from xdpsim.maps.map import Map


def call_on_map(f: FunctionEmitter, row: Helper, made: Map, index: int) -> bool:
    """Emit a map helper's call on a known map; False, and nothing emitted, for other helpers."""
    if row.body is bpf_map_lookup_elem:
        operation = made.kind.lookup_for(made.spec)
        if operation is array_lookup:
            _array(f, made, index, is_per_cpu=False)
            return True
        if operation is percpu_array_lookup:
            _array(f, made, index, is_per_cpu=True)
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


def _array(f: FunctionEmitter, made: Map, index: int, *, is_per_cpu: bool) -> None:
    """maps/array.py's lookup with its numbers filled in."""
    key = f.value(f"load i32, ptr {f.pointer(f.register(2))}, align 1")
    inside = f.value(f"icmp ult i32 {key}, {made.spec.max_entries}")
    values = _header_word(f, index, "values")
    offset = f.value(f"mul i64 {f.value(f'zext i32 {key} to i64')}, {made.header.value_stride}")
    address = f.value(f"add i64 {values}, {offset}")
    if is_per_cpu:
        cpu = f.value(f"zext i32 {f.state_word('cpu', 32)} to i64")
        address = f.value(f"add i64 {address}, {f.value(f'mul i64 {cpu}, {made.header.cpu_stride}')}")
    f.set_register(0, f.value(f"select i1 {inside}, i64 {address}, i64 0"))


def _header_word(f: FunctionEmitter, index: int, name: str) -> str:
    pointer = f.value(f"getelementptr i8, ptr @{f.map_symbol(index)}, i64 {MAP.offset(name)}")
    return f.value(f"load i64, ptr {pointer}")
