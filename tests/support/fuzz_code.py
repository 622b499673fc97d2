"""Hostile programs that call everything: each helper and kernel function, with arguments that fit it or do not.

Control flow and verdict depend on no address, so that runs of two processes can be compared.
"""

from __future__ import annotations

import random
import re

from tests.support.fuzz_things import (
    CONNECTION,
    DYNPTRS,
    FAMILIES,
    FITTING_MAPS,
    KEEPS,
    MAPS,
    NODE,
    OPENINGS,
    PROG_ARRAY,
    SOCKET,
    TIMED,
    address,
    imm64,
    slot,
    types,
)
from xdpsim.helpers import all as all_helpers
from xdpsim.helpers.kinds import Arg
from xdpsim.helpers.rows import HELPERS, KFUNCS, Helper, helper_for
from xdpsim.isa.decode import SLOT

assert all_helpers.MODULES, "their import is what fills the tables"
KFUNC_NAMES = tuple(sorted(KFUNCS))
_HELPER_IDS = sorted({number for number, _ in HELPERS if helper_for(number, "XDP")})
_TAIL_CALL = 12
_WORD = 1 << 64
_STACK, _BELOW = 512, 64
"""The lowest bytes of a frame are never argument memory of a well-made call."""
_EDGES = (
    0, 1, 2, 3, 4, 7, 8, 14, 16, 24, 64, 255, 256, 511, 512, 4096, 0xFFFF, 1 << 20, 1 << 24, 1 << 29, (1 << 29) + 1,
)  # fmt: skip
_HUGE = (1 << 31, (1 << 32) - 1, 1 << 32, (1 << 47) - 8, 1 << 60, 1 << 60 | 1 << 32, 1 << 60 | 99 << 32, 1 << 63)
_WILD = (*_EDGES, *_HUGE, *(_WORD - n for n in (1, 2, 8, 14, 4096, 1 << 31)))
_LATER = 0x7EAD_BEEF
"""Stands for the distance of the function behind the program until that is known."""


