"""What is in an object file: sections, programs with what they call and need, maps with their types.

Works on a loaded object and its ELF sections; whether a program can run is asked elsewhere and handed in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdpsim.analysis.btftext import value_type_name
from xdpsim.analysis.needs import Need, kernel_needed, maps_of, needs_of
from xdpsim.btf.ext import parse_ext
from xdpsim.helpers.ids import HELPERS_BY_ID
from xdpsim.isa.rows import Family
from xdpsim.loader.elf import Elf
from xdpsim.loader.model import Object, ProgramSpec
from xdpsim.maps.spec import MapSpec
from xdpsim.progtypes.attach import AttachType

_TYPES_WITH_ATTACH_0 = ("CGROUP_SKB",)
"""Program types for which attach type 0 says something."""


@dataclass(frozen=True, slots=True)
class SectionRow:
    """A section of the file with content; `relocations` change it when it is loaded."""

    name: str
    size: int
    executable: bool
    relocations: int
    core_relocations: int


@dataclass(frozen=True, slots=True)
class MapInfo:
    """A map's definition with the names of its BTF types (None: not known)."""

    spec: MapSpec
    key_type: str | None
    value_type: str | None


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """A program. `attach` is its attach type by name, `why_not` why xdpsim cannot run it, empty when it can."""

    spec: ProgramSpec
    attach: str
    insns: int
    helpers: tuple[str, ...]
    kfuncs: tuple[str, ...]
    maps: tuple[str, ...]
    kernel: str
    needed_for: tuple[str, ...]
    why_not: str


@dataclass(frozen=True)
class Inspection:
    """A whole object; `kernel` is what all its programs together need."""

    source: Object
    sections: tuple[SectionRow, ...]
    programs: tuple[ProgramInfo, ...]
    maps: tuple[MapInfo, ...]
    kernel: str
    needed_for: tuple[str, ...]

    @property
    def relocations(self) -> int:
        """Of all sections, without CO-RE's."""
        return sum(row.relocations for row in self.sections)

    @property
    def core_relocations(self) -> int:
        """CO-RE relocations of all sections."""
        return sum(row.core_relocations for row in self.sections)


def inspect_object(source: Object, elf: Elf, why_not: Mapping[str, str]) -> Inspection:
    """Gather everything; `why_not` says for each program that cannot run why."""
    needs: list[Need] = []
    programs = []
    for spec in source.programs.values():
        used = [source.maps[index] for index in maps_of(spec) if 0 <= index < len(source.maps)]
        own = list(needs_of(spec, used))
        needs += own
        programs.append(_program(spec, used, own, why_not.get(spec.name, "")))
    kernel, needed_for = kernel_needed(needs)
    maps = tuple(_map(spec) for spec in source.maps)
    return Inspection(source, _sections(source, elf), tuple(programs), maps, kernel, tuple(needed_for))


def _program(spec: ProgramSpec, used: Sequence[MapSpec], needs: list[Need], why_not: str) -> ProgramInfo:
    kernel, needed_for = kernel_needed(needs)
    return ProgramInfo(
        spec=spec,
        attach=_attach_name(spec),
        insns=sum(insn is not None for insn in spec.code),
        helpers=_helpers(spec),
        kfuncs=tuple(dict.fromkeys(spec.kfuncs)),
        maps=tuple(row.name for row in used),
        kernel=kernel,
        needed_for=tuple(needed_for),
        why_not=why_not or spec.unsupported,
    )


def _helpers(spec: ProgramSpec) -> tuple[str, ...]:
    numbers = (insn.imm for insn in spec.code if insn is not None and insn.family is Family.CALL_HELPER)
    known = HELPERS_BY_ID
    return tuple(known[number].name if number in known else f"helper {number}" for number in dict.fromkeys(numbers))


def _attach_name(spec: ProgramSpec) -> str:
    if not spec.attach_type and spec.type not in _TYPES_WITH_ATTACH_0:
        return ""
    known = AttachType.__members__.values()
    return AttachType(spec.attach_type).name if spec.attach_type in known else str(spec.attach_type)


def _map(spec: MapSpec) -> MapInfo:
    return MapInfo(spec, value_type_name(spec.btf, spec.key_type), value_type_name(spec.btf, spec.value_type))


def _sections(source: Object, elf: Elf) -> tuple[SectionRow, ...]:
    ext = elf.named(".BTF.ext")
    core = parse_ext(ext.data, source.btf).relocations if ext and ext.size and source.btf is not None else {}
    return tuple(
        SectionRow(
            row.name,
            row.size,
            row.executable,
            len(elf.relocations.get(row.index, ())),
            len(core.get(row.name, ())) if row.executable else 0,
        )
        for row in elf.sections
        if row.size
    )
