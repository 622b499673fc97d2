"""What BTF says of functions and lines: refused in Linux's words, and lines told in the log where Linux tells them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.btf_text import compile_btf
from tests.support.first_passes import agrees, first_passes, masked, our_log, spec_of
from tests.support.func_info_cases import BTF, CASES, CODE, F, InfoCase, linux_answer
from tests.support.oracle import golden
from tests.support.record import recorder
from xdpsim.btf.parse import parse
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import encode_all
from xdpsim.verifier.env import Env, Refusal
from xdpsim.verifier.log import print_linfo

_TYPES = parse(BTF.raw)


@recorder("verifier_func_info")
def record_cases() -> list[dict[str, Any]]:
    """What Linux says of each case."""
    rows = []
    for case in CASES:
        error, log = linux_answer(case, encode_all(CODE))
        rows.append({"name": case.name, "errno": error, "log": masked(log).partition("processed")[0]})
    return rows


def _ours(case: InfoCase) -> tuple[int, str]:
    return our_log(spec_of(CODE, func_info=case.funcs, line_info=case.lines), _TYPES)


@pytest.mark.live
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_linux_says_the_same(case: InfoCase) -> None:
    error, log = linux_answer(case, encode_all(CODE))
    assert agrees(_ours(case), (error, masked(log))), log


@pytest.mark.golden
def test_as_recorded() -> None:
    rows = {row["name"]: row for row in golden("verifier_func_info")}
    assert set(rows) == {case.name for case in CASES}
    for case in CASES:
        error, log = _ours(case)
        row = rows[case.name]
        assert row["log"].startswith(masked(log)), case.name
        assert not error or (error, masked(log)) == (row["errno"], row["log"]), case.name


def test_names_and_linkage() -> None:
    env = Env(spec_of(CODE, func_info=CASES[1].funcs), (), _TYPES)
    first_passes(env)
    assert [(s.name, s.is_global) for s in env.subprogs[:-1]] == [("main", True), ("g", True)]
    env = Env(spec_of(CODE, func_info=CASES[0].funcs), (), _TYPES)
    first_passes(env)
    assert [(s.name, s.type_id, s.is_global) for s in env.subprogs[1:-1]] == [("f", F, False)]


def test_info_without_types_is_refused() -> None:
    assert our_log(spec_of(CODE, func_info=CASES[0].funcs), None) == (22, "")


def test_lines_are_told_once() -> None:
    case = next(case for case in CASES if case.name == "lines of both")
    env = Env(spec_of(CODE, func_info=case.funcs, line_info=case.lines), (), _TYPES, log_level=1)
    for slot in (0, 1, 5, 6, 0):
        print_linfo(env, slot, "; ")
    assert env.log == ["; main @ main:7\n", "; main @ main:9\n", "; main @ main:7\n"]


EXCEPTION = """
int main(struct xdp_md *ctx) __exception_cb({name});
{linkage}int catch(u64 cookie);
"""


def _exceptions(name: str, linkage: str = "") -> Env:
    text = compile_btf(EXCEPTION.format(name=name, linkage=linkage))
    funcs = ((0, text.functions["main"]), (2, text.functions["catch"]))
    spec = spec_of(assemble("r0 = 0; exit; r0 = 0; exit"), func_info=funcs)
    return Env(spec, (), parse(text.raw), log_level=2)


@pytest.mark.parametrize(
    ("name", "linkage", "message"),
    [
        ("catch", "static ", "exception callback 'catch' must have global linkage"),
        ("missing", "", "exception callback 'missing' could not be found in BTF"),
    ],
)
def test_bad_exception_callbacks(name: str, linkage: str, message: str) -> None:
    with pytest.raises(Refusal, match=message):
        first_passes(_exceptions(name, linkage))


def test_an_exception_callback_is_a_function_of_its_own() -> None:
    env = _exceptions("catch")
    first_passes(env)
    assert env.exception_callback_subprog == 1
    assert env.subprogs[1].is_exception_cb
    assert "".join(env.log).startswith("func#0 @0\nfunc#1 @2\nLive regs before insn:\n")
