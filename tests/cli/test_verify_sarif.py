"""`xdpsim verify --sarif`: what SARIF 2.1.0 requires and allows, and what code scanning reads of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import ROOT, Xdpsim
from xdpsim.cli.sarif import FINGERPRINT, rule_id
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import encode_all

MISTAKES = "programs/mistakes/mistakes.o"
Json = dict[str, Any]

# Of sarif-schema-2.1.0.json, the definitions that are used: required properties, further ones that may be there, and
# what lies in each of those that holds objects (a list of them where the name ends in []).
SCHEMA: dict[str, tuple[str, str, dict[str, str]]] = {
    "sarifLog": ("version runs", "$schema inlineExternalProperties properties", {"runs[]": "run"}),
    "run": (
        "tool",
        "invocations results columnKind originalUriBaseIds artifacts properties",
        {"tool": "tool", "invocations[]": "invocation", "results[]": "result"},
    ),
    "tool": ("driver", "extensions properties", {"driver": "toolComponent"}),
    "toolComponent": (
        "name",
        "version semanticVersion informationUri rules fullName organization properties",
        {"rules[]": "reportingDescriptor"},
    ),
    "reportingDescriptor": (
        "id",
        "name shortDescription fullDescription help helpUri defaultConfiguration properties",
        {
            "shortDescription": "multiformatMessageString",
            "help": "multiformatMessageString",
            "defaultConfiguration": "reportingConfiguration",
        },
    ),
    "multiformatMessageString": ("text", "markdown properties", {}),
    "reportingConfiguration": ("", "level rank enabled properties", {}),
    "invocation": ("executionSuccessful", "exitCode toolExecutionNotifications properties",
                   {"toolExecutionNotifications[]": "notification"}),
    "notification": ("message", "level locations properties", {"message": "message"}),
    "message": ("text", "markdown id arguments properties", {}),
    "result": (
        "message",
        "ruleId ruleIndex level kind locations partialFingerprints codeFlows relatedLocations properties",
        {
            "message": "message",
            "locations[]": "location",
            "codeFlows[]": "codeFlow",
            "relatedLocations[]": "location",
        },
    ),
    "location": (
        "",
        "id physicalLocation logicalLocations message properties",
        {"physicalLocation": "physicalLocation", "logicalLocations[]": "logicalLocation", "message": "message"},
    ),
    "physicalLocation": ("artifactLocation", "region contextRegion properties",
                         {"artifactLocation": "artifactLocation", "region": "region"}),
    "artifactLocation": ("", "uri uriBaseId index properties", {}),
    "region": ("", "startLine startColumn endLine endColumn snippet properties", {"snippet": "artifactContent"}),
    "artifactContent": ("text", "rendered properties", {}),
    "logicalLocation": ("", "name index fullyQualifiedName kind properties", {}),
    "codeFlow": ("threadFlows", "message properties", {"threadFlows[]": "threadFlow"}),
    "threadFlow": ("locations", "id message properties", {"locations[]": "threadFlowLocation"}),
    "threadFlowLocation": ("", "location kinds importance properties", {"location": "location"}),
}  # fmt: skip


def faults(made: Any, kind: str, place: str = "log") -> Iterator[str]:
    """What breaks the schema."""
    required, optional, inside = SCHEMA[kind]
    if not isinstance(made, dict):
        yield f"{place} is no object"
        return
    yield from (f"{place} has no {name}" for name in required.split() if name not in made)
    allowed = {*required.split(), *optional.split()}
    yield from (f"{place} may have no {name}" for name in made if name not in allowed)
    for name, of in inside.items():
        found = made.get(name.removesuffix("[]"))
        if found is None:
            continue
        rows = found if name.endswith("[]") else [found]
        for at, row in enumerate(rows):
            yield from faults(row, of, f"{place}.{name.removesuffix('[]')}[{at}]")


@pytest.fixture
def log(xdpsim: Xdpsim) -> Callable[..., Json]:
    def ask(*arguments: object) -> Json:
        made = json.loads(xdpsim("verify", *arguments, "--sarif").out)
        assert list(faults(made, "sarifLog")) == []
        assert made["version"] == "2.1.0"
        (run,) = made["runs"]
        assert isinstance(run, dict)
        return run

    return ask


def places(run: Json) -> Iterator[Json]:
    for result in run["results"]:
        yield from result["locations"]
        yield from result.get("relatedLocations", ())
        for flow in result.get("codeFlows", ()):
            yield from (step["location"] for thread in flow["threadFlows"] for step in thread["locations"])


def test_nothing_to_tell(log: Callable[..., Json]) -> None:
    run = log("programs/counter.o")
    assert (run["results"], run["tool"]["driver"]["rules"]) == ([], [])
    assert run["invocations"] == [{"executionSuccessful": True, "toolExecutionNotifications": []}]


def test_a_refusal(log: Callable[..., Json]) -> None:
    run = log(MISTAKES, "-p", "short_bounds_check")
    (result,) = run["results"]
    assert (result["ruleId"], result["level"]) == ("invalid-access-to-packet", "error")
    assert result["message"]["text"].startswith("short_bounds_check: invalid access to packet, off=23 size=1, ")
    assert result["message"]["text"].endswith("\nInstead: compare data + 24 with data_end before this access: only "
                                              "14 bytes are proven here")  # fmt: skip
    (place,) = result["locations"]
    physical = place["physicalLocation"]
    assert physical["artifactLocation"] == {"uri": "programs/mistakes/mistakes.c", "uriBaseId": "%SRCROOT%"}
    lines = (ROOT / "programs/mistakes/mistakes.c").read_text().splitlines()
    line = lines[physical["region"]["startLine"] - 1]
    assert (
        line.strip()
        == physical["region"]["snippet"]["text"]
        == "return ip->protocol == IPPROTO_UDP ? XDP_DROP : XDP_PASS;"
    )
    (flow,) = result["codeFlows"][0]["threadFlows"]
    said = [step["location"]["message"]["text"] for step in flow["locations"]]
    assert said == [
        "insn 5 (if r3 > r2 goto pc+6) not taken",
        "insn 7 (if w2 != 0x8 goto pc+4) not taken",
        "insn 8 (r1 = *(u8 *)(r1 +23)) is refused",
    ]
    assert re.fullmatch(r"[0-9a-f]{32}", result["partialFingerprints"][FINGERPRINT])
    assert result["relatedLocations"][0]["message"]["text"] == "R1 is from here: r1 = *(u32 *)(r1 +0)"


NAMES = ("no_bounds_check", "no_null_check", "wrong_helper", "deep_stack", "leaked_record", "traced", "right")


def test_many(log: Callable[..., Json]) -> None:
    run = log(MISTAKES, *(word for name in NAMES for word in ("-p", name)), "--linux", "5.4")
    rules = run["tool"]["driver"]["rules"]
    ids = [rule["id"] for rule in rules]
    assert len(ids) == len(set(ids))
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
    prints = [result["partialFingerprints"][FINGERPRINT] for result in run["results"]]
    assert len(prints) == len(set(prints))
    levels = {result["ruleId"]: result["level"] for result in run["results"]}
    assert levels["not-verified"] == "note"
    assert levels["needs-newer-linux"] == "error"
    for rule in rules:
        assert rule["defaultConfiguration"]["level"] == levels[rule["id"]]
    for place in places(run):
        uri = place["physicalLocation"]["artifactLocation"]["uri"]
        assert (ROOT / uri).exists()
        assert place["physicalLocation"]["region"]["startLine"] >= 1
    needs = [result["message"]["text"] for result in run["results"] if result["ruleId"] == "needs-newer-linux"]
    assert "leaked_record: bpf_ringbuf_reserve needs Linux 5.8" in needs


def test_an_object_without_lines_and_one_that_is_none(
    log: Callable[..., Json], xdpsim: Xdpsim, obj: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = obj(xdp=encode_all(assemble("exit")))
    (result,) = log(made)["results"]
    artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact == {"uri": made.as_uri()}
    monkeypatch.chdir(tmp_path)
    made.rename(tmp_path / "with blank.o")
    (result,) = log("with blank.o")["results"]
    artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact == {"uri": "with%20blank.o", "uriBaseId": "%SRCROOT%"}
    (invocation,) = log("nowhere.o")["invocations"]
    assert invocation["executionSuccessful"] is False
    assert invocation["toolExecutionNotifications"][0]["message"]["text"] == "nowhere.o: No such file or directory"


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        (
            "invalid access to packet, off=14 size=4, R2(id=0,off=14,r=14)\nR2 offset is outside",
            "invalid-access-to-packet",
        ),
        ("R0 invalid mem access 'map_value_or_null'", "invalid-mem-access"),
        ("R1 !read_ok", "read_ok"),
        ("Unreleased reference id=2 alloc_insn=5", "unreleased-reference"),
        ("unreachable insn 7", "unreachable-insn"),
        ("cannot pass map_type 27 into func bpf_map_lookup_elem#1", "cannot-pass-map_type-into-func"),
        ("12", "rejected"),
    ],
)
def test_rules_name_what_a_message_is_about(message: str, rule: str) -> None:
    assert rule_id(message) == rule
