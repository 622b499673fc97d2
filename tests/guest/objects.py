"""Puts the programs of programs/ to a guest kernel: their maps, types and code as our loader makes them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from xdpsim.isa.decode import encode
from xdpsim.isa.rows import Family
from xdpsim.loader.load import load_object
from xdpsim.loader.model import Object, ProgramSpec
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import MAP_TYPES
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.sysbpf.programs import F_SLEEPABLE, F_XDP_HAS_FRAGS

PROGRAMS = Path(__file__).parents[2] / "programs"
_TYPED = frozenset({"HASH", "ARRAY", "LRU_HASH", "LPM_TRIE", "PERCPU_HASH", "PERCPU_ARRAY", "LRU_PERCPU_HASH"})
"""Map types that take the BTF of their keys and values, without which fields such as spin locks are not known."""
_TYPES_SLOT, _FIRST_INNER = 400, 200


def objects() -> Iterator[tuple[str, Object]]:
    """Every object of programs/ by the name of its file."""
    for path in sorted(PROGRAMS.glob("*.o")):
        yield path.name, load_object(path.read_bytes(), path.name)


def script() -> Iterator[str]:
    """The lines for all objects."""
    for name, source in objects():
        yield from _lines(name, source)


def rows(answers: dict[str, dict[str, Any]]) -> list[list[Any]]:
    """[object, program, errno, the verifier's last word] for each program."""
    found = []
    for name, source in objects():
        for spec in source.programs.values():
            answer = answers[f"program/{name}/{spec.name}"]
            words = [line for line in answer["log"].splitlines() if line and not line.startswith("processed ")]
            found.append([name, spec.name, answer["errno"], words[-1] if words else ""])
    return found


def _lines(name: str, source: Object) -> Iterator[str]:
    if source.btf is not None:
        yield f"B {_TYPES_SLOT} {source.btf.raw.hex()}"
    for slot, spec in enumerate(source.maps):
        if spec.inner is not None:
            yield _map(_FIRST_INNER + slot, spec.inner, -1)
        yield _map(slot, spec, _FIRST_INNER + slot if spec.inner is not None else -1)
        if spec.initial is not None:
            yield f"U {slot} 00000000 {spec.initial.hex()} -1"
        if spec.read_only:
            yield f"F {slot}"
    yield from (_program(name, spec, source) for spec in source.programs.values())
    yield "X"


def _map(slot: int, spec: MapSpec, inner: int) -> str:
    typed = spec.btf is not None and spec.type in _TYPED and (spec.key_type or spec.value_type)
    types = f"{_TYPES_SLOT} {spec.key_type} {spec.value_type}" if typed else "-1 0 0"
    sizes = f"{spec.key_size} {spec.value_size} {spec.max_entries or 2}"
    return f"M {slot} {MAP_TYPES[spec.type].id} {sizes} {spec.flags} {inner} {types} {spec.map_extra}"


def _program(name: str, spec: ProgramSpec, source: Object) -> str:
    code, relocations = [], []
    for slot, insn in enumerate(spec.code):
        if insn is None:
            continue
        if insn.family is Family.LD_IMM64 and insn.op in ("MAP_FD", "MAP_VALUE"):
            relocations.append(f"m{insn.imm}@{slot}")
        if insn.family is Family.CALL_KFUNC:
            relocations.append(f"k{spec.kfuncs[insn.imm]}@{slot}")
        code.append(encode(replace(insn, imm=0) if insn.family is Family.CALL_KFUNC else insn))
    flags = F_XDP_HAS_FRAGS * spec.frags | F_SLEEPABLE * spec.sleepable
    func_info = b"".join(struct.pack("=II", *row) for row in spec.func_info).hex() or "-"
    line_info = b"".join(struct.pack("=IIII", *row) for row in spec.line_info).hex() or "-"
    types = f"{_TYPES_SLOT if source.btf else -1} {func_info} {line_info}"
    where = f"{PROG_TYPES[spec.type].id} {spec.attach_type} {flags} {spec.licence.split(' ')[0] or '-'}"
    joined = ",".join(relocations) or "-"
    return f"P program/{name}/{spec.name} {where} {types} {joined} {b''.join(code).hex()}"
