"""The first look at control flow: every insn can be reached, jumps land on insns; where the walk compares states.

Follows check_cfg, visit_insn, push_insn and compute_postorder of kernel/bpf/verifier.c. The search goes through calls:
the callee of a call, or of an address that is taken, is the branch of that insn.
"""

from __future__ import annotations

import errno

from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import Family
from xdpsim.verifier import callinfo, fastcall
from xdpsim.verifier.env import Env
from xdpsim.verifier.log import print_linfo
from xdpsim.verifier.subprogs import callee_slot, containing, is_func_address

_DISCOVERED, _EXPLORED, _FALLTHROUGH, _BRANCH = 0x10, 0x20, 1, 2
_CALLS = (Family.CALL_HELPER, Family.CALL_LOCAL, Family.CALL_KFUNC)


def check_cfg(env: Env) -> None:
    """Refuse unreachable insns and jumps into the second half of LD_IMM64; mark prune, jump and checkpoint slots."""
    search = _Search(env)
    search.run(0)
    callback = env.exception_callback_subprog
    if callback and search.state[env.subprogs[callback].start] != _EXPLORED:
        search.run(env.subprogs[callback].start)
    _refuse_unreached(env, search.state)
    env.successors = tuple(_successors(slot, insn) for slot, insn in enumerate(env.code))
    _number_postorder(env)


def _refuse_unreached(env: Env, state: list[int]) -> None:
    slot = 0
    for slot, insn in enumerate(env.code):
        if insn is None:
            continue
        if state[slot] != _EXPLORED:
            env.fail(errno.EINVAL, f"unreachable insn {slot}")
        if insn.slots == 2 and state[slot + 1]:
            env.fail(errno.EINVAL, f"jump into the middle of ldimm64 insn {slot}")


class _Search:
    """A depth-first search with its stack kept by hand; `state` says of each slot how far it is explored."""

    def __init__(self, env: Env) -> None:
        self.env, self.aux = env, env.aux
        self.state = [0] * len(env.code)
        self.stack: list[int] = []

    def run(self, start: int) -> None:
        """Explore everything that can be reached from `start`."""
        state, stack, code = self.state, self.stack, self.env.code
        state[start] = _DISCOVERED
        stack.append(start)
        while stack:
            slot = stack[-1]
            if not self.visit(slot, code[slot]):
                state[slot] = _EXPLORED
                stack.pop()

    def push(self, slot: int, target: int, edge: int) -> bool:
        """Follow one edge: True when its target must be explored first."""
        state = self.state
        if state[slot] >= _DISCOVERED | edge:
            return False
        if not 0 <= target < len(state):
            print_linfo(self.env, slot, f"{slot}: ")
            self.env.fail(errno.EINVAL, f"jump out of range from insn {slot} to {target}")
        if edge == _BRANCH:
            self.aux[target].prune_point = self.aux[target].jmp_point = True
        if state[target] == 0:
            state[slot] = _DISCOVERED | edge
            state[target] = _DISCOVERED
            self.stack.append(target)
            return True
        if state[target] & 0xF0 == _DISCOVERED:
            if not self.env.bpf_capable:
                print_linfo(self.env, slot, f"{slot}: ")
                print_linfo(self.env, target, f"{target}: ")
                self.env.fail(errno.EINVAL, f"back-edge from insn {slot} to {target}")
        else:
            state[slot] = _DISCOVERED | edge
        return False

    def visit(self, slot: int, insn: Insn | None) -> bool:
        """Follow the next edge of an insn: True when something must be explored before it is done."""
        if insn is None:
            return self.push(slot, slot + 1, _FALLTHROUGH)
        family = insn.family
        if family in _CALLS or is_func_address(insn):
            self.mark_call(slot, insn)
            return self.visit_call(slot, insn)
        if family is Family.EXIT:
            return False
        if family is Family.JUMP:
            return self.visit_jump(slot, slot + 1 + insn.jump_offset)
        if family in (Family.BRANCH, Family.MAY_GOTO):
            return self.visit_branch(slot, insn)
        return self.push(slot, slot + insn.slots, _FALLTHROUGH)

    def visit_jump(self, slot: int, target: int) -> bool:
        """An unconditional jump: one edge, whose end is a prune point once all behind it is explored."""
        if self.push(slot, target, _FALLTHROUGH):
            return True
        self.aux[target].prune_point = self.aux[target].jmp_point = True
        return False

    def visit_branch(self, slot: int, insn: Insn) -> bool:
        """A conditional jump: the slot behind first, then the target."""
        aux = self.aux[slot]
        aux.prune_point = True
        if insn.family is Family.MAY_GOTO:
            aux.force_checkpoint = True
        return self.push(slot, slot + 1, _FALLTHROUGH) or self.push(slot, slot + 1 + insn.off, _BRANCH)

    def visit_call(self, slot: int, insn: Insn) -> bool:
        """A call or an address of a function: the slot behind first, then the function."""
        after = slot + insn.slots
        if self.push(slot, after, _FALLTHROUGH):
            return True
        self.aux[after].prune_point = self.aux[after].jmp_point = True
        callee = callee_slot(slot, insn)
        if callee is None:
            return False
        self.aux[slot].prune_point = True
        caller, called = containing(self.env, slot), containing(self.env, callee)
        caller.changes_pkt_data |= called.changes_pkt_data
        caller.might_sleep |= called.might_sleep
        return self.push(slot, callee, _BRANCH)

    def mark_call(self, slot: int, insn: Insn) -> None:
        """What the callee does to its caller, and where repeated visits must be compared."""
        if insn.family not in (Family.CALL_HELPER, Family.CALL_KFUNC):
            return
        env, aux = self.env, self.aux[slot]
        if callinfo.calls_back_later(env, insn):
            aux.prune_point = True
        if callinfo.calls_back_now(env, insn):
            aux.calls_callback = aux.force_checkpoint = aux.prune_point = aux.jmp_point = True
        if callinfo.is_iter_next(env, insn):
            aux.prune_point = aux.force_checkpoint = True
        if callinfo.may_sleep(env, insn):
            containing(env, slot).might_sleep = True
        if callinfo.moves_packet(env, insn):
            containing(env, slot).changes_pkt_data = True


def _successors(slot: int, insn: Insn | None) -> tuple[int, ...]:
    """Where control may go next inside the function (bpf_insn_successors)."""
    if insn is None or insn.family is Family.EXIT:
        return ()
    if insn.family is Family.JUMP:
        return (slot + 1 + insn.jump_offset,)
    if insn.family in (Family.BRANCH, Family.MAY_GOTO):
        return (slot + 1, slot + 1 + insn.off)
    return (slot + insn.slots,)


def _number_postorder(env: Env) -> None:
    """Each function's slots in postorder: a slot comes behind its successors, except along back edges."""
    seen, done = bytearray(len(env.code)), bytearray(len(env.code))
    for subprog in env.subprogs[:-1]:
        order: list[int] = []
        stack = [subprog.start]
        while stack:
            top = stack[-1]
            seen[top] = 1
            if done[top]:
                order.append(top)
                stack.pop()
                continue
            for target in env.successors[top]:
                if not seen[target]:
                    stack.append(target)
                    seen[target] = 1
            done[top] = 1
        subprog.postorder = tuple(order)


def mark_fastcall(env: Env) -> None:
    """Mark spills and fills that only protect registers from calls which do not touch them."""
    fastcall.mark(env)
