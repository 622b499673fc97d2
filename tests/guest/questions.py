"""What a guest kernel is asked, and the golden file `since` that its answers make.

Each question has an id of words; the same ids name what of the answers goes where.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from tests.guest import objects
from tests.progtypes.asking_socks import as_runs
from xdpsim.helpers.ids import HELPERS_BY_ID, HELPERS_OF_TYPE
from xdpsim.helpers.kfunc_since import KFUNC_SINCE
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import encode
from xdpsim.maps.types import MAP_FLAGS, MAP_TYPES
from xdpsim.progtypes.attach import AttachType
from xdpsim.progtypes.context import Context, Field
from xdpsim.progtypes.loading import LOAD_RULES
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.sysbpf.programs import F_SLEEPABLE

INSNS: dict[str, str] = {
    "alu sdiv": "r0 = 4; r1 = 2; r0 s/= r1; exit",
    "movsx": "r0 = 1; r0 = (s8)r0; exit",
    "load_sx": "*(u64 *)(r10 -8) = 0; r0 = *(s8 *)(r10 -8); exit",
    "bswap": "r0 = 1; r0 = bswap32 r0; exit",
    "gotol": "gotol b; a: r0 = 0; exit; b: goto a",
    "may_goto": "r0 = 0; may_goto +1; r0 = 1; exit",
    "load_acquire": "*(u64 *)(r10 -8) = 0; r0 = load_acquire((u64 *)(r10 -8)); exit",
    "atomic and": "*(u64 *)(r10 -8) = 0; r0 = 1; lock *(u64 *)(r10 -8) &= r0; exit",
    "jmp32": "r0 = 1; if w0 == 5 goto +0; exit",
    "call": "call f; exit; f: r0 = 0; exit",
    "store imm to ctx": "*(u32 *)(r1 + 8) = 0; r0 = 0; exit",
}
"""Programs that load where their instruction is known; test_since.py says which instruction that is."""
_EXIT = "9500000000000000"
_SIZE_CODES = {1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}
_CANNOT = ("unknown func", "invalid func", "cannot use helper", "might sleep", "only be called from sleepable")
_STORAGES = ("SK_STORAGE", "INODE_STORAGE", "TASK_STORAGE", "CGRP_STORAGE")
_INNER, _BTF = 500, 501


def _int_btf() -> str:
    """BTF of one type: int."""
    names = b"\0int\0"
    types = struct.pack("=III I", 1, 1 << 24, 4, 32 | 1 << 24)
    return (struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(names)) + types + names).hex()


def program(name: str, kind: str, attach: int, code: str, licence: str = "GPL") -> str:
    """One program without maps or types."""
    flags = F_SLEEPABLE if kind == "SYSCALL" else 0
    return f"P {name} {PROG_TYPES[kind].id} {attach} {flags} {licence} -1 - - - {code}"


def _result_of(kind: str, attach: int) -> int:
    """A result with which a program of the type loads on every Linux."""
    return 1 if kind == "CGROUP_SOCK_ADDR" or attach else 0


def _mov(result: int) -> str:
    return f"b7000000{result:02x}000000"


def map_line(slot: int, name: str, flags: int = 0) -> str:
    """A map of that type with the least that it takes."""
    sizes = {
        "LPM_TRIE": (8, 4, 1, 1),
        "STACK_TRACE": (4, 8, 1, 0),
        "REUSEPORT_SOCKARRAY": (4, 8, 1, 0),
        "CGROUP_STORAGE": (16, 4, 0, 0),
        "PERCPU_CGROUP_STORAGE": (16, 4, 0, 0),
        **dict.fromkeys(("QUEUE", "STACK", "BLOOM_FILTER"), (0, 4, 1, 0)),
        **dict.fromkeys(("RINGBUF", "USER_RINGBUF"), (0, 0, 4096, 0)),
        **dict.fromkeys(_STORAGES, (4, 4, 0, 1)),
        "ARENA": (0, 0, 1, 1 << 10),
    }
    key, value, entries, needed = sizes.get(name, (4, 4, 1, 0))
    inner = _INNER if name.endswith("_OF_MAPS") else -1
    types = f"{_BTF} 1 1" if name in _STORAGES else "-1 0 0"
    return f"M {slot} {MAP_TYPES[name].id} {key} {value} {entries} {flags | needed} {inner} {types} 0"


def flag_pairs() -> list[tuple[str, str]]:
    """Each flag of a map with a type that takes it."""
    return [(flag.name, flag.types[0]) for flag in MAP_FLAGS.values() if flag.types]


def fields() -> Iterator[tuple[str, int, Context, Field, bool]]:
    """Every field of every context as (type, attach type, context, field, whether it is for a store)."""
    for kind, row in PROG_TYPES.items():
        if row.context is None:
            continue
        usual = (LOAD_RULES[kind].attach_types or (0,))[0]
        for field in row.context:
            for sizes, good_for, is_store in (
                (field.loads, field.attach_types, False),
                (field.stores, field.store_attach_types, True),
            ):
                if sizes:
                    yield kind, int(min(good_for, default=usual)), row.context, field, is_store


def access(kind: str, attach: int, field: Field, *, is_store: bool) -> str:
    """A program with the widest access to a field's first element that Linux takes."""
    size = max(s for s in field.sizes(write=is_store) if s <= field.element)
    offset = field.offset.to_bytes(2, "little").hex()
    if is_store:
        insn = f"b702000000000000{0x63 | _SIZE_CODES[size]:02x}21{offset}00000000"
    else:
        insn = f"{0x61 | _SIZE_CODES[size]:02x}12{offset}00000000"
    return insn + _mov(_result_of(kind, attach)) + _EXIT


