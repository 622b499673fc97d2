"""Which function of a program catches what bpf_throw throws: a declaration tag of its main function names it."""

from __future__ import annotations

from xdpsim.btf.rows import DeclTag
from xdpsim.engines.protocol import LoadedProgram

_TAG = "exception_callback:"


def exception_callback(program: LoadedProgram) -> int | None:
    """The first slot of that function; None when the program has none, and what is thrown becomes its result."""
    spec, btf = program.spec, program.btf
    if btf is None or not spec.subprograms or not spec.subprograms[0].type_id:
        return None
    main = spec.subprograms[0].type_id
    for row in btf.types[1:]:
        if isinstance(row, DeclTag) and row.type_id == main and row.name.startswith(_TAG):
            name = row.name.removeprefix(_TAG)
            return next((function.slot for function in spec.subprograms if function.name == name), None)
    return None
