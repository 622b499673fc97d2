"""Print include/xdpsim/bpf.h from xdpsim's own rows: helpers, contexts, map types, flags and verdicts.

    python programs/make_header.py            write the header
    python programs/make_header.py --check    only say whether it is stale

Network headers are in include/xdpsim/net.h, which is written by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from enum import IntEnum
from pathlib import Path

from xdpsim.helpers.flags import HELPER_FLAGS
from xdpsim.helpers.ids import HELPERS_BY_NAME
from xdpsim.helpers.prototypes import PROTOTYPES
from xdpsim.maps import types as map_types
from xdpsim.progtypes.context import Context, Field, Yields
from xdpsim.progtypes.skb import TC, skb_context
from xdpsim.progtypes.xdp import XDP, XDP_MD

HEADER = Path(__file__).parent / "include" / "xdpsim" / "bpf.h"

TOP = """\
/* SPDX-License-Identifier: Apache-2.0
 *
 * What a BPF program needs of Linux 6.18: types, sections, maps, contexts, helpers.
 * Printed from xdpsim's rows by programs/make_header.py: change the rows, not this file.
 * Names and numbers are those of include/uapi/linux/bpf.h (GPL-2.0 WITH Linux-syscall-note).
 */
#ifndef XDPSIM_BPF_H
#define XDPSIM_BPF_H

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u16 __sum16;
typedef __u32 __wsum;
typedef _Bool bool;

#define true 1
#define false 0
#define NULL ((void *)0)

#define SEC(name) __attribute__((section(name), used))
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))
#define __hidden __attribute__((visibility("hidden")))
#define __packed __attribute__((packed))
#define __maybe_unused __attribute__((unused))
/* A function or a constant of the kernel's own, by name; weak: its address is NULL where the kernel has none. */
#define __ksym __attribute__((section(".ksyms")))
#define __weak __attribute__((weak))
/* A structure of the kernel's: its offsets are set when the program is loaded (CO-RE). */
#define __relocated __attribute__((preserve_access_index))

/* Fields of a map definition in SEC(".maps"). */
#define __uint(name, val) int (*name)[val]
#define __type(name, val) __typeof__(val) *name
#define __array(name, val) __typeof__(val) *name[]

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define bpf_htons(x) ((__be16)__builtin_bswap16(x))
#define bpf_htonl(x) ((__be32)__builtin_bswap32(x))
#define bpf_cpu_to_be64(x) ((__be64)__builtin_bswap64(x))
#else
#define bpf_htons(x) ((__be16)(x))
#define bpf_htonl(x) ((__be32)(x))
#define bpf_cpu_to_be64(x) ((__be64)(x))
#endif
#define bpf_ntohs(x) ((__u16)bpf_htons(x))
#define bpf_ntohl(x) ((__u32)bpf_htonl(x))
#define bpf_be64_to_cpu(x) ((__u64)bpf_cpu_to_be64(x))

#define memcpy(to, from, n) __builtin_memcpy(to, from, n)
#define memset(to, c, n) __builtin_memset(to, c, n)
"""

# Structures that live in map values or on the stack of programs; the kernel knows them by name.
OPAQUE = """\
struct bpf_spin_lock {
\t__u32 val;
};

struct bpf_timer {
\t__u64 __opaque[2];
} __attribute__((aligned(8)));

