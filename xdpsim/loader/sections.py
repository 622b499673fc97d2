"""Which type a program has when its section is called anything: what old loaders made of names, and what users say.

progtypes/sections.py holds what libbpf 1.x knows. Here follow libbpf before 1.0, which matched many names by their
beginning (`xdp_fw_prog`, `xdp/foo`, `classifier_x`), iproute2, whose `ip link set ... xdp` takes section "prog" and
whose sections called `ID/SLOT` hold the programs of the prog array with that id, and the user's `type=`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from xdpsim.errors import InputError
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.progtypes.sections import SectionMatch, section_program

KNOWN_SECTIONS = "xdp, xdp.frags, xdp/devmap, tc, tcx/ingress, classifier, socket, cgroup_skb/egress, sk_lookup"
# Names that libbpf before 1.0 matched by their beginning, in its order.
_BEGINNINGS = (
    *("socket", "sk_reuseport", "classifier", "action", "tc", "xdp.frags", "xdp", "perf_event"),
    *("lwt_in", "lwt_out", "lwt_xmit", "lwt_seg6local", "cgroup_skb/ingress", "cgroup_skb/egress", "cgroup/skb"),
    *("sockops", "sk_skb/stream_parser", "sk_skb/stream_verdict", "sk_skb", "sk_msg", "lirc_mode2"),
    *("flow_dissector", "cgroup/bind4", "cgroup/bind6", "cgroup/connect4", "cgroup/connect6", "cgroup/sendmsg4"),
    *("cgroup/sendmsg6", "cgroup/recvmsg4", "cgroup/recvmsg6", "cgroup/sock", "cgroup/sysctl", "cgroup/getsockopt"),
    *("cgroup/setsockopt", "cgroup/dev", "sk_lookup"),
)
_DEFAULT_OF_IPROUTE2 = {"prog": "xdp"}
_NUMBER = r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10}"
_TAIL = re.compile(rf"({_NUMBER})/({_NUMBER})")


def match_section(section: str) -> SectionMatch | None:
    """What a section name says of its programs; None when it says nothing."""
    name = section.removeprefix("?")
    found = section_program(name)
    if found is None and name in _DEFAULT_OF_IPROUTE2:
        found = section_program(_DEFAULT_OF_IPROUTE2[name])
    if found is None:
        beginning = next((b for b in _BEGINNINGS if name.startswith(b)), None)
        found = section_program(beginning) if beginning else None
    return found


def tail_slot(section: str) -> tuple[int, int] | None:
    """The id and slot in a section name of iproute2's, `2/0` or `0xabccba/0`, as its sscanf("%i/%i") reads them."""
    found = _TAIL.match(section)
    return (_c_number(found[1]), _c_number(found[2])) if found else None


def _c_number(text: str) -> int:
    """As C reads a constant: 0x.. is hexadecimal, a leading 0 octal as far as digits go."""
    if text[:2].lower() == "0x":
        return int(text, 16)
    if text.startswith("0"):
        octal = re.match(r"[0-7]+", text)
        return int(octal[0], 8) if octal else 0
    return int(text)


def named_type(word: str, where: str) -> SectionMatch:
    """The program type that a user names, as a section would or in the kernel's word."""
    found = section_program(word)
    if found is not None:
        return found
    kernel_word = word.upper().removeprefix("BPF_PROG_TYPE_")
    if kernel_word in PROG_TYPES:
        return SectionMatch(kernel_word, 0, False, False)
    raise InputError(f"{where}: {word!r} is no program type", hint=f"known are {KNOWN_SECTIONS}, XDP, SCHED_CLS, ...")


class TypeChoice:
    """Types of the programs of one object, by what its user said and what their sections say."""

    def __init__(self, given: str | Mapping[str, str]) -> None:
        self.by_program: dict[str, SectionMatch] = {}
        self.default: SectionMatch | None = None
        if isinstance(given, str):
            self.default = named_type(given, "type") if given else None
        else:
            self.by_program = {name: named_type(word, f"type of {name}") for name, word in given.items()}

    def check(self, programs: Mapping[str, object]) -> None:
        """InputError for a type that was given to a program which is not there."""
        for name in self.by_program:
            if name not in programs:
                raise InputError(f"type of {name}: no such program", hint=f"there are {', '.join(programs) or 'none'}")

    def of(self, name: str, section: str) -> SectionMatch | None:
        """The type; None when neither says."""
        return self.by_program.get(name) or match_section(section) or self.default
