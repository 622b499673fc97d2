"""`xdpsim inspect`: what is in an object, for people or as JSON; docs/cli.md tells every field."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from xdpsim.analysis.btftext import btf_lines
from xdpsim.analysis.dot import cfg_dot
from xdpsim.analysis.inspection import Inspection, MapInfo, ProgramInfo, inspect_object
from xdpsim.analysis.listing import listing
from xdpsim.analysis.readable import printable
from xdpsim.cli.asked import InspectOptions
from xdpsim.cli.errors import OK, UsageError
from xdpsim.cli.output import emit
from xdpsim.errors import InputError, Rejected, Unsupported
from xdpsim.loader.elf import read_elf
from xdpsim.loader.load import load_object
from xdpsim.loader.model import Object, ProgramSpec
from xdpsim.sim.sim import Sim

Json = dict[str, object]


def run(options: InspectOptions) -> int:
    """Print what was asked for; the exit code."""
    data = _read(options.object)
    source, why_not = _runnable(data, options.object, verify=options.verify and not options.dot)
    if options.dot:
        for line in cfg_dot(_program(source, options.dot), source.maps):
            emit(line)
        return OK
    found = inspect_object(source, read_elf(data), why_not)
    if options.json:
        emit(json.dumps(_json(found, options)))
        return OK
    for line in _report(found, options):
        emit(line)
    return OK


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as err:
        raise InputError(f"{path}: {err.strerror}") from err


def _runnable(data: bytes, name: str, *, verify: bool) -> tuple[Object, dict[str, str]]:
    """The object, and why each program cannot run that cannot."""
    why_not: dict[str, str] = {}
    try:
        loaded = Sim(verify=verify).load(data, name=name)
    except Unsupported as err:  # one of its maps: then no program runs, but there is still much to say
        source = load_object(data, name)
        return source, dict.fromkeys(source.programs, err.message)
    for program in loaded:
        try:
            loaded[program]
        except (Unsupported, Rejected, InputError) as err:
            why_not[program] = err.message
    return loaded.source, why_not


def _program(source: Object, name: str) -> ProgramSpec:
    if name not in source.programs:
        known = ", ".join(source.programs) or "none"
        raise UsageError(f"--dot {name}: {source.name} has no such program", hint=f"it has {known}")
    return source.programs[name]


def _json(found: Inspection, options: InspectOptions) -> Json:
    source = found.source
    report: Json = {
        "object": source.name,
        "licence": source.licence,
        "kernel_needed": found.kernel,
        "needed_for": found.needed_for,
        "relocations": found.relocations,
        "core_relocations": found.core_relocations,
        "btf_types": len(source.btf.types) - 1 if source.btf else None,
        "sections": [asdict(row) for row in found.sections],
        "maps": [_map_json(row) for row in found.maps],
        "programs": [_program_json(found, row, options) for row in found.programs],
    }
    if options.btf:
        report["btf"] = list(btf_lines(source.btf)) if source.btf else None
    return report


def _map_json(row: MapInfo) -> Json:
    spec = row.spec
    fields = ("name", "type", "key_size", "value_size", "max_entries", "flags", "map_extra", "read_only")
    inner = spec.inner.name if spec.inner else None
    return {name: getattr(spec, name) for name in fields} | {
        "key_type": row.key_type,
        "value_type": row.value_type,
        "inner": inner,
        "pinned_by_name": bool(spec.pinning),
    }


def _program_json(found: Inspection, row: ProgramInfo, options: InspectOptions) -> Json:
    spec = row.spec
    report: Json = {
        "name": spec.name,
        "section": spec.section,
        "type": spec.type or None,
        "attach_type": row.attach or None,
        "frags": spec.frags,
        "sleepable": spec.sleepable,
        "insns": row.insns,
        "slots": len(spec.code),
        "subprograms": [{"name": sub.name, "slot": sub.slot} for sub in spec.subprograms],
        "helpers": row.helpers,
        "kfuncs": row.kfuncs,
        "maps": row.maps,
        "kernel_needed": row.kernel,
        "needed_for": row.needed_for,
        "runs": not row.why_not,
        "why_not": row.why_not or None,
    }
    if options.disasm:
        report["disasm"] = list(listing(spec, found.source.maps, source=options.source))
    return report


def _report(found: Inspection, options: InspectOptions) -> Iterator[str]:
    source = found.source
    licence = f"licence {source.licence}" if source.licence else "no licence"
    types = f"BTF of {len(source.btf.types) - 1} types" if source.btf else "no BTF"
    core = f" and {found.core_relocations} CO-RE relocations" if found.core_relocations else ""
    yield printable(f"{source.name}: {licence}, {types}, {found.relocations} relocations{core}")
    yield _needs(found.kernel, found.needed_for)
    yield ""
    yield "programs" if found.programs else "no programs"
    for row in found.programs:
        yield from _program_lines(row)
    yield ""
    yield from _table("maps", ("type", "key", "value", "entries", "flags"), [_map_cells(row) for row in found.maps])
    yield ""
    yield from _table(
        "sections", ("bytes", "relocations"), [_section_cells(found, at) for at in range(len(found.sections))]
    )
    if options.btf and source.btf is not None:
        yield ""
        yield "types"
        yield from (f"  {line}" for line in btf_lines(source.btf))
    if options.disasm:
        for row in found.programs:
            yield ""
            yield from listing(row.spec, source.maps, source=options.source)


def _needs(kernel: str, needed_for: Iterable[str]) -> str:
    return f"needs Linux {kernel} for {', '.join(needed_for)}" if needed_for else f"needs Linux {kernel}"


def _program_lines(row: ProgramInfo) -> Iterator[str]:
    spec = row.spec
    words = [f"{spec.type or 'no known type'}", f"section {spec.section}"]
    words += [f"attach {row.attach}"] if row.attach else []
    words += ["frags"] if spec.frags else []
    words += ["sleepable"] if spec.sleepable else []
    yield printable(f"  {spec.name}: {', '.join(words)}, {row.insns} insns")
    if row.why_not:
        yield printable(f"    does not run: {row.why_not}")
    if len(spec.subprograms) > 1:
        yield printable("    functions: " + ", ".join(f"{sub.name} at {sub.slot}" for sub in spec.subprograms))
    for title, names in (("helpers", row.helpers), ("kernel functions", row.kfuncs), ("maps", row.maps)):
        if names:
            yield printable(f"    {title}: {', '.join(names)}")
    yield f"    {_needs(row.kernel, row.needed_for)}"


def _map_cells(row: MapInfo) -> list[str]:
    spec = row.spec
    key, value = f"{spec.key_size} bytes", f"{spec.value_size} bytes"
    return [
        spec.name,
        spec.type,
        f"{row.key_type}, {key}" if row.key_type else key,
        f"{row.value_type}, {value}" if row.value_type else value,
        str(spec.max_entries),
        f"{spec.flags:#x}" if spec.flags else "",
    ]


def _section_cells(found: Inspection, at: int) -> list[str]:
    row = found.sections[at]
    core = f" + {row.core_relocations} CO-RE" if row.core_relocations else ""
    return [row.name, str(row.size), f"{row.relocations or ''}{core}"]


def _table(title: str, heads: tuple[str, ...], rows: list[list[str]]) -> Iterator[str]:
    """A title, then cells in columns."""
    if not rows:
        yield f"no {title}"
        return
    cells = [["  " + title, *heads], *(["  " + printable(row[0]), *map(printable, row[1:])] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads) + 1)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
