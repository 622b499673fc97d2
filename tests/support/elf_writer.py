"""Writes small eBPF objects and BTF sections, right or wrong, so that a broken file is one line to make."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

PROGBITS, SYMTAB, STRTAB, NOBITS, REL = 1, 2, 3, 8, 9
ALLOC, EXEC = 2, 4
NOTYPE, OBJECT, FUNC, SECTION = 0, 1, 2, 3
LOCAL, GLOBAL = 0, 1
EXIT = bytes.fromhex("b700000002000000 9500000000000000")  # r0 = 2; exit


def insn(opcode: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    """One slot."""
    return struct.pack("<BBhi", opcode, src << 4 | dst, off, imm)


def ld_imm64(dst: int, imm: int = 0, src: int = 0, next_imm: int = 0) -> bytes:
    """Two slots."""
    return insn(0x18, dst, src, 0, imm) + insn(0, imm=next_imm)


def call_local(imm: int = -1) -> bytes:
    """A call of a function of the object; -1 where a relocation names it."""
    return insn(0x85, src=1, imm=imm)


@dataclass
class BtfWriter:
    """Types in the order of the calls; each call gives the new type's id."""

    order: str = "<"
    strings: bytearray = field(default_factory=lambda: bytearray(1))
    rows: list[bytes] = field(default_factory=list)

    def string(self, text: str) -> int:
        if not text:
            return 0
        self.strings += text.encode() + b"\0"
        return len(self.strings) - len(text.encode()) - 1

    def add(
        self, kind: int, name: str, size_or_type: int, extra: str = "", *values: int, vlen: int = 0, flag: int = 0
    ) -> int:
        """Any type: the common row, then `values` packed as `extra` says."""
        head = struct.pack(self.order + "III", self.string(name), flag << 31 | kind << 24 | vlen, size_or_type)
        self.rows.append(head + struct.pack(self.order + extra, *values))
        return len(self.rows)

    def int(self, name: str, size: int, encoding: int = 0, bits: int | None = None, offset: int = 0) -> int:
        word = encoding << 24 | offset << 16 | (size * 8 if bits is None else bits)
        return self.add(1, name, size, "I", word)

    def ptr(self, type_id: int) -> int:
        return self.add(2, "", type_id)

    def array(self, type_id: int, nelems: int) -> int:
        return self.add(3, "", 0, "III", type_id, type_id, nelems)

    def struct(self, name: str, size: int, *members: tuple[int | str, ...], kind: int = 4) -> int:
        """Members are (name, type, bit offset[, bits]); a bit count in any makes it a struct with kind_flag."""
        flag = any(len(m) == 4 for m in members)
        words: list[int] = []
        for m in members:
            member, type_id, bit, bits = (*m, 0)[:4]
            words += [self.string(str(member)), int(type_id), int(bits) << 24 | int(bit)]
        return self.add(kind, name, size, "III" * len(members), *words, vlen=len(members), flag=flag)

    def union(self, name: str, size: int, *members: tuple[str, int, int]) -> int:
        return self.struct(name, size, *members, kind=5)

    def enum(self, name: str, *values: tuple[str, int], signed: bool = False, size: int = 4) -> int:
        words = [word for text, value in values for word in (self.string(text), value)]
        return self.add(6, name, size, ("Ii" if signed else "II") * len(values), *words, vlen=len(values), flag=signed)

    def typedef(self, name: str, type_id: int) -> int:
        return self.add(8, name, type_id)

    def func(self, name: str, linkage: int = 1) -> int:
        """`int name(void)`; makes the prototype, too."""
        proto = self.add(13, "", self.int("int", 4, 1))
        return self.add(12, name, proto, vlen=linkage)

    def var(self, name: str, type_id: int, linkage: int = 1) -> int:
        return self.add(14, name, type_id, "I", linkage)

    def datasec(self, name: str, size: int, *variables: tuple[int, int, int]) -> int:
        words = [word for v in variables for word in v]
        return self.add(15, name, size, "III" * len(variables), *words, vlen=len(variables))

    def build(self) -> bytes:
        types = b"".join(self.rows)
        head = (0xEB9F, 1, 0, 24, 0, len(types), len(types), len(self.strings))
        return struct.pack(self.order + "HBBIIIII", *head) + types + bytes(self.strings)


def map_definition(btf: BtfWriter, name: str, **numbers: int) -> int:
    """The VAR of a map in .maps as __uint(field, number) writes it."""
    base = btf.int("int", 4, 1)
    members = [(n, btf.ptr(btf.array(base, value)), 64 * i) for i, (n, value) in enumerate(numbers.items())]
    return btf.var(name, btf.struct("", 8 * len(members), *members))


