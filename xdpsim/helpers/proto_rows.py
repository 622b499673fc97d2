"""Prototypes of helpers as the verifier sees them: argument kinds, result, and what a call does to what is known.

struct bpf_func_proto of Linux 6.18, one row for each helper; where program types get different prototypes under one
number, one row for each. The tables are in protos_core.py, protos_net.py and protos_trace.py, looking them up in
protos.py. Bodies (rows.py) take their argument kinds from here.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdpsim.errors import XdpsimBug
from xdpsim.helpers.ids import HELPERS_BY_NAME
from xdpsim.helpers.kinds import Arg, Ret

ANY_TYPE = "*"


@dataclass(frozen=True, slots=True)
class Proto:
    """One struct bpf_func_proto, and the facts that verifier.c keeps by helper number.

    `arg_btf` names the kernel type of each ARG_PTR_TO_BTF_ID ("" for other kinds, and where the verifier finds it out),
    `ret_btf` that of the result. `allowed` names the kernel's further condition (proto->allowed), which no program of a
    network type fulfils. `calls_back` is the helper's own name where it calls a function of the program.
    """

    id: int
    name: str
    args: tuple[Arg, ...]
    returns: Ret
    arg_btf: tuple[str, ...] = ()
    ret_btf: str = ""
    gpl_only: bool = False
    pkt_access: bool = False
    might_sleep: bool = False
    allow_fastcall: bool = False
    moves_packet: bool = False
    """Pointers into the packet are void afterwards (bpf_helper_changes_pkt_data); of a tail call, those of callers."""
    acquires: bool = False
    casts: bool = False
    """The result is the argument seen as another kind of socket, with its reference (is_ptr_cast_function)."""
    calls_back: str = ""
    allowed: str = ""
    capability: str = ""
    """What the loader needs before Linux offers the helper at all: "bpf", "perfmon" or nothing."""

    @property
    def release_arg(self) -> int:
        """Number (1 to 5) of the argument that gives a reference up, 0 for none."""
        return next((at for at, kind in enumerate(self.args, 1) if "OBJ_RELEASE" in kind.flags), 0)


PROTOS: dict[tuple[int, str], Proto] = {}
"""Rows by (helper number, program type); type "*" serves every type that has no row of its own."""


def proto(
    name: str,
    args: str,
    returns: str = "INTEGER",
    *,
    types: str = ANY_TYPE,
    btf: str = "",
    ret_btf: str = "",
    pkt_access: bool = False,
    might_sleep: bool = False,
    allow_fastcall: bool = False,
    moves_packet: bool = False,
    acquires: bool = False,
    casts: bool = False,
    calls_back: str = "",
    allowed: str = "",
) -> None:
    """Register a row. `name` is without bpf_, `args` are names of Arg; `btf` belongs to the arguments of BTF kind."""
    known = HELPERS_BY_NAME["bpf_" + name]
    kinds = tuple(Arg[word] for word in args.split())
    row = Proto(
        known.id,
        known.name,
        kinds,
        Ret[returns],
        tuple(btf if kind.base == "ARG_PTR_TO_BTF_ID" else "" for kind in kinds) if btf else (),
        ret_btf,
        known.gpl_only,
        pkt_access,
        might_sleep,
        allow_fastcall,
        moves_packet,
        acquires,
        casts,
        calls_back,
        allowed,
    )
    for program_type in types.split():
        if (row.id, program_type) in PROTOS:
            raise XdpsimBug(f"helper {name} has two prototypes for {program_type}")
        PROTOS[row.id, program_type] = row
