"""The public API: one emulated machine, objects loaded into it, programs taken from them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import BinaryIO

from xdpsim.analysis.needs import needs_of
from xdpsim.bits import M64
from xdpsim.engines.interpreter.engine import InterpreterEngine
from xdpsim.engines.jit.engine import JitEngine
from xdpsim.engines.kernel.engine import KernelEngine
from xdpsim.engines.protocol import Engine, LoadedProgram, Runner
from xdpsim.errors import InputError
from xdpsim.helpers import all as all_helpers
from xdpsim.helpers.user_ring import UserRings
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import decode
from xdpsim.isa.insn import Code
from xdpsim.loader.core.target import read_target
from xdpsim.loader.load import load_object
from xdpsim.loader.model import Object, ProgramSpec, Subprogram
from xdpsim.loader.options import LoadOptions
from xdpsim.loader.stand_ins import without_unknown_maps
from xdpsim.maps.kind import KINDS
from xdpsim.maps.map import Map
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import MAP_TYPES
from xdpsim.net.machine import EmulatedMachine, Event
from xdpsim.net.timers import advance
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.sim.program import LoadedObject, Program
from xdpsim.sim.verifying import verified_facts
from xdpsim.sim.world import WorldMixin
from xdpsim.verifier.env import ALL_CAPS
from xdpsim.versions import DEFAULT, Linux, require

ENGINES = {engine.name: engine for engine in (InterpreterEngine, JitEngine, KernelEngine)}
HELPER_MODULES = all_helpers.MODULES
MAX_CPUS = 256
MAP_REFERENCES = ("MAP_FD", "MAP_VALUE", "MAP_IDX", "MAP_IDX_VALUE")


class Sim(WorldMixin):
    """An emulated Linux machine that programs run on.

    `seed` starts the random generator, `cpus` is the number of possible CPUs (1 to 256; packets run on CPU 0), `engine`
    is "interpreter", "jit" or "kernel" (BPF_PROG_TEST_RUN of the running kernel), `linux` the version to behave as.

    Programs are verified when they are first taken, with the capabilities `caps` of their loader ("bpf", "perfmon",
    "net_admin"; none is an unprivileged loader): Rejected where Linux 6.18 would refuse them. With `verify` False they
    run as they are, and what they do wrong ends in a fault.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        engine: str = "interpreter",
        verify: bool = True,
        caps: Iterable[str] = ALL_CAPS,
        cpus: int = 2,
        linux: str = DEFAULT,
    ) -> None:
        self.caps = frozenset(caps)
        if not self.caps <= ALL_CAPS:
            raise InputError(f"caps {sorted(self.caps - ALL_CAPS)}: expected some of {', '.join(sorted(ALL_CAPS))}")
        if engine not in ENGINES:
            raise InputError(f"engine {engine!r}: expected {', '.join(ENGINES)}")
        if not 0 <= seed < M64:
            raise InputError(f"seed={seed}: expected 0 to {M64 - 1}")
        if not 1 <= cpus <= MAX_CPUS:
            raise InputError(f"cpus={cpus}: expected 1 to {MAX_CPUS}")
        self.verify = verify
        self.linux = Linux(linux)
        self.machine = EmulatedMachine(cpus=cpus, seed=seed)
        self.machine.set_runner_source(self._runner_of)
        self.engine: Engine = ENGINES[engine](self.machine)
        self._runners: dict[int, Runner] = {}

    def __enter__(self) -> Sim:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def load(
        self,
        source: str | os.PathLike[str] | bytes | BinaryIO,
        *,
        name: str = "",
        strict: bool = False,
        type: str | Mapping[str, str] = "",
        set: Mapping[str, object] | None = None,
        btf: str | os.PathLike[str] | bytes | None = None,
    ) -> LoadedObject:
        """Load an object file from a path, bytes or a binary file; InputError when it is no usable object.

        A program that cannot run spoils nothing until it is taken; with `strict` every program is taken at once.
        `type` is the program type ("xdp", "tc", "XDP" ...) of programs whose section does not tell, or maps program
        names to types. `set` gives values to global variables and .kconfig externs, and max_entries to maps, by name.
        `btf` is what CO-RE relocations resolve against: None for the shipped types of Linux 6.18, "host" for those of
        the running kernel, else a BTF or ELF file, or its bytes.
        """
        data, found_name = _read_object(source)
        options = LoadOptions(type, set or {}, partial(read_target, btf), self.machine.cpus, self.linux)
        parsed = load_object(data, name or found_name, options)
        placed, unknown_maps = without_unknown_maps(parsed, KINDS)
        loaded = self._place(placed)
        for map_name in unknown_maps:
            del loaded.maps[map_name]
        loaded.source = replace(placed, maps=parsed.maps)
        if strict:
            for program in loaded:
                loaded[program]
        return loaded

    def load_insns(
        self,
        code: bytes | str | Code,
        type: str,
        *,
        maps: Sequence[Mapping[str, object] | MapSpec] = (),
        attach_type: int = 0,
        licence: str = "GPL",
        name: str = "insns",
    ) -> Program:
        """A program from raw instructions, assembler text or decoded insns.

        `type` is the kernel's word, "XDP" for instance. In LD_IMM64 with src 1 or 2 the imm is an index into `maps`,
        each of which is given as {"type": "HASH", "key_size": 4, "value_size": 8, "max_entries": 16}.
        """
        if type not in PROG_TYPES:
            raise InputError(f"program type {type!r}: expected one of {', '.join(PROG_TYPES)}")
        decoded = assemble(code) if isinstance(code, str) else decode(code) if isinstance(code, bytes) else code
        specs = tuple(_map_spec(given, index) for index, given in enumerate(maps))
        spec = ProgramSpec(name, type.lower(), type, attach_type, decoded, (Subprogram(name, 0),), (), licence)
        return self._place(Object(name, {name: spec}, specs, None, licence))[name]

    def advance(self, nanoseconds: int) -> list[Event]:
        """Let virtual time pass without packets: timers fire as their times come; what their callbacks told."""
        advance(self.machine, nanoseconds)
        return self.machine.take_events()

    def feed(self, ring: Map, record: bytes) -> None:
        """Put a record into a USER_RINGBUF map, for programs to drain; InputError when it does not fit."""
        self.machine.part(UserRings).feed(ring, record)

    def _place(self, parsed: Object) -> LoadedObject:
        """Make the object's maps and give its programs their numbers."""
        maps = tuple(self.machine.add_map(spec) for spec in parsed.maps)
        programs = {n: self.machine.add_program(spec, maps, parsed.btf) for n, spec in parsed.programs.items()}
        by_name = {made.spec.name: made for made in maps}
        for map_name, entries in parsed.map_values.items():
            target = by_name[map_name]
            for key, entry in entries.items():
                target[key] = by_name[entry] if target.spec.inner else programs[entry].number
        return LoadedObject(self, parsed, by_name, programs)

    def take(self, loaded: LoadedProgram) -> Program:
        """Make a program ready; it stays ready."""
        return Program(self, loaded, self._runner_of(loaded.number))

    def _runner_of(self, number: int) -> Runner:
        runner = self._runners.get(number)
        if runner is None:
            loaded = self.machine.programs[number - 1]
            self._check_version(loaded)
            if self.verify and self.engine.name != KernelEngine.name and not loaded.spec.unsupported:
                loaded.facts = verified_facts(loaded, self.caps)
            runner = self._runners[number] = self.engine.load(loaded)
        return runner

    def _check_version(self, loaded: LoadedProgram) -> None:
        """Unsupported when the program makes use of something younger than the chosen kernel."""
        if self.linux == Linux(DEFAULT):
            return
        used = {insn.imm for insn in loaded.spec.code if insn is not None and insn.op in MAP_REFERENCES}
        maps = [made.spec for index, made in enumerate(loaded.maps) if index in used]
        for need in needs_of(loaded.spec, maps):
            if not need.soft:
                require(f"{loaded.spec.name}: {need.what}", need.since, self.linux)


