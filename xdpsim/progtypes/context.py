"""What a program may read and write through its first argument: contexts as lists of fields.

One rule covers every field: an access of `size` bytes is good when its size is among the field's loads (or stores),
when it is aligned to its size, and when it lies inside the field; of some fields only the first bytes load alone. The
structures behind socket pointers have the same rows. Verifier, engines and the C header read them.
The rules follow the is_valid_access functions of net/core/filter.c; tests ask the recorded answers of Linux 6.18.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

_SIZES: dict[str, tuple[int, ...]] = {
    "": (),
    "1": (1,),
    "12": (1, 2),
    "4": (4,),
    "48": (4, 8),
    "8": (8,),
    "24": (2, 4),
    "124": (1, 2, 4),
    "1248": (1, 2, 4, 8),
}


class Yields(Enum):
    """What a load of the field leaves in the register."""

    SCALAR = "scalar"
    PACKET_START = "pkt"
    PACKET_END = "pkt_end"
    PACKET_META = "pkt_meta"
    SOCKET = "sock"
    SOCKET_OR_NULL = "sock_or_null"
    SOCK_COMMON = "sock_common"
    SOCK_COMMON_OR_NULL = "sock_common_or_null"
    FLOW_KEYS = "flow_keys"
    TRUSTED_BTF_ID = "trusted_ptr_"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a context structure, `width` bytes long in all (`count` elements of it if it is an array).

    `loads` and `stores` are the access sizes that the kernel takes: "124" means 1, 2 and 4 bytes. A load of the full
    element is what the field is for; smaller ones are `narrow`. `attach_types` names those for which it may be loaded,
    `store_attach_types` those for which it may be stored to; empty: every attach type.
    """

    name: str
    offset: int
    width: int
    loads: str = ""
    stores: str = ""
    since: str = "3.19"
    yields: Yields = Yields.SCALAR
    count: int = 1
    attach_types: frozenset[int] = frozenset()
    store_attach_types: frozenset[int] = frozenset()
    narrow_at: tuple[int, ...] | None = None
    """Distances from the field's start at which narrow loads are good; None: at every one that is aligned."""
    btf: str = ""
    """Kernel type of what a TRUSTED_BTF_ID points to."""
    load_capability: str = ""
    store_capability: str = ""
    """What the program needs for a load, a store, beside what its type asks for: "bpf" or nothing."""

    @property
    def readable(self) -> bool:
        """True when some load of it is good."""
        return bool(self.loads)

    @property
    def writable(self) -> bool:
        """True when some store to it is good."""
        return bool(self.stores)

    @property
    def narrow(self) -> bool:
        """True when loads of less than an element are good."""
        return any(size < self.element for size in self.sizes(write=False))

    @property
    def element(self) -> int:
        """Bytes of one element."""
        return self.width // self.count

    @property
    def end(self) -> int:
        """The first offset behind it."""
        return self.offset + self.width

    def sizes(self, *, write: bool) -> tuple[int, ...]:
        """Access sizes in bytes that the kernel takes."""
        return _SIZES[self.stores if write else self.loads]

    def allows(self, offset: int, size: int, *, write: bool) -> bool:
        """Whether an access of `size` bytes at `offset` of the context is a good access to this field."""
        if size not in self.sizes(write=write) or offset % size or not self.offset <= offset <= self.end - size:
            return False
        return write or self.narrow_at is None or size >= self.element or offset - self.offset in self.narrow_at


@dataclass(frozen=True)
class Context:
    """A context structure as one program type sees it: `size` bytes, fields in the order of their offsets."""

    name: str
    size: int
    fields: tuple[Field, ...]

    def field_at(self, offset: int, size: int, *, write: bool = False, attach_type: int = 0) -> Field | None:
        """The field that an access to bytes [offset, offset + size) reads or writes; None where Linux refuses it."""
        for field in self.fields:
            if field.allows(offset, size, write=write):
                good_for = field.store_attach_types if write else field.attach_types
                return field if not good_for or attach_type in good_for else None
        return None

    def field(self, name: str) -> Field:
        """The field of that name; KeyError when there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)
