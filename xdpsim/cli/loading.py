"""How an object is loaded: the options --type, --set, --btf and --no-verify, as `run` and `trace` take them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from xdpsim.cli.errors import UsageError, tell

TYPE_HELP = "Program type where the section does not tell; PROG=TYPE for one program. Repeatable."
SET_HELP = "Give a global variable or a .kconfig extern its value before loading. Repeatable."
EVENT_HELP = "What the records of a ring or perf buffer are: a struct of the object. Repeatable."
NO_VERIFY_HELP = "Run programs as they are, also those that Linux would refuse; what they do wrong is a fault."
BTF_HELP = "What CO-RE resolves against: a BTF or ELF file, or host; without it Linux 6.18's types."


@dataclass(frozen=True)
class Loading:
    """What stands on the command line; each property is a keyword of `Sim.load`."""

    types: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()
    btf: str = ""
    events: tuple[str, ...] = ()
    verify: bool = True

    @property
    def type(self) -> str | dict[str, str]:
        """One type for all, or a type for each named program."""
        named = dict(word.split("=", 1) for word in self.types if "=" in word)
        plain = [word for word in self.types if "=" not in word]
        if len(plain) > 1 or (plain and named):
            raise UsageError(f"--type {' '.join(self.types)}: one type for all programs, or PROG=TYPE for each")
        return plain[0] if plain else named

    @property
    def records(self) -> dict[str, str]:
        """Ring or perf buffer to the name of its records' type."""
        for word in self.events:
            if not all(word.partition("=")):
                raise UsageError(f"--event {word}: expected MAP=TYPE")
        return dict(word.split("=", 1) for word in self.events)

    def warn(self, engine: str) -> None:
        """What --no-verify means, told on stderr; UsageError where it means nothing."""
        if self.verify:
            return
        if engine == "kernel":
            raise UsageError("--no-verify: with --engine kernel Linux verifies, which cannot be switched off")
        tell("warning: --no-verify: nothing is verified; Linux may refuse what runs here")

    @property
    def set(self) -> dict[str, object]:
        """Name to value: JSON where it reads as such (numbers, lists, objects), else text."""
        values: dict[str, object] = {}
        for word in self.constants:
            name, equals, text = word.partition("=")
            if not name or not equals:
                raise UsageError(f"--set {word}: expected NAME=VALUE")
            values[name] = _value(text)
        return values


def _value(text: str) -> object:
    try:
        return int(text, 0)
    except ValueError:
        pass
    try:
        return json.loads(text)
    except ValueError:
        return text
