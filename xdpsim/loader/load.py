"""`load_object`: the bytes of a .o file to programs, maps and types, relocated and ready to run.

It opens no file and asks no kernel. Which section name means which program type is said in sections.py; running and
checking programs is left to engines and verifier. Follows libbpf's bpf_object_open() and bpf_object_load_prog(); what
is Linux's but not supported here blocks the program that uses it (`ProgramSpec.unsupported`), not the object.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from xdpsim.btf.ext import BtfExt, parse_ext
from xdpsim.btf.parse import parse
from xdpsim.btf.types import Btf
from xdpsim.errors import InputError, Unsupported
from xdpsim.isa.insn import Insn
from xdpsim.loader.catchers import find_catchers
from xdpsim.loader.constants import set_constants
from xdpsim.loader.core.relocate import Patched, Relocator, relocate
from xdpsim.loader.elf import Elf, read_elf
from xdpsim.loader.functions import Function, Patcher, Reader, no_relocations
from xdpsim.loader.kernelbtf import complete
from xdpsim.loader.link import Linked, Linker
from xdpsim.loader.linux.externs import read_externs
from xdpsim.loader.mapdefs import Maps, read_maps
from xdpsim.loader.model import Object, ProgramSpec
from xdpsim.loader.options import LoadOptions
from xdpsim.loader.programs import TailSlots, programs_of, tail_slots
from xdpsim.loader.sections import KNOWN_SECTIONS, TypeChoice
from xdpsim.loader.sourceinfo import Positions, SourceInfo
from xdpsim.loader.symbols import find_functions
from xdpsim.progtypes.sections import SectionMatch

LICENCE_SECTION = "license"
MAX_GROWN = 0xFFFF  # slots of a prog array whose size only its programs tell


def load_object(data: bytes, name: str, options: LoadOptions | None = None) -> Object:
    """The object in `data`; `name` is the file name that messages begin with.

    InputError when the file is damaged, libbpf would refuse it as a whole, or the options do not fit it; Unsupported
    for big-endian objects.
    """
    options = options or LoadOptions()
    try:
        parts = _read(bytes(data), options)
    except (InputError, Unsupported) as err:
        raise type(err)(f"{name}: {err.message}", hint=err.hint) from err
    try:
        programs = {f.name: _program(f, parts, name) for f in parts.functions}
    except InputError as err:
        raise InputError(f"{name}:{err.message}", hint=err.hint) from err
    used = parts.relocator.used if parts.relocator is not None else None
    maps = tuple(parts.maps.specs)
    return Object(name, programs, maps, parts.btf, parts.licence, parts.maps.values, used.btf if used else None)


@dataclass(frozen=True)
class _Parts:
    """An object before its programs are linked; `functions` are those that are programs."""

    functions: tuple[Function, ...]
    types: dict[Function, SectionMatch]
    maps: Maps
    btf: Btf | None
    source: SourceInfo
    linker: Linker
    licence: str
    relocator: Relocator | None
    catchers: dict[str, Function]


def _read(data: bytes, options: LoadOptions) -> _Parts:
    elf = read_elf(data)
    own, btf, ext = _types(elf)
    externs, used = read_externs(elf, own, options.constants, options.linux)
    maps = read_maps(elf, btf, options.cpus)
    if externs.map is not None:
        externs.map_index = len(maps.specs)
        maps.specs.append(externs.map)
    set_constants(elf, maps.specs, {n: v for n, v in options.constants.items() if n not in used})
    functions = find_functions(elf)
    source = SourceInfo(btf, ext)
    relocator = Relocator(btf, options.target) if btf is not None and source.core else None
    reader = Reader(elf, functions, maps.places, externs, _patcher(source, relocator))
    tails = tail_slots(functions, maps)
    programs = programs_of(functions, reader, tails)
    twice = [name for name, count in Counter(f.name for f in programs).items() if count > 1]
    if twice:
        raise InputError(f"two programs are called {twice[0]!r}")
    types = _program_types(programs, reader, tails, options)
    _fill(maps, tails, programs)
    catchers = find_catchers(btf, functions)
    return _Parts(programs, types, maps, btf, source, Linker(reader), _licence(elf), relocator, catchers)


def _types(elf: Elf) -> tuple[Btf | None, Btf | None, BtfExt | None]:
    """The object's own types, those made ready for the kernel, and what goes with them."""
    section, ext = elf.named(".BTF"), elf.named(".BTF.ext")
    if section is None or not section.size:
        return None, None, None
    own = parse(section.data)
    btf = complete(own, elf)
    return own, btf, parse_ext(ext.data, btf) if ext is not None and ext.size else None


