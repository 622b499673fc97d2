"""Which program of an object runs: the only XDP program, or the one that was named."""

from __future__ import annotations

from xdpsim.cli.errors import UsageError
from xdpsim.errors import InputError, Unsupported
from xdpsim.loader.model import Object, ProgramSpec


def choose_program(obj: Object, wanted: str) -> str:
    """The program's name; UsageError lists the choice where there is one."""
    if not obj.programs:
        raise InputError(f"{obj.name}: holds no program", hint='an XDP program is a function under SEC("xdp")')
    runnable = [spec for spec in obj.programs.values() if spec.type == "XDP"]
    if wanted:
        if wanted not in obj.programs:
            raise UsageError(f"-p {wanted}: {obj.name} has no such program", hint=f"it has {_listed(obj)}")
        spec = obj.programs[wanted]
        if spec.type != "XDP":
            raise Unsupported(f"{obj.name}: {wanted} is a {spec.type} program", hint="run takes XDP programs")
        return wanted
    if not runnable:
        raise Unsupported(f"{obj.name}: no XDP program, run takes no others", hint=f"it has {_listed(obj)}")
    if len(runnable) > 1:
        raise UsageError(
            f"{obj.name} has {len(runnable)} XDP programs: choose one with -p", hint=f"it has {_listed(obj)}"
        )
    return runnable[0].name


def _listed(obj: Object) -> str:
    return ", ".join(_described(spec) for spec in obj.programs.values())


def _described(spec: ProgramSpec) -> str:
    return f"{spec.name} ({spec.type}, section {spec.section})"
