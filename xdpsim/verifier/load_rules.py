"""What BPF_PROG_LOAD asks before it verifies, and what it asks of the attach type in between.

Follows bpf_prog_load() of kernel/bpf/syscall.c and check_attach_btf_id() of kernel/bpf/verifier.c; the rules of each
type are in progtypes/loading.py.
"""

from __future__ import annotations

from errno import E2BIG, EINVAL, EPERM
from typing import TYPE_CHECKING

from xdpsim.progtypes.loading import (
    LOAD_RULES,
    MAX_INSNS,
    MAX_INSNS_UNPRIVILEGED,
    Sleep,
    attach_type_of,
    takes_attach_type,
)
from xdpsim.verifier.env import Refusal

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env


def check_may_load(env: Env) -> None:
    """Refuse, without a word in the log, what Linux does not begin to verify; fill in the attach type."""
    kind, caps = env.prog_type, env.caps
    rules = LOAD_RULES.get(kind)
    if rules is None:
        raise Refusal(EINVAL, "")
    if not 0 < len(env.code) <= (MAX_INSNS if env.bpf_capable else MAX_INSNS_UNPRIVILEGED):
        raise Refusal(E2BIG, "")
    if not (rules.unprivileged or "bpf" in caps) or not rules.capabilities <= caps:
        raise Refusal(EPERM, "")
    if not takes_attach_type(kind, env.attach_type):
        raise Refusal(EINVAL, "")
    env.attach_type = attach_type_of(kind, env.attach_type)


def check_sleepable(env: Env) -> None:
    """Only some types may sleep, and programs of type SYSCALL must."""
    sleeps = LOAD_RULES[env.prog_type].sleepable
    if sleeps is Sleep.MUST and not env.spec.sleepable:
        env.fail(EINVAL, "Syscall programs can only be sleepable")
    if sleeps is Sleep.NEVER and env.spec.sleepable:
        what = "Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable"
        env.fail(EINVAL, what)
