"""What an object file is once it is loaded: programs, maps and types, with every relocation applied.

Plain rows without behaviour: the loader makes them, engines and verifier read them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xdpsim.btf.types import Btf
from xdpsim.isa.insn import Code
from xdpsim.maps.spec import MapSpec


@dataclass(frozen=True, slots=True)
class Line:
    """Source position that holds from `slot` on, up to the next Line."""

    slot: int
    file: str
    line: int
    column: int
    text: str


@dataclass(frozen=True, slots=True)
class Subprogram:
    """A function of a program, starting at `slot`; `type_id` is its BTF FUNC, 0 when nothing is known."""

    name: str
    slot: int
    type_id: int = 0


@dataclass(frozen=True)
class ProgramSpec:
    """One entry of an object, ready to run: its functions joined, calls and map references resolved.

    In `code`, LD_IMM64 with op MAP_FD or MAP_VALUE holds in `imm` the index into `Object.maps` (next_imm: byte offset
    into the value), with op FUNC in `imm` the distance in slots; CALL_LOCAL's `imm` is the final distance. A program
    whose `unsupported` is not empty must not run: the text says why, with insn and source line. CALL_KFUNC's `imm` is
    an index into `kfuncs`, the names of the kernel functions that it calls. At the slots of `poisoned` the loader found
    nothing that the insn could mean, for the reason told: it calls no helper there is, a fault where it is reached.
    """

    name: str
    section: str
    type: str
    attach_type: int
    code: Code
    subprograms: tuple[Subprogram, ...]
    lines: tuple[Line, ...]
    licence: str
    frags: bool = False
    sleepable: bool = False
    func_info: tuple[tuple[int, int], ...] = ()
    line_info: tuple[tuple[int, int, int, int], ...] = ()
    kfuncs: tuple[str, ...] = ()
    unsupported: str = ""
    poisoned: dict[int, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Object:
    """A loaded object file; `name` is the file name as given, `programs` in the order of the file."""

    name: str
    programs: dict[str, ProgramSpec]
    maps: tuple[MapSpec, ...]
    btf: Btf | None
    licence: str
    map_values: dict[str, dict[int, str]] = field(default_factory=dict)
    """Initial entries of map-in-map and prog arrays: map name -> key -> name of the inner map or program."""
    target: Btf | None = None
    """The kernel types that CO-RE relocations resolved against; None when there were none."""
