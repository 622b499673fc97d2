"""The kernel's fingerprint."""

from __future__ import annotations

import pytest

from tests.support.oracle import golden, other_kernel
from xdpsim.errors import InputError
from xdpsim.sysbpf.info import Fingerprint, cpu_count_of, fingerprint

RECORDED = Fingerprint("6.18.44", "x86_64", 2, 256, 250, "0123")


@pytest.mark.parametrize(("text", "count"), [("0", 1), ("0-1", 2), ("0-3,8-11", 12), ("0,2", 3)])
def test_possible_cpus_are_counted_to_the_last(text: str, count: int) -> None:
    assert cpu_count_of(text) == count


def test_an_empty_cpu_list_is_an_input_error() -> None:
    with pytest.raises(InputError, match="expected numbers and ranges"):
        cpu_count_of("")


@pytest.mark.parametrize(("release", "version"), [("6.18.44-custom", "6.18"), ("5.4.0-rc1", "5.4"), ("7.0", "7.0")])
def test_the_version_is_two_numbers(release: str, version: str) -> None:
    assert Fingerprint(release, "x86_64", 1, 1, 1, "").version == version


def test_kernels_built_otherwise_are_told_apart() -> None:
    recorded = golden("kernel") | {"config": "0123", "nr_cpus": 256, "hz": 250, "possible_cpus": 2, "machine": "x86_64"}
    assert other_kernel(RECORDED, recorded) == ""
    other = Fingerprint("6.18.1", "x86_64", 2, 256, 1000, "0123")
    assert other_kernel(other, recorded) == "this kernel's hz is 1000, the recorded one's 250"


@pytest.mark.live
def test_the_running_kernel_is_the_recorded_one() -> None:
    assert other_kernel(fingerprint(), golden("kernel")) == ""
