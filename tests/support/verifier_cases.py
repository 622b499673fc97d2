"""Cases of the verifier: programs of tests/cases/verifier/*.toml with what Linux 6.18 says of each.

    [[case]]
    name = "a value is read without a null check"
    maps = [{ name = "m", type = "HASH", key_size = 4, value_size = 8, max_entries = 1 }]
    asm = '''
    r1 = map[m]; *(u32 *)(r10 -4) = 0; r2 = r10; r2 += -4
    call bpf_map_lookup_elem
    r0 = *(u8 *)(r0 +0); exit
    '''
    accept = false                                  # from here on `python -m tests.support.verifier_ask FILE` writes
    errno = "EACCES"
    message = "R0 invalid mem access 'map_value_or_null'"
    processed = 6

`asm` is isa/asm.py's text with names of helpers and maps, `call kfunc NAME` for kernel functions and `$NAME` for the
BTF id of a type. Optional: `type` ("XDP"), `attach` (number), `licence` ("GPL"), `caps` (all; `["bpf", "net_admin"]`),
`flags` (of FLAGS), `frags`, `sleepable`, `btf` (btf_text.py; a function of it starts at the label of its name, `main`
at slot 0), `source = "read"` where no kernel may be asked. A map has MapSpec's fields; `key_type` and `value_type` are
texts such as "u32" or "struct val", `inner` a map, `initial` hex that freezes it. `message` is all that Linux prints
behind the last instruction or state, without statistics.

A known difference is told with its reason: `known = "..."` says that our verdict or message differs, and the test fails
when it does not any more.
"""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.btf_text import BtfText, compile_btf
from xdpsim.btf.parse import parse
from xdpsim.btf.types import Btf
from xdpsim.helpers.ids import HELPERS_BY_ID
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import decode
from xdpsim.isa.insn import Code
from xdpsim.isa.rows import Family
from xdpsim.loader.model import ProgramSpec
from xdpsim.maps.spec import MapSpec

FOLDER = Path(__file__).parents[1] / "cases" / "verifier"
FLAGS = {"strict_alignment": 1 << 0, "any_alignment": 1 << 1, "test_state_freq": 1 << 3}
ALL_CAPS = ("bpf", "perfmon", "net_admin")
_HELPERS = {row.name: row.id for row in HELPERS_BY_ID.values()}
_ANSWERS = {"accept", "message", "errno", "processed"}
_KEYS = {
    *("name", "asm", "hex", "type", "attach", "maps", "btf", "caps", "flags", "frags", "sleepable", "licence"),
    *("source", "known", *_ANSWERS),
}
_KFUNC = re.compile(r"call kfunc ([A-Za-z_]\w*)(?![\w#])")


@dataclass(frozen=True)
class Case:
    """One program and Linux's answer; `errno` is a name such as EACCES, `answered` says that all of it is there."""

    name: str
    file: str
    spec: ProgramSpec
    maps: tuple[MapSpec, ...]
    btf: Btf | None
    caps: frozenset[str]
    flags: frozenset[str]
    source: str
    known: str
    answered: bool
    accept: bool
    errno: str
    message: str
    processed: int | None
    btf_text: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.name}"

    @property
    def flag_bits(self) -> int:
        """BPF_F_* of the flags that only tests ask for."""
        return sum(FLAGS[flag] for flag in self.flags)


@functools.cache
def load_cases() -> tuple[Case, ...]:
    """Every case of every file, in the order of the files."""
    return tuple(case for path in sorted(FOLDER.glob("*.toml")) for case in read_cases(path))


def case_name(case: Case) -> str:
    """For pytest's `ids=`."""
    return str(case)


def read_cases(path: Path) -> list[Case]:
    """The cases of one file; ValueError names the file and the case that cannot be read."""
    made = []
    for entry in tomllib.loads(path.read_text()).get("case", []):
        try:
            made.append(make_case(entry, path.stem))
        except Exception as error:
            raise ValueError(f"{path.name}: {entry.get('name')}: {error}") from error
    return made


