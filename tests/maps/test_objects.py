"""Programs out of a compiler that use maps of maps, queues, LRU hashes and CPU maps, on both of our engines."""

from __future__ import annotations

from pathlib import Path

import pytest

import xdpsim
from tests.support.clang import compile_c
from xdpsim.errors import InputError

SOURCE = """
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;
static long (*bpf_redirect_map)(void *map, __u64 key, __u64 flags) = (void *)51;
static long (*bpf_map_push_elem)(void *map, const void *value, __u64 flags) = (void *)87;
static long (*bpf_map_pop_elem)(void *map, void *value) = (void *)88;
static long (*bpf_map_peek_elem)(void *map, void *value) = (void *)89;

struct inner { __uint(type, 2); __uint(max_entries, 4); __type(key, __u32); __type(value, __u64); }
    in1 SEC(".maps"), in2 SEC(".maps");
struct { __uint(type, 12); __uint(max_entries, 4); __type(key, __u32); __type(value, __u32);
         __array(values, struct inner); } array SEC(".maps") = { .values = { &in1, [2] = &in2 } };
struct { __uint(type, 13); __uint(max_entries, 4); __type(key, __u32); __type(value, __u32);
         __array(values, struct inner); } table SEC(".maps") = { .values = { [1] = &in2 } };
struct { __uint(type, 22); __uint(max_entries, 2); __uint(value_size, 4); } queue SEC(".maps");
struct { __uint(type, 23); __uint(max_entries, 2); __uint(value_size, 4); } stack SEC(".maps");
struct { __uint(type, 30); __uint(max_entries, 9); __uint(value_size, 4); } bloom SEC(".maps");
struct { __uint(type, 9); __uint(max_entries, 100); __type(key, __u32); __type(value, __u32); } seen SEC(".maps");
struct { __uint(type, 16); __uint(max_entries, 2); __type(key, __u32); __type(value, __u32); } cpus SEC(".maps");
struct { __uint(type, 17); __uint(max_entries, 2); __type(key, __u32); __type(value, __u32); } sockets SEC(".maps");
struct { __uint(type, 25); __uint(max_entries, 2); __type(key, __u32); __type(value, __u32); } ports SEC(".maps");

static __u32 add(void *outer, __u32 key)
{
    __u32 index = 3;
    void *inner = bpf_map_lookup_elem(outer, &key);
    if (!inner)
        return 100;
    __u64 *value = bpf_map_lookup_elem(inner, &index);
    if (!value)
        return 200;
    return ++*value;
}

SEC("xdp") int nested(struct xdp_md *ctx)
{
    return add(&array, ctx->rx_queue_index) << 16 | add(&array, 2) << 8 | add(&table, 1);
}

SEC("xdp") int missing(struct xdp_md *ctx) { return add(&array, 1) << 16 | add(&array, 9) << 8 | add(&table, 2); }

SEC("xdp") int keyless(struct xdp_md *ctx)
{
    __u32 one = 1, two = 2, got = 0, result = 0;
    bpf_map_push_elem(&queue, &one, 0); bpf_map_push_elem(&queue, &two, 0);
    bpf_map_push_elem(&stack, &one, 0); bpf_map_push_elem(&stack, &two, 0);
    if (bpf_map_push_elem(&queue, &two, 0) == -7) result = 1;
    bpf_map_peek_elem(&queue, &got); result = result << 4 | got;
    bpf_map_pop_elem(&queue, &got); result = result << 4 | got;
    bpf_map_pop_elem(&stack, &got); result = result << 4 | got;
    bpf_map_push_elem(&bloom, &one, 0);
    return result << 4 | (bpf_map_peek_elem(&bloom, &one) == 0) << 1 | (bpf_map_peek_elem(&bloom, &result) == 0);
}

SEC("xdp") int recent(struct xdp_md *ctx)
{
    __u32 key, value = 7, *found;
    for (key = 0; key < 500; key++) {
        __u32 copy = key, first = 0;
        bpf_map_update_elem(&seen, &copy, &value, 0);
        bpf_map_lookup_elem(&seen, &first);
    }
    key = 0;
    found = bpf_map_lookup_elem(&seen, &key);
    return found ? *found : 0;
}

SEC("xdp") int to_cpu(struct xdp_md *ctx) { return bpf_redirect_map(&cpus, 1, 2); }
SEC("xdp") int to_socket(struct xdp_md *ctx) { return bpf_redirect_map(&sockets, ctx->rx_queue_index, 2); }
SEC("xdp") int to_port(struct xdp_md *ctx) { return bpf_redirect_map(&ports, 77, 1); }
"""
PACKET = bytes(60)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = Path(tmp_path_factory.mktemp("maps"))
    return compile_c(SOURCE, path)