def _patcher(source: SourceInfo, relocator: Relocator | None) -> Patcher:
    if relocator is None:
        return no_relocations

    def patch(function: Function, code: list[Insn | None]) -> Patched:
        return relocate(code, source.relocations(function), relocator)

    return patch


def _licence(elf: Elf) -> str:
    section = elf.named(LICENCE_SECTION)
    return section.data.partition(b"\0")[0].decode("ascii", "replace") if section is not None else ""


def _program_types(
    programs: Iterable[Function], reader: Reader, tails: TailSlots, options: LoadOptions
) -> dict[Function, SectionMatch]:
    """Types by section, by user; the programs of prog arrays have the type of those that jump into the array."""
    choice, types = TypeChoice(options.type), dict[Function, SectionMatch]()
    choice.check({f.name: f for f in programs})
    for f in programs:
        found = choice.of(f.name, f.section.name)
        if found is not None:
            types[f] = found
    waiting: dict[int, list[Function]] = {}
    for f in programs:
        if f in tails.map_of and f not in types:
            waiting.setdefault(tails.map_of[f], []).append(f)
    typed = list(types)
    while waiting and typed:
        caller = typed.pop()
        for index in reader.maps_of(caller) & waiting.keys():
            typed += waiting[index]
            types |= dict.fromkeys(waiting.pop(index), types[caller])
    return types


def _fill(maps: Maps, tails: TailSlots, programs: tuple[Function, ...]) -> None:
    """Programs into their slots; a prog array of no size grows to what it holds, as the loaders of such objects do."""
    for f in programs:
        if f in tails.map_of:
            maps.values.setdefault(maps.specs[tails.map_of[f]].name, {})[tails.slot_of[f]] = f.name
    names = {f.name for f in programs}
    for index, spec in enumerate(maps.specs):
        wrong = set(maps.values.get(spec.name, {}).values()) - names if spec.type == "PROG_ARRAY" else ()
        if wrong:
            raise InputError(f"map {spec.name}: holds {min(wrong)!r}, expected a program")
        if spec.type == "PROG_ARRAY" and not spec.max_entries:
            last = max(maps.values.get(spec.name, {0: ""}))
            if last > MAX_GROWN:
                raise InputError(f"map {spec.name}: has no size, and slot {last}, expected at most {MAX_GROWN}")
            maps.specs[index] = replace(spec, max_entries=last + 1)


def _program(function: Function, parts: _Parts, name: str) -> ProgramSpec:
    section = function.section.name
    match = parts.types.get(function)
    linked = parts.linker.link(function, parts.catchers.get(function.name))
    positions = parts.source.positions(linked)
    type_and_attach = match or SectionMatch("", 0, False, False)
    return ProgramSpec(
        name=function.name,
        section=section,
        type=type_and_attach.type,
        attach_type=type_and_attach.attach_type,
        code=linked.code,
        subprograms=positions.subprograms,
        lines=positions.lines,
        licence=parts.licence,
        frags=type_and_attach.frags,
        sleepable=type_and_attach.sleepable,
        func_info=positions.func_info,
        line_info=positions.line_info,
        unsupported=_unsupported(function, match, linked, positions, name),
        kfuncs=linked.kfuncs,
        poisoned=linked.poisoned,
    )


def _unsupported(
    function: Function, match: SectionMatch | None, linked: Linked, positions: Positions, name: str
) -> str:
    """Why the program cannot run, the first reason; empty when there is none."""
    place = f"{name}:{function.name}"
    if match is None:
        return (
            f"{place}: missing BPF prog type, check ELF section name {function.section.name!r}: say it with type=, or "
            f"use {KNOWN_SECTIONS} or libbpf's others"
        )
    if not linked.blocked:
        return ""
    slot, why = linked.blocked[0]
    line = positions.line_at(slot)
    where = f"insn {slot} ({line.file}:{line.line})" if line is not None else f"insn {slot}"
    return f"{place}: {where}: {why}"