def make_case(entry: dict[str, Any], file: str = "") -> Case:
    """A case from its table."""
    if unknown := entry.keys() - _KEYS:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    text, btf = types_of(entry["btf"]) if "btf" in entry else (None, None)
    maps = tuple(_map(row, text, btf) for row in entry.get("maps", ()))
    code, kfuncs, func_info = _code(entry, maps, text)
    spec = ProgramSpec(
        name="main",
        section="",
        type=entry.get("type", "XDP"),
        attach_type=entry.get("attach", 0),
        code=code,
        subprograms=(),
        lines=(),
        licence=entry.get("licence", "GPL"),
        frags=entry.get("frags", False),
        sleepable=entry.get("sleepable", False),
        func_info=func_info,
        kfuncs=kfuncs,
    )
    flags, caps = frozenset(entry.get("flags", ())), frozenset(entry.get("caps", ALL_CAPS))
    if not flags <= FLAGS.keys() or not caps <= set(ALL_CAPS):
        raise ValueError(f"flags {sorted(flags)} of {sorted(FLAGS)}, caps {sorted(caps)} of {sorted(ALL_CAPS)}")
    accept = entry.get("accept", False)
    return Case(
        *(entry["name"], file, spec, maps, btf, caps, flags, entry.get("source", ""), entry.get("known", "")),
        "accept" in entry and (accept or "errno" in entry),
        *(accept, entry.get("errno", ""), entry.get("message", ""), entry.get("processed")),
        btf_text=entry.get("btf", ""),
    )


@functools.lru_cache(maxsize=4096)
def types_of(text: str) -> tuple[BtfText, Btf]:
    """The types that a text declares; the same objects for the same text."""
    made = compile_btf(text)
    return made, parse(made.raw)


def _code(
    entry: dict[str, Any], maps: tuple[MapSpec, ...], text: BtfText | None
) -> tuple[Code, tuple[str, ...], tuple[tuple[int, int], ...]]:
    if "hex" in entry:
        return decode(bytes.fromhex(entry["hex"])), (), ()
    asm = entry["asm"]
    if text:
        asm = re.sub(r"\$(\w+)", lambda found: str((text.types | text.functions)[found[1]]), asm)
    kfuncs: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[1] not in kfuncs:
            kfuncs.append(found[1])
        return f"{found[0]}#{kfuncs.index(found[1])}"

    asm = _KFUNC.sub(number, asm)
    names = {m.name: index for index, m in enumerate(maps)}
    code = assemble(asm, helpers=_HELPERS, maps=names)
    places: list[tuple[int, int]] = []
    for function, type_id in (text.functions if text else {}).items():
        if function == "main":
            places.append((0, type_id))
        elif re.search(rf"(^|[;\s]){function}:", asm):
            places.append((_slot_of(asm, function, names), type_id))
    return code, tuple(kfuncs), tuple(sorted(places))


def _slot_of(asm: str, label: str, maps: dict[str, int]) -> int:
    """Where a label stands: found out by a jump to it."""
    code = assemble(f"{asm}\ngotol {label}", helpers=_HELPERS, maps=maps)
    jump = code[-1]
    assert jump is not None
    assert jump.family is Family.JUMP
    return len(code) + jump.imm


def _map(row: dict[str, Any], text: BtfText | None, btf: Btf | None) -> MapSpec:
    fields = dict(row)
    fields.setdefault("name", "m")
    for key in ("key_type", "value_type"):
        if key in fields:
            fields[key] = _type_id(fields[key], text, btf)
            fields["btf"] = btf
    if "inner" in fields:
        fields["inner"] = _map({"name": "inner", **fields["inner"]}, text, btf)
    if "initial" in fields:
        fields["initial"] = bytes.fromhex(fields["initial"])
        fields.setdefault("read_only", True)
    for key, default in (("key_size", 4), ("value_size", 8), ("max_entries", 1)):
        fields.setdefault(key, default)
    return MapSpec(**fields)


def _type_id(name: str, text: BtfText | None, btf: Btf | None) -> int:
    """The id of "u32" or "struct val"."""
    if text is None or btf is None:
        raise ValueError(f"a map has the type {name}, but the case no btf")
    plain = name.removeprefix("struct ").removeprefix("union ")
    if plain in text.types:
        return text.types[plain]
    found = btf.by_name(name)
    if found is None:
        raise ValueError(f"btf has no type {name}")
    return found.id
