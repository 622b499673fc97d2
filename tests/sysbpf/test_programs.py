"""BPF_PROG_LOAD and what is made of its refusals."""

from __future__ import annotations

import errno

import pytest

from xdpsim.errors import Rejected
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import encode_all
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.sysbpf.info import fd_by_id, object_id
from xdpsim.sysbpf.programs import ProgramDefinition, load_program, telling_line, verifier_log
from xdpsim.sysbpf.syscall import BpfError


def program(text: str, kind: str = "XDP", **rest: object) -> ProgramDefinition:
    return ProgramDefinition(PROG_TYPES[kind].id, encode_all(assemble(text)), "prog", **rest)  # type: ignore[arg-type]


@pytest.mark.live
@pytest.mark.parametrize("kind", ["XDP", "SCHED_CLS", "SOCKET_FILTER", "CGROUP_SKB"])
def test_a_good_program_gets_a_handle(kind: str) -> None:
    with load_program(program("r0 = 1; exit", kind)) as fd:
        again = fd_by_id("program", object_id(fd))
        assert object_id(again) == object_id(fd)


@pytest.mark.live
def test_a_refusal_has_errno_line_and_log() -> None:
    with pytest.raises(Rejected) as caught:
        load_program(program("r0 = *(u32 *)(r1 + 1000); exit"))
    assert caught.value.errno == errno.EACCES
    assert caught.value.message.startswith("prog: Linux ")
    assert caught.value.message.endswith("rejects it (EACCES): invalid bpf_context access off=1000 size=4")
    assert caught.value.log.startswith("0: R1=ctx() R10=fp0\n0: (61) r0 = *(u32 *)(r1 +1000)\n")


@pytest.mark.live
def test_a_long_log_comes_whole() -> None:
    text = "\n".join(f"r0 = {n}" for n in range(3000)) + "\nr0 = r5\nexit"
    error, log = verifier_log(program(text), log_level=2)
    assert error == errno.EACCES
    assert len(log) > 1 << 16
    assert all(f"\n{n}: (b7) r0 = {n} " in log for n in (0, 1, 1500, 2999))
    assert telling_line(log) == "R5 !read_ok"


@pytest.mark.live
def test_an_accepted_program_has_a_log_too() -> None:
    error, log = verifier_log(program("r0 = 1; exit"), log_level=2)
    assert error == 0
    assert "0: (b7) r0 = 1" in log


@pytest.mark.live
def test_an_unknown_type_is_refused_without_a_log() -> None:
    with pytest.raises(Rejected, match=r"EINVAL.*Invalid argument"):
        load_program(ProgramDefinition(999, encode_all(assemble("exit"))))


def test_no_privilege_is_no_verdict_of_the_verifier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xdpsim.sysbpf.programs.bpf", lambda command, attr: -errno.EPERM)
    with pytest.raises(BpfError, match="prog: the kernel does not load it: EPERM") as caught:
        load_program(program("r0 = 1; exit"))
    assert "CAP_BPF" in caught.value.hint


def test_a_waiting_signal_is_not_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([-errno.EAGAIN, -errno.EAGAIN, -errno.EINVAL, -errno.EINVAL])
    monkeypatch.setattr("xdpsim.sysbpf.programs.bpf", lambda command, attr: next(answers))
    with pytest.raises(Rejected, match="EINVAL"):
        load_program(program("r0 = 1; exit"))


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("0: (95) exit\nR0 !read_ok\nprocessed 1 insns (limit 1000000) max_states 0\n", "R0 !read_ok"),
        ("bad\nverification time 42 usec\nstack depth 0\nprocessed 1 insns (limit 1)\n\n", "bad"),
        ("", ""),
    ],
)
def test_the_telling_line_is_no_statistics(log: str, line: str) -> None:
    assert telling_line(log) == line
