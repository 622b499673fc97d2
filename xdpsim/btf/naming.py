"""BTF types as C text: declarations built inside out, as C reads.

Hostile BTF nests without end, so the text stops after a number of steps and characters.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdpsim.btf.rows import Array, FuncProto, Fwd, Kind, Ref, Type

NAME_BUDGET = 400
_STEPS = 64


def c_text(types: Sequence[Type], type_id: int) -> str:
    """The type as C writes it; cut at NAME_BUDGET characters. Ids must be those of rows in `types`."""
    text = _Namer(types).text(type_id, "")
    return text if len(text) <= NAME_BUDGET else text[:NAME_BUDGET] + "..."


_WORDS = {Kind.STRUCT: "struct", Kind.UNION: "union", Kind.ENUM: "enum", Kind.ENUM64: "enum"}
_QUALIFIERS = {Kind.CONST: "const", Kind.VOLATILE: "volatile", Kind.RESTRICT: "restrict"}


class _Namer:
    """Builds a declaration inside out, as C reads; gives up after a number of steps."""

    def __init__(self, types: Sequence[Type]) -> None:
        self.types = types
        self.steps = _STEPS

    def text(self, type_id: int, inner: str) -> str:
        """The declaration of `inner` (may be empty) as the type."""
        while True:
            self.steps -= 1
            if self.steps < 0 or len(inner) > NAME_BUDGET:
                return f"...{inner}"
            row = self.types[type_id]
            if isinstance(row, Array):
                inner, type_id = f"{_group(inner)}[{row.nelems}]", row.type_id
            elif isinstance(row, FuncProto):
                inner, type_id = f"{_group(inner)}({self._params(row)})", row.return_id
            elif isinstance(row, Ref) and row.kind is Kind.PTR:
                inner, type_id = f"*{inner}", row.type_id
            elif isinstance(row, Ref) and row.kind in _QUALIFIERS and inner.startswith(("*", "[")):
                return f"{_QUALIFIERS[row.kind]} {self.text(row.type_id, inner)}"
            elif isinstance(row, Ref) and row.kind in _QUALIFIERS:
                if self.types[row.type_id].kind is Kind.PTR:
                    inner, type_id = f" {_QUALIFIERS[row.kind]}{' ' if inner else ''}{inner}", row.type_id
                else:
                    return f"{_QUALIFIERS[row.kind]} {self.text(row.type_id, inner)}"
            elif isinstance(row, Ref) and row.kind is Kind.TYPE_TAG:
                type_id = row.type_id
            else:
                return _base(row) + (f" {inner}" if inner and not inner.startswith(("[", " ")) else inner)

    def _params(self, row: FuncProto) -> str:
        if not row.params:
            return "void"
        shown = [self.text(p.type_id, "") if p.type_id else "..." for p in row.params[:8]]
        return ", ".join(shown + (["..."] if len(row.params) > 8 else []))


def _group(inner: str) -> str:
    return f"({inner})" if inner.startswith(("*", " ")) else inner


def _base(row: Type) -> str:
    if row.kind is Kind.VOID:
        return "void"
    if isinstance(row, Fwd):
        return f"{'union' if row.is_union else 'struct'} {row.name}"
    word = _WORDS.get(row.kind, "")
    return f"{word} {row.name or '(anonymous)'}" if word else row.name or f"({row.kind.name.lower()})"
