"""What an object only names: kernel functions and variables (.ksyms), the kernel's configuration (.kconfig).

Configuration goes into a read-only map `.kconfig`, as libbpf lays it out. A kfunc becomes a name that engines look up;
a weak one that Linux 6.18 does not have becomes poison, its address zero. Follows bpf_object__collect_externs(),
bpf_object__resolve_externs() and the extern cases of bpf_object__relocate_data() in libbpf.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from xdpsim.bits import M32, M64, round_up, signed
from xdpsim.btf.linux618 import kfunc_numbers, kfuncs
from xdpsim.btf.text import parse_int
from xdpsim.btf.types import Array, Btf, DataSec, Enum, Func, Int, Type, Var
from xdpsim.errors import InputError
from xdpsim.isa.decode import decode
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import Family, Imm64
from xdpsim.loader.core.spec import essential
from xdpsim.loader.elf import UNDEFINED, Elf, Symbol
from xdpsim.loader.linux.config618 import CONFIG
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import BPF_F_MMAPABLE, BPF_F_RDONLY_PROG
from xdpsim.versions import Linux

KCONFIG, KSYMS = ".kconfig", ".ksyms"
MAX_SIZE = 1 << 20
POISONED_KFUNC = 2_002_000_000  # libbpf's number for a call of a weak kfunc that is not there
_KFUNC_ADDRESS = 0xFFFF_FFFF_8100_0000  # where the text of an x86-64 kernel begins, without randomisation
_TRISTATE = {"n": 0, "y": 1, "m": 2}


class Blocked(Exception):
    """Why an insn cannot be resolved although the object is well-formed."""


@dataclass(frozen=True, slots=True)
class _Setting:
    """A .kconfig extern: `offset` in the map, `row` its type; `missing` says why it has no value."""

    name: str
    type_id: int
    row: Type
    size: int
    align: int
    is_weak: bool
    offset: int = 0
    missing: str = ""


@dataclass
class Externs:
    """The externs of one object; `map` is the .kconfig map, or None, `map_index` its place among the object's maps."""

    settings: dict[str, _Setting] = field(default_factory=dict)
    functions: dict[str, bool] = field(default_factory=dict)
    """Declared kfuncs: whether each is weak."""
    map: MapSpec | None = None
    map_index: int = -1

    def call(self, insn: Insn, symbol: Symbol) -> tuple[Insn, str, str]:
        """A call of `symbol`: the insn, the name of the kfunc, and why it is poison (then it has no name)."""
        name = essential(symbol.name)
        is_weak = self.functions.get(symbol.name, symbol.bind == "WEAK")
        if is_weak and name not in kfuncs():
            (poison,) = decode(bytes([0x85, 0, 0, 0]) + (POISONED_KFUNC).to_bytes(4, "little"))
            assert poison is not None
            return poison, "", f"call of weak kfunc {name}, which Linux 6.18 does not have"
        return replace(insn, src=2, off=0, imm=0, family=Family.CALL_KFUNC, op=""), name, ""

    def load(self, insn: Insn, symbol: Symbol) -> Insn:
        """LD_IMM64 of the address of `symbol`; Blocked where nothing here can stand for it."""
        setting = self.settings.get(symbol.name)
        if setting is not None:
            if setting.missing:
                raise Blocked(setting.missing)
            return replace(
                insn, src=Imm64.MAP_VALUE.value, op=Imm64.MAP_VALUE.name, imm=self.map_index, next_imm=setting.offset
            )
        name = essential(symbol.name)
        if name in kfuncs():
            return _constant(insn, _KFUNC_ADDRESS + 64 * kfunc_numbers()[name])
        if symbol.bind == "WEAK":
            return _constant(insn, 0)
        raise Blocked(f"address of {symbol.name!r}, a kernel symbol that is not known here")


def _constant(insn: Insn, value: int) -> Insn:
    low, high = signed(value & M32, 32), signed(value >> 32 & M32, 32)
    return replace(insn, src=0, op=Imm64.VALUE.name, imm=low, next_imm=high)


