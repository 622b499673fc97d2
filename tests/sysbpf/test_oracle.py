"""The oracle's own machinery: when it is asked, how answers are written down, and what a run says about it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import oracle, record
from xdpsim.sysbpf.info import Fingerprint

HERE = Fingerprint("6.18.44", "x86_64", 2, 256, 250, "0123")


@pytest.fixture
def reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """live_reason on a kernel that is HERE's, unless a test says otherwise."""
    monkeypatch.setattr(oracle, "available", lambda: "")
    monkeypatch.setattr(oracle, "fingerprint", lambda: HERE)
    monkeypatch.setattr(oracle, "GOLDEN", tmp_path)
    path = oracle.golden_path("kernel")
    path.parent.mkdir()
    path.write_text(json.dumps(HERE.__dict__))
    return monkeypatch


def asked() -> str:
    return str(oracle.live_reason.__wrapped__())


def test_the_recorded_kernel_is_asked(reason: pytest.MonkeyPatch) -> None:
    assert asked() == ""


def test_another_patch_level_is_asked(reason: pytest.MonkeyPatch) -> None:
    reason.setattr(oracle, "fingerprint", lambda: replace(HERE, release="6.18.2"))
    assert asked() == ""


def test_another_version_is_not(reason: pytest.MonkeyPatch) -> None:
    reason.setattr(oracle, "fingerprint", lambda: replace(HERE, release="6.8.0-45-generic"))
    assert asked() == "kernel 6.8 is not 6.18"


def test_another_configuration_is_not(reason: pytest.MonkeyPatch) -> None:
    reason.setattr(oracle, "fingerprint", lambda: replace(HERE, nr_cpus=64))
    assert asked() == "this kernel's nr_cpus is 64, the recorded one's 256"


def test_bpf_comes_first(reason: pytest.MonkeyPatch) -> None:
    reason.setattr(oracle, "available", lambda: "bpf(2) answers EPERM")
    assert asked() == "bpf(2) answers EPERM"


def test_packets_are_written_down_short_or_hashed() -> None:
    assert oracle.bytes_spec(b"\1\2") == "0102"
    assert oracle.bytes_spec(bytes(129)) == {"len": 129, "sha256": oracle.hashlib.sha256(bytes(129)).hexdigest()}
    assert oracle.expand("0102") == b"\1\2"
    long = oracle.expand({"len": 600, "fill": "ramp"})
    assert (long[:3], long[256:259], len(long)) == (b"\0\1\2", b"\1\0\3", 600)


def test_one_row_is_one_line() -> None:
    text = record.as_text({"a": 1, "rows": [{"n": 1}, {"n": 2}], "empty": []})
    assert text == '{\n"a": 1,\n"rows": [\n {"n": 1},\n {"n": 2}\n],\n"empty": []\n}\n'
    assert json.loads(text) == {"a": 1, "rows": [{"n": 1}, {"n": 2}], "empty": []}


def test_recorders_write_and_compare(
    reason: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    answer = {"rows": [{"value": 1}]}
    reason.setattr(record, "available", lambda: "")
    reason.setattr(record, "fingerprint", lambda: HERE)
    reason.setattr(record, "import_recorders", lambda: None)
    reason.setattr(record, "RECORDERS", {"thing": lambda: answer})
    assert record.main(["--check"]) == 1
    assert not (tmp_path / "linux-6.18" / "thing.json").exists()
    assert record.main(["thing"]) == 0
    assert record.main(["--check"]) == 0
    answer["rows"][0]["value"] = 2
    assert record.main(["--check"]) == 1
    assert capsys.readouterr().out.split("\n")[:-1] == [
        "thing: new",
        "thing: new",
        "thing: as recorded",
        "thing: differs",
    ]


def test_every_golden_file_of_a_recorder_is_there() -> None:
    record.import_recorders()
    missing = [name for name in record.RECORDERS if not oracle.golden_path(name).exists()]
    assert not missing