def ext(
    btf: BtfWriter, section: str, lines: list[tuple[int, int]], functions: list[tuple[int, int]], core: bytes = b""
) -> bytes:
    """A .BTF.ext: `lines` are (byte offset, line), `functions` (byte offset, type id), `core` whole records."""
    name, file, text = btf.string(section), btf.string("prog.c"), btf.string("return 2;")
    parts = [
        b"".join(struct.pack("<II", *row) for row in functions),
        b"".join(struct.pack("<IIII", offset, file, text, line << 10 | 1) for offset, line in lines),
        core,
    ]
    blobs = []
    for size, records in zip((8, 16, 16), parts, strict=True):
        blobs.append(struct.pack("<III", size, name, len(records) // size) + records if records else b"")
    places: list[int] = []
    at = 0
    for blob in blobs:
        places += [at, len(blob)]
        at += len(blob)
    return struct.pack("<HBBI6I", 0xEB9F, 1, 0, 32, *places) + b"".join(blobs)


@dataclass
class ElfWriter:
    """Sections, symbols and relocations in the order of the calls; each call gives the new index."""

    sections: list[list[object]] = field(default_factory=list)
    symbols: list[bytes] = field(default_factory=lambda: [bytes(24)])
    relocations: dict[int, list[bytes]] = field(default_factory=dict)
    strings: bytearray = field(default_factory=lambda: bytearray(1))
    header: dict[int, bytes] = field(default_factory=dict)
    """Byte offset in the file -> bytes that replace what is there when it is built."""

    def _string(self, text: str) -> int:
        self.strings += text.encode() + b"\0"
        return len(self.strings) - len(text.encode()) - 1

    def section(
        self, name: str, data: bytes = b"", kind: int = PROGBITS, flags: int = ALLOC, size: int | None = None
    ) -> int:
        self.sections.append([self._string(name), kind, flags, data, len(data) if size is None else size, 0, 0, 0])
        return len(self.sections)

    def code(self, name: str, data: bytes) -> int:
        return self.section(name, data, flags=ALLOC | EXEC)

    def symbol(
        self,
        name: str,
        section: int,
        value: int = 0,
        size: int = 0,
        kind: int = FUNC,
        bind: int = GLOBAL,
        other: int = 0,
    ) -> int:
        self.symbols.append(struct.pack("<IBBHQQ", self._string(name), bind << 4 | kind, other, section, value, size))
        return len(self.symbols) - 1

    def relocate(self, section: int, offset: int, symbol: int, kind: int = 1) -> None:
        self.relocations.setdefault(section, []).append(struct.pack("<QQ", offset, symbol << 32 | kind))

    def program(self, name: str, section: str, data: bytes = EXIT) -> int:
        """A section of one function; gives the section's index."""
        index = self.code(section, data)
        self.symbol(name, index, 0, len(data))
        return index

    def build(self) -> bytes:
        rows = [list(s) for s in self.sections]
        symtab, strtab = len(rows) + 1 + len(self.relocations), len(rows) + 2 + len(self.relocations)
        for target, entries in self.relocations.items():
            data = b"".join(entries)
            rows.append([self._string(f".rel{target}"), REL, 0, data, len(data), symtab, target, 16])
        table = b"".join(self.symbols)
        rows.append([self._string(".symtab"), SYMTAB, 0, table, len(table), strtab, 1, 24])
        rows.append([self._string(".strtab"), STRTAB, 0, b"", 0, 0, 0, 0])
        rows[-1][3:5] = [bytes(self.strings), len(self.strings)]
        body, headers = bytearray(64), [bytes(64)]
        for name, kind, flags, data, size, link, info, entry in rows:
            body += bytes(-len(body) % 8)
            headers.append(struct.pack("<IIQQQQIIQQ", name, kind, flags, 0, len(body), size, link, info, 8, entry))
            body += data  # type: ignore[operator]
        body += bytes(-len(body) % 8)
        ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
        head = (ident, 1, 247, 1, 0, 0, len(body), 0, 64, 0, 0, 64, len(headers), strtab)
        struct.pack_into("<16sHHIQQQIHHHHHH", body, 0, *head)
        body += b"".join(headers)
        for offset, data in self.header.items():
            body[offset : offset + len(data)] = data
        return bytes(body)


def rich_sample() -> bytes:
    """What `sample` has not: legacy maps, a section that fills a prog array, CO-RE, externs, initial map entries."""
    elf, btf = ElfWriter(), BtfWriter()
    u32, integer = btf.int("unsigned int", 4), btf.int("int", 4, 1)
    xdp = elf.code("xdp", _rich_code())
    main = elf.symbol("main", xdp, 0, len(_rich_code()))
    elf.program("tail", "7/1")
    legacy = elf.section("maps", struct.pack("<18I", 3, 4, 4, 0, 0, 7, 2, 0, 0, 12, 4, 4, 2, 0, 8, 0, 9, 0))
    elf.section("maps/one", struct.pack("<9I", 2, 4, 8, 1, 0, 9, 0, 0, 1))
    jumps, outer = elf.symbol("jumps", legacy, 0, 36, OBJECT), elf.symbol("outer", legacy, 36, 36, OBJECT)
    maps = elf.section(".maps", bytes(32))
    filled = elf.symbol("filled", maps, 0, 32, OBJECT)
    elf.relocate(maps, 24, main)
    names = [(name, elf.symbol(name, 0, kind=NOTYPE, bind=bind)) for name, bind in (("CONFIG_HZ", 1), ("bpf_gone", 2))]
    for slot, symbol, kind in ((0, jumps, 1), (2, outer, 1), (4, filled, 1), (6, names[0][1], 1), (8, names[1][1], 10)):
        elf.relocate(xdp, 8 * slot, symbol, kind)
    btf.datasec(".kconfig", 0, (btf.var("CONFIG_HZ", u32, 2), 0, 4))
    btf.datasec(".ksyms", 0, (btf.func("bpf_gone", 2), 0, 0))
    values = btf.array(btf.ptr(btf.add(13, "", integer)), 0)
    numbers = [btf.ptr(btf.array(integer, n)) for n in (3, 4, 2)]
    fields = [("type", numbers[0], 0), ("key_size", numbers[1], 64), ("max_entries", numbers[2], 128)]
    record = btf.struct("", 24, *fields, ("values", values, 192))
    btf.datasec(".maps", 0, (btf.var("filled", record), 0, 32))
    inner = btf.struct("", 8, ("len", u32, 0), ("bits", u32, 32, 3))
    skb = btf.struct("sk_buff", 24, ("", inner, 0), ("cb", btf.array(btf.int("char", 1, 1), 8), 64), ("mark", u32, 128))
    color = btf.enum("tcp_ca_state", ("TCP_CA_Open", 0), ("TCP_CA_Loss", 4))
    asked = [(9, skb, "0:0:0", 0), (10, skb, "0:1:3", 0), (11, skb, "0", 9), (12, color, "1", 11), (13, skb, "0", 12)]
    asked += [(14, skb, "0:2", 2), (15, skb, "0", 6), (16, skb, "0:0:1", 4)]
    core = b"".join(struct.pack("<IIII", 8 * slot, root, btf.string(path), kind) for slot, root, path, kind in asked)
    lines = ext(btf, "xdp", [(0, 10), (48, 11)], [(0, btf.func("main"))], core)
    elf.section(".BTF", btf.build(), flags=0)
    elf.section(".BTF.ext", lines, flags=0)
    return elf.build()


def _rich_code() -> bytes:
    """Loads of addresses, a call, then one insn for each question of rich_sample."""
    loads = b"".join(ld_imm64(1) for _ in range(4)) + call_local()
    offsets = insn(0x61, 2, 1, 0) + insn(0x71, 2, 1, 11)
    numbers = [24, 4, 1, 1, 0, 0]
    return loads + offsets + b"".join(insn(0xB7, 3, imm=n) for n in numbers) + EXIT


def sample() -> bytes:
    """An object with a bit of everything: two programs, a subprogram, a map, data, licence, BTF and line info."""
    elf, btf = ElfWriter(), BtfWriter()
    u32, u64 = btf.int("unsigned int", 4), btf.int("unsigned long long", 8)
    main = ld_imm64(1) + ld_imm64(2, 4) + ld_imm64(3) + call_local() + EXIT
    text = elf.code(".text", EXIT + call_local(-3) + EXIT)
    xdp = elf.code("xdp", main)
    elf.program("second", "tc")
    maps = elf.section(".maps", bytes(32))
    data = elf.section(".data", struct.pack("<II", 7, 8))
    bss = elf.section(".bss", kind=NOBITS, size=8)
    licence = elf.section("license", b"GPL\0")
    elf.symbol("leaf", text, 0, 16, bind=LOCAL)
    helper = elf.symbol("helper", text, 16, 24)
    elf.symbol("first", xdp, 0, len(main))
    counts = elf.symbol("counts", maps, 0, 32, OBJECT)
    section = elf.symbol("", data, 0, 0, SECTION, LOCAL)
    elf.symbol("limit", data, 0, 4, OBJECT)
    total = elf.symbol("total", bss, 0, 8, OBJECT)
    elf.symbol("_license", licence, 0, 4, OBJECT)
    for offset, symbol in ((0, counts), (16, section), (32, total)):
        elf.relocate(xdp, offset, symbol)
    elf.relocate(xdp, 48, helper, 10)
    functions = {name: btf.func(name) for name in ("first", "second", "helper")} | {"leaf": btf.func("leaf", 0)}
    btf.datasec(".maps", 0, (map_definition(btf, "counts", type=2, key_size=4, value_size=8, max_entries=3), 0, 32))
    btf.datasec(".data", 0, (btf.var("limit", u32), 0, 4), (btf.var("second_limit", u32, 0), 4, 4))
    btf.datasec(".bss", 0, (btf.var("total", u64), 0, 8))
    lines = ext(btf, "xdp", [(0, 10), (48, 11), (56, 12)], [(0, functions["first"])])
    elf.section(".BTF", btf.build(), flags=0)
    elf.section(".BTF.ext", lines, flags=0)
    return elf.build()
