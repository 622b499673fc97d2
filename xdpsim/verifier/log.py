"""The state of the walk as Linux's verifier log prints it, and the source lines between.

Follows print_verifier_state, print_reg_state, print_insn_state and verbose_linfo of kernel/bpf/log.c.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from xdpsim.bits import M64, signed
from xdpsim.sysbpf.maps import kernel_name
from xdpsim.verifier import regtypes as rt
from xdpsim.verifier.env import Env
from xdpsim.verifier.func_info import string_at
from xdpsim.verifier.insn_text import insn_text
from xdpsim.verifier.scalar_text import range_parts, snum_text, unum_text
from xdpsim.verifier.state import BPF_ADD_CONST, DYNPTR, ITER, SPILL, Reg, Slot, State
from xdpsim.verifier.vmap import VMap

_ALIGNMENT, _MIN_ALIGNMENT = 40, 8
_KIND_CHARS = "?rm0dif"
_NAMES = {
    rt.NOT_INIT: "?",
    rt.SCALAR_VALUE: "scalar",
    rt.PTR_TO_CTX: "ctx",
    rt.CONST_PTR_TO_MAP: "map_ptr",
    rt.PTR_TO_MAP_VALUE: "map_value",
    rt.PTR_TO_MAP_KEY: "map_key",
    rt.PTR_TO_STACK: "fp",
    rt.PTR_TO_PACKET: "pkt",
    rt.PTR_TO_PACKET_META: "pkt_meta",
    rt.PTR_TO_PACKET_END: "pkt_end",
    rt.PTR_TO_FLOW_KEYS: "flow_keys",
    rt.PTR_TO_SOCKET: "sock",
    rt.PTR_TO_SOCK_COMMON: "sock_common",
    rt.PTR_TO_TCP_SOCK: "tcp_sock",
    rt.PTR_TO_TP_BUFFER: "tp_buffer",
    rt.PTR_TO_XDP_SOCK: "xdp_sock",
    rt.PTR_TO_BTF_ID: "ptr_",
    rt.PTR_TO_MEM: "mem",
    rt.PTR_TO_ARENA: "arena",
    rt.PTR_TO_BUF: "buf",
    rt.PTR_TO_FUNC: "func",
    rt.CONST_PTR_TO_DYNPTR: "dynptr_ptr",
}
_PREFIXES = (
    (rt.MEM_RDONLY, "rdonly_"),
    (rt.MEM_RINGBUF, "ringbuf_"),
    (rt.MEM_USER, "user_"),
    (rt.MEM_PERCPU, "percpu_"),
    (rt.MEM_RCU, "rcu_"),
    (rt.PTR_UNTRUSTED, "untrusted_"),
    (rt.PTR_TRUSTED, "trusted_"),
)
_MAP_POINTERS = (rt.CONST_PTR_TO_MAP, rt.PTR_TO_MAP_KEY, rt.PTR_TO_MAP_VALUE)
_DYNPTR_NAMES = {
    rt.DYNPTR_TYPE_LOCAL: "local",
    rt.DYNPTR_TYPE_RINGBUF: "ringbuf",
    rt.DYNPTR_TYPE_SKB: "skb",
    rt.DYNPTR_TYPE_XDP: "xdp",
    rt.DYNPTR_TYPE_SKB_META: "skb_meta",
}
_DYNPTR_SLOTS = 2
_ITER_PREFIX = "bpf_iter_"
_ITER_PHASES = ("<invalid>", "active", "drained")


def type_str(kind: int) -> str:
    """A register's type in the log's words: `map_value_or_null`, `ptr_or_null_`, `rdonly_mem` (reg_type_str)."""
    base = kind & rt.BASE_MASK
    suffix = ""
    if kind & rt.PTR_MAYBE_NULL:
        suffix = "or_null_" if base == rt.PTR_TO_BTF_ID else "_or_null"
    prefix = "".join(text for flag, text in _PREFIXES if kind & flag)
    return f"{prefix}{_NAMES[base]}{suffix}"


def reg_text(reg: Reg, frameno: int = 0) -> str:
    """One register as frame `frameno` shows it: `scalar(id=1,umax=255)`, `pkt(off=14,r=14)`, `P5`, `fp-8`."""
    kind, num = reg.type, reg.num
    if kind == rt.SCALAR_VALUE:
        mark = "P" if reg.precise else ""
        if not num.mask:
            return mark + snum_text(signed(num.value, 64))
        return f"{mark}scalar({','.join((*_ids(reg), *_number(reg)))})"
    name = type_str(kind)
    if kind == rt.PTR_TO_ARENA:
        return name
    if kind == rt.PTR_TO_STACK:
        name += f"[{reg.frameno}]" if reg.frameno != frameno else ""
        if not num.mask:
            return name + snum_text(signed(num.value + reg.off, 64))
    if kind & rt.BASE_MASK == rt.PTR_TO_BTF_ID:
        btf, type_id = reg.extra
        name += btf.types[type_id].name
    return f"{name}({','.join((*_ids(reg), *_attributes(reg), *_number(reg)))})"


def _ids(reg: Reg) -> list[str]:
    pieces = []
    if reg.id:
        distance = f"{signed(reg.off, 32):+d}" if reg.id & BPF_ADD_CONST else ""
        pieces.append(f"id={reg.id & ~BPF_ADD_CONST}{distance}")
    if reg.ref:
        pieces.append(f"ref_obj_id={reg.ref}")
    return pieces


def _attributes(reg: Reg) -> list[str]:
    """What a pointer has besides ids and its variable offset."""
    kind, base = reg.type, reg.type & rt.BASE_MASK
    pieces = []
    if kind & (rt.MEM_ALLOC | rt.NON_OWN_REF) == rt.MEM_ALLOC | rt.NON_OWN_REF:
        pieces.append("non_own_ref")
    if base in _MAP_POINTERS:
        pieces += _map_pieces(reg.extra[0])
    if reg.off:
        pieces.append(f"off={snum_text(reg.off)}")
    if kind in rt.PACKET_TYPES:
        pieces.append(f"r={unum_text(reg.extra & M64)}")
    if base == rt.PTR_TO_MEM:
        pieces.append(f"sz={unum_text(reg.extra[0])}")
    if kind == rt.CONST_PTR_TO_DYNPTR:
        pieces.append(f"type={_dynptr_name(reg)}")
    return pieces


def _map_pieces(map_: VMap) -> list[str]:
    spec = map_.spec
    name = kernel_name(spec.name).decode() if map_.index >= 0 else ""  # the pattern of inner maps has none
    return [*([f"map={name}"] if name else []), f"ks={spec.key_size}", f"vs={spec.value_size}"]


def _number(reg: Reg) -> list[str]:
    num = reg.num
    if num.mask:
        text = ",".join(range_parts(num))
        return [text] if text else []
    return [f"imm={snum_text(signed(num.value, 64))}"] if num.value else []


def _dynptr_name(reg: Reg) -> str:
    kind = reg.extra[0] if isinstance(reg.extra, tuple) else reg.extra
    return _DYNPTR_NAMES.get(kind, "<invalid>")


def state_text(env: Env, state: State, frameno: int, print_all: bool) -> str:
    """The line of one frame, its newline included: what was touched since the last such line, or all of it.

    Printing what was touched marks it as told.
    """
    frame = state.frames[frameno]
    regs_wanted, slots_wanted = (-1, -1) if print_all else (env.scratched_regs, env.scratched_slots)
    pieces = [f" frame{frame.frameno}:"] if frame.frameno else []
    for number, reg in enumerate(frame.regs):
        if reg.type != rt.NOT_INIT and regs_wanted >> number & 1:
            pieces.append(f" R{number}={reg_text(reg, frame.frameno)}")
    spi = 0
    while spi < len(frame.stack):
        if slots_wanted >> spi & 1:
            text, spi = _slot_text(frame.stack, spi, frame.frameno)
            pieces.append(text)
        spi += 1
    if state.refs and state.refs[0].id:
        pieces.append(" refs=" + ",".join(str(ref.id) for ref in state.refs if ref.id))
    if frame.in_callback_fn:
        pieces.append(" cb")
    if frame.in_async_callback_fn:
        pieces.append(" async_cb")
    if not print_all:
        env.scratched_regs = env.scratched_slots = 0
    return "".join(pieces) + "\n"


def _slot_text(stack: list[Slot], spi: int, frameno: int) -> tuple[str, int]:
    """One stack slot, and the last spi that the text is about."""
    slot = stack[spi]
    chars = "".join(_KIND_CHARS[kind] for kind in slot.kinds)
    lowest = slot.kinds[7]
    if not any(slot.kinds):
        return "", spi
    if lowest == SPILL:
        return f" fp{-8 * (spi + 1)}={chars[: slot.kinds.index(SPILL)]}{reg_text(slot.reg, frameno)}", spi
    if lowest == DYNPTR:
        spi += _DYNPTR_SLOTS - 1
        return f" fp{-8 * (spi + 1)}=dynptr_{_dynptr_name(stack[spi].reg)}({_dynptr_pieces(stack[spi].reg)})", spi
    if lowest == ITER:
        return (f" fp{-8 * (spi + 1)}=iter_{_iter_text(slot.reg)}" if slot.reg.ref else ""), spi
    return f" fp{-8 * (spi + 1)}={chars}", spi


def _dynptr_pieces(reg: Reg) -> str:
    """Ids of a dynptr. Linux reads a dynptr_id too, where only slices have one: it finds the mark of the first slot."""
    pieces = [f"id={reg.id}"] if reg.id else []
    if reg.ref:
        pieces.append(f"ref_id={reg.ref}")
    return ",".join((*pieces, "dynptr_id=1"))


def _iter_text(reg: Reg) -> str:
    """An iterator; `extra` is (Btf, id of its struct, phase, depth), phase 1 or 2 as enum bpf_iter_state has it."""
    btf, type_id, phase, depth = reg.extra
    name = btf.types[type_id].name.removeprefix(_ITER_PREFIX)
    return f"{name}(ref_id={reg.ref},state={_ITER_PHASES[phase]},depth={depth})"


def slots_text(mask: int) -> str:
    """Frame offsets of the slots in a set: `-8,-16`."""
    return ",".join(str(-8 * (spi + 1)) for spi in range(64) if mask >> spi & 1)


def print_state(env: Env, state: State, frameno: int, print_all: bool = False) -> None:
    """Log the line of one frame (print_verifier_state)."""
    if env.log_level:
        env.log.append(state_text(env, state, frameno, print_all))


def print_insn_state(env: Env, state: State, frameno: int) -> None:
    """Log what the insn changed: behind the insn when nothing was logged since, else behind its number."""
    if not env.log_level:
        return
    if env.log_end == len(env.log):
        env.log[-1] = env.log[-1][:-1] + " "  # stays when the log is cut back to here
        column = max(env.insn_width + _MIN_ALIGNMENT // 2, _ALIGNMENT)
        column += -column % _MIN_ALIGNMENT
        env.log.append(" " * (column - env.insn_width - 2) + ";")
    else:
        env.log.append(f"{env.insn_idx}:")
    env.log.append(state_text(env, state, frameno, False))


def print_insn(env: Env, slot: int, insn: Any) -> None:
    """Log one insn with its number, and note where the log ends then."""
    text = f"{slot}: {insn_text(env, insn)}\n"
    env.log.append(text)
    env.insn_width, env.log_end = len(text), len(env.log)


def print_linfo(env: Env, slot: int, prefix: str) -> None:
    """Log the source line of an insn behind `prefix`, unless it is the one told last (verbose_linfo)."""
    rows = env.spec.line_info
    if not env.log_level or not rows:
        return
    row = rows[max(bisect_right(rows, slot, key=lambda row: row[0]) - 1, 0)]
    before = env.prev_line
    if before is not None and (before[1], before[3] >> 10) == (row[1], row[3] >> 10):
        return
    env.prev_line = row
    text = (string_at(env, row[2]) or "").lstrip(" \t\n\v\f\r\xa0")
    file = (string_at(env, row[1]) or "").rpartition("/")[2]
    env.log.append(f"{prefix}{text} @ {file}:{row[3] >> 10}\n")