def _read_object(source: str | os.PathLike[str] | bytes | BinaryIO) -> tuple[bytes, str]:
    if isinstance(source, bytes):
        return source, "object"
    if isinstance(source, (str, os.PathLike)):
        try:
            with open(source, "rb") as file:
                return file.read(), os.path.basename(os.fspath(source))
        except OSError as err:
            raise InputError(f"{os.fspath(source)}: {err.strerror}") from err
    return source.read(), os.path.basename(str(getattr(source, "name", "object")))


_MAP_FIELDS = {"type", "key_size", "value_size", "max_entries", "flags", "name"}


def _map_spec(given: Mapping[str, object] | MapSpec, index: int) -> MapSpec:
    if isinstance(given, MapSpec):
        return given
    unknown = set(given) - _MAP_FIELDS
    if unknown:
        known = ", ".join(sorted(_MAP_FIELDS))
        raise InputError(f"maps[{index}]: unknown {', '.join(sorted(unknown))}: expected {known}")
    map_type = str(given.get("type", ""))
    if map_type not in MAP_TYPES:
        raise InputError(f"maps[{index}].type is {map_type!r}: expected a map type such as HASH or ARRAY")
    numbers = {}
    for field in ("key_size", "value_size", "max_entries", "flags"):
        value = given.get(field, 0)
        if not isinstance(value, int) or not 0 <= value <= 0xFFFF_FFFF:
            raise InputError(f"maps[{index}].{field} is {value!r}: expected a number from 0 to 4294967295")
        numbers[field] = value
    name = str(given.get("name", f"map{index}"))
    sizes = numbers["key_size"], numbers["value_size"], numbers["max_entries"]
    return MapSpec(name, map_type, *sizes, flags=numbers["flags"])