struct bpf_dynptr {
\t__u64 __opaque[2];
} __attribute__((aligned(8)));
"""

BOTTOM = """
/* Prints to /sys/kernel/tracing/trace_pipe: at most three values; asks for a GPL-compatible licence. */
#define bpf_printk(fmt, args...) \\
\t({ \\
\t\tstatic const char ____fmt[] = fmt; \\
\t\tbpf_trace_printk(____fmt, sizeof(____fmt), ##args); \\
\t})

#endif
"""


def render() -> str:
    """The whole header."""
    blocks = (
        TOP,
        _enum("bpf_map_type", ((f"BPF_MAP_TYPE_{row.name}", row.id) for row in map_types.MAP_TYPES.values())),
        _defines("Flags of maps and of updates.", _map_flags()),
        _defines("Flags of helpers.", HELPER_FLAGS.items()),
        _enum("xdp_action", _members("XDP_", XDP)),
        _defines("Verdicts of tc programs.", _members("TC_ACT_", TC)),
        OPAQUE,
        _struct(XDP_MD),
        _struct(skb_context("SCHED_CLS")),
        *_helpers(),
    )
    return "\n".join(blocks) + BOTTOM


def _members(prefix: str, enum: type[IntEnum]) -> Iterator[tuple[str, int]]:
    return ((prefix + member.name, int(member)) for member in enum)


def _map_flags() -> Iterator[tuple[str, int]]:
    return ((name, value) for name, value in vars(map_types).items() if name.startswith("BPF_"))


def _enum(name: str, members: Iterable[tuple[str, int]]) -> str:
    body = "".join(f"\t{member} = {value},\n" for member, value in members)
    return f"enum {name} {{\n{body}}};\n"


def _defines(title: str, values: Iterable[tuple[str, int]]) -> str:
    lines = (f"#define {name} {_constant(value)}\n" for name, value in values)
    return f"/* {title} */\n" + "".join(lines)


def _constant(value: int) -> str:
    if value < 0:
        return f"({value})"
    return f"{value:#x}ULL" if value >= 1 << 31 else str(value)


def _struct(context: Context) -> str:
    lines, end = [], 0
    for field in context:
        if field.offset > end:
            lines.append(f"\t__u32 : {8 * (field.offset - end)};\n")
        lines.append(f"\t{_member(field)};\n")
        end = field.end
    return f"struct {context.name} {{\n{''.join(lines)}}};\n"


_SOCKETS = (Yields.SOCKET, Yields.SOCKET_OR_NULL, Yields.SOCK_COMMON, Yields.SOCK_COMMON_OR_NULL)
_POINTERS = dict.fromkeys(_SOCKETS, "struct bpf_sock *") | {Yields.FLOW_KEYS: "struct bpf_flow_keys *"}
_INTEGERS = {1: "__u8", 2: "__u16", 4: "__u32", 8: "__u64"}


def _member(field: Field) -> str:
    if field.yields in _POINTERS:  # eight bytes whatever the size of a pointer is
        return (
            f"union {{\n\t\t{_POINTERS[field.yields]}{field.name};\n\t\t__u64 : 64;\n\t}} __attribute__((aligned(8)))"
        )
    array = f"[{field.count}]" if field.count > 1 else ""
    return f"{_INTEGERS[field.width // field.count]} {field.name}{array}"


def _helpers() -> Iterator[str]:
    declared = {"bpf_spin_lock", "bpf_timer", "bpf_dynptr", "xdp_md", "__sk_buff"}
    structs = set().union(*(row.structs for row in PROTOTYPES.values())) - declared
    yield "".join(f"struct {name};\n" for name in sorted(structs))
    yield "/* Helpers, with the Linux that brought them. */\n"
    for name, row in sorted(PROTOTYPES.items(), key=lambda item: HELPERS_BY_NAME[item[0]].id):
        known = HELPERS_BY_NAME[name]
        note = f"{known.since}, GPL" if known.gpl_only else known.since
        star = "" if row.returns.endswith("*") else " "
        yield f"/* {note} */\nstatic {row.returns}{star}(*const {name})({row.params}) = (void *){known.id};\n"


def main(arguments: list[str]) -> int:
    """Write or check the header; 1 when a check finds it stale."""
    text = render()
    if "--check" not in arguments:
        HEADER.write_text(text)
        return 0
    if HEADER.read_text() == text:
        return 0
    print(f"{HEADER} is stale: run python programs/make_header.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
