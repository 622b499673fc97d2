"""CO-RE: what libbpf makes of relocations against the running kernel's types, and what is shipped for every machine."""

from __future__ import annotations

import struct
from functools import partial
from pathlib import Path

import pytest

import xdpsim
from tests.loader.test_kernel import kernel_program, prog_id, without_ids
from tests.support.clang import CORE, bpffs, bpftool, compile_c
from tests.support.elf_writer import EXIT, BtfWriter, ElfWriter, ext, insn
from xdpsim.btf.linux618 import in_linux618, kfuncs, linux618
from xdpsim.btf.types import Kind, Struct
from xdpsim.errors import InputError
from xdpsim.loader.core.relocate import POISON
from xdpsim.loader.core.spec import essential
from xdpsim.loader.core.target import HOST, read_target
from xdpsim.loader.load import load_object
from xdpsim.loader.model import Object, ProgramSpec
from xdpsim.loader.options import LoadOptions
from xdpsim.memory import runtime
from xdpsim.sysbpf.btf import load_btf
from xdpsim.sysbpf.syscall import available

live = pytest.mark.skipif(bool(reason := available()), reason=reason)

KERNEL = (
    CORE
    + """
struct list_head { struct list_head *next; } __core;
struct net_device { unsigned int ifindex; unsigned char *dev_addr; char name[16]; } __core;
struct sock_common { union { __be32 skc_daddr; }; unsigned short skc_family; volatile unsigned char skc_state;
                     struct in6 { __u64 x[2]; } skc_v6_daddr; } __core;
struct sock { struct sock_common __sk_common; int sk_rcvbuf; unsigned int sk_pacing_shift : 8; __u16 sk_protocol;
              unsigned long sk_pacing_rate; } __core;
struct sk_buff { struct sk_buff *next; unsigned int len; unsigned int mark; __u8 pkt_type : 3; __u8 cloned : 1;
                 __u8 ip_summed : 2; char cb[48]; __u16 network_header; struct sock *sk; } __core;
struct sk_buff___old { unsigned int len; int pkt_type_offset; } __core;
struct task_struct { int pid; int tgid; struct task_struct *parent; char comm[16]; __u32 start_time; } __core;
struct task_struct___wide { __u64 tgid; } __core;
struct nowhere { int x; } __core;
struct net_device_ops { int (*ndo_open)(struct net_device *dev); int (*ndo_nothing)(void); } __core;
enum tcp_ca_state { TCP_CA_Open = 77, TCP_CA_Loss = 9, TCP_CA_Nothing = 5 };
enum skb_drop_reason___mine { SKB_DROP_REASON_NOT_SPECIFIED___mine = 1 };
typedef struct { __u32 value; } my_type;
typedef __u16 sk_buff_data_t_missing;
typedef unsigned int netdev_features_t_none;
struct udphdr { __u16 source; __u16 dest; } __core;
struct udphdr___match { __u16 source; __u16 dest; };
"""
)

