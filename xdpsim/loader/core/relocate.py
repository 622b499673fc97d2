"""CO-RE relocations of one object: what each yields against a target, and the instruction changed to hold it.

A relocation that cannot be resolved becomes a call of a helper that does not exist, as libbpf does it, so that it only
hurts where it is reached. Follows bpf_core_calc_relo_insn() and bpf_core_patch_insn() of libbpf's relo_core.c.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from xdpsim.bits import M32, M64, signed
from xdpsim.btf.ext import CoreRelo
from xdpsim.btf.types import Btf
from xdpsim.errors import InputError
from xdpsim.isa.decode import decode, encode_all
from xdpsim.isa.insn import Code, Insn
from xdpsim.isa.rows import ALU32, ALU64, LDX, SIZE_CODES, ST, STX, Family, Imm64
from xdpsim.loader.core.match import match
from xdpsim.loader.core.spec import RelocationKind, Spec, describe, parse_spec
from xdpsim.loader.core.target import Target
from xdpsim.loader.core.value import Value, may_resize, value_of

POISON = 0xBAD2310  # "bad relo", libbpf's number
_MAX_OFF = 0x7FFF
_SRC_REGISTER = 0x08


@dataclass(frozen=True, slots=True)
class Answer:
    """What a relocation came to: the value that the compiler saw, the one of the target, or `poison` saying why not."""

    about: str
    local: Value
    target: Value
    poison: str = ""


@dataclass
class Relocator:
    """Answers relocations; equal questions are answered once. `prepare` before the first one."""

    btf: Btf
    target: Callable[[], Target]
    used: Target | None = None
    _answers: dict[tuple[int, str, int], Answer] = field(default_factory=dict)
    _narrowed: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def prepare(self) -> None:
        """Read the target; InputError when it cannot be read, which is no relocation's fault."""
        if self.used is None:
            self.used = self.target()

    def answer(self, relo: CoreRelo) -> Answer:
        """The values of a relocation; InputError when the object's own types do not fit it, or it is ambiguous."""
        key = relo.type_id, relo.access, relo.kind
        if key not in self._answers:
            self._answers[key] = self._resolve(parse_spec(self.btf, relo))
        return self._answers[key]

    def _resolve(self, local: Spec) -> Answer:
        about = describe(local)
        if local.kind is RelocationKind.TYPE_ID_LOCAL:
            number = Value(local.root, is_certain=False)
            return Answer(about, number, number)
        row = self.btf.get(local.root)
        if not row.name:
            raise InputError(f"{about}: the type has no name to be found by")
        mine = value_of(local, local.kind)
        assert mine is not None
        gap = self._gap(local, about)
        if gap:
            return Answer(about, mine, mine, gap)
        found = self._match(local, about)
        theirs = value_of(found, local.kind)
        assert self.used is not None
        if theirs is None:
            return Answer(about, mine, mine, f"poisoned CO-RE relocation of {about}: not in {self.used.name}")
        return Answer(about, mine, theirs)

    def _gap(self, local: Spec, about: str) -> str:
        """What to say where Linux has the type and the shipped table does not tell of it."""
        assert self.used is not None
        row, ids = self.btf.get(local.root), self.used.candidates(self.btf.get(local.root))
        needs_members = local.kind.about_field or local.kind is RelocationKind.TYPE_MATCHES
        hidden = needs_members and any(self.used.btf.resolve(i).id in self.used.types.opaque for i in ids)
        if hidden or self.used.lacks(row):
            return f"CO-RE relocation of {about}: Linux has the type, but {self.used.name} do not hold it (give btf=)"
        return ""

    def _match(self, local: Spec, about: str) -> Spec | None:
        """The one meaning in the target; several types of the name may be there, but they must agree."""
        assert self.used is not None
        ids = self._narrowed.get(local.root)
        if ids is None:
            ids = self.used.candidates(self.btf.get(local.root))
        found = [spec for spec in (match(local, self.used.btf, i) for i in ids) if spec is not None]
        if len({(spec.bit_offset, _number(value_of(spec, local.kind))) for spec in found}) > 1:
            raise InputError(f"{about}: {len(found)} types of {self.used.name} fit and disagree")
        if found:
            self._narrowed[local.root] = tuple(spec.root for spec in found)
        return found[0] if found else None


