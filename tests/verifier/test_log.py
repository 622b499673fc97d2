"""Texts of the verifier's log: registers, stack slots, states and insns, as lines of Linux 6.18 show them."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from tests.support.first_passes import linux_log, masked, spec_of
from tests.support.oracle import golden
from tests.support.record import recorder
from xdpsim.btf.linux618 import linux618
from xdpsim.btf.types import Kind
from xdpsim.errors import InputError
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import SLOT, decode
from xdpsim.maps.spec import MapSpec
from xdpsim.verifier import regtypes as rt
from xdpsim.verifier.env import Env
from xdpsim.verifier.insn_text import insn_text
from xdpsim.verifier.log import print_insn, print_insn_state, reg_text, slots_text, state_text, type_str
from xdpsim.verifier.scalar import UNKNOWN, ZERO, Scalar, const
from xdpsim.verifier.state import (
    BPF_ADD_CONST,
    DYNPTR,
    ITER,
    MISC,
    REF_PTR,
    SPILL,
    UNINIT,
    ZERO_BYTE,
    Frame,
    Ref,
    Reg,
    Slot,
    State,
    const_reg,
    scalar_reg,
)
from xdpsim.verifier.vmap import VMap

_MAP = VMap(MapSpec("flows", "HASH", 40, 24, 1), 0)
_BYTE = Scalar(0, 0xFF, 0, 255, 0, 255, 0, 255, 0, 255)
_WORD = Scalar(0, 0xFFFF_FFFF, 0, 0xFFFF_FFFF, 0, 0xFFFF_FFFF, -(1 << 31), (1 << 31) - 1, 0, 0xFFFF_FFFF)
_BTF = linux618().btf
_SOCK = _BTF.by_name("sock", Kind.STRUCT)
_NUM = _BTF.by_name("bpf_iter_num", Kind.STRUCT)
assert _SOCK
assert _NUM


@pytest.mark.parametrize(
    ("reg", "text"),
    [
        (const_reg(3), "3"),
        (const_reg(-1), "-1"),
        (const_reg(0, precise=True), "P0"),
        (const_reg(0x9E3779B9), "0x9e3779b9"),
        (const_reg(-0x8001), "0xffffffffffff7fff"),
        (scalar_reg(UNKNOWN), "scalar()"),
        (Reg(rt.SCALAR_VALUE, UNKNOWN, id=13, precise=True), "Pscalar(id=13)"),
        (scalar_reg(_BYTE), "scalar(smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))"),
        (scalar_reg(_WORD), "scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff))"),
        (
            Reg(rt.SCALAR_VALUE, _BYTE, off=-1, id=3 | BPF_ADD_CONST),
            "scalar(id=3-1,smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))",
        ),
        (
            Reg(rt.SCALAR_VALUE, _BYTE, off=34, id=23 | BPF_ADD_CONST),
            "scalar(id=23+34,smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))",
        ),
        (Reg(rt.PTR_TO_CTX, ZERO), "ctx()"),
        (Reg(rt.PTR_TO_STACK, ZERO, off=-40, frameno=1), "fp-40"),
        (Reg(rt.PTR_TO_STACK, ZERO, off=-40), "fp[0]-40"),
        (Reg(rt.PTR_TO_STACK, _BYTE, off=-40, frameno=1),
         "fp(off=-40,smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))"),
        (Reg(rt.PTR_TO_PACKET, ZERO, extra=0), "pkt(r=0)"),
        (Reg(rt.PTR_TO_PACKET, ZERO, off=34, extra=54), "pkt(off=34,r=54)"),
        (Reg(rt.PTR_TO_PACKET, _BYTE, off=14, id=2, extra=0),
         "pkt(id=2,off=14,r=0,smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))"),
        (Reg(rt.PTR_TO_PACKET, ZERO, extra=-1), "pkt(r=0xffffffffffffffff)"),
        (Reg(rt.PTR_TO_PACKET_END, ZERO), "pkt_end()"),
        (Reg(rt.CONST_PTR_TO_MAP, ZERO, extra=(_MAP, 0)), "map_ptr(map=flows,ks=40,vs=24)"),
        (Reg(rt.PTR_TO_MAP_VALUE, ZERO, off=8, extra=(_MAP, 0)), "map_value(map=flows,ks=40,vs=24,off=8)"),
        (Reg(rt.PTR_TO_MAP_VALUE | rt.PTR_MAYBE_NULL, ZERO, id=2, extra=(_MAP, 0)),
         "map_value_or_null(id=2,map=flows,ks=40,vs=24)"),
        (Reg(rt.PTR_TO_MEM | rt.MEM_RDONLY, ZERO, extra=(14, 0)), "rdonly_mem(sz=14)"),
        (Reg(rt.PTR_TO_MEM | rt.MEM_RINGBUF | rt.PTR_MAYBE_NULL, ZERO, id=14, ref=14, extra=(88, 0)),
         "ringbuf_mem_or_null(id=14,ref_obj_id=14,sz=88)"),
        (Reg(rt.PTR_TO_BTF_ID | rt.PTR_TRUSTED, ZERO, extra=(_BTF, _SOCK.id)), "trusted_ptr_sock()"),
        (Reg(rt.PTR_TO_BTF_ID | rt.PTR_MAYBE_NULL, ZERO, id=12, ref=12, extra=(_BTF, _SOCK.id)),
         "ptr_or_null_sock(id=12,ref_obj_id=12)"),
        (Reg(rt.PTR_TO_BTF_ID | rt.MEM_ALLOC | rt.NON_OWN_REF, ZERO, extra=(_BTF, _SOCK.id)), "ptr_sock(non_own_ref)"),
        (Reg(rt.PTR_TO_FUNC, ZERO, extra=1), "func()"),
        (Reg(rt.PTR_TO_ARENA, UNKNOWN), "arena"),
        (Reg(rt.PTR_TO_MAP_KEY, const(4), extra=(_MAP, 0)), "map_key(map=flows,ks=40,vs=24,imm=4)"),
        (Reg(rt.CONST_PTR_TO_DYNPTR, ZERO, id=5, extra=(rt.DYNPTR_TYPE_LOCAL, True)), "dynptr_ptr(id=5,type=local)"),
    ],
)  # fmt: skip
def test_registers(reg: Reg, text: str) -> None:
    assert reg_text(reg, frameno=1) == text


def test_types() -> None:
    assert type_str(rt.NOT_INIT) == "?"
    assert type_str(rt.PTR_TO_BTF_ID | rt.PTR_MAYBE_NULL | rt.MEM_PERCPU | rt.MEM_RCU) == "percpu_rcu_ptr_or_null_"
    assert type_str(rt.PTR_TO_MEM | rt.MEM_USER | rt.PTR_UNTRUSTED) == "user_untrusted_mem"


def _state(*slots: Slot, frameno: int = 0) -> tuple[Env, State]:
    env = Env(spec_of(assemble("r0 = 0; exit")), (), None, log_level=2)
    state = State()
    state.frames = [Frame(0, number, number) for number in range(frameno + 1)]
    state.curframe = frameno
    state.frames[-1].stack = list(slots)
    return env, state


@pytest.mark.parametrize(
    ("slots", "text"),
    [
        ([Slot(bytes([MISC]) * 8, UNINIT)], " fp-8=mmmmmmmm"),
        ([Slot(bytes(8), UNINIT), Slot(bytes([ZERO_BYTE]) * 8, UNINIT)], " fp-16=00000000"),
        ([Slot(bytes([SPILL]) * 8, const_reg(7))], " fp-8=7"),
        ([Slot(bytes([0, 0, 0, 0, SPILL, SPILL, SPILL, SPILL]), scalar_reg(UNKNOWN))], " fp-8=????scalar()"),
        ([Slot(bytes([MISC] * 6 + [SPILL] * 2), const_reg(7, precise=True))], " fp-8=mmmmmmP7"),
        (
            [Slot(bytes([DYNPTR]) * 8, Reg(rt.CONST_PTR_TO_DYNPTR, ZERO, id=1, extra=(rt.DYNPTR_TYPE_XDP, False))),
             Slot(bytes([DYNPTR]) * 8, Reg(rt.CONST_PTR_TO_DYNPTR, ZERO, id=1, extra=(rt.DYNPTR_TYPE_XDP, True)))],
            " fp-16=dynptr_xdp(id=1,dynptr_id=1)",
        ),
        (
            [Slot(bytes([ITER]) * 8, Reg(rt.PTR_TO_STACK, ZERO, ref=2, extra=(_BTF, _NUM.id, 1, 3)))],
            " fp-8=iter_num(ref_id=2,state=active,depth=3)",
        ),
        ([Slot(bytes([ITER]) * 8, Reg(rt.PTR_TO_STACK, ZERO, extra=(_BTF, _NUM.id, 1, 3)))], ""),
    ],
)  # fmt: skip
def test_stack_slots(slots: list[Slot], text: str) -> None:
    env, state = _state(*slots)
    assert state_text(env, state, 0, True) == f" R10=fp0{text}\n"


def test_only_what_was_touched() -> None:
    env, state = _state(Slot(bytes([MISC]) * 8, UNINIT), Slot(bytes([MISC]) * 8, UNINIT), frameno=1)
    state.frames[1].regs[0] = state.frames[1].regs[3] = const_reg(5)
    env.scratched_regs, env.scratched_slots = 1 << 3 | 1 << 4, 1 << 1
    assert state_text(env, state, 1, False) == " frame1: R3=5 fp-16=mmmmmmmm\n"
    assert state_text(env, state, 1, False) == " frame1:\n"
    assert state_text(env, state, 1, True) == " frame1: R0=5 R3=5 R10=fp0 fp-8=mmmmmmmm fp-16=mmmmmmmm\n"


def test_references_and_callbacks() -> None:
    env, state = _state()
    state.refs = [Ref(REF_PTR, 4, 1), Ref(REF_PTR, 6, 2)]
    state.frames[0].in_callback_fn = True
    assert state_text(env, state, 0, True) == " R10=fp0 refs=4,6 cb\n"


def test_a_state_joins_the_line_of_its_insn() -> None:
    env, state = _state()
    print_insn(env, 0, env.code[0])
    state.frames[0].regs[0] = const_reg(0)
    env.scratched_regs, env.insn_idx = 1, 1
    print_insn_state(env, state, 0)
    env.scratched_regs = 1
    print_insn_state(env, state, 0)
    assert "".join(env.log) == "0: (b7) r0 = 0                        ; R0=0\n1: R0=0\n"


def test_sets_of_slots() -> None:
    assert slots_text(0b1000_0001 | 1 << 63) == "-8,-64,-512"


PADDING, _OF_EACH = 20, 8
_PAD = SLOT.pack(0xB7, 0, 0, 0) * PADDING


def _insns() -> list[bytes]:
    """Insns of every kind that the decoder takes, amid others so that jumps meet something."""
    rng, found = random.Random(1), []
    for opcode in range(256):
        taken = 0
        for _ in range(600):
            src, off = rng.choice((0, 1, 2, 3, 6)), rng.choice((0, 0, 1, 8, 16, 32, -8))
            imm = rng.choice((0, 1, 2, 16, 32, 64, 5, 12, 0x41, 0x51, 0xA1, 0xE1, 0xF1, 0x100, 0x110, 0x40, -7, 70000))
            raw = SLOT.pack(opcode, src << 4 | rng.randrange(1, 6), off, imm)
            raw += SLOT.pack(0, 0, 0, 5) if opcode == 0x18 else b""
            try:
                decode(raw)
            except InputError:
                continue
            taken += 1
            found.append(_PAD + raw + _PAD * 2 + SLOT.pack(0x95, 0, 0, 0))
            if taken == _OF_EACH:
                break
    return found


def _line_of_insn(log: str) -> str:
    """The middle insn as the table of live registers shows it."""
    match = re.search(rf"^ +{PADDING}: [0-9.]{{10}} (.*)$", log, re.MULTILINE)
    return match[1] if match else ""


@recorder("verifier_insn_text")
def record_insns() -> list[dict[str, Any]]:
    """How Linux prints them; those that it refuses before it prints any are left out."""
    rows = {}
    for raw in _insns():
        _, log = linux_log(raw)
        if text := _line_of_insn(log):
            rows[raw[len(_PAD) : len(_PAD) + 16].hex()] = text
    return [{"code": code, "text": text} for code, text in sorted(rows.items())]


@pytest.mark.golden
def test_insns() -> None:
    rows = golden("verifier_insn_text")
    assert len(rows) > 500
    assert len({row["code"][:2] for row in rows}) > 100
    for row in rows:
        raw = bytes.fromhex(row["code"])
        insn = decode(raw if raw[0] == 0x18 else raw[:8])[0]
        assert insn is not None
        env = Env(spec_of((insn,)), (), None)
        assert masked(insn_text(env, insn)) == row["text"]
