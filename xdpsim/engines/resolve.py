"""What every engine does with a program before it can run: map references become addresses, calls become rows.

Whatever xdpsim cannot run is refused here, by name, with its insn and source line.
"""

from __future__ import annotations

from errno import EINVAL

from xdpsim.engines.contexts import NATIVE_CONTEXTS
from xdpsim.engines.fault import line_at
from xdpsim.engines.protocol import LoadedProgram
from xdpsim.errors import Rejected, Unsupported
from xdpsim.helpers.ids import HELPERS_BY_ID, HELPERS_OF_TYPE
from xdpsim.helpers.kernel_members import missing_member
from xdpsim.helpers.rows import KFUNCS, Helper, helper_for
from xdpsim.isa.disasm import disasm
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import Family
from xdpsim.maps.kernel_fields import map_field, map_member
from xdpsim.verifier.facts import MAP_STRUCT, Facts

_REFUSED_FAMILIES = {
    Family.CALL_REG: "no kernel runs calls through registers",
    Family.LD_PACKET: "LD_ABS and LD_IND are for tc and socket programs, which do not run yet",
    Family.ADDR_SPACE_CAST: "arenas do not run yet",
}


def check_runnable(program: LoadedProgram) -> None:
    """Unsupported, by name, for what no engine of ours can run."""
    spec = program.spec
    if spec.unsupported:
        raise Unsupported(spec.unsupported)
    if spec.type not in NATIVE_CONTEXTS:
        kinds = ", ".join(NATIVE_CONTEXTS)
        raise Unsupported(f"{spec.name}: programs of type {spec.type} do not run yet: expected {kinds}")
    for slot, insn in enumerate(spec.code):
        if insn is None or slot in spec.poisoned:
            continue
        if insn.family in _REFUSED_FAMILIES:
            raise _refusal(program, slot, insn, _REFUSED_FAMILIES[insn.family])
        if insn.family in (Family.CALL_HELPER, Family.CALL_KFUNC):
            callee_row(program, slot, insn)
        if insn.family is Family.LD_IMM64:
            imm64_value(program, slot, insn)
        if missing := _missing_member(program.facts, slot, insn):
            raise _refusal(program, slot, insn, f"{missing} is not emulated")


def _missing_member(facts: Facts, slot: int, insn: Insn) -> str:
    """The member of a kernel struct that an insn surely reads and that is there in Linux only."""
    if facts.accesses.get(slot) == MAP_STRUCT and map_field(insn.off, insn.width) is None:
        return map_member(insn.off)
    return next(filter(None, (missing_member(*member) for member in facts.kernel_members.get(slot, ()))), "")


def jump_target(program_length: int, slot: int, distance: int) -> int:
    """Where a jump goes; one that leaves the program goes behind its last slot, where engines report a stray."""
    target = slot + 1 + distance
    return target if 0 <= target < program_length else program_length


def only_way(program: LoadedProgram, slot: int, insn: Insn) -> int | None:
    """Where a conditional jump of a verified program always goes: the verifier has seen only one of its ways.

    Linux makes it a plain jump (opt_hard_wire_dead_code_branches in kernel/bpf/verifier.c), also where it is wrong.
    """
    dead = program.facts.dead
    if not dead or insn.family is not Family.BRANCH:
        return None
    following, target = slot + 1, jump_target(len(program.spec.code), slot, insn.off)
    if following in dead:
        return target
    return following if target in dead else None


FUNCTION_TAG = 1 << 60


def function_handle(number: int, slot: int) -> int:
    """What a register holds that points to a function of program `number`; no address looks like it."""
    return FUNCTION_TAG | number << 32 | slot


def function_of(handle: int) -> tuple[int, int] | None:
    """Program number and first slot of a function handle; None for any other value."""
    return ((handle >> 32) & 0xFFFF_FFF, handle & 0xFFFF_FFFF) if handle >> 60 == 1 else None


def callable_slots(program: LoadedProgram) -> tuple[int, ...]:
    """First slots of the functions that may be called back: those that the program takes a reference to."""
    code = program.spec.code
    targets = {
        jump_target(len(code), slot, insn.imm)
        for slot, insn in enumerate(code)
        if insn is not None and insn.family is Family.LD_IMM64 and insn.op == "FUNC"
    }
    return tuple(sorted(target for target in targets if target < len(code) and code[target] is not None))


def callee_row(program: LoadedProgram, slot: int, insn: Insn) -> Helper:
    """The row of the helper or the kernel function that `insn` calls."""
    if insn.family is Family.CALL_HELPER:
        return _helper_row(program, slot, insn)
    names = program.spec.kfuncs
    if not 0 <= insn.imm < len(names):
        raise _refusal(program, slot, insn, "a kernel function without a name cannot be called")
    row = KFUNCS.get(names[insn.imm])
    if row is None:
        raise _refusal(program, slot, insn, f"kernel function {names[insn.imm]} does not run yet")
    return row


def _helper_row(program: LoadedProgram, slot: int, insn: Insn) -> Helper:
    known = HELPERS_BY_ID.get(insn.imm)
    if known is None:
        raise _refusal(program, slot, insn, f"no Linux up to 6.18 has helper {insn.imm}")
    if known.id not in HELPERS_OF_TYPE[program.spec.type]:
        raise Rejected(
            f"{place_of(program, slot, insn)}: program of this type cannot use helper {known.name}#{known.id}",
            hint=f"Linux 6.18 does not offer it to {program.spec.type} programs",
            errno=EINVAL,
        )
    row = helper_for(known.id, program.spec.type)
    if row is None:
        raise _refusal(program, slot, insn, f"helper {known.name} does not run yet")
    return row


def imm64_value(program: LoadedProgram, slot: int, insn: Insn) -> int:
    """What LD_IMM64 puts into its register: the constant, or a native address."""
    if insn.op == "VALUE":
        return insn.imm64
    if insn.op in ("MAP_FD", "MAP_IDX", "MAP_VALUE", "MAP_IDX_VALUE"):
        if not 0 <= insn.imm < len(program.maps):
            raise _refusal(program, slot, insn, f"there is no map {insn.imm}, only {len(program.maps)}")
        target = program.maps[insn.imm]
        if insn.op in ("MAP_FD", "MAP_IDX"):
            return target.header_address
        if not target.value_address:
            raise _refusal(program, slot, insn, f"map {target.spec.name} ({target.spec.type}) has no direct values")
        return target.value_address + (insn.next_imm & 0xFFFF_FFFF)
    if insn.op == "FUNC":
        return function_handle(program.number, jump_target(len(program.spec.code), slot, insn.imm))
    raise _refusal(program, slot, insn, f"{insn.op.lower()} references do not run yet")


def _refusal(program: LoadedProgram, slot: int, insn: Insn, what: str) -> Unsupported:
    return Unsupported(f"{place_of(program, slot, insn)}: {what}")


def place_of(program: LoadedProgram, slot: int, insn: Insn) -> str:
    """An insn of a program, with its source line, for messages."""
    line = line_at(program, slot)
    source = f" at {line.file}:{line.line}" if line else ""
    return f"{program.spec.name}: insn {slot} ({disasm(insn)}){source}"
