"""The kernel as an engine: Linux itself loads and runs the program, through bpf(2).

Linux judges the untouched program; what runs is a copy whose clock, randomness and CPU number come from the run state
(instrument.py). Maps are made once and shared by all programs of the engine.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

from xdpsim.engines.kernel.events import EventReaders
from xdpsim.engines.kernel.functions import with_functions
from xdpsim.engines.kernel.instrument import STAND_INS, Instrumented, bind_maps, instrument, maps_used
from xdpsim.engines.kernel.kfuncs import bind_kfuncs
from xdpsim.engines.kernel.mirror import COPIED_TYPES, NESTED_TYPES, TARGET_TYPES, Mirror, make_mirror
from xdpsim.engines.kernel.network import shared_network
from xdpsim.engines.kernel.runner import KernelRunner
from xdpsim.engines.kernel.world import World
from xdpsim.errors import Rejected, Unsupported, XdpsimBug
from xdpsim.maps.map import Map
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.progtypes.skb import SKB_TYPES
from xdpsim.sysbpf.btf import load_btf
from xdpsim.sysbpf.info import possible_cpus
from xdpsim.sysbpf.programs import F_SLEEPABLE, F_XDP_HAS_FRAGS, ProgramDefinition, load_program
from xdpsim.sysbpf.syscall import BpfError, Fd, available

if TYPE_CHECKING:
    from xdpsim.btf.types import Btf
    from xdpsim.engines.protocol import LoadedProgram
    from xdpsim.helpers.machine import Machine
    from xdpsim.loader.model import ProgramSpec

RUNNABLE_TYPES = frozenset({"XDP", *SKB_TYPES}) - {"FLOW_DISSECTOR", "SK_SKB"}
ADDED_NAMES = [name for name, _ in STAND_INS.values()]
_U32 = struct.Struct("=I")


class KernelEngine:
    """Engine `kernel` of one machine."""

    name = "kernel"

    def __init__(self, machine: Machine) -> None:
        if reason := available():
            raise Unsupported(f"engine kernel: {reason}", hint="--engine interpreter and --engine jit run anywhere")
        self.machine = machine
        self.network = shared_network()
        self.world = World()
        self.events = EventReaders()
        self._mirrors: dict[int, Mirror] = {}
        self._types: dict[int, tuple[Btf, Fd | None]] = {}

    def load(self, program: LoadedProgram) -> KernelRunner:
        """Have Linux verify the program: Rejected with its log when it refuses."""
        spec = program.spec
        if spec.unsupported:
            raise Unsupported(spec.unsupported)
        if spec.type not in RUNNABLE_TYPES:
            raise Unsupported(f"{spec.name}: the kernel engine does not run {spec.type} programs")
        used = maps_used(spec.code)
        fds = [self.mirror(m).kernel.fd.number if i in used else -1 for i, m in enumerate(program.maps)]
        types = self._types_of(program.btf) if spec.func_info else None
        bound = bind_kfuncs(spec.code, spec.kfuncs)
        load_program(self._definition(spec, bind_maps(bound, fds), types)).close()
        copy = instrument(bound, len(fds), possible_cpus())
        code = bind_maps(copy.code, [*fds, self.world.map.fd.number])
        return KernelRunner(self, program, self._load_copy(program, code, copy, types))

    def mirror(self, map_: Map) -> Mirror:
        """The kernel's twin of a map, made at its first use."""
        found = self._mirrors.get(id(map_))
        if found is None:
            spec = map_.spec
            wants_types = bool(spec.btf and (spec.key_type or spec.value_type))
            found = make_mirror(map_, self._types_of(spec.btf) if wants_types else None)
            self._mirrors[id(map_)] = found
            self.events.watch(found)
        return found

    def push_maps(self, runner: KernelRunner) -> list[Mirror]:
        """Bring every map that the program, and those it may tail-call, can reach up to date; those maps."""
        waiting, pushed = [runner], dict[int, Mirror]()
        seen = {runner.program.number}
        while waiting:
            program = waiting.pop().program
            for index in maps_used(program.spec.code):
                mirror = self.mirror(program.maps[index])
                if id(mirror) in pushed:
                    continue
                pushed[id(mirror)] = mirror
                for inner in self._inner_mirrors(mirror):
                    pushed[id(inner)] = inner
                    self._push(inner)
                for target in self._push(mirror):
                    if target.program.number not in seen:
                        seen.add(target.program.number)
                        waiting.append(target)
        return list(pushed.values())

    def _inner_mirrors(self, mirror: Mirror) -> list[Mirror]:
        """The twins of the maps that a map of maps holds."""
        if mirror.map.spec.type not in NESTED_TYPES:
            return []
        return [self._inner_mirror(mirror, value) for _, value in mirror.map.items_bytes()]

    def _inner_mirror(self, mirror: Mirror, value: bytes) -> Mirror:
        number = _U32.unpack_from(value)[0]
        inner = mirror.map.find_map(number)
        if not isinstance(inner, Map):
            raise XdpsimBug(f"map {mirror.map.name} holds map number {number}, which is not there")
        return self.mirror(inner)

    def _push(self, mirror: Mirror) -> list[KernelRunner]:
        """Copy one map in; the programs that it holds."""
        targets: list[KernelRunner] = []
        kind = mirror.map.spec.type
        if kind in COPIED_TYPES:
            if not mirror.map.spec.read_only:
                mirror.push()
        elif kind == "PROG_ARRAY":
            targets = [self._target(value) for _, value in mirror.map.items_bytes()]
            mirror.push(lambda value: _U32.pack(self._target(value).fd.number))
        elif kind in NESTED_TYPES:
            mirror.push(lambda value: _U32.pack(self._inner_mirror(mirror, value).kernel.fd.number))
        elif kind in TARGET_TYPES:
            mirror.push(lambda value: self._network_target(kind, value))
        elif kind == "XSKMAP":
            mirror.push_sockets()
        return targets

    def _target(self, value: bytes) -> KernelRunner:
        number = _U32.unpack_from(value)[0]
        runner = self.machine.runner(number)
        if not isinstance(runner, KernelRunner):
            raise Unsupported(f"tail call to program number {number}: it is not loaded by the kernel engine")
        return runner

    def _network_target(self, kind: str, value: bytes) -> bytes:
        """A DEVMAP's or CPUMAP's entry without its program, which TEST_RUN would not run."""
        first = value[: _U32.size]
        if kind != "CPUMAP":
            self.network.need_device(_U32.unpack(first)[0])
        return first + bytes(len(value) - len(first))

    def _types_of(self, btf: Btf | None) -> Fd | None:
        """The kernel's handle of type information; None where it takes it as little as libbpf insists on it.

        It has the functions that copies of programs call besides: maps, programs and copies must share one handle, for
        Linux takes no object of one handle's type as one of another's.
        """
        if btf is None:
            return None
        if id(btf) not in self._types:
            try:
                held: Fd | None = load_btf(with_functions(btf, ADDED_NAMES)[0])
            except BpfError:
                held = None
            self._types[id(btf)] = (btf, held)
        return self._types[id(btf)][1]

    def _definition(self, spec: ProgramSpec, code: bytes, types: Fd | None) -> ProgramDefinition:
        return ProgramDefinition(
            type=PROG_TYPES[spec.type].id,
            code=code,
            name=spec.name,
            attach_type=spec.attach_type,
            licence=spec.licence,
            flags=F_XDP_HAS_FRAGS * spec.frags | F_SLEEPABLE * spec.sleepable,
            btf=types,
            func_info=spec.func_info if types else (),
            line_info=spec.line_info if types else (),
        )

    def _load_copy(self, program: LoadedProgram, code: bytes, copy: Instrumented, types: Fd | None) -> Fd:
        """Load the instrumented copy, without line numbers: the kernel wants them for all functions or none."""
        spec = program.spec
        func_info: tuple[tuple[int, int], ...] = ()
        if types and program.btf:
            _, ids = with_functions(program.btf, ADDED_NAMES)
            added = ((slot, ids[ADDED_NAMES.index(name)]) for name, slot in copy.added)
            func_info = (*spec.func_info, *added)
        definition = self._definition(spec, code, None)
        try:
            return load_program(replace(definition, btf=types, func_info=func_info))
        except Rejected as refused:
            text = f"{spec.name}: Linux takes the program but not the copy that runs on the virtual clock"
            raise Unsupported(text, hint=refused.message) from refused