def read_externs(elf: Elf, btf: Btf | None, given: Mapping[str, object], linux: Linux) -> tuple[Externs, set[str]]:
    """The externs, and which names in `given` were theirs. `btf` is the object's own, before it was completed."""
    externs, used = Externs(), set[str]()
    if btf is None:
        return externs, used
    weak = {s.name for s in elf.symbols if s.section == UNDEFINED and s.bind == "WEAK"}
    for v, row in _listed(btf, KSYMS):
        if isinstance(row, Func):
            externs.functions[row.name] = row.name in weak
        elif not isinstance(row, Var):
            raise InputError(f"section {KSYMS!r}: holds type {v} ({row.kind.name}), expected functions and variables")
    found = []
    for v, row in _listed(btf, KCONFIG):
        if not isinstance(row, Var):
            raise InputError(f"section {KCONFIG!r}: holds type {v} ({row.kind.name}), expected variables")
        size = btf.size_of(row.type_id)
        target = btf.resolve(row.type_id)
        found.append(_Setting(row.name, row.type_id, target, size, _align(btf, target), row.name in weak))
    if not found:
        return externs, used
    found.sort(key=lambda s: (-s.align, s.size, s.name))
    data = bytearray()
    for setting in found:
        offset = round_up(len(data), setting.align)
        if offset + setting.size > MAX_SIZE:
            raise InputError(f"section {KCONFIG!r}: more than {MAX_SIZE} bytes")
        raw, missing = _content(btf, setting, given, linux)
        used |= {setting.name} & given.keys()
        data += bytes(offset - len(data)) + raw
        externs.settings[setting.name] = replace(setting, offset=offset, missing=missing)
    flags = BPF_F_RDONLY_PROG | BPF_F_MMAPABLE
    externs.map = MapSpec(KCONFIG, "ARRAY", 4, len(data), 1, flags=flags, initial=bytes(data), read_only=True)
    return externs, used


def _listed(btf: Btf, section: str) -> list[tuple[int, Type]]:
    row = next((t for t in btf.types if isinstance(t, DataSec) and t.name == section), None)
    return [(v.type_id, btf.get(v.type_id)) for v in row.variables] if isinstance(row, DataSec) else []


def _align(btf: Btf, row: Type) -> int:
    while isinstance(row, Array):
        row = btf.resolve(row.type_id)
    size = row.size if isinstance(row, (Int, Enum)) else 8
    return min(size, 8)


def _content(btf: Btf, setting: _Setting, given: Mapping[str, object], linux: Linux) -> tuple[bytes, str]:
    """The bytes of a setting, and why it has none."""
    where = f"extern {setting.name}"
    if setting.name in given:
        return _encode(btf, setting, str(given[setting.name]), where), ""
    numbers = (*linux.numbers, 0)[:3]
    virtual = {
        "LINUX_KERNEL_VERSION": numbers[0] << 16 | numbers[1] << 8 | min(numbers[2], 255),
        "LINUX_HAS_BPF_COOKIE": int(linux >= Linux("5.15")),
        "LINUX_HAS_SYSCALL_WRAPPER": 1,
    }
    text = str(virtual[setting.name]) if setting.name in virtual else CONFIG.get(setting.name)
    if text is not None:
        return _encode(btf, setting, text, where), ""
    missing = "" if setting.is_weak else f"{where} (strong): not set in the configuration of Linux {linux}"
    return bytes(setting.size), missing


def _encode(btf: Btf, setting: _Setting, text: str, where: str) -> bytes:
    """A value as the configuration file writes it, in the extern's type."""
    row, number = setting.row, parse_int(text)
    if text in _TRISTATE:
        return _tristate(setting, text, where)
    if isinstance(row, Array) and _is_char(btf.resolve(row.type_id)):
        inner = text[1:-1] if re.fullmatch(r'".*"', text, re.DOTALL) else text
        return inner.encode("utf-8", "surrogateescape")[: max(setting.size - 1, 0)].ljust(setting.size, b"\0")
    if isinstance(row, Int) and not row.is_bool and number is not None:
        low, high = (-(1 << row.bits - 1), (1 << row.bits - 1) - 1) if row.is_signed else (0, (1 << row.bits) - 1)
        if not low <= number <= high:
            raise InputError(f"{where}: {number}, expected {low} to {high}")
        return (number & M64).to_bytes(8, "little")[: setting.size].ljust(setting.size, b"\0")
    if isinstance(row, Int) and row.is_bool and text in ("0", "1", "True", "False"):
        return bytes([text in ("1", "True")])
    raise InputError(f"{where}: {text!r} does not fit its type {btf.type_name(setting.type_id)}")


def _tristate(setting: _Setting, text: str, where: str) -> bytes:
    row = setting.row
    if isinstance(row, Int) and row.is_bool and text != "m":
        return bytes([text == "y"])
    if isinstance(row, Enum) and row.name == "libbpf_tristate" and setting.size == 4:
        return _TRISTATE[text].to_bytes(4, "little")
    if _is_char(row):
        return text.encode()
    raise InputError(f"{where}: is {text}, which needs type bool, char or enum libbpf_tristate")


def _is_char(row: Type) -> bool:
    return isinstance(row, Int) and row.size == 1 and not row.is_bool
