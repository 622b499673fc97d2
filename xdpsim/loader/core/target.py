"""The kernel whose types CO-RE relocations resolve against: the shipped Linux 6.18, or one that the user names.

Follows bpf_core_find_cands() and bpf_core_add_cands() of libbpf.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cache, cached_property

from xdpsim.btf.linux618 import KernelTypes, in_linux618, linux618
from xdpsim.btf.parse import parse
from xdpsim.btf.types import Btf, Enum, Kind, Type
from xdpsim.errors import InputError
from xdpsim.loader.core.spec import essential
from xdpsim.loader.elf import read_elf

HOST = "host"
HOST_FILE = "/sys/kernel/btf/vmlinux"
_ELF = b"\x7fELF"
_CANDIDATES = frozenset(
    {Kind.INT, Kind.FLOAT, Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.FWD, Kind.TYPEDEF, Kind.FUNC}
)


@dataclass(frozen=True, eq=False)
class Target:
    """Kernel types with where they are from; `is_shipped` ones are not all that this kernel has."""

    types: KernelTypes
    name: str
    is_shipped: bool = False
    _candidates: dict[tuple[Kind, str], tuple[int, ...]] = field(default_factory=dict)

    @property
    def btf(self) -> Btf:
        """The table of types."""
        return self.types.btf

    @cached_property
    def _by_name(self) -> dict[str, list[Type]]:
        found: dict[str, list[Type]] = {}
        for row in self.btf.types[1:]:
            if row.name and row.kind in _CANDIDATES:
                found.setdefault(essential(row.name), []).append(row)
        return found

    def candidates(self, local: Type) -> tuple[int, ...]:
        """Ids of the types that may be the one of the object: of its name and kind."""
        kind = Kind.ENUM if isinstance(local, Enum) else local.kind
        rows = self._by_name.get(essential(local.name), ())
        return tuple(r.id for r in rows if r.kind is kind or (isinstance(r, Enum) and kind is Kind.ENUM))

    def lacks(self, local: Type) -> bool:
        """Whether Linux has such a type and only the shipped table has not."""
        return self.is_shipped and not self.candidates(local) and in_linux618(local.kind, essential(local.name))


@cache
def shipped() -> Target:
    """Linux 6.18 as shipped."""
    return Target(linux618(), "the shipped types of Linux 6.18", is_shipped=True)


@cache
def _host(size: int, changed: int) -> Target:
    return _parse(_file(HOST_FILE), HOST_FILE)


def read_target(source: str | os.PathLike[str] | bytes | None) -> Target:
    """The target that a user names: None is the shipped one, "host" the running kernel, else a file or its bytes.

    A file is plain BTF, as bpftool and /sys/kernel/btf give it, or an ELF file with a section .BTF.
    """
    if source is None:
        return shipped()
    if isinstance(source, bytes):
        return _parse(source, "btf")
    if os.fspath(source) == HOST:
        try:
            status = os.stat(HOST_FILE)
        except OSError as err:
            raise InputError(
                f"{HOST_FILE}: {err.strerror}", hint="this kernel gives no types: name a file instead"
            ) from err
        return _host(status.st_size, status.st_mtime_ns)
    return _parse(_file(os.fspath(source)), os.fspath(source))


def _file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as err:
        raise InputError(f"{path}: {err.strerror}") from err


def _parse(data: bytes, name: str) -> Target:
    try:
        return Target(KernelTypes(parse(_section(data) if data[:4] == _ELF else data)), name)
    except InputError as err:
        raise InputError(f"{name}: {err.message}", hint=err.hint) from err


def _section(data: bytes) -> bytes:
    section = read_elf(data).named(".BTF")
    if section is None or not section.size:
        raise InputError("no section '.BTF'")
    return section.data
