"""bpf(2) itself: descriptors, errors, and the reason given where it may not be called."""

from __future__ import annotations

import errno
import os
import platform
import sys

import pytest

from xdpsim.errors import InputError
from xdpsim.sysbpf import syscall


@pytest.fixture
def unprobed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`available` asks anew, as if on Linux."""
    monkeypatch.setattr(syscall, "available", syscall.available.__wrapped__)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


def test_the_answer_is_text() -> None:
    assert isinstance(syscall.available(), str)


@pytest.mark.usefixtures("unprobed")
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (-errno.EPERM, "EPERM: needs root, or CAP_BPF with CAP_NET_ADMIN"),
        (-errno.ENOSYS, "ENOSYS: this kernel was built without CONFIG_BPF_SYSCALL"),
        (-errno.E2BIG, "does not load programs here: E2BIG"),
    ],
)
def test_a_refused_probe_says_what_is_missing(answer: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscall, "bpf", lambda command, attr: answer)
    assert words in syscall.available()


@pytest.mark.usefixtures("unprobed")
def test_other_systems_have_no_bpf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert syscall.available() == "bpf(2) needs Linux; this is Darwin"


@pytest.mark.usefixtures("unprobed")
def test_other_processors_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert syscall.available() == "bpf(2) on riscv64: expected x86_64 or aarch64"


def test_a_descriptor_closes_with_its_last_user() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    held = syscall.Fd(reader)
    held.close()
    held.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reader)


def test_an_error_names_errno_and_privilege() -> None:
    error = syscall.BpfError("map acl", errno.EPERM)
    assert isinstance(error, InputError)
    assert error.message.startswith("map acl: EPERM (")
    assert "CAP_BPF" in error.hint
    assert syscall.BpfError("x", 524).message.startswith("x: ENOTSUPP")
