"""Kernel functions on lists and trees of objects: bpf_list_* and bpf_rbtree_*.

A head in a map's value or in an object holds a token that finds its container here; which nodes are in it and in which
order is kept beside the program's memory, where no program can spoil it. Follows __bpf_list_add() and its neighbours in
kernel/bpf/helpers.c.
"""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import TypeVar

from xdpsim.helpers.heap import Heap, HeapObject
from xdpsim.helpers.kinds import Arg, Ret
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rbtree import Node, Tree
from xdpsim.helpers.rows import BadArgument, kfunc

_EINVAL = 22
_HEAD_BYTES = 8
_TWO = (Arg.BTF_ID, Arg.BTF_ID)


class ListHead:
    """A list: the addresses of its nodes."""

    def __init__(self, address: int) -> None:
        self.address = address
        self.nodes: deque[int] = deque()


class TreeRoot:
    """A tree, and its nodes by their addresses."""

    def __init__(self, address: int) -> None:
        self.address = address
        self.tree = Tree()
        self.nodes: dict[int, Node] = {}


C = TypeVar("C", ListHead, TreeRoot)


class Containers:
    """The lists and trees of one machine, by the token in their heads."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._by_token: dict[int, ListHead | TreeRoot] = {}
        self._numbers = count(1)
        machine.part(Heap).release_container = self.release

    def get(self, kind: type[C], address: int) -> C:
        """The container whose head lies at an address; an empty one where the head is as it starts."""
        space = self._machine.space
        if not space.writable(address, _HEAD_BYTES):
            raise BadArgument(1)
        token = int.from_bytes(space.read(address, _HEAD_BYTES), "little")
        found = self._by_token.get(token)
        if isinstance(found, kind) and found.address == address:
            return found
        made = kind(address)
        token = next(self._numbers)
        self._by_token[token] = made
        space.write(address, token.to_bytes(_HEAD_BYTES, "little"))
        return made

    def release(self, address: int) -> list[HeapObject]:
        """Empty the container at an address, which is about to go; the objects that were in it."""
        token = int.from_bytes(self._machine.space.read(address, _HEAD_BYTES), "little")
        gone = self._by_token.get(token)
        if gone is None or gone.address != address:
            return []
        del self._by_token[token]
        heap, released = self._machine.part(Heap), []
        for node in gone.nodes:
            held = heap.holding(node)
            if held is not None and held.owners.pop(node, None) is not None:
                released.append(held)
        return released


def _claim(machine: Machine, node: int, owner: object) -> HeapObject | None:
    """Put a node's object into a container's hands; None, with the reference dropped, when it is in one already."""
    heap = machine.part(Heap)
    found = heap.holding(node)
    if found is None:
        raise BadArgument(2)
    if node in found.owners:
        heap.drop(found)
        return None
    found.owners[node] = owner
    return found


def _free(machine: Machine, node: int) -> int:
    """Take a node's object out of its container's hands."""
    found = machine.part(Heap).holding(node)
    if found is not None:
        found.owners.pop(node, None)
    return node


@kfunc(args=(*_TWO, Arg.ANYTHING, Arg.ANYTHING), returns=Ret.INTEGER)
def bpf_list_push_front_impl(machine: Machine, head: int, node: int, meta: int, off: int) -> int:
    """Put an object's node first; -EINVAL, and the reference is gone, when the node is in a list already."""
    target = machine.part(Containers).get(ListHead, head)
    if _claim(machine, node, target) is None:
        return -_EINVAL
    target.nodes.appendleft(node)
    return 0


@kfunc(args=(*_TWO, Arg.ANYTHING, Arg.ANYTHING), returns=Ret.INTEGER)
def bpf_list_push_back_impl(machine: Machine, head: int, node: int, meta: int, off: int) -> int:
    """As push_front, at the other end."""
    target = machine.part(Containers).get(ListHead, head)
    if _claim(machine, node, target) is None:
        return -_EINVAL
    target.nodes.append(node)
    return 0


