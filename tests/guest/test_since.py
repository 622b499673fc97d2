"""First kernels of helpers, map types, program types, attach types, fields, insns and kfuncs: as 6.1 and 6.12 say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.guest import questions
from tests.support.oracle import golden_path
from xdpsim.analysis.needs import missing, object_needs
from xdpsim.helpers.ids import HELPERS_BY_NAME, HELPERS_OF_TYPE, ids_of
from xdpsim.helpers.kfunc_since import KFUNC_SINCE
from xdpsim.helpers.type_since import helper_since
from xdpsim.isa.asm import assemble
from xdpsim.isa.since import STORE_IMM_TO_CONTEXT, insn_since
from xdpsim.maps.types import MAP_FLAGS, MAP_TYPES
from xdpsim.progtypes.attach import ATTACH_SINCE, AttachType
from xdpsim.progtypes.loading import takes_attach_type
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.versions import Linux

pytestmark = pytest.mark.golden

VERSIONS = ("6.1", "6.12")
UNASKED_MAP_TYPES = {"STRUCT_OPS"}
"""A map of structures of operations is of the kernel's own types, which the script does not know."""
BACKPORTED = {("6.1", "gotol")}
"""Instructions that the stable branch has although they came later."""
GONE = {"bpf_probe_write_user"}
"""Helpers that older kernels offer to more types than the 6.18 that was asked, whose lockdown hides it."""


def recorded(version: str) -> dict[str, Any]:
    """What that kernel said."""
    found: dict[str, Any] = json.loads(golden_path("since", version).read_text())
    return found


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Each recorded kernel."""
    return str(request.param)


def test_the_kernel_is_the_one_meant(version: str) -> None:
    assert recorded(version)["release"].startswith(f"{version}.")


def test_helpers_by_program_type(version: str) -> None:
    for kind, text in recorded(version)["helpers"]:
        if Linux(PROG_TYPES[kind].since) > Linux(version):
            assert not text, kind
            continue
        ours = {n for n in HELPERS_OF_TYPE[kind] if Linux(helper_since(n, kind)) <= Linux(version)}
        gone = {HELPERS_BY_NAME[name].id for name in GONE}
        assert ids_of(text) - gone == ours - gone, kind


def test_attach_types(version: str) -> None:
    for kind, text in recorded(version)["attach_types"]:
        taken = [attach for attach in AttachType if takes_attach_type(kind, attach)]
        if len(taken) < len(AttachType):
            taken = [at for at in taken if not at or Linux(ATTACH_SINCE[at]) <= Linux(version)]
        is_there = Linux(PROG_TYPES[kind].since) <= Linux(version)
        assert ids_of(text) == (set(map(int, taken)) if is_there else set()), kind


def test_map_types(version: str) -> None:
    ours = {row.name for row in MAP_TYPES.values() if Linux(row.since) <= Linux(version)}
    assert set(recorded(version)["map_types"]) == ours - UNASKED_MAP_TYPES


def test_map_flags(version: str) -> None:
    ours = [list(p) for p in questions.flag_pairs() if Linux(MAP_FLAGS[p[0]].since) <= Linux(version)]
    assert recorded(version)["map_flags"] == ours


def test_context_fields(version: str) -> None:
    missing = [
        f"{kind}/{field.name}/{int(is_store)}"
        for kind, _, _, field, is_store in questions.fields()
        if max(Linux(field.since), Linux(PROG_TYPES[kind].since)) > Linux(version)
    ]
    assert recorded(version)["missing_fields"] == sorted(missing)


def test_kernel_functions(version: str) -> None:
    ours = {name for name, since in KFUNC_SINCE.items() if Linux(since) <= Linux(version)}
    assert set(recorded(version)["kfuncs"]) == ours


def test_instructions(version: str) -> None:
    ours = set()
    for name, asm in questions.INSNS.items():
        newest = max(Linux(insn_since(insn)) for insn in assemble(asm) if insn is not None)
        if name == "store imm to ctx":
            newest = Linux(STORE_IMM_TO_CONTEXT)
        if newest <= Linux(version) or (version, name) in BACKPORTED:
            ours.add(name.replace(" ", "_"))
    assert set(recorded(version)["insns"]) == ours


ANALYSIS = {
    ("6.1", "classifier.o", "xdp_classifier"),
    ("6.1", "dnsfilter.o", "xdp_dnsfilter"),
    ("6.1", "firewall.o", "xdp_firewall"),
    ("6.1", "nat64.o", "xdp_nat64"),
    ("6.12", "firewall.o", "xdp_firewall"),
    ("6.12", "nat64.o", "xdp_nat64"),
}
"""Programs that lack nothing there and are refused: their verifiers know less of numbers, or walk further."""


@pytest.mark.parametrize("version", VERSIONS)
def test_programs_load_where_nothing_is_missing(version: str) -> None:
    answers = {(name, program): errno for name, program, errno, _ in recorded(version)["programs"]}
    for name, source in questions.objects.objects():
        for program, needs in object_needs(source).items():
            assert (name, program) in answers, f"{name} is new: make record-goldens LINUX={version}"
            lacking = missing(needs, Linux(version))
            refused = answers[name, program] != 0
            assert refused == (bool(lacking) or (version, name, program) in ANALYSIS), (name, program, lacking)


def test_what_is_missing_names_insn_and_source_line() -> None:
    (source,) = (source for name, source in questions.objects.objects() if name == "dynptr_parse.o")
    lacking = missing(object_needs(source)["xdp_dynptr_parse"], Linux("6.1"))
    assert [need.what for need in lacking if need.since == "6.4"] == [
        "bpf_dynptr_from_xdp",
        "bpf_dynptr_slice",
        "bpf_dynptr_slice_rdwr",
    ]
    for need in lacking:
        assert need.line is not None
        assert need.line.file.endswith("dynptr_parse.c")
        assert source.programs["xdp_dynptr_parse"].code[need.slot] is not None