def script() -> Iterator[str]:
    """All questions but those of objects."""
    for kind in HELPERS_OF_TYPE:
        attach = (LOAD_RULES[kind].attach_types or (0,))[0]
        for number in HELPERS_BY_ID:
            yield program(f"helper/{kind}/{number}", kind, attach, f"85000000{number:02x}000000{_EXIT}")
        for at in AttachType:
            for result in (0, 1):
                yield program(f"attach/{kind}/{int(at)}/{result}", kind, at, _mov(result) + _EXIT)
    for kind, attach, _, field, is_store in fields():
        code = access(kind, attach, field, is_store=is_store)
        yield program(f"field/{kind}/{field.name}/{int(is_store)}", kind, attach, code)
    for name, asm in INSNS.items():
        code = b"".join(encode(insn) for insn in assemble(asm) if insn is not None).hex()
        yield program(f"insn/{name.replace(' ', '_')}", "SCHED_CLS", 0, code)
    yield from (f"K kfunc/{name} {name}" for name in KFUNC_SINCE)
    yield f"B {_BTF} {_int_btf()}"
    yield map_line(_INNER, "ARRAY")
    for slot, name in enumerate(MAP_TYPES):
        yield map_line(slot, name)
    for slot, (flag, name) in enumerate(flag_pairs(), len(MAP_TYPES)):
        yield map_line(slot, name, MAP_FLAGS[flag].bit)
    yield "X"


def golden_of(answers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The answers as the golden file holds them: what there is on that kernel."""
    good = {name for name, row in answers.items() if row["errno"] == 0}
    slots = list(enumerate(MAP_TYPES))
    flags = list(enumerate(flag_pairs(), len(MAP_TYPES)))
    return {
        "release": answers["release"]["log"],
        "helpers": [[kind, as_runs(_callable(kind, answers))] for kind in HELPERS_OF_TYPE],
        "attach_types": [
            [kind, as_runs([int(a) for a in AttachType if {f"attach/{kind}/{int(a)}/{r}" for r in (0, 1)} & good])]
            for kind in HELPERS_OF_TYPE
        ],
        "missing_fields": sorted(name[6:] for name in answers if name.startswith("field/") and name not in good),
        "insns": sorted(name[5:] for name in good if name.startswith("insn/")),
        "kfuncs": sorted(name[6:] for name in good if name.startswith("kfunc/")),
        "map_types": [name for slot, name in slots if f"M {slot}" in good],
        "map_flags": [list(pair) for slot, pair in flags if f"M {slot}" in good],
        "programs": objects.rows(answers),
    }


def _callable(kind: str, answers: dict[str, dict[str, Any]]) -> list[int]:
    found = []
    for number in HELPERS_BY_ID:
        row = answers[f"helper/{kind}/{number}"]
        if (row["log"] or not row["errno"]) and not any(words in row["log"] for words in _CANNOT):
            found.append(number)
    return found
