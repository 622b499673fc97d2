"""Arguments of the program's own functions as their BTF gives them: checked at calls, assumed inside global ones.

Follows btf_prepare_func_args() of kernel/bpf/btf.c and btf_check_subprog_call() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from errno import EFAULT, EINVAL, EOPNOTSUPP
from typing import TYPE_CHECKING, NamedTuple

from xdpsim.btf.types import Btf, DeclTag, Enum, Func, FuncProto, Int, Kind, Ref, Struct
from xdpsim.errors import InputError
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.verifier.arg_types import Kind as ArgKind
from xdpsim.verifier.arg_types import check_func_arg_reg_off, check_reg_type
from xdpsim.verifier.dynptr_args import process_dynptr_func
from xdpsim.verifier.env import Refusal
from xdpsim.verifier.mem_args import check_mem_reg
from xdpsim.verifier.regs import is_null
from xdpsim.verifier.regtypes import (
    MEM_RDONLY,
    PTR_MAYBE_NULL,
    PTR_TO_ARENA,
    PTR_TO_CTX,
    PTR_TRUSTED,
    PTR_UNTRUSTED,
    SCALAR_VALUE,
)

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env, Subprog
    from xdpsim.verifier.state import Reg

CTX, SCALAR, DYNPTR, MEM, BTF_ID, ARENA = "ctx", "scalar", "dynptr", "mem", "btf_id", "arena"
MAX_ARGS = 5
_TAGS = frozenset({"ctx", "trusted", "untrusted", "nonnull", "nullable", "arena"})
_KERNEL_CONTEXTS = {"__sk_buff": "sk_buff", "xdp_md": "xdp_buff"}
"""Context structs of which the kernel's own struct is a projection's source (btf_is_projection_of)."""


class FuncArg(NamedTuple):
    """One parameter: its kind, PTR_* and MEM_* flags, bytes of memory behind it, the kernel's type."""

    kind: str
    flags: int = 0
    size: int = 0
    btf_id: int = 0


def prepare(env: Env, number: int) -> tuple[int, str]:
    """Fill `args` of subprogram `number` from its BTF: 0, or the errno and message with which Linux cannot use it."""
    subprog = env.subprogs[number]
    if subprog.args_cached:
        return 0, ""
    try:
        subprog.args = _args_of(env, subprog, env.btf)
    except Refusal as refusal:
        return refusal.errno, refusal.message
    subprog.args_cached = True
    return 0, ""


def _args_of(env: Env, subprog: Subprog, btf: Btf | None) -> list[FuncArg]:
    if btf is None or not subprog.type_id:
        if subprog.is_global:
            env.fail(EFAULT, "Global functions need valid BTF")
        raise Refusal(EINVAL, "")
    function = btf.get(subprog.type_id)
    proto = btf.get(function.type_id) if isinstance(function, Func) else None
    if not isinstance(function, Func) or not isinstance(proto, FuncProto):
        env.fail(EFAULT, f"Invalid type of function {subprog.name}()")
    loud, name, count = subprog.is_global, subprog.name, len(proto.params)
    if count > MAX_ARGS:
        _refuse(env, loud, f"Global function {name}() with {count} > {MAX_ARGS} args. Buggy compiler.")
    if not isinstance(btf.resolve(proto.return_id), (Int, Enum)):
        _refuse(env, loud, f"Global function {name}() doesn't return scalar. Only those are supported.")
    return [_arg(env, btf, subprog, at, param.type_id) for at, param in enumerate(proto.params)]


def _refuse(env: Env, loud: bool, text: str) -> None:
    if loud:
        env.fail(EINVAL, text)
    raise Refusal(EINVAL, "")


def _tags_of(env: Env, btf: Btf, subprog: Subprog, at: int) -> set[str]:
    """Tags of one parameter (`__arg_ctx` and its relatives), without `arg:`."""
    tags = set()
    for row in btf.types:
        if isinstance(row, DeclTag) and (row.type_id, row.component) == (subprog.type_id, at):
            if not row.name.startswith("arg:"):
                continue
            if not subprog.is_global:
                env.fail(EOPNOTSUPP, f"arg#{at} type tag is not supported in static functions")
            tag = row.name.removeprefix("arg:")
            if tag not in _TAGS:
                env.fail(EOPNOTSUPP, f"arg#{at} has unsupported set of tags")
            tags.add(tag)
    return tags


def _arg(env: Env, btf: Btf, subprog: Subprog, at: int, type_id: int) -> FuncArg:
    tags = _tags_of(env, btf, subprog, at)
    row = btf.resolve(type_id)
    if isinstance(row, Ref) and row.kind is Kind.PTR:
        made = _pointer(env, btf, subprog, at, row, tags)
        if made is not None:
            return made
    if tags:
        env.fail(EINVAL, f"arg#{at} has pointer tag, but is not a pointer type")
    if isinstance(row, (Int, Enum)):
        return FuncArg(SCALAR)
    if not subprog.is_global:
        raise Refusal(EINVAL, "")
    return env.fail(EINVAL, f"Arg#{at} type {_kind_word(row)} in {subprog.name}() is not supported yet.")


def _kind_word(row: object) -> str:
    kind = getattr(row, "kind", None)
    return kind.name if isinstance(kind, Kind) else "UNKNOWN"


