"""Which function catches what a program throws: a declaration tag of its main function names it.

Nothing calls such a function, so it is appended behind all others, as bpf_object__relocate() of libbpf does.
"""

from __future__ import annotations

from xdpsim.btf.rows import DeclTag
from xdpsim.btf.types import Btf
from xdpsim.loader.functions import Function

TAG = "exception_callback:"


def find_catchers(btf: Btf | None, functions: tuple[Function, ...]) -> dict[str, Function]:
    """The catching function of each main function that has one, by the main function's name."""
    if btf is None:
        return {}
    by_name = {function.name: function for function in functions}
    tags = [row for row in btf.types[1:] if isinstance(row, DeclTag) and row.name.startswith(TAG)]
    named = {btf.get(row.type_id).name: row.name.removeprefix(TAG) for row in tags if row.component < 0}
    return {main: by_name[name] for main, name in named.items() if name in by_name}
