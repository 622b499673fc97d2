"""The instruction cases of tests/cases/insn: small programs with the r0 that Linux leaves, for every engine.

A case's code runs alone: it gets nothing, needs nothing and exits with r0. For Linux, whose BPF_PROG_TEST_RUN returns
32 bits only, `wrap_for_map` makes it a subprogram and stores the whole r0 into an array map.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path

from xdpsim.isa.asm import assemble
from xdpsim.isa.insn import Code

FOLDER = Path(__file__).parents[1] / "cases" / "insn"
VALUE_SIZE = 8  # of the map that wrap_for_map stores into: an ARRAY, key 4, one entry
_KEYS = {"name", "asm", "r0", "type"}


@dataclass(frozen=True)
class Case:
    """One case: the assembled `code` and what r0 (unsigned, 64 bits) holds when it exits."""

    name: str
    file: str
    asm: str
    code: Code
    r0: int
    type: str = "XDP"

    def __str__(self) -> str:
        return f"{self.file}: {self.name}"


@functools.cache
def load_cases() -> tuple[Case, ...]:
    """Every case of every file, in the order of the files."""
    return tuple(case for path in sorted(FOLDER.glob("*.toml")) for case in _read(path))


def case_name(case: Case) -> str:
    """For pytest's `ids=`."""
    return str(case)


def wrap_for_map(case: Case) -> Code:
    """The case as a subprogram of a main function that stores r0 into map 0 (see VALUE_SIZE) and returns 0."""
    main = assemble("call body; r1 = map_value[0]; *(u64 *)(r1 +0) = r0; r0 = 0; exit; body: exit")
    return main[:-1] + case.code


def _read(path: Path) -> list[Case]:
    cases = []
    for entry in tomllib.loads(path.read_text())["case"]:
        if not {"name", "asm", "r0"} <= entry.keys() <= _KEYS:
            raise ValueError(f"{path.name}: {entry.get('name')}: keys {sorted(entry)}, known are {sorted(_KEYS)}")
        code = assemble(entry["asm"])
        cases.append(Case(entry["name"], path.stem, entry["asm"], code, entry["r0"], entry.get("type", "XDP")))
    return cases