@pytest.fixture(params=["interpreter", "jit"])
def loaded(request: pytest.FixtureRequest, image: bytes) -> xdpsim.sim.program.LoadedObject:
    return xdpsim.Sim(engine=request.param).load(image)


def verdict(loaded: xdpsim.sim.program.LoadedObject, name: str) -> int:
    found = loaded[name].run(PACKET)
    assert found.fault is None
    return int(found.value)


def test_inner_maps_are_found_through_the_outer_one(loaded: xdpsim.sim.program.LoadedObject) -> None:
    maps = loaded.maps
    assert verdict(loaded, "nested") == 1 << 16 | 1 << 8 | 2
    assert (maps["in1"][3], maps["in2"][3]) == (1, 2)
    assert verdict(loaded, "missing") == 100 << 16 | 100 << 8 | 100
    maps["array"][0] = maps["in2"]
    assert verdict(loaded, "nested") == 3 << 16 | 4 << 8 | 5
    assert (maps["in1"][3], maps["in2"][3]) == (1, 5)
    del maps["array"][2]
    assert verdict(loaded, "nested") == 6 << 16 | 100 << 8 | 7
    assert maps["table"][1] == maps["in2"].number


def test_only_maps_of_the_template_s_shape_go_in(loaded: xdpsim.sim.program.LoadedObject) -> None:
    maps = loaded.maps
    with pytest.raises(InputError, match=r"map array\[1\]: EINVAL"):
        maps["array"][1] = maps["seen"]
    with pytest.raises(InputError, match=r"map array\[1\]: EBADF"):
        maps["array"][1] = 99


def test_queues_stacks_and_filters(loaded: xdpsim.sim.program.LoadedObject) -> None:
    assert verdict(loaded, "keyless") == 0x1112 << 4 | 2
    maps = loaded.maps
    assert (maps["queue"].elements_bytes, maps["stack"].elements_bytes) == ([b"\2\0\0\0"], [b"\1\0\0\0"])
    assert 1 in maps["bloom"]
    assert 2 not in maps["bloom"]


def test_an_lru_keeps_what_is_used(loaded: xdpsim.sim.program.LoadedObject) -> None:
    assert verdict(loaded, "recent") == 7
    assert 0 in loaded.maps["seen"]
    assert 1 not in loaded.maps["seen"]
    assert len(loaded.maps["seen"]) == 100


@pytest.mark.parametrize(
    ("name", "target", "value", "otherwise"),
    [("to_cpu", ("cpus", 1), 64, 2), ("to_socket", ("sockets", 0), 1, 2), ("to_port", ("ports", 77), 5, 1)],
)
def test_redirect(
    loaded: xdpsim.sim.program.LoadedObject, name: str, target: tuple[str, int], value: int, otherwise: int
) -> None:
    assert verdict(loaded, name) == otherwise
    map_name, key = target
    loaded.maps[map_name][key] = value
    out = loaded[name].run(PACKET)
    assert (out.value, str(out.redirect)) == (4, f"{map_name}[{key}]")