class Maker:
    """One program. r6 is the context, r7 counts results that are not 0, r8 a value of map 0, r9 what was saved last."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.out = b""
        self.kept = ""

    def make(self) -> bytes:
        """Prologue, calls and accesses, an end; then the functions that calls back and local calls go to."""
        rng = self.rng
        self.out = slot(0xBF, 6, 1) + slot(0xB7, 7) + imm64(8, 0, 2) + slot(0xBF, 9, 8)
        for at in rng.sample(range(-_STACK + _BELOW, 0, 8), 6):
            self.out += slot(0x7A, 10, 0, at, rng.choice((0, 1, 2, 0x0A000001, -1, 0x25642573, 0x2564)))
        for name in rng.sample(OPENINGS, rng.randrange(4)):
            self.opening(name)
        for _ in range(rng.randrange(3, 16)):
            self.step()
        if rng.random() < 0.1:
            self.out += slot(0x05, off=-rng.randrange(1, min(len(self.out) // 8, 200)))
        self.out += slot(0xBF, 0, 7) + slot(0x95)
        self.functions()
        return self.out

    def opening(self, name: str) -> None:
        """Make an object, a dynptr, a timer, an iterator, a record."""
        rng = self.rng
        if name == "bpf_timer":
            value = address(1, 8, 8)
            self.out += value + imm64(2, 0, 1) + slot(0xB7, 3, imm=rng.choice((0, 1, 7, 9))) + slot(0x85, imm=169)
            self.out += value + self.function(2) + slot(0x85, imm=170)
            self.out += value + slot(0xB7, 2, imm=rng.choice((0, 1, 1000))) + slot(0xB7, 3) + slot(0x85, imm=171)
            return
        number = next((row.id for row in HELPERS.values() if row.name == name), 0)
        if not number and name not in KFUNC_NAMES:
            return
        what = {
            "bpf_obj_new_impl": imm64(1, types()[1][NODE]) + slot(0xB7, 2),
            "bpf_dynptr_from_xdp": slot(0xBF, 1, 6) + slot(0xB7, 2) + address(3, 10, DYNPTRS[0]),
            "bpf_dynptr_from_mem": slot(0xBF, 1, 8)
            + slot(0xB7, 2, imm=40)
            + slot(0xB7, 3)
            + address(4, 10, DYNPTRS[1]),
            "bpf_iter_num_new": address(1, 10, -96) + slot(0xB7, 2) + slot(0xB7, 3, imm=rng.choice((5, 1 << 20))),
            "bpf_ringbuf_reserve": imm64(1, 10, 1) + slot(0xB7, 2, imm=16) + slot(0xB7, 3),
            "bpf_ringbuf_reserve_dynptr": imm64(1, 10, 1)
            + slot(0xB7, 2, imm=16)
            + slot(0xB7, 3)
            + address(4, 10, -128),
            "bpf_get_current_task_btf": b"",
            "bpf_percpu_obj_new_impl": imm64(1, types()[1]["u32"]) + slot(0xB7, 2),
            "bpf_xdp_ct_alloc": CONNECTION,
            "bpf_xdp_ct_lookup": CONNECTION,
            "bpf_sk_lookup_tcp": SOCKET,
            "bpf_skc_lookup_tcp": SOCKET,
            "bpf_sk_lookup_udp": SOCKET,
        }.get(name)
        row = HELPERS.get((number, "*")) or HELPERS.get((number, "XDP")) or KFUNCS[name]
        call = slot(0x85, imm=number) if number else slot(0x85, 0, 2, 0, KFUNC_NAMES.index(name))
        self.kept = KEEPS.get(name, "")
        self.out += (self.arguments(row) if what is None else what) + call + slot(0xBF, 9, 0)

    def functions(self) -> None:
        """A callback behind the program, which every reference to a function means."""
        start, rng = len(self.out) // 8, self.rng
        body = slot(0xB7, imm=rng.choice((0, 0, 0, 1, 2, -1)))
        kind = rng.randrange(8)
        if kind == 0:
            body = slot(0x79, 0, rng.randrange(1, 4), rng.choice((0, 0, 8, -8))) + body
        elif kind == 1:
            body = slot(0x85, 0, 1, 0, -1) + body
        elif kind == 2:
            body = slot(0x05, off=-1) + body
        elif kind < 6:
            row, number, src = self.callee()
            # r6 and the others are not the main program's: what they held is not to be had here
            body = (
                slot(0xBF, 6, 1)
                + slot(0xBF, 9, 2)
                + imm64(8, 0, 2)
                + self.arguments(row)
                + slot(0x85, 0, src, 0, number)
                + body
            )
        raw = bytearray(self.out + body + slot(0x95))
        for at in range(0, len(raw), 8):
            opcode, registers, _, imm = SLOT.unpack_from(raw, at)
            if imm == _LATER and (opcode, registers >> 4) in ((0x18, 4), (0x85, 1)):
                SLOT.pack_into(raw, at, opcode, registers, 0, start - at // 8 - 1)
        self.out = bytes(raw)

    def callee(self) -> tuple[Helper, int, int]:
        """A row, and what the call insn holds."""
        if self.rng.random() < 0.4:
            number = self.rng.randrange(len(KFUNC_NAMES))
            return KFUNCS[KFUNC_NAMES[number]], number, 2
        number = self.rng.choice(_HELPER_IDS)
        row = helper_for(number, "XDP")
        assert row is not None
        return row, number, 0

    def fitting_callee(self) -> tuple[Helper, int, int]:
        """One for what r9 points to, half of the time; seldom one for something else."""
        is_about_it = bool(self.kept) and self.rng.random() < 0.4
        for _ in range(100 if is_about_it else 20):
            found = self.callee()
            family = next((kept for kept, pattern in FAMILIES.items() if re.search(pattern, found[0].name)), "")
            odds = 1.0 if family == self.kept else 0.0 if is_about_it else 0.03 if family else 0.5
            if self.rng.random() < odds:
                break
        return found

    def step(self) -> None:
        """A call with what follows it, or an access, or a jump, or a local call."""
        rng = self.rng
        kind = rng.randrange(30)
        if kind == 0:
            self.out += self.wild(2) + self.access(2)
        elif kind == 1:
            self.out += slot(0x85, 0, 1, 0, _LATER)
        elif kind == 2:
            self.out += slot(0xBF, 1, 6) + imm64(2, PROG_ARRAY, 1) + slot(0xB7, 3, imm=rng.choice((0, 0, 1, 9, -1)))
            self.out += slot(0x85, imm=_TAIL_CALL)
        else:
            row, number, src = self.fitting_callee()
            self.out += self.arguments(row) + slot(0x85, 0, src, 0, number) + self.behind()

    def behind(self) -> bytes:
        """Count a result that is not 0, and at times use it as a pointer, keep it, or loop."""
        out = slot(0x15, 0, 0, 1) + slot(0x07, 7, imm=1)
        kind = self.rng.randrange(20)
        if kind == 0:
            out += slot(0x15, 0, 0, 1) + self.access(0)
        elif kind < 3:
            out += b"" if self.kept else slot(0xBF, 9, 0)
        elif kind < 6:
            out += slot(0x7B, 10, 0, -8 * self.rng.randrange(1, 40))
        return out

    def access(self, at: int) -> bytes:
        """A load, a store or an atomic operation through a register: one insn."""
        opcode = self.rng.choice((0x79, 0x61, 0x69, 0x71, 0x81, 0x7B, 0x63, 0x73, 0xDB, 0xC3))
        off = self.rng.choice((0, 0, 8, 4, 12, -8, 60, 64, 72, 32767, -32768)) & ~(3 if opcode in (0xDB, 0xC3) else 0)
        if opcode & 7 == 1:
            return slot(opcode, 5, at, off)
        operation = self.rng.choice((0, 1, 0x41, 0xE1, 0xF1)) if opcode in (0xDB, 0xC3) else 0
        return slot(opcode, at, 3, off, operation)

    def arguments(self, row: Helper) -> bytes:
        """Registers 1 to 5: as the row wants them, one in three times with one that it does not want."""
        rng = self.rng
        wanted = row.args + (Arg.ANYTHING,) * (row.arity - len(row.args))
        spoilt = rng.randrange(1, len(wanted) + 1) if wanted and rng.random() < 0.2 else 0
        return b"".join(
            self.wild(n) if n == spoilt else self.fitting(n, kind, row.name) for n, kind in enumerate(wanted, 1)
        )

    def wild(self, reg: int) -> bytes:
        """Any value: small, huge, or a pointer that is somewhat off."""
        rng = self.rng
        kind = rng.randrange(8)
        if kind < 3:
            return imm64(reg, rng.choice(_WILD))
        if kind == 3:
            return imm64(reg, rng.getrandbits(64))
        if kind == 4:
            return imm64(reg, rng.randrange(len(MAPS)), 1) + slot(0x07, reg, imm=rng.choice((0, 0, 8, -8, 1)))
        if kind == 5 and rng.random() < 0.5:
            return self.function(reg) + slot(0x07, reg, imm=rng.choice((0, 1, -1, 1 << 20)))
        if kind == 6:
            return slot(0x61, reg, 6, rng.choice((0, 4, 8))) + slot(0x07, reg, imm=rng.choice((0, 1, -1, 14)))
        return address(reg, rng.choice((6, 8, 9, 10)), rng.choice((0, 1, -1, 4, 8, -8, 64, 71, 72, -512, -516, 4096)))

    def function(self, reg: int) -> bytes:
        """A handle of the function behind the program."""
        return imm64(reg, _LATER, 4)

    def fitting(self, reg: int, kind: Arg, name: str) -> bytes:
        """What the kind asks for, most of the time."""
        rng = self.rng
        if kind is Arg.CTX:
            return slot(0xBF, reg, 6)
        if kind is Arg.CONST_MAP_PTR:
            fits = [n for word, maps in FITTING_MAPS.items() if word in name for n in maps]
            return imm64(reg, rng.choice(fits) if fits and rng.random() < 0.9 else rng.randrange(len(MAPS)), 1)
        if kind.base == "ARG_PTR_TO_DYNPTR" and rng.random() < 0.9:
            return address(reg, 10, rng.choice(DYNPTRS))
        if kind in (Arg.SIZE, Arg.SIZE_OR_ZERO, Arg.ALLOC_SIZE_OR_ZERO):
            return slot(0xB7, reg, imm=rng.choice((0, 1, 4, 8, 16, 16, 24, 24, 31, 40, 64)))
        if kind is Arg.ANYTHING:
            return self.anything(reg)
        if kind is Arg.FUNC:
            return self.function(reg)
        if kind is Arg.SPIN_LOCK:
            return slot(0xBF, reg, 8)
        if kind is Arg.TIMER:
            return address(reg, 8, 8)
        if kind in (Arg.PERCPU_BTF_ID, Arg.RINGBUF_MEM, Arg.SOCK_COMMON) or kind.base == "ARG_PTR_TO_BTF_ID":
            return address(reg, 9, rng.choice((0, 0, 0, 0, 24, 8)))
        if kind in (Arg.MAP_KEY, Arg.CONST_STR) and rng.random() < 0.7:
            return address(reg, 10, -8 * rng.randrange(1, 8))
        base = rng.choice((10,) * 16 + (8, 8, 8, 9))
        return address(reg, base, -8 * rng.randrange(8, 48) if base == 10 else 0)

    def anything(self, reg: int) -> bytes:
        """Flags, lengths, ids: mostly small."""
        rng = self.rng
        kind = rng.randrange(6)
        if kind == 0:
            return imm64(reg, rng.choice(_WILD))
        if kind == 1:
            return imm64(reg, types()[1][rng.choice((NODE, TIMED))])
        if kind == 2:
            return address(reg, rng.choice((10, 8, 9)), rng.choice((-16, -64, 0)))
        if kind == 3:
            return slot(0xBF, reg, 9)
        return slot(0xB7, reg, imm=rng.choice((0, 0, 0, 1, 2, 3, 4, 8, 12, -1, -14, 64, 256)))
