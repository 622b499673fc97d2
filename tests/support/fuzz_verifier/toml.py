"""A program as a case for tests/cases/verifier, ready to be copied there."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.support.fuzz_verifier.maps import LOCKED_TYPE
from tests.support.verifier_ask import answer_lines
from tests.support.verifier_cases import ALL_CAPS
from xdpsim.isa.disasm import disasm
from xdpsim.isa.rows import Family, Imm64

if TYPE_CHECKING:
    from tests.support.verifier_linux import Answer
    from tests.support.verifier_sources import Question
    from xdpsim.isa.insn import Insn
    from xdpsim.maps.spec import MapSpec

_MAP_REFERENCES = (Imm64.MAP_FD.name, Imm64.MAP_VALUE.name)


def case_text(question: Question, answer: Answer, why: str = "") -> str:
    """The case with Linux's answer; `why` is a comment above it."""
    q = question
    used = sorted({insn.imm for insn in q.spec.code if insn and insn.op in _MAP_REFERENCES})
    lines = [f"# {line}" for line in why.splitlines()]
    lines += ["[[case]]", f"name = {json.dumps(q.name)}"]
    lines += [f'type = "{q.spec.type}"'] if q.spec.type != "XDP" else []
    lines += [f"attach = {q.spec.attach_type}"] if q.spec.attach_type else []
    lines += [f"licence = {json.dumps(q.spec.licence)}"] if q.spec.licence != "GPL" else []
    lines += [f"frags = {str(q.spec.frags).lower()}"] if q.spec.frags else []
    lines += [f"flags = {json.dumps(sorted(q.flags))}"] if q.flags else []
    lines += [f"caps = {json.dumps(sorted(q.caps))}"] if q.caps != frozenset(ALL_CAPS) else []
    if used:
        lines += ["maps = [", *(f"  {_map(q.maps[index])}," for index in used), "]"]
    declared = [LOCKED_TYPE] if any(q.maps[index].name == "locked" for index in used) else []
    declared += [q.btf_text] if q.btf_text else []
    lines += [f"btf = {json.dumps(' '.join(declared))}"] if declared else []
    lines += ["asm = '''", *_asm(question), "'''", answer_lines(answer)]
    return "\n".join(lines)


def _map(spec: MapSpec) -> str:
    fields = [f"name = {json.dumps(_name(spec))}", f'type = "{spec.type}"']
    for name, default in (("key_size", 4), ("value_size", 8), ("max_entries", 1), ("flags", 0), ("map_extra", 0)):
        value = getattr(spec, name)
        fields += [f"{name} = {value}"] if value != default else []
    fields += [f'initial = "{spec.initial.hex()}"'] if spec.initial is not None and spec.read_only else []
    for name, type_id in (("key_type", spec.key_type), ("value_type", spec.value_type)):
        fields += [f'{name} = "{spec.btf.type_name(type_id)}"'] if spec.btf and type_id else []
    fields += [f"inner = {_map(spec.inner)}"] if spec.inner else []
    return "{ " + ", ".join(fields) + " }"


def _name(spec: MapSpec) -> str:
    return "".join(c if c.isalnum() else "_" for c in spec.name)


def _asm(question: Question) -> list[str]:
    spec = question.spec
    names = dict[int, str]()
    if question.btf:
        names = {slot: question.btf.types[type_id].name for slot, type_id in spec.func_info}
    lines = []
    for slot, insn in enumerate(spec.code):
        if names.get(slot, "main") != "main":
            lines.append(f"{names[slot]}:")
        if insn is not None:
            lines.append(_insn(question, insn, names, slot))
    return lines


def _insn(question: Question, insn: Insn, names: dict[int, str], slot: int) -> str:
    if insn.family is Family.CALL_KFUNC:
        return f"call kfunc {question.spec.kfuncs[insn.imm]}"
    if insn.op == Imm64.FUNC.name and slot + 1 + insn.imm in names:
        return f"r{insn.dst} = func[{names[slot + 1 + insn.imm]}]"
    if insn.op in _MAP_REFERENCES:
        return disasm(insn, map_name=lambda index: _name(question.maps[index]))
    return disasm(insn)


def renamed(question: Question, name: str) -> Question:
    """The same program under another name."""
    return replace(question, name=name)
