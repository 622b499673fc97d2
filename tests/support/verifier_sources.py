"""Programs to put to both verifiers, from case files and from object files, as one kind of thing.

What Linux cannot take as it stands (types that it refuses, say) is left out on both sides, so that both are asked the
same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.verifier_cases import Case, read_cases
from tests.support.verifier_linux import ALL_CAPS, LEVEL1, STATS, Answer, Asker
from xdpsim.btf.types import Btf
from xdpsim.loader.load import load_object
from xdpsim.loader.model import Object, ProgramSpec
from xdpsim.maps.spec import MapSpec
from xdpsim.sysbpf.syscall import BpfError


@dataclass(frozen=True)
class Question:
    """One program with all that a verdict depends on; `flags` are names of verifier_cases.FLAGS."""

    name: str
    spec: ProgramSpec
    maps: tuple[MapSpec, ...]
    btf: Btf | None
    caps: frozenset[str] = ALL_CAPS
    flags: frozenset[str] = frozenset()
    flag_bits: int = 0
    btf_text: str = ""
    """What `btf` was compiled from, where it was."""


def ask_linux(asker: Asker, question: Question, log_level: int = LEVEL1, *, tail_only: bool = False) -> Answer:
    """Linux's answer."""
    q = question
    return asker.ask(*(q.spec, q.maps, q.btf), caps=q.caps, flags=q.flag_bits, log_level=log_level, tail_only=tail_only)


def ask_linux_shortly(asker: Asker, question: Question) -> Answer:
    """Linux's answer with the end of its log only: fast also for programs that it walks for long."""
    answer = ask_linux(asker, question, STATS)
    if not answer.errno:
        return answer
    return replace(ask_linux(asker, question, tail_only=True), errno=answer.errno)


def of_case(case: Case) -> Question:
    """The question of a case."""
    c = case
    return Question(str(c), c.spec, c.maps, c.btf, c.caps, c.flags, c.flag_bits, c.btf_text)


def of_file(path: Path, asker: Asker, wanted: str = "") -> Iterator[Question]:
    """Every case of a .toml, every program of an object; `wanted` is a part of the name."""
    if path.suffix == ".toml":
        found: Iterator[Question] = map(of_case, read_cases(path))
    else:
        found = of_object(load_object(path.read_bytes(), path.name), asker)
    return (question for question in found if wanted in question.name)


def of_object(loaded: Object, asker: Asker) -> Iterator[Question]:
    """Every program of an object, with its types if Linux takes them."""
    btf = _if_taken(loaded.btf, asker)
    for name, spec in loaded.programs.items():
        asked = spec if btf else replace(spec, func_info=(), line_info=())
        yield Question(f"{loaded.name}:{name}", asked, tuple(_if_fits(m, btf) for m in loaded.maps), btf)


def _if_taken(btf: Btf | None, asker: Asker) -> Btf | None:
    if btf is None:
        return None
    try:
        asker.types(btf)
    except BpfError:
        return None
    return btf


def _if_fits(spec: MapSpec, btf: Btf | None) -> MapSpec:
    """A map without its types where Linux has refused these."""
    return spec if btf or spec.btf is None else replace(spec, btf=None, key_type=0, value_type=0)
