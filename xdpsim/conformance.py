"""The plugin protocol of the public bpf_conformance runner: `python -m xdpsim.conformance [MEMORY] [OPTIONS]`.

MEMORY is hex bytes; standard input is one line of hex bytes: raw instructions, or with --elf an object whose function
`main` in section .text is run. The program starts with r1 = the memory and r2 = its length, nobody verifies it, and
its r0 is printed in hex. A program that cannot run, or that faults, is a message on stderr and an exit code other
than 0.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from xdpsim.engines.fault import Fault
from xdpsim.errors import InputError, Unsupported, XdpsimError
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import decode
from xdpsim.isa.insn import Code, Insn
from xdpsim.isa.rows import Family
from xdpsim.loader.elf import R_BPF_64_32, Elf, Relocation, Section, read_elf
from xdpsim.sim.sim import Sim

FAULTED = 1
ENGINES = ("interpreter", "jit")
TEXT, MAIN = ".text", "main"
_WORD_BYTES = 8
_ARRAY = {"type": "ARRAY", "key_size": 4, "max_entries": 1}
_PACKET = bytes(64)  # XDP programs need one; nothing points to it


class ProgramFault(XdpsimError):
    """The program did something that ends it."""

    exit_code = FAULTED


def run_code(code: Code, memory: bytes = b"", *, entry: int = 0, engine: str = "interpreter") -> int:
    """Run unverified instructions from slot `entry` on, r1 at a writable copy of `memory`, r2 its length; r0.

    They run as a subprogram: the program around them points r1 to a map value that holds the memory, and stores r0
    into another, so that every engine runs them as it runs any program. One of Linux's eight call frames goes on it.
    """
    # Taken by itself first, so that what cannot run is told with the slots that the user knows.
    Sim(verify=False).load_insns(code, "XDP", name="program")
    pointer = "r1 = map_value[1]" if memory else "r1 = 0 ll"
    around = assemble(
        f"{pointer}; r2 = {len(memory)}; call main; r1 = map_value[0]; *(u64 *)(r1 +0) = r0; r0 = 2; exit; main: exit"
    )[:-1]
    start = next(slot for slot, insn in enumerate(around) if insn is not None and insn.family is Family.CALL_LOCAL)
    around = (*around[:start], replace(_insn(around, start), imm=len(around) + entry - start - 1), *around[start + 1 :])
    rows = [{"name": "result", "value_size": _WORD_BYTES}, {"name": "memory", "value_size": len(memory)}]
    sim = Sim(engine=engine, verify=False)
    program = sim.load_insns(around + code, "XDP", maps=[_ARRAY | row for row in rows if row["value_size"]])
    maps = sim.machine.programs[program.number - 1].maps
    if memory:
        maps[1].update_bytes(bytes(4), memory)
    outcome = program.run(_PACKET)
    if outcome.fault is not None:
        raise ProgramFault(_told(outcome.fault, len(around)))
    return int.from_bytes(maps[0].lookup_bytes(bytes(4)) or b"", "little")


def _insn(code: Code, slot: int) -> Insn:
    insn = code[slot]
    assert insn is not None
    return insn


def _told(fault: Fault, shift: int) -> str:
    return f"insn {fault.slot - shift} ({fault.insn}): {fault.problem}"


def main_function(elf: Elf) -> tuple[Code, int]:
    """The instructions of section .text and the slot where function `main` starts in them."""
    text = elf.named(TEXT)
    if text is None or not text.size:
        raise InputError(f"elf: no instructions in section {TEXT}")
    symbols = [s for s in elf.symbols if s.name == MAIN and s.section == text.index]
    if not symbols:
        raise InputError(f"elf: no function {MAIN!r} in section {TEXT}")
    code = list(decode(text.data))
    for relocation in elf.relocations.get(text.index, ()):
        slot = relocation.offset // 8
        code[slot] = _relocated(text, relocation, slot, code[slot])
    return tuple(code), symbols[0].value // 8


def _relocated(text: Section, relocation: Relocation, slot: int, insn: Insn | None) -> Insn:
    """A call with the distance to its target; whatever else an object may refer to does not run here."""
    symbol = relocation.symbol
    is_call = insn is not None and insn.family is Family.CALL_LOCAL and relocation.type == R_BPF_64_32
    if insn is None or not is_call or symbol.section != text.index:
        raise Unsupported(f"elf: insn {slot} refers to {symbol.name or 'a section'!r}: expected calls inside {TEXT}")
    return replace(insn, imm=symbol.value // 8 + insn.imm - slot)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m xdpsim.conformance", description="Run instructions from standard input and print r0 in hex."
    )
    parser.add_argument("memory", nargs="?", default="", help="what r1 points to, as hex bytes; blanks are passed over")
    parser.add_argument("--elf", action="store_true", help=f"standard input is an object: {MAIN!r} of section {TEXT}")
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0], help="what runs the program")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Speak the protocol; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        memory = _from_hex(options.memory, "memory")
        image = _from_hex(sys.stdin.read(), "standard input")
        code, entry = main_function(read_elf(image)) if options.elf else (decode(image), 0)
        if not code:
            raise InputError("standard input: no instructions")
        print(f"{run_code(code, memory, entry=entry, engine=options.engine):x}")
    except XdpsimError as err:
        print(f"xdpsim: {err}", file=sys.stderr)
        return err.exit_code
    return 0


def _from_hex(text: str, what: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as err:
        raise InputError(f"{what}: {err}, expected hex bytes") from None


if __name__ == "__main__":
    sys.exit(main())
