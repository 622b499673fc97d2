"""Loops of the control flow graph: strongly connected components, numbered as Linux numbers them.

Follows compute_scc of kernel/bpf/verifier.c (Tarjan, with Pearce's one `low` array).
"""

from __future__ import annotations

from xdpsim.verifier.env import Env

_OFF_STACK = 1 << 32


def compute(env: Env) -> None:
    """Set `aux.scc` of every slot that lies on a loop to the loop's number, from 1; others keep 0."""
    search = _Tarjan(env)
    for slot, insn in enumerate(env.code):
        # Linux starts at second halves of LD_IMM64 too; they lead on and are on no loop.
        if insn is not None and not search.pre[slot]:
            search.run(slot)


class _Tarjan:
    def __init__(self, env: Env) -> None:
        self.aux, self.successors = env.aux, env.successors
        self.pre = [0] * len(env.code)
        self.low = [0] * len(env.code)
        self.stack: list[int] = []
        self.next_pre = self.next_scc = 1

    def run(self, start: int) -> None:
        """Number everything that can be reached from `start` and was not reached before."""
        pre, low, path = self.pre, self.low, [start]
        while path:
            slot = path[-1]
            if pre[slot] == 0:
                pre[slot] = low[slot] = self.next_pre
                self.next_pre += 1
                self.stack.append(slot)
            for target in self.successors[slot]:
                if pre[target] == 0:
                    path.append(target)
                    break
                if low[target] < low[slot]:
                    low[slot] = low[target]
            else:
                path.pop()
                if low[slot] == pre[slot]:
                    self.close(slot)

    def close(self, root: int) -> None:
        """`root` is the first slot of its component: take the component off the stack."""
        is_loop = self.stack[-1] != root or root in self.successors[root]
        while True:
            slot = self.stack.pop()
            self.low[slot] = _OFF_STACK
            if is_loop:
                self.aux[slot].scc = self.next_scc
            if slot == root:
                break
        self.next_scc += is_loop