QUESTIONS = """
SEC("kprobe/f") int offsets(void *ctx) {
    struct sk_buff *skb = ctx; struct sock *sk = ctx; struct task_struct *t = ctx; struct net_device *dev = ctx;
    __u64 x = field(skb->len, BYTE_OFFSET);
    x = x * 3 + field(skb->cb[7], BYTE_OFFSET); x = x * 3 + field(sk->__sk_common.skc_daddr, BYTE_OFFSET);
    x = x * 3 + field(skb[2].mark, BYTE_OFFSET); x = x * 3 + field(t->comm, BYTE_OFFSET);
    x = x * 3 + field(sk->__sk_common.skc_v6_daddr, BYTE_OFFSET); x = x * 3 + field(dev->name[3], BYTE_OFFSET);
    x = x * 3 + field(sk->sk_pacing_rate, BYTE_OFFSET); x = x * 3 + field(dev->name[3], BYTE_SIZE);
    return x;
}
SEC("kprobe/f") int fields(void *ctx) {
    struct sk_buff *skb = ctx; struct sock *sk = ctx; struct sk_buff___old *old = ctx; struct nowhere *n = ctx;
    struct net_device_ops *ops = ctx; __u64 x = 1;
    x = x * 5 + field(skb->len, BYTE_SIZE); x = x * 5 + field(skb->cb, BYTE_SIZE);
    x = x * 5 + field(skb->pkt_type, BYTE_SIZE); x = x * 5 + field(skb->pkt_type, LSHIFT);
    x = x * 5 + field(skb->pkt_type, RSHIFT); x = x * 5 + field(skb->ip_summed, BYTE_OFFSET);
    x = x * 5 + field(skb->ip_summed, LSHIFT); x = x * 5 + field(skb->ip_summed, SIGNED);
    x = x * 5 + field(sk->sk_rcvbuf, SIGNED); x = x * 5 + field(sk->sk_rcvbuf, RSHIFT);
    x = x * 5 + field(sk->sk_pacing_shift, LSHIFT); x = x * 5 + field(sk->__sk_common.skc_state, SIGNED);
    x = x * 5 + field(old->pkt_type_offset, EXISTS); x = x * 5 + field(old->len, EXISTS);
    x = x * 5 + field(n->x, EXISTS); x = x * 5 + field(ops->ndo_nothing, EXISTS);
    x = x * 5 + field(ops->ndo_open, EXISTS); x = x * 5 + field(ops->ndo_open, BYTE_OFFSET);
    return x;
}
SEC("kprobe/f") int types(void *ctx) {
    __u64 x = 1;
    x = x * 7 + type(struct sk_buff, SIZE); x = x * 7 + type(struct nowhere, SIZE);
    x = x * 7 + type(struct nowhere, EXISTS); x = x * 7 + type(struct sk_buff___old, EXISTS);
    x = x * 7 + type(struct udphdr, MATCHES); x = x * 7 + type(struct udphdr___match, MATCHES);
    x = x * 7 + type(struct sock, MATCHES); x = x * 7 + type_id(struct task_struct, TARGET);
    x = x * 7 + type_id(struct nowhere, TARGET); x = x * 7 + type(my_type, EXISTS);
    x = x * 7 + type(enum tcp_ca_state, EXISTS); x = x * 7 + type(enum tcp_ca_state, SIZE);
    x = x * 7 + type(sk_buff_data_t_missing, EXISTS);
    x = x * 7 + type_id(struct list_head, LOCAL);
    return x;
}
SEC("kprobe/f") int enums(void *ctx) {
    __u64 x = enumerator(enum tcp_ca_state, TCP_CA_Open, VALUE);
    x = x * 9 + enumerator(enum tcp_ca_state, TCP_CA_Loss, VALUE);
    x = x * 9 + enumerator(enum tcp_ca_state, TCP_CA_Nothing, EXISTS);
    x = x * 9 + enumerator(enum skb_drop_reason___mine, SKB_DROP_REASON_NOT_SPECIFIED___mine, EXISTS);
    x = x * 9 + enumerator(enum skb_drop_reason___mine, SKB_DROP_REASON_NOT_SPECIFIED___mine, VALUE);
    return x;
}
"""

LOADS = """
static struct task_struct *(*current_task)(void) = (void *)158;
SEC("kprobe/f") int loads(void *ctx) {
    struct task_struct *t = current_task(); struct task_struct___wide *w = (void *)t;
    __u64 x = t->pid; x = x * 3 + t->tgid; x = x * 3 + t->parent->pid; x = x * 3 + t->comm[5];
    x = x * 3 + t->start_time;
    return x;
}
SEC("kprobe/f") int guarded(void *ctx) {
    struct nowhere *n = ctx; struct sk_buff___old *old = ctx; __u64 x = 4;
    if (field(n->x, EXISTS)) x = n->x;
    if (field(old->pkt_type_offset, EXISTS)) x += old->pkt_type_offset;
    return x;
}
"""


def load(data: bytes, btf: object = HOST) -> Object:
    return load_object(data, "prog.o", LoadOptions(target=partial(read_target, btf)))  # type: ignore[arg-type]


@live
@pytest.mark.parametrize("flags", [(), ("-mcpu=v1",), ("-mcpu=v4",)], ids=["default", "v1", "v4"])
def test_relocated_instructions_are_those_of_libbpf(tmp_path: Path, flags: tuple[str, ...]) -> None:
    loaded = load(compile_c(KERNEL + QUESTIONS + LOADS, tmp_path, *flags))
    assert {n: p.unsupported for n, p in loaded.programs.items()} == dict.fromkeys(loaded.programs, "")
    with bpffs(tmp_path) as fs:
        bpftool("prog", "loadall", str(tmp_path / "prog.o"), str(fs / "p"))
        btf = load_btf(loaded.btf.raw) if loaded.btf else None
        for name, spec in loaded.programs.items():
            with kernel_program(spec, [], btf) as mine:
                bpftool("prog", "pin", "id", str(prog_id(mine)), str(fs / f"mine_{name}"))
                texts = [
                    bpftool("prog", "dump", "xlated", "pinned", str(fs / p)) for p in (f"p/{name}", f"mine_{name}")
                ]
            assert without_ids(texts[1]) == without_ids(texts[0]), name
    assert loaded.programs["guarded"].poisoned


def test_the_shipped_types_say_the_same_as_the_kernel_they_are_of(tmp_path: Path) -> None:
    """On a 6.18 both tables give the same code, but for the numbers of types."""
    data = compile_c(KERNEL + QUESTIONS + LOADS, tmp_path)
    here = load(data, None)
    assert {n: p.unsupported for n, p in here.programs.items()} == dict.fromkeys(here.programs, "")
    assert here.target is linux618().btf
    if Path("/proc/sys/kernel/osrelease").read_text().startswith("6.18.") and not available():
        there = load(data)
        for name in ("offsets", "fields", "enums", "loads", "guarded"):
            assert here.programs[name].code == there.programs[name].code, name


