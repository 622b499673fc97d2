"""A red-black tree of nodes that stay where they are: the shape that Linux's trees take, which programs can see.

Insertion and removal are those of Cormen, Leiserson, Rivest and Stein, as in lib/rbtree.c: a removed node with two
children is replaced by its successor.
"""

from __future__ import annotations

from collections.abc import Callable


class Node:
    """One node; `value` is whatever the caller hangs into it."""

    __slots__ = ("is_red", "left", "parent", "right", "value")

    def __init__(self, value: int) -> None:
        self.value = value
        self.left: Node | None = None
        self.right: Node | None = None
        self.parent: Node | None = None
        self.is_red = True


class Tree:
    """A tree ordered by the caller."""

    def __init__(self) -> None:
        self.root: Node | None = None

    def first(self) -> Node | None:
        """The leftmost node."""
        return _leftmost(self.root) if self.root else None

    def add(self, node: Node, goes_left: Callable[[Node], bool]) -> None:
        """Put a node in, going down by `goes_left(other)`."""
        parent, at, is_left = None, self.root, False
        while at is not None:
            parent, is_left = at, goes_left(at)
            at = at.left if is_left else at.right
        node.parent, node.left, node.right, node.is_red = parent, None, None, True
        if parent is None:
            self.root = node
        elif is_left:
            parent.left = node
        else:
            parent.right = node
        self._repair_after_add(node)

    def _repair_after_add(self, node: Node) -> None:
        while (parent := node.parent) is not None and parent.is_red:
            grand = parent.parent
            assert grand is not None
            is_left = parent is grand.left
            uncle = grand.right if is_left else grand.left
            if uncle is not None and uncle.is_red:
                parent.is_red = uncle.is_red = False
                grand.is_red = True
                node = grand
                continue
            if node is (parent.right if is_left else parent.left):
                self._rotate(parent, to_left=is_left)
                node, parent = parent, node
            parent.is_red, grand.is_red = False, True
            self._rotate(grand, to_left=not is_left)
        assert self.root is not None
        self.root.is_red = False

    def _rotate(self, node: Node, *, to_left: bool) -> None:
        child = node.right if to_left else node.left
        assert child is not None
        inner = child.left if to_left else child.right
        if to_left:
            node.right, child.left = inner, node
        else:
            node.left, child.right = inner, node
        if inner is not None:
            inner.parent = node
        self._replace(node, child)
        node.parent = child

    def _replace(self, old: Node, new: Node | None) -> None:
        parent = old.parent
        if parent is None:
            self.root = new
        elif parent.left is old:
            parent.left = new
        else:
            parent.right = new
        if new is not None:
            new.parent = parent

    def remove(self, node: Node) -> None:
        """Take a node out."""
        if node.left is None or node.right is None:
            child = node.left or node.right
            parent, was_red = node.parent, node.is_red
            self._replace(node, child)
        else:
            heir = _leftmost(node.right)
            child, parent, was_red = heir.right, heir.parent, heir.is_red
            if parent is node:
                parent = heir
            else:
                self._replace(heir, heir.right)
                heir.right = node.right
                heir.right.parent = heir
            self._replace(node, heir)
            heir.left = node.left
            heir.left.parent = heir
            heir.is_red = node.is_red
        if not was_red:
            self._repair_after_remove(child, parent)
        node.left = node.right = node.parent = None

    def _repair_after_remove(self, node: Node | None, parent: Node | None) -> None:
        """`node`, which may be a missing child of `parent`, is one black too short."""
        while parent is not None and not (node is not None and node.is_red):
            is_left = node is parent.left
            sibling = _other(parent, is_left)
            if sibling.is_red:
                sibling.is_red, parent.is_red = False, True
                self._rotate(parent, to_left=is_left)
                sibling = _other(parent, is_left)
            near, far = (sibling.left, sibling.right) if is_left else (sibling.right, sibling.left)
            if not _red(near) and not _red(far):
                sibling.is_red = True
                node, parent = parent, parent.parent
                continue
            if not _red(far):
                assert near is not None
                near.is_red, sibling.is_red = False, True
                self._rotate(sibling, to_left=not is_left)
                sibling, far = near, sibling
            assert far is not None
            sibling.is_red, parent.is_red, far.is_red = parent.is_red, False, False
            self._rotate(parent, to_left=is_left)
            return
        if node is not None:
            node.is_red = False


def _leftmost(node: Node) -> Node:
    while node.left is not None:
        node = node.left
    return node


def _other(parent: Node, is_left: bool) -> Node:
    """The child beside the one that is too short: there always is one."""
    sibling = parent.right if is_left else parent.left
    assert sibling is not None
    return sibling


def _red(node: Node | None) -> bool:
    return node is not None and node.is_red