@kfunc(args=(Arg.BTF_ID,), returns=Ret.BTF_ID_OR_NULL)
def bpf_list_pop_front(machine: Machine, head: int) -> int:
    """The first node, taken out; 0 from an empty list."""
    nodes = machine.part(Containers).get(ListHead, head).nodes
    return _free(machine, nodes.popleft()) if nodes else 0


@kfunc(args=(Arg.BTF_ID,), returns=Ret.BTF_ID_OR_NULL)
def bpf_list_pop_back(machine: Machine, head: int) -> int:
    """The last node, taken out; 0 from an empty list."""
    nodes = machine.part(Containers).get(ListHead, head).nodes
    return _free(machine, nodes.pop()) if nodes else 0


@kfunc(args=(Arg.BTF_ID,), returns=Ret.BTF_ID_OR_NULL)
def bpf_list_front(machine: Machine, head: int) -> int:
    """The first node, which stays; 0 in an empty list."""
    nodes = machine.part(Containers).get(ListHead, head).nodes
    return nodes[0] if nodes else 0


@kfunc(args=(Arg.BTF_ID,), returns=Ret.BTF_ID_OR_NULL)
def bpf_list_back(machine: Machine, head: int) -> int:
    """The last node, which stays; 0 in an empty list."""
    nodes = machine.part(Containers).get(ListHead, head).nodes
    return nodes[-1] if nodes else 0


@kfunc(args=(*_TWO, Arg.FUNC, Arg.ANYTHING, Arg.ANYTHING), returns=Ret.INTEGER)
def bpf_rbtree_add_impl(machine: Machine, root: int, node: int, less: int, meta: int, off: int) -> int:
    """Put a node in where less(node, other) says; -EINVAL, and the reference is gone, when it is in a tree."""
    target = machine.part(Containers).get(TreeRoot, root)
    if _claim(machine, node, target) is None:
        return -_EINVAL
    made = target.nodes[node] = Node(node)
    target.tree.add(made, lambda other: bool(machine.call_back(less, node, other.value)))
    return 0


@kfunc(args=_TWO, returns=Ret.BTF_ID_OR_NULL)
def bpf_rbtree_remove(machine: Machine, root: int, node: int) -> int:
    """Take a node out; 0 when it is not in this tree."""
    target = machine.part(Containers).get(TreeRoot, root)
    found = target.nodes.pop(node, None)
    if found is None:
        return 0
    target.tree.remove(found)
    return _free(machine, node)


@kfunc(args=(Arg.BTF_ID,), returns=Ret.BTF_ID_OR_NULL)
def bpf_rbtree_first(machine: Machine, root: int) -> int:
    """The leftmost node, which stays; 0 in an empty tree."""
    first = machine.part(Containers).get(TreeRoot, root).tree.first()
    return first.value if first else 0


@kfunc(args=(Arg.BTF_ID,), returns=Ret.BTF_ID_OR_NULL)
def bpf_rbtree_root(machine: Machine, root: int) -> int:
    """The node at the top, 0 in an empty tree."""
    top = machine.part(Containers).get(TreeRoot, root).tree.root
    return top.value if top else 0


@kfunc(args=_TWO, returns=Ret.BTF_ID_OR_NULL)
def bpf_rbtree_left(machine: Machine, root: int, node: int) -> int:
    """The node below to the left; 0 without one, and for a node of another tree."""
    found = machine.part(Containers).get(TreeRoot, root).nodes.get(node)
    return found.left.value if found and found.left else 0


@kfunc(args=_TWO, returns=Ret.BTF_ID_OR_NULL)
def bpf_rbtree_right(machine: Machine, root: int, node: int) -> int:
    """The node below to the right; 0 without one, and for a node of another tree."""
    found = machine.part(Containers).get(TreeRoot, root).nodes.get(node)
    return found.right.value if found and found.right else 0
