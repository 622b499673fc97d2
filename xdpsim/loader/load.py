"""`load_object`: the bytes of a .o file to programs, maps and types, relocated and ready to run.

A pure function of its input: it opens no file and asks no kernel. Which section name means which program type is
progtypes/sections.py's; running and checking programs is left to engines and verifier. Follows libbpf's
bpf_object_open() and bpf_object_load_prog(); what is Linux's but not supported here blocks the program that uses it
(`ProgramSpec.unsupported`), not the object.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from xdpsim.btf.ext import BtfExt, parse_ext
from xdpsim.btf.parse import parse
from xdpsim.btf.types import Btf
from xdpsim.errors import InputError, Unsupported
from xdpsim.loader.elf import Elf, read_elf
from xdpsim.loader.functions import Function, Reader, find_functions
from xdpsim.loader.kernelbtf import complete
from xdpsim.loader.link import Linked, Linker
from xdpsim.loader.mapdefs import Maps, read_maps
from xdpsim.loader.model import Object, ProgramSpec
from xdpsim.loader.sourceinfo import Positions, SourceInfo
from xdpsim.progtypes.sections import SectionMatch, section_program

TEXT = ".text"
LICENCE_SECTION = "license"
KNOWN_SECTIONS = "xdp, xdp.frags, xdp/devmap, tc, tcx/ingress, classifier, socket, cgroup_skb/egress, sk_lookup"


def load_object(data: bytes, name: str) -> Object:
    """The object in `data`; `name` is the file name that messages begin with.

    InputError when the file is damaged or libbpf would refuse it as a whole, Unsupported for big-endian objects.
    """
    try:
        parts = _read(bytes(data))
    except (InputError, Unsupported) as err:
        raise type(err)(f"{name}: {err.message}", hint=err.hint) from err
    try:
        programs = {f.name: _program(f, parts, name) for f in parts.functions}
    except InputError as err:
        raise InputError(f"{name}:{err.message}", hint=err.hint) from err
    return Object(name, programs, tuple(parts.maps.specs), parts.btf, parts.licence, parts.maps.values)


@dataclass(frozen=True)
class _Parts:
    """An object before its programs are linked; `functions` are those that are programs."""

    functions: tuple[Function, ...]
    maps: Maps
    btf: Btf | None
    source: SourceInfo
    linker: Linker
    licence: str


def _read(data: bytes) -> _Parts:
    elf = read_elf(data)
    btf, ext = _types(elf)
    maps = read_maps(elf, btf)
    functions = find_functions(elf)
    programs = tuple(f for f in functions if f.section.name != TEXT or len(functions) == 1)
    twice = [name for name, count in Counter(f.name for f in programs).items() if count > 1]
    if twice:
        raise InputError(f"two programs are called {twice[0]!r}")
    linker = Linker(Reader(elf, functions, maps.places))
    return _Parts(programs, maps, btf, SourceInfo(btf, ext), linker, _licence(elf))


def _types(elf: Elf) -> tuple[Btf | None, BtfExt | None]:
    section, ext = elf.named(".BTF"), elf.named(".BTF.ext")
    if section is None or not section.size:
        return None, None
    btf = complete(parse(section.data), elf)
    return btf, parse_ext(ext.data, btf) if ext is not None and ext.size else None


def _licence(elf: Elf) -> str:
    section = elf.named(LICENCE_SECTION)
    return section.data.partition(b"\0")[0].decode("ascii", "replace") if section is not None else ""


def _program(function: Function, parts: _Parts, name: str) -> ProgramSpec:
    section = function.section.name
    match = section_program(section.removeprefix("?"))
    linked = parts.linker.link(function)
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
        unsupported=_unsupported(function, match, linked, positions, parts.btf, name),
    )


def _unsupported(
    function: Function, match: SectionMatch | None, linked: Linked, positions: Positions, btf: Btf | None, name: str
) -> str:
    """Why the program cannot run, the first reason; empty when there is none."""
    place = f"{name}:{function.name}"
    if match is None:
        return (
            f"{place}: missing BPF prog type, check ELF section name {function.section.name!r}; "
            f"known are {KNOWN_SECTIONS} and libbpf's others"
        )
    if function.is_local:
        return f"{place}: is static, and static functions of section {function.section.name!r} are no programs"
    reasons = list(linked.blocked)
    for slot, row in positions.core:
        subject = btf.type_name(row.type_id) if btf is not None else f"type {row.type_id}"
        why = f"CO-RE relocation of {subject} (access {row.access!r}, kind {row.kind}) is not supported"
        reasons.append((slot, why))
    if not reasons:
        return ""
    slot, why = min(reasons)
    line = positions.line_at(slot)
    where = f"insn {slot} ({line.file}:{line.line})" if line is not None else f"insn {slot}"
    return f"{place}: {where}: {why}"