GUARDED = """
SEC("xdp") int f(struct xdp_md *ctx) {
    struct nowhere *n = (void *)(long)ctx->ingress_ifindex;
    if (ctx->data_end - ctx->data > 100)
        return n->x;
    return field(n->x, EXISTS) ? 1 : 2;
}
SEC("xdp") int huge(struct xdp_md *ctx) {
    struct nowhere *n = (void *)(long)ctx->ingress_ifindex;
    return ctx->data_end - ctx->data > 100 ? enumerator(enum gone, GONE, VALUE) : 2;
}
SEC("xdp") int hidden(struct xdp_md *ctx) {
    struct super_block *m = (void *)ctx;
    return field(m->s_magic, EXISTS) ? 1 : 2;
}
"""
GONE = "enum gone { GONE = 0x100000000 }; struct super_block { unsigned long s_magic; } __core;\n"


@pytest.mark.parametrize("engine", ["interpreter", "jit"])
def test_poison_hurts_only_where_it_is_reached(tmp_path: Path, engine: str) -> None:
    if engine == "jit" and runtime.is_python():
        pytest.skip("the jit needs the native runtime")
    data = compile_c(KERNEL + GONE + GUARDED, tmp_path)
    with pytest.raises(xdpsim.Rejected, match=r"libbpf poisoned this insn: .* struct nowhere\.x \(field byte offset\)"):
        xdpsim.Sim(engine=engine).load(data)["f"]
    programs = xdpsim.Sim(engine=engine, verify=False).load(data, name="f.o")
    for name, about in (("f", "struct nowhere.x (field byte offset)"), ("huge", "enum gone::GONE (enumval value)")):
        assert programs[name].run(bytes(60)).value == 2
        fault = str(programs[name].run(bytes(200)).fault)
        assert fault.endswith(f"poisoned CO-RE relocation of {about}: not in the shipped types of Linux 6.18"), fault
    fault = str(programs["hidden"].run(bytes(60)).fault)
    assert "CO-RE relocation of struct super_block.s_magic (field exists): Linux has the type, but" in fault


def test_poison_is_libbpfs(tmp_path: Path) -> None:
    program = load(compile_c(KERNEL + GONE + GUARDED, tmp_path), None).programs["f"]
    (slot,) = program.poisoned
    insn = program.code[slot]
    assert insn is not None
    assert (insn.opcode, insn.dst, insn.src, insn.off, insn.imm) == (0x85, 0, 0, 0, POISON)


def test_the_names_that_linux_has() -> None:
    types = linux618()
    assert in_linux618(Kind.STRUCT, "super_block")
    assert not in_linux618(Kind.STRUCT, "nowhere")
    assert "bpf_ct_release" in kfuncs()
    for name in ("sk_buff", "net_device", "tcp_sock", "task_struct", "nf_conn", "xdp_buff", "bpf_sock", "iphdr"):
        row = types.btf.by_name(name, Kind.STRUCT)
        assert isinstance(row, Struct)
        assert row.members
    assert [m.name for m in types.btf.types if m.id in types.opaque and m.name == "super_block"] == ["super_block"]


@pytest.mark.parametrize(
    ("name", "plain"),
    [("a", "a"), ("sk_buff___old", "sk_buff"), ("a___b___c", "a___b"), ("a____b", "a____b"), ("___a", "___a"),
     ("a___", "a___"), ("_a___b", "_a")],
)  # fmt: skip
def test_flavours(name: str, plain: str) -> None:
    assert essential(name) == plain


