"""What hostile programs are made of: one map of each kind, types, and the calls that make objects for other calls."""

from __future__ import annotations

from functools import cache

from tests.support.elf_writer import BtfWriter
from xdpsim.btf.parse import parse
from xdpsim.btf.types import Btf
from xdpsim.isa.decode import SLOT
from xdpsim.maps.spec import MapSpec

_VALUE_BYTES = 72
MAPS = (
    ("ARRAY", 4, _VALUE_BYTES, 4, 0), ("HASH", 4, _VALUE_BYTES, 4, 0), ("LRU_HASH", 4, 16, 4, 0),
    ("PERCPU_ARRAY", 4, 16, 4, 0), ("PERCPU_HASH", 4, 16, 4, 0), ("LRU_PERCPU_HASH", 4, 16, 4, 0),
    ("LPM_TRIE", 8, 16, 4, 1), ("QUEUE", 0, 16, 4, 0), ("STACK", 0, 16, 4, 0), ("BLOOM_FILTER", 0, 16, 4, 0),
    ("RINGBUF", 0, 0, 4096, 0), ("PERF_EVENT_ARRAY", 4, 4, 4, 0), ("PROG_ARRAY", 4, 4, 4, 0),
    ("DEVMAP", 4, 4, 4, 0), ("DEVMAP_HASH", 4, 4, 4, 0), ("CPUMAP", 4, 4, 4, 0), ("XSKMAP", 4, 4, 4, 0),
    ("ARRAY_OF_MAPS", 4, 4, 2, 0), ("HASH_OF_MAPS", 4, 4, 2, 0),
)  # fmt: skip
FITTING_MAPS = {
    "bpf_ringbuf": (10,), "perf_event": (11,), "redirect_map": (13, 14, 15, 16), "for_each_map": (0, 1, 2, 3),
    "push_elem": (7, 8, 9), "pop_elem": (7, 8), "peek_elem": (7, 8, 9), "timer": (0, 1), "wq_init": (0, 1),
    "percpu_elem": (3, 4, 5), "lookup_elem": (0, 1, 2, 3, 4, 5, 6, 17, 18), "update_elem": (0, 1, 2, 3, 4, 5, 6),
    "delete_elem": (1, 2, 4, 5, 6),
}  # fmt: skip
"""Part of a helper's name -> maps that it is made for."""
DYNPTRS = (-128, -144)
OPENINGS = (
    "bpf_obj_new_impl", "bpf_dynptr_from_xdp", "bpf_dynptr_from_mem", "bpf_timer", "bpf_iter_num_new",
    "bpf_ringbuf_reserve", "bpf_ringbuf_reserve_dynptr", "bpf_xdp_ct_alloc", "bpf_xdp_ct_lookup", "bpf_sk_lookup_tcp",
    "bpf_skc_lookup_tcp", "bpf_sk_lookup_udp", "bpf_get_current_task_btf", "bpf_percpu_obj_new_impl",
)  # fmt: skip
"""What makes the things that other calls are about."""
_WITH_VALUES = (0, 1)
TIMED, NODE = "timed", "node"
PROG_ARRAY = next(n for n, row in enumerate(MAPS) if row[0] == "PROG_ARRAY")


@cache
def types() -> tuple[Btf, dict[str, int]]:
    """A value with a lock, a timer and a work queue; an object with nodes and a count. And their ids."""
    made = BtfWriter()
    u32, u64 = made.int("unsigned int", 4), made.int("unsigned long long", 8)

    def opaque(name: str, words: int) -> int:
        return made.struct(name, 8 * words, ("__opaque", made.array(u64, words), 0))

    lock = made.struct("bpf_spin_lock", 4, ("val", u32, 0))
    count = made.struct("bpf_refcount", 4, ("__opaque", made.array(u32, 1), 0))
    timer, work, listed, sorted_ = (
        opaque(*w) for w in (("bpf_timer", 2), ("bpf_wq", 2), ("bpf_list_node", 3), ("bpf_rb_node", 4))
    )
    ids = {
        TIMED: made.struct(TIMED, _VALUE_BYTES, ("lock", lock, 0), ("t", timer, 64), ("w", work, 192), ("x", u64, 320)),
        NODE: made.struct(NODE, 72, ("l", listed, 0), ("r", sorted_, 192), ("count", count, 448), ("x", u64, 512)),
        "u32": u32,
    }
    return parse(made.build()), ids


def map_specs() -> list[MapSpec]:
    """One map of each kind."""
    btf, ids = types()
    specs: list[MapSpec] = []
    for number, (kind, key, value, entries, flags) in enumerate(MAPS):
        inner = MapSpec("inner", "ARRAY", 4, 16, 4) if kind.endswith("OF_MAPS") else None
        typed = {"btf": btf, "key_type": ids["u32"], "value_type": ids[TIMED]} if number in _WITH_VALUES else {}
        specs.append(MapSpec(f"map{number}", kind, key, value, entries, flags=flags, inner=inner, **typed))
    return specs


def slot(opcode: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    return SLOT.pack(opcode, src << 4 | dst, off, (imm + (1 << 31)) % (1 << 32) - (1 << 31))


def imm64(dst: int, value: int, kind: int = 0) -> bytes:
    return slot(0x18, dst, kind, 0, value & 0xFFFF_FFFF) + slot(0, imm=value >> 32)


def address(dst: int, base: int, distance: int) -> bytes:
    """dst = base + distance."""
    return slot(0xBF, dst, base) + slot(0x07, dst, imm=distance)


FAMILIES = {
    "connection": "^bpf_ct_",
    "task": "task_stack|task_pt_regs|find_vma|current_task_under",
    "socket": "skc_to|sk_release|tcp_(check|gen)_syncookie",
    "record": "ringbuf_(submit|discard)$",
    "copies": "percpu_obj_drop|per_cpu_ptr|this_cpu_ptr",
    "object": "bpf_list_|bpf_rbtree|obj_drop|refcount_acq",
}
"""What a call is about -> the names of those calls."""
KEEPS = {
    "bpf_obj_new_impl": "object", "bpf_percpu_obj_new_impl": "copies", "bpf_xdp_ct_alloc": "connection",
    "bpf_xdp_ct_lookup": "connection", "bpf_sk_lookup_tcp": "socket", "bpf_skc_lookup_tcp": "socket",
    "bpf_sk_lookup_udp": "socket", "bpf_get_current_task_btf": "task", "bpf_ringbuf_reserve": "record",
}  # fmt: skip
_ENDS = imm64(2, 0x0200000A0100000A) + slot(0x7B, 10, 2, -80) + slot(0x62, 10, 0, -72, 0x50003500)
"""The ends of a connection as struct bpf_sock_tuple: 10.0.0.1:53 and 10.0.0.2:80."""
SOCKET = _ENDS + slot(0xBF, 1, 6) + address(2, 10, -80) + slot(0xB7, 3, imm=12) + slot(0xB7, 4, imm=-1) + slot(0xB7, 5)
_OPTIONS = slot(0x7A, 10, 0, -64, 0xFFFFFFFF) + slot(0x7A, 10, 0, -56, 6)
"""struct bpf_ct_opts: this namespace, TCP."""
CONNECTION = _ENDS + _OPTIONS + SOCKET[len(_ENDS) : -16] + address(4, 10, -64) + slot(0xB7, 5, imm=12)
