"""What a program's BTF says of its functions and lines: func_info and line_info, checked as far as they can be wrong.

Follows check_btf_info_early, check_btf_func, check_btf_line and bpf_find_exception_callback_insn_off of
kernel/bpf/verifier.c. Some of these messages end without a newline in Linux, and so they do here.
"""

from __future__ import annotations

import errno
from functools import lru_cache

from xdpsim.btf.ext import Strings
from xdpsim.btf.types import Btf, DeclTag, Enum, Func, FuncProto, Int, Kind, Linkage
from xdpsim.errors import InputError
from xdpsim.verifier.env import Env, Refusal

_EXCEPTION_TAG = "exception_callback:"


def check_early(env: Env) -> None:
    """Before functions are known: the records of func_info are in order and name functions."""
    if not env.spec.func_info and not env.spec.line_info:
        return
    if env.btf is None:
        raise Refusal(errno.EINVAL, "")
    before = 0
    for number, (slot, type_id) in enumerate(env.spec.func_info):
        if number == 0 and slot:
            env.fail_unended(errno.EINVAL, f"nonzero insn_off {slot} for the first func info record")
        if number and slot <= before:
            env.fail_unended(
                errno.EINVAL, f"same or smaller insn offset ({slot}) than previous func info record ({before})"
            )
        if not isinstance(_type(env.btf, type_id), Func):
            env.fail_unended(errno.EINVAL, f"invalid type id {type_id} in func info")
        before = slot


def _type(btf: Btf, type_id: int) -> object:
    return btf.types[type_id] if 0 < type_id < len(btf.types) else None


def exception_callback_slot(env: Env) -> int:
    """Where the function starts that main's BTF tag names as its exception callback; 0 when it names none."""
    rows, btf = env.spec.func_info, env.btf
    if not rows or btf is None:
        return 0
    tags = [
        row.name.removeprefix(_EXCEPTION_TAG)
        for row in btf.types
        if isinstance(row, DeclTag)
        and (row.type_id, row.component) == (rows[0][1], -1)
        and row.name.startswith(_EXCEPTION_TAG)
    ]
    if not tags:
        return 0
    if len(tags) > 1:
        env.fail(errno.EEXIST, "multiple exception callback tags for main subprog")
    found = btf.by_name(tags[0], Kind.FUNC)
    if not isinstance(found, Func):
        env.fail(errno.ENOENT, f"exception callback '{tags[0]}' could not be found in BTF")
    if found.linkage != Linkage.GLOBAL:
        env.fail(errno.EINVAL, f"exception callback '{tags[0]}' must have global linkage")
    return _slot_of_type(env, found.id)


def _slot_of_type(env: Env, type_id: int) -> int:
    start = 0
    for slot, found in env.spec.func_info:
        if found != type_id:
            continue
        start = slot
        if not start:
            env.note("invalid exception callback insn_off in func_info: 0")
    if not start:
        env.fail(errno.EINVAL, "exception callback type id not found in func_info")
    return start


def check(env: Env) -> None:
    """Once functions are known: func_info and line_info cover them all; names, types and linkage go into subprogs."""
    if not env.spec.func_info:
        check_abnormal_return(env)
    else:
        _check_functions(env)
    if env.spec.line_info:
        _check_lines(env)


def check_abnormal_return(env: Env) -> None:
    """Without BTF only main may leave by a tail call or a packet load."""
    for subprog in env.subprogs[1:-1]:
        if subprog.has_ld_abs:
            env.fail(errno.EINVAL, "LD_ABS is not allowed in subprogs without BTF")
        if subprog.has_tail_call:
            env.fail(errno.EINVAL, "tail_call is not allowed in subprogs without BTF")


def _check_functions(env: Env) -> None:
    rows, btf = env.spec.func_info, env.btf
    if btf is None:
        raise Refusal(errno.EINVAL, "")
    if len(rows) != len(env.subprogs) - 1:
        env.fail(errno.EINVAL, "number of funcs in func_info doesn't match number of subprogs")
    for number, (subprog, (slot, type_id)) in enumerate(zip(env.subprogs, rows, strict=False)):
        if subprog.start != slot:
            env.fail(errno.EINVAL, "func_info BTF section doesn't match subprog layout in BPF program")
        function = btf.get(type_id)
        if not isinstance(function, Func):
            continue
        subprog.name, subprog.type_id, subprog.linkage = function.name, type_id, function.linkage
        subprog.is_global = function.linkage == Linkage.GLOBAL
        if number and not _returns_number(btf, function):
            if subprog.has_ld_abs:
                env.fail(errno.EINVAL, "LD_ABS is only allowed in functions that return 'int'.")
            if subprog.has_tail_call:
                env.fail(errno.EINVAL, "tail_call is only allowed in functions that return 'int'.")


def _returns_number(btf: Btf, function: Func) -> bool:
    proto = btf.get(function.type_id)
    if not isinstance(proto, FuncProto):
        return False
    row = btf.resolve(proto.return_id)
    return isinstance(row, Enum) or (isinstance(row, Int) and row.size <= 8)


def _check_lines(env: Env) -> None:
    count, code, before, found = len(env.subprogs) - 1, env.code, 0, 0
    for number, (slot, file_offset, line_offset, _) in enumerate(env.spec.line_info):
        if (number and slot <= before) or slot >= len(code):
            text = f"Invalid line_info[{number}].insn_off:{slot} (prev_offset:{before} prog->len:{len(code)})"
            env.fail(errno.EINVAL, text)
        if code[slot] is None:
            env.fail(errno.EINVAL, f"Invalid insn code at line_info[{number}].insn_off")
        if string_at(env, line_offset) is None or string_at(env, file_offset) is None:
            env.fail(errno.EINVAL, f"Invalid line_info[{number}].line_off or .file_name_off")
        if found != count:
            start = env.subprogs[found].start
            if slot == start:
                env.subprogs[found].linfo_idx = number
                found += 1
            elif start < slot:
                env.fail(errno.EINVAL, f"missing bpf_line_info for func#{found}")
        before = slot
    if found != count:
        env.fail(errno.EINVAL, f"missing bpf_line_info for {count - found} funcs starting from func#{found}")


def string_at(env: Env, offset: int) -> str | None:
    """A string of the program's BTF; None when the offset lies outside or there is no BTF."""
    if env.btf is None or not env.btf.raw:
        return None
    try:
        return _strings(env.btf).at(offset)
    except InputError:
        return None


@lru_cache(maxsize=64)
def _strings(btf: Btf) -> Strings:
    return Strings(btf)
