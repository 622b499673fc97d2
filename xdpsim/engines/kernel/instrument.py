"""Makes a copy of a program that takes clock, randomness and place from `World` instead of from the kernel.

Each call of such a helper becomes a call of a subprogram appended behind the program, so that no slot moves: jumps,
line numbers and callbacks stay as they are. A subprogram with neither arguments nor stack costs the verifier one
frame of its eight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from xdpsim.bits import M32, signed
from xdpsim.engines.kernel.world import WORLD
from xdpsim.helpers.world import RANDOM_MULTIPLIER
from xdpsim.isa.decode import SLOT, decode, encode
from xdpsim.isa.insn import Code
from xdpsim.isa.rows import Family, Imm64

_LDX_DW, _LDX_W, _STX_DW, _LD_IMM64 = 0x79, 0x61, 0x7B, 0x18
_MOV_REG, _XOR_REG, _MUL_REG, _LSH, _RSH = 0xBF, 0xAF, 0x2F, 0x67, 0x77
_MOV, _JLT, _EXIT = 0xB7, 0xA5, 0x95
_MAP_REFERENCES = (Imm64.MAP_FD.name, Imm64.MAP_VALUE.name)


@dataclass(frozen=True)
class Instrumented:
    """The copy; `added` names each appended subprogram with its first slot."""

    code: Code
    added: tuple[tuple[str, int], ...]


def instrument(code: Code, world_index: int, cpus: int) -> Instrumented:
    """The copy of `code`, in which map index `world_index` stands for the world's map; `cpus` are possible here."""
    made: dict[int, int] = {}
    out, added = list(code), []
    for slot, insn in enumerate(code):
        if insn is None or insn.family is not Family.CALL_HELPER or insn.imm not in STAND_INS:
            continue
        if insn.imm not in made:
            name, body = STAND_INS[insn.imm]
            made[insn.imm] = len(out)
            added.append((name, len(out)))
            out += decode(body(world_index, cpus))
        distance = made[insn.imm] - slot - 1
        out[slot] = replace(insn, family=Family.CALL_LOCAL, src=1, imm=distance)
    return Instrumented(tuple(out), tuple(added))


def bind_maps(code: Code, fds: list[int]) -> bytes:
    """The program as BPF_PROG_LOAD takes it: map indices replaced by file descriptors."""
    return b"".join(
        encode(replace(insn, imm=fds[insn.imm]) if insn.op in _MAP_REFERENCES else insn)
        for insn in code
        if insn is not None
    )


def maps_used(code: Code) -> list[int]:
    """Indices of the maps that the code refers to, ascending."""
    return sorted({insn.imm for insn in code if insn is not None and insn.op in _MAP_REFERENCES})


def _slot(opcode: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    return SLOT.pack(opcode, src << 4 | dst, off, imm)


def _world_address(register: int, index: int, field: str) -> bytes:
    first = _slot(_LD_IMM64, register, Imm64.MAP_VALUE.value, 0, index)
    return first + _slot(0, imm=WORLD.offset(field))


def _reads(field: str) -> Callable[[int, int], bytes]:
    load = _LDX_DW if WORLD.members[field].width == 8 else _LDX_W
    return lambda index, cpus: _world_address(0, index, field) + _slot(load, 0, 0) + _slot(_EXIT)


def _cpu(index: int, cpus: int) -> bytes:
    """The verifier knows that get_smp_processor_id stays below the number of CPUs; so must it know of the stand-in."""
    load = _world_address(0, index, "cpu") + _slot(_LDX_W, 0, 0)
    return load + _slot(_JLT, 0, 0, 1, cpus) + _slot(_MOV, 0) + _slot(_EXIT)


def _random(index: int, cpus: int) -> bytes:
    """xorshift64* on the state in the world's map, as helpers.world.next_random does on the run state's."""
    code = _world_address(1, index, "random") + _slot(_LDX_DW, 0, 1)
    for shift, bits in ((_RSH, 12), (_LSH, 25), (_RSH, 27)):
        code += _slot(_MOV_REG, 2, 0) + _slot(shift, 2, imm=bits) + _slot(_XOR_REG, 0, 2)
    code += _slot(_STX_DW, 1, 0)
    code += _slot(_LD_IMM64, 2, imm=signed(RANDOM_MULTIPLIER & M32, 32)) + _slot(0, imm=RANDOM_MULTIPLIER >> 32)
    return code + _slot(_MUL_REG, 0, 2) + _slot(_RSH, 0, imm=32) + _slot(_EXIT)


STAND_INS: dict[int, tuple[str, Callable[[int, int], bytes]]] = {
    5: ("xdpsim_ktime_get_ns", _reads("ktime_ns")),
    125: ("xdpsim_ktime_get_boot_ns", _reads("ktime_ns")),
    160: ("xdpsim_ktime_get_coarse_ns", _reads("coarse_ns")),
    208: ("xdpsim_ktime_get_tai_ns", _reads("tai_ns")),
    118: ("xdpsim_jiffies64", _reads("jiffies")),
    7: ("xdpsim_get_prandom_u32", _random),
    8: ("xdpsim_get_smp_processor_id", _cpu),
    42: ("xdpsim_get_numa_node_id", _reads("numa_node")),
}
"""Helper id to the name and the body of what stands in for it."""
