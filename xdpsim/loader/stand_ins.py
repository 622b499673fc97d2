"""Maps of types that xdpsim does not have: programs that use one cannot run, all others of the object can."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from xdpsim.loader.model import Object, ProgramSpec
from xdpsim.maps.spec import MapSpec

_REFERENCES = ("MAP_FD", "MAP_VALUE")


def without_unknown_maps(loaded: Object, known: Container[str]) -> tuple[Object, tuple[str, ...]]:
    """The object with an array nobody may touch in the place of each map whose type is not in `known`; their names.

    A program that refers to such a map says so in `unsupported`.
    """
    unknown = {i: spec for i, spec in enumerate(loaded.maps) if not _is_known(spec, known)}
    if not unknown:
        return loaded, ()
    maps = tuple(MapSpec(s.name, "ARRAY", 4, 8, 1) if i in unknown else s for i, s in enumerate(loaded.maps))
    programs = {name: _blocked(p, unknown, f"{loaded.name}:{name}") for name, p in loaded.programs.items()}
    names = tuple(spec.name for spec in unknown.values())
    values = {name: entries for name, entries in loaded.map_values.items() if name not in names}
    return replace(loaded, maps=maps, programs=programs, map_values=values), names


def _is_known(spec: MapSpec, known: Container[str]) -> bool:
    return spec.type in known and (spec.inner is None or _is_known(spec.inner, known))


def _blocked(program: ProgramSpec, unknown: dict[int, MapSpec], place: str) -> ProgramSpec:
    for slot, insn in enumerate(program.code) if not program.unsupported else ():
        if insn is not None and insn.op in _REFERENCES and insn.imm in unknown:
            spec = unknown[insn.imm]
            line = next((line for line in reversed(program.lines) if line.slot <= slot), None)
            where = f"insn {slot} ({line.file}:{line.line})" if line is not None else f"insn {slot}"
            kind = spec.type if spec.inner is None else f"{spec.type} of {spec.inner.type}"
            why = f"{place}: {where}: map {spec.name}: maps of type {kind} are not there yet"
            return replace(program, unsupported=why)
    return program