def _number(value: Value | None) -> int | None:
    return value.number if value else None


@dataclass
class Patched:
    """Relocations that gave no value: `blocked` by slot and reason, `poisoned` slot -> why it is poison."""

    blocked: list[tuple[int, str]] = field(default_factory=list)
    poisoned: dict[int, str] = field(default_factory=dict)


def relocate(code: list[Insn | None], rows: Sequence[tuple[int, CoreRelo]], relocator: Relocator) -> Patched:
    """Change `code` by the relocations (slot, record) of it."""
    done = Patched()
    if rows:
        relocator.prepare()
    for slot, relo in rows:
        try:
            answer = relocator.answer(relo)
            insn = code[slot] if slot < len(code) else None
            if insn is None:
                raise InputError(f"{answer.about}: at the second slot of an LD_IMM64, or behind the end")
            changed = _poisoned(answer, insn) or _patched(insn, answer)
        except InputError as err:
            done.blocked.append((slot, f"CO-RE relocation of {err.message}"))
            continue
        if isinstance(changed, str):
            for at in range(slot, slot + insn.slots):
                code[at] = _POISONED_INSN
                done.poisoned[at] = changed
        else:
            code[slot] = changed
    return done


def _poisoned(answer: Answer, insn: Insn) -> str:
    is_access = insn.opcode & 7 in (LDX, ST, STX)
    if answer.poison or not is_access or may_resize(answer.local, answer.target):
        return answer.poison
    return (
        f"poisoned CO-RE relocation of {answer.about}: a field of {answer.local.size} bytes has {answer.target.size} "
        "in the target and cannot be read like that"
    )


def _patched(insn: Insn, answer: Answer) -> Insn:
    mine, theirs = answer.local, answer.target
    kind = insn.opcode & 7
    if kind in (ALU32, ALU64) and not insn.opcode & _SRC_REGISTER:
        _check(mine, insn.imm & M32, mine.number & M32, answer)
        return replace(insn, imm=signed(theirs.number & M32, 32))
    if kind in (LDX, ST, STX):
        _check(mine, insn.off, mine.number, answer)
        if theirs.number > _MAX_OFF:
            raise InputError(f"{answer.about}: offset {theirs.number}, expected at most {_MAX_OFF}")
        return _resized(replace(insn, off=theirs.number), answer)
    if insn.family is Family.LD_IMM64 and insn.op == Imm64.VALUE.name:
        _check(mine, insn.imm64, mine.number & M64, answer)
        low, high = theirs.number & M32, theirs.number >> 32 & M32
        return replace(insn, imm=signed(low, 32), next_imm=signed(high, 32))
    raise InputError(f"{answer.about}: of {insn.op or insn.family.value}, expected a load, a store or a constant")


def _check(mine: Value, found: int, expected: int, answer: Answer) -> None:
    if mine.is_certain and found != expected:
        raise InputError(f"{answer.about}: the insn holds {found}, but the object's own types say {expected}")


def _resized(insn: Insn, answer: Answer) -> Insn:
    mine, theirs = answer.local, answer.target
    if mine.size == theirs.size:
        return insn
    if insn.width != mine.size or theirs.size not in SIZE_CODES:
        raise InputError(
            f"{answer.about}: an access of {insn.width} bytes to a field of {mine.size}, which has {theirs.size} "
            "in the target"
        )
    (changed,) = decode(encode_all((replace(insn, opcode=insn.opcode & ~0x18 | SIZE_CODES[theirs.size]),)))
    assert changed is not None
    return changed


def _poison_insn() -> Code:
    return decode(bytes([0x85, 0, 0, 0]) + POISON.to_bytes(4, "little"))


(_POISONED_INSN,) = _poison_insn()
