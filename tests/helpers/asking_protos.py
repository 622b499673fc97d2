"""Asks the running kernel for the kinds of arguments of every helper, by what its verifier says of wrong ones.

A signature has a word for each argument. The word is the base kind as the message for a plain number shows it
("expected=..."), then "?" where NULL is good too, and "w" where a read-only map value is not, since the helper writes
it. It ends with "..." where no good value can be made of an argument, so that the ones behind it cannot be asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.support.record import recorder
from tests.support.verifier_linux import ALL_CAPS, LEVEL1, LEVEL2, Answer, Asker
from xdpsim.helpers.ids import HELPERS_BY_ID, HELPERS_OF_TYPE
from xdpsim.helpers.kinds import Arg
from xdpsim.helpers.proto_rows import Proto
from xdpsim.helpers.protos import proto_for
from xdpsim.isa.asm import assemble
from xdpsim.loader.model import ProgramSpec, Subprogram
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import BPF_F_RDONLY_PROG
from xdpsim.progtypes.context import Yields
from xdpsim.progtypes.loading import LOAD_RULES
from xdpsim.progtypes.rows import PROG_TYPES

UNASKED = "..."
_MAPS = (
    MapSpec("hash", "HASH", 4, 4, 1),
    MapSpec("text", "ARRAY", 4, 64, 1, flags=BPF_F_RDONLY_PROG, initial=bytes(64), read_only=True),
    MapSpec("data", "ARRAY", 4, 64, 1),
)
_NAMES = {spec.name: at for at, spec in enumerate(_MAPS)}
_START = "r6 = r1; r9 = 0" + "".join(f"; *(u64 *)(r10 -{8 * at}) = r9" for at in range(1, 9))
_UNWRITTEN = "r{n} = r10; r{n} += -192"
_READ_ONLY = "r{n} = map_value[text]+0"
_CLOBBER = "call 7"
"""After a call r1 to r5 cannot be read."""
_TASK = "call 158; r7 = r0"
_DYNPTR = "r1 = map_value[data]+0; r2 = 16; r3 = 0; r4 = r10; r4 += -80; call 197"
_GOOD = {
    "ARG_PTR_TO_CTX": "r{n} = r6",
    "ARG_CONST_MAP_PTR": "r{n} = map[hash]",
    "ARG_PTR_TO_MAP_KEY": "r{n} = r10; r{n} += -8",
    "ARG_PTR_TO_MAP_VALUE": "r{n} = r10; r{n} += -8",
    "ARG_PTR_TO_MEM": "r{n} = r10; r{n} += -64",
    "ARG_PTR_TO_CONST_STR": "r{n} = map_value[text]+0",
    "ARG_PTR_TO_STACK": "r{n} = 0",
    "ARG_CONST_SIZE": "r{n} = 16",
    "ARG_CONST_SIZE_OR_ZERO": "r{n} = 16",
    "ARG_CONST_ALLOC_SIZE_OR_ZERO": "r{n} = 16",
    "ARG_ANYTHING": "r{n} = 0",
}
_SOCKS = ("ARG_PTR_TO_SOCK_COMMON", "ARG_PTR_TO_BTF_ID_SOCK_COMMON", "ARG_PTR_TO_SOCKET")
_SIZES = ("ARG_CONST_SIZE", "ARG_CONST_SIZE_OR_ZERO")


def _sock(prog_type: str) -> tuple[str, str] | None:
    """Code that brings a socket of the context into r8, and the kind of register; None where there is none."""
    for field in PROG_TYPES[prog_type].context or ():
        if field.readable and field.yields.value.startswith("sock"):
            check = "" if field.yields is Yields.SOCKET else "; if r8 != 0 goto +2; r0 = 0; exit"
            return f"r8 = *(u64 *)(r6 + {field.offset}){check}", field.yields.value
    return None


def good_value(proto: Proto, at: int, prog_type: str) -> tuple[str, str] | None:
    """Code for the start of the program, and code that sets the register of argument `at` (from 0); None for none."""
    kind = proto.args[at]
    if kind.base in _GOOD:
        return "", _GOOD[kind.base].format(n=at + 1)
    if kind is Arg.DYNPTR_RDONLY:
        return (_DYNPTR, f"r{at + 1} = r10; r{at + 1} += -80") if prog_type != "KPROBE" else None
    if kind in (Arg.UNINIT_DYNPTR, Arg.UNINIT_DYNPTR_RINGBUF):
        return "", f"r{at + 1} = r10; r{at + 1} += -96"
    if kind.base == "ARG_PTR_TO_BTF_ID" and proto.arg_btf and proto.arg_btf[at] == "task_struct":
        return _TASK, f"r{at + 1} = r7"
    sock = _sock(prog_type)
    if kind.base in _SOCKS and sock and (kind.base != "ARG_PTR_TO_SOCKET" or "common" not in sock[1]):
        return sock[0], f"r{at + 1} = r8"
    return None


class Question:
    """One helper of one program type."""

    def __init__(self, asker: Asker, prog_type: str, attach: int, proto: Proto) -> None:
        self._asker, self._type, self._attach, self._proto = asker, prog_type, attach, proto

    def message(self, at: int, value: str, after: str = "", *, caps: frozenset[str] = ALL_CAPS) -> str:
        """What Linux says when arguments before `at` are good, that one is `value`, and behind it is `after`."""
        return self._ask(at, value, after, caps=caps).message

    def result(self) -> str:
        """How Linux names what r0 holds after a call with good arguments; empty where none can be made, or for void."""
        if any(good_value(self._proto, at, self._type) is None for at in range(len(self._proto.args))):
            return ""
        log = self._ask(len(self._proto.args), "", log_level=LEVEL2).log
        after_call = log.rpartition(f"#{self._proto.id}")[2].partition("(b7) r0 = 0")[0]
        found = re.search(r"R0(?:_w)?=([a-z_0-9]+)\(", after_call)
        return found[1] if found else ""

    def moves_packet(self) -> bool | None:
        """Whether pointers into the packet are void after a call with good arguments; None where that is not told."""
        fields = {f.yields: f for f in PROG_TYPES[self._type].context or () if f.readable}
        good = all(good_value(self._proto, at, self._type) for at in range(len(self._proto.args)))
        if not good or Yields.PACKET_START not in fields:
            return None
        start, end = fields[Yields.PACKET_START], fields[Yields.PACKET_END]
        width = f"u{8 * start.width}"
        before = f"r2 = *({width} *)(r6 + {start.offset}); r3 = *({width} *)(r6 + {end.offset}); r4 = r2; r4 += 8"
        before += "; if r3 >= r4 goto +2; r0 = 0; exit; *(u64 *)(r10 -208) = r2"
        then = "r8 = *(u64 *)(r10 -208); r0 = *(u8 *)(r8 + 0)"
        said = self._ask(len(self._proto.args), "", before=before, then=then)
        if said.accepted:
            return False
        return True if "R8 invalid mem access 'scalar'" in said.message else None

    def _ask(
        self,
        at: int,
        value: str,
        after: str = "",
        *,
        caps: frozenset[str] = ALL_CAPS,
        log_level: int = LEVEL1,
        before: str = "",
        then: str = "",
    ) -> Answer:
        given = [good_value(self._proto, n, self._type) for n in range(at)]
        starts = dict.fromkeys(pair[0] for pair in given if pair and pair[0])
        parts = [
            _START,
            before,
            *starts,
            _CLOBBER,
            *(pair[1] for pair in given if pair),
            value,
            after,
            f"call {self._proto.id}",
            then,
        ]
        asm = "; ".join([part for part in parts if part] + ["r0 = 0", "exit"])
        spec = ProgramSpec(
            *("ask", "ask", self._type, self._attach, assemble(asm, maps=_NAMES), (Subprogram("ask", 0),), (), "GPL"),
            sleepable=self._type == "SYSCALL",
        )
        return self._asker.ask(spec, _MAPS, caps=caps, log_level=log_level)

    def complains(self, at: int, value: str, after: str = "") -> bool:
        """Whether it is that argument (or the memory that it names) of which Linux complains."""
        said = self.message(at, value, after)
        return bool(re.search(rf"R{at + 1} |write into map forbidden", said))

    def signature(self) -> str:
        """The words of all arguments."""
        words: list[str] = []
        for at in range(5):
            if at and good_value(self._proto, at - 1, self._type) is None:
                words.append(UNASKED)
                break
            if "!read_ok" not in self.message(at, "") or f"R{at + 1} " not in self.message(at, ""):
                break
            words.append(self._word(at))
            if at + 1 >= len(self._proto.args):
                good = good_value(self._proto, at, self._type)
                if good is None:
                    words.append(UNASKED)
                elif f"R{at + 2} !read_ok" in self._message_after(at):
                    words.append("more")
                break
        return " ".join(words)

    def _size(self, at: int) -> str:
        return "size" if self.complains(at, f"r{at + 1} = 0") else "size?"

    def _message_after(self, at: int) -> str:
        good = good_value(self._proto, at, self._type)
        return self.message(at, good[1] if good else "") if good and not good[0] else ""

    def _word(self, at: int) -> str:
        expected = re.search(rf"R{at + 1} type=scalar expected=(.*)$", self.message(at, f"r{at + 1} = 77"))
        if expected is None:
            if self.complains(at, f"r{at + 1} = r0"):
                return "const" if not self.complains(at, f"r{at + 1} = -1") else self._size(at)
            return "any"
        word = expected[1].replace(", ", "|").strip()
        follows = at + 1 < len(self._proto.args) and self._proto.args[at + 1].base in _SIZES
        after = f"r{at + 2} = 16" if follows else ""
        if not self.complains(at, f"r{at + 1} = 0", f"r{at + 2} = 0" if follows else ""):
            word += "?"
        if word.startswith("fp|pkt"):
            word += "w" * self.complains(at, _READ_ONLY.format(n=at + 1), after)
        return word

    def unwritten(self, at: int) -> bool | None:
        """Whether stack bytes that were never written do for the argument, of a program without CAP_PERFMON.

        None where the helper itself asks for that.
        """
        follows = at + 1 < len(self._proto.args) and self._proto.args[at + 1].base in _SIZES
        after = f"r{at + 2} = 16" if follows else ""
        said = self.message(at, _UNWRITTEN.format(n=at + 1), after, caps=ALL_CAPS - {"perfmon"})
        return None if "cannot use helper" in said else "invalid read from stack" not in said


def asked_protos() -> Iterator[tuple[str, int, Proto]]:
    """Program type, its first attach type, and each prototype that it is offered and may call at once."""
    for prog_type in HELPERS_OF_TYPE:
        attach = (LOAD_RULES[prog_type].attach_types or (0,))[0]
        for number in HELPERS_BY_ID:
            proto = proto_for(number, prog_type, attach)
            if proto is not None and not proto.allowed and not (proto.might_sleep and prog_type != "SYSCALL"):
                yield prog_type, attach, proto


@recorder("protos")
def record() -> dict[str, Any]:
    """Rows [helper, signature, program types that get it], [helper, argument from 0, unwritten stack does], results."""
    asker = Asker()
    signatures: dict[tuple[str, str], list[str]] = {}
    results: dict[str, str] = {}
    packets: dict[str, bool] = {}
    unwritten: dict[tuple[str, int], bool | None] = {}
    for prog_type, attach, proto in asked_protos():
        question = Question(asker, prog_type, attach, proto)
        signature = question.signature()
        if (moves := question.moves_packet()) is not None:
            packets.setdefault(proto.name, moves)
        if result := question.result():
            results.setdefault(proto.name, result)
        signatures.setdefault((proto.name, signature), []).append(prog_type)
        for at, word in enumerate(signature.split()):
            if word.startswith("fp|pkt") and LOAD_RULES[prog_type].capabilities <= {"net_admin"}:
                unwritten.setdefault((proto.name, at), question.unwritten(at))
    return {
        "signatures": [[*key, " ".join(types)] for key, types in sorted(signatures.items())],
        "unwritten": [[*key, is_good] for key, is_good in sorted(unwritten.items()) if is_good is not None],
        "moves_packet": sorted(name for name, moves in packets.items() if moves),
        "keeps_packet": sorted(name for name, moves in packets.items() if not moves),
        "results": [list(pair) for pair in sorted(results.items())],
    }
