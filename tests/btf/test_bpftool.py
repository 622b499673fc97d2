"""Values as bpftool itself prints them: compared live, with random bytes, and read back."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.support.clang import bpffs, bpftool, compile_c
from xdpsim.btf.values import decode_value, encode_value
from xdpsim.loader.load import load_object
from xdpsim.sysbpf.syscall import available

SOURCE = """
enum color { RED, GREEN = 7, BLUE = -1 };
enum big { HUGE_ONE = 0xffffffffffULL };
struct in { __u8 a; __u16 b; };
typedef struct in in_t;
struct val {
    __u64 packets; __u32 x:3, y:5; int s; char name[8]; __u8 mac[6]; struct in in; in_t arr[2]; enum color c, c2;
    union { __u32 u; __u8 b[4]; }; union { __u32 q; __u16 r; } nu; _Bool ok; void *p; __be32 addr; signed char sc;
    long long ll; int:4; int neg:4; char ch; const char cc[4]; enum big eb; int m2[2][2]; __u64 w:40;
    unsigned __int128 i128; _Bool bb[2]; __u16 none[0]; struct in *sp; int (*fp)(int); enum color ce:4; struct {} e;
};
struct { __uint(type, 2); __uint(max_entries, 1); __type(key, __u32); __type(value, struct val); } arr SEC(".maps");
__u32 limit = 10; static volatile int hits; const volatile __u32 ro = 4;
SEC("socket") int p(void *c) { __u32 k = 0; hits++; return !!bpf_map_lookup_elem(&arr, &k) + limit + ro; }
"""


@pytest.mark.skipif(bool(reason := available()), reason=reason)
def test_formatted_values_are_bpftools(tmp_path: Path) -> None:
    data = compile_c(SOURCE, tmp_path)
    loaded = load_object(data, "prog.o")
    spec = next(m for m in loaded.maps if m.name == "arr")
    assert spec.btf is not None
    rng = random.Random(7)
    with bpffs(tmp_path) as fs:
        bpftool("prog", "loadall", str(tmp_path / "prog.o"), str(fs / "p"), "pinmaps", str(fs / "m"))
        for round_ in range(12):
            value = bytearray(rng.randbytes(spec.value_size)) if round_ else bytearray(spec.value_size)
            if round_ % 2:  # no backslash: bpftool 7.1 prints it as a newline
                value[16:24] = b'a"/b~ \0z'
            bpftool(
                "map", "update", "pinned", str(fs / "m/arr"), *["key", "0", "0", "0", "0", "value"], *map(str, value)
            )
            (entry,) = json.loads(bpftool("-j", "map", "dump", "pinned", str(fs / "m/arr")))
            assert decode_value(spec.btf, spec.value_type, bytes(value)) == entry["formatted"]["value"]
            assert encode_value(spec.btf, spec.value_type, entry["value"]) == value
            again = encode_value(spec.btf, spec.value_type, entry["formatted"]["value"])
            assert decode_value(spec.btf, spec.value_type, again) == entry["formatted"]["value"]
        for section in (".data", ".rodata", ".bss"):
            spec = next(m for m in loaded.maps if m.name == section)
            assert spec.btf is not None
            assert spec.initial is not None
            (entry,) = json.loads(
                bpftool("-j", "map", "dump", "pinned", str(fs / f"m/prog{section.replace('.', '_')}"))
            )
            assert decode_value(spec.btf, spec.value_type, spec.initial) == entry["formatted"]["value"]
