"""Objects that programs allocate: nothing leaks, nothing can be touched once it is gone, trees stay trees."""

from __future__ import annotations

import random
import struct

import pytest

from tests.support.csuite import suite_object, suite_rows
from tests.support.oracle import ramp
from xdpsim.helpers.heap import Heap
from xdpsim.helpers.rbtree import Node, Tree
from xdpsim.isa.asm import assemble
from xdpsim.loader.model import Object, ProgramSpec, Subprogram
from xdpsim.sim.program import Program
from xdpsim.sim.sim import Sim


@pytest.mark.parametrize("name", [row["name"] for row in suite_rows("objects") if "kptr" not in row["name"]])
def test_what_is_dropped_is_gone(name: str) -> None:
    sim = Sim()
    program = sim.load(suite_object("objects"))[name]
    held = 1 if name == "percpu_object" else 0
    for _ in range(3):
        assert program.run(ramp(64)).fault is None
        assert len(sim.machine.part(Heap)) <= held + ("update_drops" in name) * 3


def test_lists_and_trees_that_are_emptied_hold_nothing() -> None:
    for name in ("tree_sorts", "list_queue", "both", "pushed_twice"):
        sim = Sim()
        assert sim.load(suite_object("graph"))[name].run(ramp(64)).fault is None
        assert len(sim.machine.part(Heap)) == 0, name


def with_kfuncs(text: str, *names: str) -> Program:
    """A program in assembler over the types of the suite of graphs; it does what Linux would refuse."""
    sim = Sim(verify=False)
    btf = sim.load(suite_object("graph")).source.btf
    assert btf is not None
    item = next(row.id for row in btf.types if row.name == "item")
    code = assemble(text.replace("ITEM", str(item)))
    spec = ProgramSpec("p", "xdp", "XDP", 0, code, (Subprogram("p", 0),), (), "GPL", kfuncs=names)
    return sim._place(Object("o", {"p": spec}, (), btf, "GPL"))["p"]


NEW = "r1 = ITEM\nr2 = 0\ncall kfunc#0\nr6 = r0\n"
END = "\nr0 = 2\nexit"


def test_an_object_cannot_be_touched_after_it_was_dropped() -> None:
    # The same store insn runs before and after: what it found the first time must not help it the second time.
    text = NEW + "r7 = 0\nagain:\n*(u64 *)(r6 + 0) = 1\nif r7 != 0 goto end\nr7 = 1\nr1 = r6\nr2 = 0\ncall kfunc#1\n"
    program = with_kfuncs(f"{text}goto again\nend:{END}", "bpf_obj_new_impl", "bpf_obj_drop_impl")
    fault = program.run(ramp(64)).fault
    assert fault is not None
    assert "writes 8 bytes at" in fault.problem


def test_an_object_cannot_be_dropped_twice() -> None:
    drop = "r1 = r6\nr2 = 0\ncall kfunc#1\n"
    program = with_kfuncs(NEW + drop + drop + END, "bpf_obj_new_impl", "bpf_obj_drop_impl")
    assert "argument 1 of bpf_obj_drop_impl" in str(program.run(ramp(64)).fault)


def test_an_object_ends_where_its_type_does() -> None:
    size = 80
    program = with_kfuncs(f"{NEW}*(u64 *)(r6 + {size - 8}) = 1{END}", "bpf_obj_new_impl")
    assert program.run(ramp(64)).fault is None
    program = with_kfuncs(f"{NEW}*(u64 *)(r6 + {size - 7}) = 1{END}", "bpf_obj_new_impl")
    assert "object struct item" in str(program.run(ramp(64)).fault)


def test_a_type_that_is_not_there_is_a_fault() -> None:
    program = with_kfuncs("r1 = 99999\nr2 = 0\ncall kfunc#0" + END, "bpf_obj_new_impl")
    assert "argument 1 of bpf_obj_new_impl" in str(program.run(ramp(64)).fault)


def black_height(node: Node | None) -> int:
    """Black nodes on each way down; AssertionError when the ways differ or a red node has a red child."""
    if node is None:
        return 1
    for child in (node.left, node.right):
        assert child is None or (child.parent is node and not (node.is_red and child.is_red))
    left, right = black_height(node.left), black_height(node.right)
    assert left == right
    return left + (not node.is_red)


def test_trees_stay_sorted_and_balanced() -> None:
    rng, tree, nodes = random.Random(5), Tree(), list[Node]()
    for _ in range(1500):
        if nodes and rng.random() < 0.45:
            tree.remove(nodes.pop(rng.randrange(len(nodes))))
        else:
            node = Node(rng.randrange(60))
            nodes.append(node)
            tree.add(node, lambda other, node=node: node.value < other.value)  # type: ignore[misc]
        black_height(tree.root)
        first = tree.first()
        assert (first.value if first else None) == min((node.value for node in nodes), default=None)


def test_the_device_says_what_the_packet_came_with() -> None:
    loaded = Sim().load(suite_object("metadata"))
    program = loaded["own_metadata"]
    program.run(ramp(64))
    silent = struct.unpack_from("<3q", loaded.maps[".bss"].lookup_bytes(bytes(4)) or b"")
    assert silent == (-95, -95, -95)
    program.run(ramp(64), rx_timestamp=1 << 60, rx_hash=(0xCAFE_F00D, 9), rx_vlan_tag=(0x8100, 77))
    said = struct.unpack_from("<3qQIIHH", loaded.maps[".bss"].lookup_bytes(bytes(4)) or b"")
    assert sorted(said) == sorted((0, 0, 0, 1 << 60, 0xCAFE_F00D, 9, 0x0081, 77))


def test_work_is_done_before_the_next_packet() -> None:
    sim = Sim()
    loaded = sim.load(suite_object("casts"))
    program = loaded["own_works"]
    program.run(ramp(64))
    assert loaded.maps["jobs"].lookup_bytes(bytes(4)) == bytes(24)
    program.run(ramp(64))
    assert (loaded.maps["jobs"].lookup_bytes(bytes(4)) or b"")[:8] == struct.pack("<Q", 1)
    sim.advance(0)
    assert (loaded.maps["jobs"].lookup_bytes(bytes(4)) or b"")[:8] == struct.pack("<Q", 2)
