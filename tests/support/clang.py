"""Compiles C for tests that need a real compiler's output, and mounts a private bpffs; both skip where they cannot."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CLANG = shutil.which("clang-19")
BPFTOOL = shutil.which("bpftool")

PRELUDE = """
typedef unsigned char __u8; typedef unsigned short __u16; typedef unsigned int __u32; typedef unsigned long long __u64;
typedef __u16 __be16; typedef __u32 __be32;
#define SEC(x) __attribute__((section(x), used))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
#define __hidden __attribute__((visibility("hidden")))
#define __noinline __attribute__((noinline))
struct xdp_md { __u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex; };
static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_tail_call)(void *ctx, void *map, __u32 index) = (void *)12;
static long (*bpf_loop)(__u32 n, void *callback, void *ctx, __u64 flags) = (void *)181;
char LICENSE[] SEC("license") = "GPL";
"""

CORE = """
#define __core __attribute__((preserve_access_index))
enum { BYTE_OFFSET, BYTE_SIZE, EXISTS, SIGNED, LSHIFT, RSHIFT };
#define field(x, kind) __builtin_preserve_field_info(x, kind)
enum { TYPE_EXISTS = 0, TYPE_SIZE = 1, TYPE_MATCHES = 2, ID_LOCAL = 0, ID_TARGET = 1, ENUM_EXISTS = 0, ENUM_VALUE = 1 };
#define type(t, kind) __builtin_preserve_type_info(*(typeof(t) *)0, TYPE_##kind)
#define type_id(t, kind) __builtin_btf_type_id(*(typeof(t) *)0, ID_##kind)
#define enumerator(t, v, kind) __builtin_preserve_enum_value(*(typeof(t) *)v, ENUM_##kind)
"""
"""What bpf_core_read.h defines, for CO-RE questions; add it to the source."""


def compile_c(source: str, directory: Path, *flags: str, target: str = "bpfel") -> bytes:
    """The object that clang makes of PRELUDE and `source`."""
    if CLANG is None:
        pytest.skip("clang-19 is not installed")
    c, o = directory / "prog.c", directory / "prog.o"
    c.write_text(PRELUDE + source)
    command = [CLANG, "-target", target, "-O2", "-g", *flags, "-c", c.name, "-o", o.name]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return o.read_bytes()


@contextmanager
def bpffs(directory: Path) -> Iterator[Path]:
    """A bpffs of our own under `directory`; skips where it cannot be mounted."""
    if BPFTOOL is None:
        pytest.skip("bpftool is not installed")
    point = directory / "bpffs"
    point.mkdir()
    done = subprocess.run(["mount", "-t", "bpf", "bpf", str(point)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no bpffs can be mounted here: {done.stderr.strip()}")
    try:
        yield point
    finally:
        subprocess.run(["umount", str(point)], check=True)


def bpftool(*arguments: str) -> str:
    """What bpftool prints; the test fails when it does."""
    assert BPFTOOL is not None
    done = subprocess.run([BPFTOOL, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"bpftool {' '.join(arguments)}: {done.stderr}{done.stdout}"
    return done.stdout