def _pointer(env: Env, btf: Btf, subprog: Subprog, at: int, row: Ref, tags: set[str]) -> FuncArg | None:
    bad = f"arg#{at} has invalid combination of tags"
    target = btf.resolve(row.type_id)
    if "ctx" in tags or _is_context(env, target):
        if tags - {"ctx"}:
            env.fail(EINVAL, bad)
        return FuncArg(CTX)
    if isinstance(target, Struct) and target.name == "bpf_dynptr":
        if tags:
            env.fail(EINVAL, bad)
        return FuncArg(DYNPTR, MEM_RDONLY)
    if "trusted" in tags:
        if "nonnull" in tags:
            env.fail(EINVAL, bad)
        flags = PTR_TRUSTED | (PTR_MAYBE_NULL if "nullable" in tags else 0)
        return FuncArg(BTF_ID, flags, 0, _kernel_type(env, at, target))
    if "untrusted" in tags:
        if tags != {"untrusted"}:
            env.fail(EINVAL, f"arg#{at} untrusted cannot be combined with any other tags")
        if not isinstance(target, Struct):
            return FuncArg(MEM, MEM_RDONLY | PTR_UNTRUSTED)
        return FuncArg(BTF_ID, PTR_UNTRUSTED, 0, _kernel_type(env, at, target))
    if "arena" in tags:
        if tags != {"arena"}:
            env.fail(EINVAL, f"arg#{at} arena cannot be combined with any other tags")
        return FuncArg(ARENA)
    return _memory(env, btf, at, row, tags, bad) if subprog.is_global else None


def _memory(env: Env, btf: Btf, at: int, row: Ref, tags: set[str], bad: str) -> FuncArg:
    """A pointer to data of the program's own, whose size the type tells."""
    if "nullable" in tags:
        env.fail(EINVAL, bad)
    target = btf.resolve(row.type_id)
    try:
        size = btf.size_of(row.type_id)
    except InputError:
        what = f"'{_kind_word(target)} {getattr(target, 'name', '')}'" if target.id else "'UNKNOWN '"
        env.fail(EINVAL, f"arg#{at} reference type({what}) size cannot be determined: -22")
    return FuncArg(MEM, 0 if "nonnull" in tags else PTR_MAYBE_NULL, size)


def _is_context(env: Env, target: object) -> bool:
    if not isinstance(target, Struct):
        return False
    struct = PROG_TYPES[env.prog_type].struct
    return bool(struct) and target.name in (struct, _KERNEL_CONTEXTS.get(struct, struct))


def _kernel_type(env: Env, at: int, target: object) -> int:
    name = getattr(target, "name", "")
    found = env.kernel_btf.by_name(name, Kind.STRUCT) if env.kernel_btf and name else None
    if found is None:
        env.fail(
            EINVAL, f"Cannot find {_kind_word(target)} {name} in kernel BTF" if name else f"arg#{at} type is anonymous"
        )
    return found.id


def check_subprog_call(env: Env, number: int) -> tuple[int, str]:
    """Whether the registers fit the function's prototype: 0, or an errno and what does not fit (logged)."""
    subprog = env.subprogs[number]
    if not env.spec.func_info or subprog.unreliable:
        return EINVAL, ""
    problem, why = prepare(env, number)
    if not problem:
        try:
            for at, arg in enumerate(subprog.args):
                _check_arg(env, at, arg, env.regs[at + 1])
        except Refusal as refusal:
            problem, why = refusal.errno, refusal.message
    subprog.unreliable = bool(problem)
    return problem, why


def _check_arg(env: Env, at: int, arg: FuncArg, reg: Reg) -> None:
    regno = at + 1
    if arg.kind == SCALAR:
        if reg.type != SCALAR_VALUE:
            env.fail(EINVAL, f"R{regno} is not a scalar")
    elif arg.flags & PTR_UNTRUSTED:
        return
    elif arg.kind == CTX:
        check_func_arg_reg_off(env, reg, regno)
        if reg.type != PTR_TO_CTX:
            env.fail(EINVAL, f"arg#{at} expects pointer to ctx")
    elif arg.kind == MEM:
        check_func_arg_reg_off(env, reg, regno)
        try:
            check_mem_reg(env, reg, regno, arg.size)
        except Refusal as refusal:
            raise Refusal(EINVAL, refusal.message) from None
        env.null_for_memory |= is_null(reg) and not arg.flags & PTR_MAYBE_NULL
        if not arg.flags & PTR_MAYBE_NULL and reg.type & PTR_MAYBE_NULL:
            env.fail(EINVAL, f"arg#{at} is expected to be non-NULL")
    elif arg.kind == ARENA:
        if reg.type not in (PTR_TO_ARENA, SCALAR_VALUE):
            env.fail(EINVAL, f"R{regno} is not a pointer to arena or scalar.")
    elif arg.kind == DYNPTR:
        check_func_arg_reg_off(env, reg, regno, is_dynptr=True)
        process_dynptr_func(env, regno, -1, arg.flags)
    elif not (is_null(reg) and arg.flags & PTR_MAYBE_NULL):
        _check_kernel_object(env, regno, arg, reg)


def _check_kernel_object(env: Env, regno: int, arg: FuncArg, reg: Reg) -> None:
    """A pointer to a kernel struct, as helpers take it."""
    if env.kernel_btf is None:
        env.fail(EINVAL, f"arg#{regno - 1} needs the kernel's types")
    kind = ArgKind("ARG_PTR_TO_BTF_ID", arg.flags, 0, env.kernel_btf.types[arg.btf_id].name)
    check_reg_type(env, regno, kind, 0)
    check_func_arg_reg_off(env, reg, regno, arg.flags)