def test_targets(tmp_path: Path) -> None:
    b = BtfWriter()
    b.struct("nowhere", 8, ("x", b.int("int", 4, 1), 32))
    elf = ElfWriter()
    elf.section(".BTF", b.build(), flags=0)
    data = compile_c(KERNEL + GONE + GUARDED, tmp_path)
    files = {"plain.btf": b.build(), "vmlinux.o": elf.build(), "none.o": ElfWriter().build(), "bad.btf": b"\x9f\xeb"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for source in (b.build(), str(tmp_path / "plain.btf"), tmp_path / "vmlinux.o"):
        assert load(data, source).programs["f"].poisoned == {}
    for name, words in (
        ("none.o", "symbol|section"),
        ("bad.btf", "btf header: 2 bytes, expected at least 24"),
        ("not there", "No such file"),
    ):
        with pytest.raises(InputError, match=words):
            load(data, tmp_path / name)


def relocated(code: bytes, access: str, kind: int, local: BtfWriter, root: int, target: BtfWriter) -> ProgramSpec:
    """A program `code` with one CO-RE relocation at its first insn."""
    elf = ElfWriter()
    elf.program("main", "xdp", code + EXIT)
    core = struct.pack("<IIII", 0, root, local.string(access), kind)
    raw = ext(local, "xdp", [(0, 3)], [(0, local.func("main"))], core)
    elf.section(".BTF", local.build(), flags=0)
    elf.section(".BTF.ext", raw, flags=0)
    return load(elf.build(), target.build()).programs["main"]


def pair(size: int, signed: int = 0, offset: int = 0) -> tuple[BtfWriter, int]:
    """struct s with one integer `x`."""
    b = BtfWriter()
    number = b.int("number", size, signed)
    return b, b.struct("s", size + offset, ("x", number, 8 * offset))


@pytest.mark.parametrize(
    ("code", "local", "target", "expected"),
    [
        (insn(0x61, 1, 1), pair(4), pair(4, offset=12), (0x61, 12)),
        (insn(0x61, 1, 1), pair(4), pair(8, offset=8), (0x79, 8)),
        (insn(0x61, 1, 1), pair(4), pair(1, offset=3), (0x71, 3)),
        (insn(0x63, 1, 1), pair(4), pair(2, offset=3), (0x6B, 3)),
    ],
    ids=["moved", "wider", "narrower", "store"],
)
def test_loads_and_stores_change_their_width(
    code: bytes, local: tuple[BtfWriter, int], target: tuple[BtfWriter, int], expected: tuple[int, int]
) -> None:
    row = relocated(code, "0:0", 0, *local, target[0]).code[0]
    assert row is not None
    assert (row.opcode, row.off) == expected


def test_a_signed_field_of_another_width_is_poison() -> None:
    spec = relocated(insn(0x61, 1, 1), "0:0", 0, *pair(4, 1), pair(8, 1)[0])
    assert "a field of 4 bytes has 8 in the target and cannot be read like that" in spec.poisoned[0]


@pytest.mark.parametrize(
    ("code", "access", "kind", "target", "words"),
    [
        (insn(0x61, 1, 1, 4), "0:0", 0, pair(4), "the insn holds 4, but the object's own types say 0"),
        (insn(0xB7, 1, imm=7), "0:0", 1, pair(4), "the insn holds 7, but the object's own types say 4"),
        (insn(0xBF, 1, 2), "0:0", 0, pair(4), "of mov, expected a load, a store or a constant"),
        (insn(0x61, 1, 1), "0:0", 0, pair(4, offset=40000), "offset 40000, expected at most 32767"),
        (insn(0x61, 1, 1), "0:9", 0, pair(4), "access '0:9' leads to 9 of struct s"),
        (insn(0x61, 1, 1), "0:x", 0, pair(4), "access '0:x', expected numbers and colons"),
        (insn(0x61, 1, 1), "0:0", 99, pair(4), "kind 99, expected 0 to 12"),
        (insn(0xB7, 1), "0:0", 10, pair(4), "access '0:0' of struct s, expected an enumerator"),
        (insn(0xB7, 1), "1", 8, pair(4), "access '1' of a type, expected '0'"),
    ],
)
def test_relocations_that_do_not_fit_block_the_program(
    code: bytes, access: str, kind: int, target: tuple[BtfWriter, int], words: str
) -> None:
    spec = relocated(code, access, kind, *pair(4), target[0])
    assert words in spec.unsupported
    assert "(prog.c:3)" in spec.unsupported


def test_types_that_disagree_block_the_program() -> None:
    target = pair(4, offset=4)[0]
    target.struct("s___other", 12, ("x", 1, 64))
    assert "2 types of btf fit and disagree" in relocated(insn(0x61, 1, 1), "0:0", 0, *pair(4), target).unsupported
    agreeing = pair(4, offset=4)[0]
    agreeing.struct("s___other", 12, ("x", 1, 32))
    assert relocated(insn(0x61, 1, 1), "0:0", 0, *pair(4), agreeing).unsupported == ""


def test_members_of_anonymous_structs_and_flexible_arrays() -> None:
    local = BtfWriter()
    number = local.int("number", 4)
    root = local.struct("s", 4, ("n", number, 0), ("list", local.array(number, 0), 32))
    target = BtfWriter()
    number = target.int("number", 4)
    inner = target.union("", 8, ("other", number, 0), ("list", target.array(number, 2), 0))
    target.struct("s", 24, ("n", number, 64), ("", target.struct("", 8, ("", inner, 0)), 128))
    row = relocated(insn(0x61, 1, 1, 8), "0:1:1", 0, local, root, target).code[0]
    assert row is not None
    assert row.off == 20
    assert relocated(insn(0x61, 1, 1, 24), "0:1:5", 0, local, root, target).poisoned
