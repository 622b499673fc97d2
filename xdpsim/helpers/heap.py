"""Objects that programs allocate (bpf_obj_new) and the references they hold to them.

An object is native memory that the program may touch until its last reference is dropped; then what it holds in kptrs,
lists and trees is dropped too. Its type is a BTF id of the program that made it. Follows bpf_obj_new_impl(),
__bpf_obj_drop_impl() and bpf_obj_free_fields() in kernel/bpf.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from xdpsim.bits import round_up
from xdpsim.btf.types import Btf
from xdpsim.helpers.leases import Lease
from xdpsim.helpers.machine import Machine
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.special import KPTR_TAGS, SpecialField, special_fields
from xdpsim.memory.arena import Block

_SLAB_BYTES = 1 << 16
_UNOWNED_TAGS = frozenset({"kptr_untrusted"})
"""Tags of pointers that hold no reference."""
CONTAINERS = frozenset({"bpf_list_head", "bpf_rb_root"})


@dataclass(eq=False, slots=True)
class HeapObject:
    """One object: `references` to it are held by the program, by kptrs and by containers."""

    lease: Lease
    fields: tuple[SpecialField, ...]
    references: int = 1
    owners: dict[int, object] = field(default_factory=dict)
    """Address of a list or tree node in it -> the container that the node is in."""

    @property
    def address(self) -> int:
        """Where it starts."""
        return self.lease.start


class Heap:
    """All objects of one machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._objects: dict[int, HeapObject] = {}
        self._free: dict[int, list[tuple[Block, int]]] = {}
        self._slabs: list[Block] = []
        self._types: dict[tuple[Btf, int], tuple[SpecialField, ...]] = {}
        self.release_container: Callable[[int], list[HeapObject]] = lambda address: []
        """Empties the list or tree whose head lies at an address; whoever knows containers sets it."""

    def __len__(self) -> int:
        return len(self._objects)

    def new(self, btf: Btf, type_id: int, copies: int = 1) -> int:
        """A zeroed object of that type (or one for each CPU, 8-byte aligned, behind one another); its address."""
        size = btf.size_of(type_id)
        total = size if copies == 1 else round_up(size, 8) * copies
        name = f"object {btf.type_name(type_id)}"
        block, at = self._take(round_up(max(total, 1), 16))
        block.view[at : at + total] = bytes(total)
        made = HeapObject(Lease(name, block, at, total), self._fields(btf, type_id) if copies == 1 else ())
        for entry in made.fields:
            block.view[at + entry.offset : at + entry.offset + entry.size] = entry.initial
        self._machine.space.add(made.lease)
        self._objects[made.address] = made
        return made.address

    def _take(self, size: int) -> tuple[Block, int]:
        free = self._free.setdefault(size, [])
        if not free:
            block = Block(max(_SLAB_BYTES, size), "objects")
            self._slabs.append(block)
            free += [(block, at) for at in range(block.size - block.size % size - size, -1, -size)]
        return free.pop()

    def _fields(self, btf: Btf, type_id: int) -> tuple[SpecialField, ...]:
        """Locks, kptrs, containers ... of the type: what a map's value of that type would have."""
        found = self._types.get((btf, type_id))
        if found is None:
            spec = MapSpec("object", "HASH", 4, btf.size_of(type_id), 1, btf=btf, value_type=type_id)
            found = self._types[btf, type_id] = special_fields(spec)
        return found

    def covers(self, address: int) -> bool:
        """Whether an address is in memory of objects, live or not."""
        return any(slab.address <= address < slab.address + slab.size for slab in self._slabs)

    def at(self, address: int) -> HeapObject | None:
        """The object that starts at an address."""
        return self._objects.get(address)

    def holding(self, address: int) -> HeapObject | None:
        """The object that an address lies in."""
        region = self._machine.space.region_at(address)
        return self._objects.get(region.start) if region else None

    def drop(self, dropped: HeapObject) -> None:
        """Give a reference back; with the last one the object goes, and what it held is dropped as well."""
        waiting = [dropped]
        while waiting:
            current = waiting.pop()
            current.references -= 1
            if current.references == 0:
                waiting += self._contents(current)
                self._remove(current)

    def _contents(self, owner: HeapObject) -> list[HeapObject]:
        held: list[HeapObject] = []
        for entry in owner.fields:
            place = owner.address + entry.offset
            if entry.kind in CONTAINERS:
                held += self.release_container(place)
            elif entry.kind in KPTR_TAGS - _UNOWNED_TAGS:
                pointed = self.at(int.from_bytes(self._machine.space.read(place, 8), "little"))
                held += [pointed] if pointed else []
        return held

    def _remove(self, removed: HeapObject) -> None:
        lease = removed.lease
        del self._objects[removed.address]
        self._machine.space.remove(lease)
        self._free[round_up(max(lease.valid, 1), 16)].append((lease.block, lease.start - lease.block.address))
        lease.close()
