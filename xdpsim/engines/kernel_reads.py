"""Loads of the kernel's memory by verified programs: through pointers that Linux follows with a fault handler.

Linux marks such loads BPF_PROBE_MEM: one that fails gives 0 and the program goes on (ex_handler_bpf() of
arch/x86/net/bpf_jit_comp.c). Here they read what is emulated. Where Linux has something that xdpsim does not know, the
program is Unsupported, by name; everywhere else is nothing, which gives 0.
"""

from __future__ import annotations

from xdpsim.bits import mask
from xdpsim.engines.protocol import LoadedProgram
from xdpsim.engines.resolve import place_of
from xdpsim.errors import Unsupported
from xdpsim.helpers.heap import Heap
from xdpsim.helpers.kern_ctx import KernelContext
from xdpsim.helpers.kinds import Arg, Ret
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import Helper
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import Family
from xdpsim.maps.kernel_fields import map_field, map_member
from xdpsim.memory.space import Region
from xdpsim.memory.structs import RUN_STATE
from xdpsim.verifier.facts import KERNEL, MAP_STRUCT, Facts

_LOADS = frozenset({Family.LOAD, Family.LOAD_SX, Family.LOAD_ACQUIRE})


def is_kernel_load(facts: Facts, slot: int, insn: Insn) -> bool:
    """Whether an insn of a verified program loads the kernel's memory."""
    return insn.family in _LOADS and facts.accesses.get(slot) in (KERNEL, MAP_STRUCT)


def kernel_read(machine: Machine, address: int, size: int, slot: int) -> int:
    """The bytes at `address` as a number, 0 where nothing is; Unsupported for what Linux has and xdpsim has not."""
    piece = machine.space.piece_at(address, size)
    if piece is not None:
        at = address - piece.base
        return int.from_bytes(piece.view[at : at + size], "little")
    region = machine.space.region_at(address)
    if region is not None and region.valid:
        return _leftover(machine, region, address, size, slot)
    if region is not None:
        offset = address - region.start
        field = map_field(offset, size)
        if field is None:
            raise unknown(machine.running, slot, map_member(offset))
        owner = machine.map_at(region.start)
        assert owner is not None
        name, inner = field
        whole: int = getattr(owner.header, name)
        return whole >> 8 * inner & mask(8 * size)
    what = _name_of_gap(machine, address)
    if what:
        raise unknown(machine.running, slot, what)
    return 0


def _leftover(machine: Machine, region: Region, address: int, size: int, slot: int) -> int:
    """What lies in a region that does not let this program touch it: a ring's record that was submitted already."""
    at = address - region.start
    if at % region.stride + size > region.valid or address + size > region.end:
        raise unknown(machine.running, slot, f"{machine.space.describe(address, size)} as the kernel has it")
    at = address - region.block.address
    return int.from_bytes(region.block.view[at : at + size], "little")


def _name_of_gap(machine: Machine, address: int) -> str:
    """What Linux has at an address of emulated memory that programs cannot touch; empty for none."""
    missing = machine.part(KernelContext).missing_at(address)
    if missing:
        return missing
    state, frames = machine.run_state, machine.pool.block
    if state.address <= address < state.address + RUN_STATE.size:
        return f"{machine.space.describe(address)} as the kernel has it"
    if frames.address <= address < frames.address + frames.size:
        return f"what lies around the packet, {machine.space.describe(address)}"
    return "an object that was dropped" if machine.part(Heap).covers(address) else ""


def unknown(program: LoadedProgram, slot: int, what: str) -> Unsupported:
    """The refusal of a load."""
    insn = program.spec.code[slot]
    assert insn is not None
    return Unsupported(f"{place_of(program, slot, insn)}: {what} is not emulated")


KERNEL_READ = Helper(0, "kernel_read", (Arg.ANYTHING, Arg.ANYTHING, Arg.ANYTHING), Ret.INTEGER, kernel_read)
"""For compiled code, which calls it where it finds nothing by itself."""
