"""BTF from a few lines of C-like text, for test cases: types of map values, signatures of functions.

    struct item { u64 key; struct bpf_rb_node link; };
    struct val { struct bpf_spin_lock lock; struct bpf_rb_root root __contains(item, link); };
    struct own { struct item __kptr *kept; u32 bytes[12]; };
    int main(struct xdp_md *ctx);
    static u64 leaf(u64 a, struct val *v __arg_nonnull);

Known are structs and unions with arrays and pointers, enums, typedefs, function declarations, the tags `__kptr`,
`__kptr_untrusted`, `__percpu_kptr`, `__uptr`, `__rcu`, `__user`, `__contains(type, member)`, `__arg_*` and, behind a
function, `__exception_cb(name)`. A struct that is only named is an empty one; those of the kernel with a
meaning in maps (bpf_spin_lock, bpf_timer ...) have their size. ValueError says what was not understood.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tests.support.elf_writer import BtfWriter

_CONST, _VOLATILE, _FUNC, _PROTO, _VAR, _DECL_TAG, _TYPE_TAG = 10, 9, 12, 13, 14, 17, 18
_SIGNED, _CHAR, _BOOL = 1, 2, 4
_INTS: dict[str, tuple[int, int]] = {
    **{f"{prefix}u{bits}": (bits // 8, 0) for prefix in ("", "__") for bits in (8, 16, 32, 64)},
    **{f"{prefix}s{bits}": (bits // 8, _SIGNED) for prefix in ("", "__") for bits in (8, 16, 32, 64)},
    "int": (4, _SIGNED),
    "unsigned": (4, 0),
    "short": (2, _SIGNED),
    "long": (8, _SIGNED),
    "char": (1, _SIGNED),
    "bool": (1, _BOOL),
}
_TYPE_TAGS = {f"__{word}": word for word in ("kptr", "kptr_untrusted", "percpu_kptr", "uptr", "rcu", "user")}
_SPECIAL = {
    "bpf_spin_lock": (4, 4),
    "bpf_res_spin_lock": (4, 4),
    "bpf_refcount": (4, 4),
    "bpf_timer": (16, 8),
    "bpf_wq": (16, 8),
    "bpf_task_work": (8, 8),
    "bpf_list_head": (16, 8),
    "bpf_list_node": (24, 8),
    "bpf_rb_root": (16, 8),
    "bpf_rb_node": (32, 8),
    "bpf_dynptr": (16, 8),
}
"""Size and alignment in bytes (include/uapi/linux/bpf.h); their members mean nothing to the verifier."""
_TOKEN = re.compile(r"[A-Za-z_]\w*|0x[0-9a-fA-F]+|\d+|[{}()\[\];,*=-]|\.\.\.")


@dataclass(frozen=True)
class BtfText:
    """`raw` for BPF_BTF_LOAD; `types` are ids of structs, unions, enums, typedefs, `functions` those of FUNCs."""

    raw: bytes
    types: dict[str, int]
    functions: dict[str, int]


def compile_btf(text: str) -> BtfText:
    """Compile the declarations in `text`."""
    parser = _Parser(_TOKEN.findall(re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)))
    while parser.tokens:
        parser.declaration()
    parser.finish()
    return BtfText(parser.writer.build(), parser.types, parser.functions)


@dataclass
class _Parser:
    tokens: list[str]
    writer: BtfWriter = field(default_factory=BtfWriter)
    types: dict[str, int] = field(default_factory=dict)
    functions: dict[str, int] = field(default_factory=dict)
    layout: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Size and alignment by type id."""
    made: dict[tuple[object, ...], int] = field(default_factory=dict)
    open_structs: set[str] = field(default_factory=set)

    def next(self) -> str:
        if not self.tokens:
            raise ValueError("btf text: it ends within a declaration")
        return self.tokens.pop(0)

    def take(self, token: str) -> bool:
        if self.tokens and self.tokens[0] == token:
            self.tokens.pop(0)
            return True
        return False

    def expect(self, token: str) -> None:
        found = self.next()
        if found != token:
            raise ValueError(f"btf text: expected {token!r} for {found!r} before {' '.join(self.tokens[:5])!r}")

    def once(self, *key: object, layout: tuple[int, int] = (0, 1)) -> int:
        """A row by kind, made at its first use."""
        if key not in self.made:
            kind, name, value, *rest = key
            if kind == "int":
                made = self.writer.int(str(name), *rest)  # type: ignore[arg-type]
            elif kind == "array":
                index = self.once("int", "__u32", 0, 4, 0, layout=(4, 4))
                made = self.writer.add(3, "", 0, "III", int(str(name)), index, int(str(value)))
            else:
                made = self.writer.add(int(str(kind)), str(name), int(str(value)))
            self.made[key] = made
            self.layout[made] = layout
        return self.made[key]

    def declaration(self) -> None:
        """One struct, enum, typedef or function, up to its semicolon."""
        if self.take(";"):
            return
        if self.take("typedef"):
            base, name, _ = self.declarator(self.base())
            self.types[name] = self.writer.typedef(name, base)
            self.layout[self.types[name]] = self.layout[base]
            self.expect(";")
            return
        linkage = 0 if self.take("static") else 2 if self.take("extern") else 1
        base = self.base()
        if self.take(";"):
            return
        type_id, name, _ = self.declarator(base)
        if self.take("("):
            self.function(name, type_id, linkage)
        else:
            self.functions[name] = self.writer.var(name, type_id, linkage)
        self.expect(";")

    def function(self, name: str, returns: int, linkage: int) -> None:
        parameters: list[tuple[str, int, list[str]]] = []
        while not self.take(")"):
            if self.take("..."):
                parameters.append(("", 0, []))
                continue
            base = self.base()
            if base == 0 and self.tokens[0] == ")":
                continue
            type_id, parameter, tags = self.declarator(base)
            parameters.append((parameter, type_id, tags))
            self.take(",")
        words = [word for p, type_id, _ in parameters for word in (self.writer.string(p), type_id)]
        proto = self.writer.add(_PROTO, "", returns, "II" * len(parameters), *words, vlen=len(parameters))
        self.functions[name] = func = self.writer.add(_FUNC, name, proto, vlen=linkage)
        for place, (_, _, tags) in enumerate(parameters):
            for tag in tags:
                self.writer.add(_DECL_TAG, tag, func, "i", place)
        if self.take("__exception_cb"):
            self.expect("(")
            self.writer.add(_DECL_TAG, f"exception_callback:{self.next()}", func, "i", -1)
            self.expect(")")

    def base(self) -> int:
        """The type before the declarator, with the tags of the pointer that may follow still to come."""
        word = self.next()
        if word in ("const", "volatile"):
            return self.once(
                _CONST if word == "const" else _VOLATILE, "", below := self.base(), layout=self.layout[below]
            )
        if word in ("struct", "union"):
            return self.aggregate(word)
        if word == "enum":
            return self.enum()
        if word == "void":
            self.layout[0] = (0, 1)
            return 0
        if word in _INTS:
            if word == "unsigned" and self.tokens[0] in ("int", "long", "char", "short"):
                word = f"u{8 * _INTS[self.next()][0]}"
            while word == "long" and self.tokens[0] in ("long", "int"):
                self.next()
            size, encoding = _INTS[word]
            return self.once("int", word, 0, size, encoding, layout=(size, size))
        if word in self.types:
            return self.types[word]
        raise ValueError(f"btf text: unknown type {word!r}")

    def aggregate(self, word: str) -> int:
        name = self.next() if self.tokens[0] != "{" else ""
        if not self.take("{"):
            return self.named(name)
        key = name or f"{word} {len(self.writer.rows)}"
        if key not in self.types:
            self.types[key] = self.reserve()
        type_id = self.types[key]
        self.open_structs.discard(key)
        members, size, align, tags = [], 0, 1, []
        while not self.take("}"):
            base = self.base()
            member_id, member, member_tags = (base, "", []) if self.tokens[0] == ";" else self.declarator(base)
            member_size, member_align = self.layout[member_id]
            at = 0 if word == "union" else -(-size // member_align) * member_align
            tags += [(tag, len(members)) for tag in member_tags]
            members.append((member, member_id, at * 8))
            size, align = max(size, at + member_size), max(align, member_align)
            self.expect(";")
        size = -(-size // align) * align
        self.fill(type_id, lambda: self.writer.struct(name, size, *members, kind=4 if word == "struct" else 5))
        self.layout[type_id] = (size, align)
        for tag, place in tags:
            self.writer.add(_DECL_TAG, tag, type_id, "i", place)
        return type_id

    def named(self, name: str) -> int:
        """A struct that is named before it is declared, or never."""
        if name not in self.types:
            self.types[name] = self.reserve()
            self.open_structs.add(name)
            self.layout[self.types[name]] = _SPECIAL.get(name, (0, 1))
        return self.types[name]

    def reserve(self) -> int:
        self.writer.rows.append(b"")
        return len(self.writer.rows)

    def fill(self, type_id: int, make: object) -> None:
        make()  # type: ignore[operator]
        self.writer.rows[type_id - 1] = self.writer.rows.pop()

    def enum(self) -> int:
        name = self.next() if self.tokens[0] != "{" else ""
        if not self.take("{"):
            return self.types[name]
        values, number = [], 0
        while not self.take("}"):
            label = self.next()
            if self.take("="):
                number = int(self.next(), 0)
            values.append((label, number))
            number += 1
            self.take(",")
        self.types[name] = type_id = self.writer.enum(name, *values)
        self.layout[type_id] = (4, 4)
        return type_id

    def declarator(self, base: int) -> tuple[int, str, list[str]]:
        """Type, name and tags of `base` with its pointers, name, arrays and tags."""
        type_id, tags, name = base, list[str](), ""
        pending: list[str] = []
        while self.tokens and (self.tokens[0] in ("*", "const", "volatile") or self.tokens[0] in _TYPE_TAGS):
            token = self.next()
            if token == "*":
                for tag in pending:
                    type_id = self.once(_TYPE_TAG, _TYPE_TAGS[tag], type_id)
                pending = []
                type_id = self.once(2, "", type_id, layout=(8, 8))
            elif token in _TYPE_TAGS:
                pending.append(token)
        if self.tokens and re.match(r"[A-Za-z_]", self.tokens[0]) and not self.tokens[0].startswith("__"):
            name = self.next()
        counts = []
        while self.take("["):
            counts.append(int(self.next(), 0))
            self.expect("]")
        for count in reversed(counts):
            size, align = self.layout[type_id]
            type_id = self.once("array", type_id, count, layout=(size * count, align))
        while self.tokens and self.tokens[0].startswith("__") and self.tokens[0] != "__exception_cb":
            tags.append(self.tag(self.next()))
        return type_id, name, tags

    def tag(self, word: str) -> str:
        if word == "__contains":
            self.expect("(")
            kind, _, member, _ = self.next(), self.expect(","), self.next(), self.expect(")")
            return f"contains:{kind}:{member}"
        if word.startswith("__arg_"):
            return f"arg:{word.removeprefix('__arg_')}"
        raise ValueError(f"btf text: unknown tag {word!r}")

    def finish(self) -> None:
        """Give the structs that were only named their row."""
        for name in self.open_structs:
            size = _SPECIAL.get(name, (0, 1))[0]
            self.fill(self.types[name], lambda name=name, size=size: self.writer.struct(name, size))
