"""`Sim(linux=)`: what is younger than the chosen kernel is Unsupported by name; what no kernel allows is Rejected."""

from __future__ import annotations

import pytest

from xdpsim import InputError, Rejected, Sim, Unsupported


@pytest.mark.parametrize(
    ("linux", "code", "message"),
    [
        ("5.10", "r1 = 2; r0 = (s8)r1; exit", "insns: insn movsx needs Linux 6.6; chosen is 5.10"),
        ("4.10", "r2 = 0; call 65; r0 = 2; exit", "insns: bpf_xdp_adjust_tail needs Linux 4.18; chosen is 4.10"),
        ("4.7", "r0 = 2; exit", "insns: program type XDP needs Linux 4.8; chosen is 4.7"),
        ("4.14", "r0 = *(u32 *)(r1 +12); exit", "insns: xdp_md.ingress_ifindex needs Linux 4.16; chosen is 4.14"),
    ],
)
def test_younger_than_the_chosen_kernel(linux: str, code: str, message: str) -> None:
    with pytest.raises(Unsupported) as caught:
        Sim(linux=linux).load_insns(code, "XDP")
    assert caught.value.message == message


def test_old_enough_runs() -> None:
    assert Sim(linux="4.18").load_insns("r2 = 0; call 65; r0 = 2; exit", "XDP").run(bytes(64)).value == 2


def test_a_helper_that_xdp_may_not_call() -> None:
    with pytest.raises(Rejected, match="program of this type cannot use helper bpf_sk_fullsock#95"):
        Sim().load_insns("call 95; r0 = 2; exit", "XDP")


def test_versions_are_checked() -> None:
    with pytest.raises(InputError, match=r"kernel version 'six': expected MAJOR.MINOR such as 5\.15"):
        Sim(linux="six")
