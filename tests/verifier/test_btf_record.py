"""Special fields by BTF: which types and maps Linux refuses (tests/cases/btf_fields.toml), what is in others."""

from __future__ import annotations

import errno
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.btf_text import compile_btf
from xdpsim.btf.parse import parse
from xdpsim.engines.kernel.mirror import definition_of
from xdpsim.maps.spec import MapSpec
from xdpsim.sysbpf.btf import load_btf
from xdpsim.sysbpf.info import possible_cpus
from xdpsim.sysbpf.maps import create_map
from xdpsim.sysbpf.syscall import BpfError
from xdpsim.verifier.btf_record import BadFields, btf_errno, map_record, record_of_map, record_of_type

FILE = Path(__file__).parents[1] / "cases" / "btf_fields.toml"
NO_PREALLOC = 1


@dataclass
class Case:
    """One kind of value in one kind of map; errnos by name."""

    name: str
    btf: str
    types: str
    type: str = "HASH"
    flags: int = 0
    map: str | None = None
    fields: list[str] = field(default_factory=list)

    def spec(self) -> MapSpec:
        text = compile_btf(f"struct keys {{ u32 small; u64 large; }};\n{self.btf}")
        btf = parse(text.raw)
        is_trie = self.type == "LPM_TRIE"
        key = btf.by_name("u64" if is_trie else "u32")
        assert key is not None
        value = text.types["val"]
        sizes = (8 if is_trie else 4, btf.size_of(value))
        flags = self.flags | NO_PREALLOC * is_trie
        return MapSpec("m", self.type, *sizes, 1, flags, key_type=key.id, value_type=value, btf=btf)


CASES = [Case(**row) for row in tomllib.loads(FILE.read_text())["case"]]


def _name(number: int) -> str:
    return {0: "", errno.EOPNOTSUPP: "EOPNOTSUPP"}.get(number) or errno.errorcode.get(number, "")


def asked(spec: MapSpec) -> tuple[int, int | None]:
    """The errnos with which Linux refuses the types and the map; None for a map whose types it refuses."""
    assert spec.btf is not None
    try:
        types = load_btf(spec.btf.raw)
    except BpfError as error:
        return error.errno, None
    try:
        create_map(definition_of(spec, types), possible_cpus())
    except BpfError as error:
        return 0, error.errno
    return 0, 0


def ours(spec: MapSpec) -> tuple[int, int | None]:
    """The same from us."""
    assert spec.btf is not None
    if number := btf_errno(spec.btf):
        return number, None
    try:
        map_record(spec)
    except BadFields as bad:
        return 0, bad.errno
    return 0, 0


@pytest.mark.live
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_the_file_says_is_what_linux_says(case: Case) -> None:
    types, map_ = asked(case.spec())
    assert (_name(types), None if map_ is None else _name(map_)) == (case.types, case.map)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_we_refuse_the_same(case: Case) -> None:
    types, map_ = ours(case.spec())
    assert (_name(types), None if map_ is None else _name(map_)) == (case.types, case.map)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_found(case: Case) -> None:
    record = record_of_map(case.spec())
    found = [f"{row.kind}@{row.offset}" for row in record.fields] if record else []
    assert found == case.fields


def test_a_root_says_what_it_contains() -> None:
    case = next(case for case in CASES if case.name == "a list")
    spec = case.spec()
    assert spec.btf is not None
    record = record_of_map(spec)
    assert record is not None
    head = next(row for row in record.fields if row.kind == "bpf_list_head")
    assert (head.type_name, head.node_offset, head.btf) == ("node", 8, spec.btf)
    assert head.contained is record_of_type(spec.btf, head.type_id)
    assert record.offset("bpf_spin_lock") == 0
    assert record.offset("bpf_timer") == -errno.EINVAL
