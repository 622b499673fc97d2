"""Programs on the connection tracking table, each run once by Linux and by xdpsim.

A program is steps in assembler behind one another; what it finds out goes into the value of its map, `OUT_BYTES` long.
Each case has addresses of its own, for all run in one namespace.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.support.replay import HELPER_MODULES, KTIME_NS, TAI_NS
from xdpsim.engines.interpreter.engine import InterpreterEngine
from xdpsim.engines.kernel.engine import KernelEngine
from xdpsim.engines.protocol import Engine
from xdpsim.isa.asm import assemble
from xdpsim.loader.model import ProgramSpec, Subprogram
from xdpsim.maps.spec import MapSpec
from xdpsim.memory.batch import Batch, Stop
from xdpsim.net.machine import EmulatedMachine
from xdpsim.tables.kernel_structs import Place, place

OUT_BYTES = 128
ENGINES: dict[str, Callable[[EmulatedMachine], Engine]] = {"interpreter": InterpreterEngine, "kernel": KernelEngine}
KFUNCS = ("xdp_ct_lookup", "xdp_ct_alloc", "ct_insert_entry", "ct_release", "ct_set_timeout", "ct_change_timeout",
          "ct_set_status", "ct_change_status", "ct_set_nat_info")  # fmt: skip
NUMBERS = {name: number for number, name in enumerate(KFUNCS)}
_TUPLE, _OPTS, _ADDRESS = 48, 64, 80
"""How far below the frame's top these lie on the stack."""
assert HELPER_MODULES


@dataclass
class Program:
    """Steps so far; `out` is where in the map's value the next answer goes."""

    text: str = "r6 = r1; r7 = map_value[out]+0\n"
    out: int = 0
    labels: int = 0

    def call(self, name: str) -> None:
        self.text += f"call kfunc #{NUMBERS[name]}\n"

    def keep(self, register: str = "r0", width: int = 8) -> None:
        """Store a register as the next answer."""
        self.text += f"*(u{8 * width} *)(r7 + {self.out}) = {register}\n"
        self.out += width

    def bytes_at(self, below: int, data: bytes) -> None:
        """Put bytes onto the stack."""
        for at in range(0, len(data), 4):
            word = int.from_bytes(data[at : at + 4], "little", signed=True)
            self.text += f"r1 = {word}; *(u32 *)(r10 - {below - at}) = r1\n"

    def find(self, name: str, tuple_: bytes, opts: bytes, *, size: int = 0, opts_size: int = 16) -> None:
        """Look up or allocate; keep whether there is an entry, and the options; r8 is the entry."""
        self.bytes_at(_TUPLE, tuple_.ljust(36, b"\0"))
        self.bytes_at(_OPTS, opts)
        self.text += f"r1 = r6; r2 = r10; r2 += -{_TUPLE}; r3 = {size or len(tuple_)}; r4 = r10; r4 += -{_OPTS}\n"
        self.text += f"r5 = {opts_size}\n"
        self.call(name)
        for at in range(0, 16, 4):
            self.text += f"r1 = *(u32 *)(r10 - {_OPTS - at})\n"
            self.keep("r1", 4)
        self.text += "r8 = r0\n"
        self.unless_null()
        self.text += "r1 = 1\n"
        self.keep("r1", 1)
        self.out += 7

    def unless_null(self) -> None:
        """Stop here when r0 is NULL."""
        self.text += "if r0 == 0 goto end\n"

    def read(self, path: str, *, keep: bool = True) -> None:
        """Keep a member of the entry."""
        at = member(path)
        for part in range(0, at.width, 8):
            width = min(8, at.width - part)
            self.text += f"r1 = *(u{8 * width} *)(r8 + {at.offset + part})\n"
            self.keep("r1", width)

    def with_entry(self, name: str, *args: int) -> None:
        """Call a kernel function on the entry."""
        self.text += "r1 = r8\n" + "".join(f"r{n} = {arg}\n" for n, arg in enumerate(args, 2))
        self.call(name)

    def change(self, name: str, value: int) -> None:
        """Call one that gives an error, and keep that and the status."""
        self.with_entry(name, value)
        self.keep(width=4)
        self.read("status")

    def insert(self) -> None:
        """Put the entry into the table; r8 is it again."""
        self.with_entry("ct_insert_entry")
        self.text += "r8 = r0\n"
        self.unless_null()

    def nat(self, address: bytes, port: int, manip: int) -> None:
        """Translate one side."""
        self.bytes_at(_ADDRESS, address.ljust(16, b"\0"))
        self.text += f"r1 = r8; r2 = r10; r2 += -{_ADDRESS}; r3 = {port}; r4 = {manip}\n"
        self.call("ct_set_nat_info")
        self.keep(width=4)

    @property
    def whole(self) -> str:
        assert self.out <= OUT_BYTES, self.out
        return self.text + "end: r0 = 2; exit"


def member(path: str) -> Place:
    """Where nf_conn keeps a member."""
    return place("nf_conn", path)


def opts(netns: int = -1, proto: int = 6, zone: int = 0, zone_dir: int = 0, reserved: bytes = bytes(3)) -> bytes:
    """struct bpf_ct_opts; `error` and `dir` are what a call may leave alone."""
    head = netns.to_bytes(4, "little", signed=True) + b"\x11\x22\x33\x44" + bytes([proto, 0x55])
    return head + zone.to_bytes(2, "little") + bytes([zone_dir]) + reserved


_HOSTS = itertools.count(1)


def ends(version: int = 4) -> bytes:
    """A tuple that no other case has."""
    number = next(_HOSTS)
    size = 4 if version == 4 else 16
    addresses = bytes([10]).ljust(size - 2, b"\0") + number.to_bytes(2, "big"), b"\x0b".ljust(size, b"\1")
    return b"".join(addresses) + (4000 + number).to_bytes(2, "big") + (80).to_bytes(2, "big")


def turned(tuple_: bytes) -> bytes:
    """The other direction."""
    half = (len(tuple_) - 4) // 2
    return tuple_[half : 2 * half] + tuple_[:half] + tuple_[-2:] + tuple_[-4:-2]


def cases() -> Iterator[tuple[str, str]]:
    """Name and program of every case."""
    global _HOSTS
    _HOSTS = itertools.count(1)
    yield from _mistakes()
    for version in (4, 6):
        for proto in (6, 17):
            yield f"life of an entry, IPv{version}, protocol {proto}", _life(version, proto)
    for bits in (*(1 << bit for bit in range(16)), 1 << 20, 1 << 31, 2 | 4, 0x400 | 2, 8 | 2):
        yield f"status {bits:#x}", _status(bits)
    for milliseconds in (0, 1, 3, 4, 5, 1000, 86_400_000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF):
        yield f"timeout of {milliseconds} ms", _timeout(milliseconds)
    yield "inserted twice", _twice()
    yield "a fixed timeout", _fixed()
    for zone, zone_dir in ((0, 0), (7, 0), (7, 1), (7, 2), (7, 3)):
        yield f"zone {zone} in directions {zone_dir}", _zones(zone, zone_dir)
    for manip in (0, 1):
        for port in (0, 999, -1):
            yield f"translation {manip} to port {port}", _translation(manip, port)
    yield "both sides translated", _both_translated()


def _mistakes() -> Iterator[tuple[str, str]]:
    for name in ("xdp_ct_lookup", "xdp_ct_alloc"):
        asked = {
            **{f"options of {size} bytes": (12, size, opts()) for size in (0, 4, 7, 8, 12, 13, 15)},
            **{f"tuple of {size} bytes": (size, 16, opts()) for size in (1, 11, 13, 35)},
            **{f"namespace {netns}": (12, 16, opts(netns)) for netns in (-2, 0, 5, -(1 << 31))},
            **{f"protocol {proto}": (12, 16, opts(proto=proto)) for proto in (0, 1, 132, 255)},
            **{f"reserved byte {n}": (12, 16, opts(reserved=bytes(n) + b"\1" + bytes(2 - n))) for n in range(3)},
            "a zone in 12 bytes": (12, 12, opts(zone=5)),
            "a zone's direction in 12 bytes": (12, 12, opts(zone_dir=1)),
            "namespace before protocol": (12, 16, opts(-2, 1)),
            "tuple before namespace": (11, 16, opts(5)),
            "protocol before tuple": (11, 16, opts(proto=1)),
        }
        for what, (size, opts_size, given) in asked.items():
            program = Program()
            program.find(name, ends(), given, size=size, opts_size=opts_size)
            program.with_entry("ct_release" if name == "xdp_ct_lookup" else "ct_insert_entry")
            if name == "xdp_ct_alloc":
                program.text += "if r0 == 0 goto end; r1 = r0\n"
                program.call("ct_release")
            yield f"{name}: {what}", program.whole


def _life(version: int, proto: int) -> str:
    program, tuple_ = Program(), ends(version)
    program.find("xdp_ct_alloc", tuple_, opts(proto=proto))
    for path in ("timeout", "status", "mark", "tuplehash[1].tuple.src.u3.ip", "tuplehash[1].tuple.dst.u.all"):
        program.read(path)
    program.insert()
    program.read("status")
    program.text += f"r1 = 77; *(u32 *)(r8 + {member('mark').offset}) = r1\n"
    program.with_entry("ct_release")
    for direction in (tuple_, turned(tuple_)):
        program.find("xdp_ct_lookup", direction, opts(proto=proto))
        program.read("mark")
        program.with_entry("ct_release")
    return program.whole


def _allocated() -> Program:
    program = Program()
    program.find("xdp_ct_alloc", ends(), opts())
    return program


def _status(bits: int) -> str:
    program = _allocated()
    value = bits - (1 << 32) if bits >> 31 else bits
    program.change("ct_set_status", value)
    program.insert()
    program.read("status")
    for wanted in (value, value | 8, 8, 0):
        program.change("ct_change_status", wanted)
    program.with_entry("ct_release")
    return program.whole


def _timeout(milliseconds: int) -> str:
    program = _allocated()
    program.with_entry("ct_set_timeout", milliseconds - (1 << 32) if milliseconds >> 31 else milliseconds)
    program.read("timeout")
    program.insert()
    program.with_entry("ct_change_timeout", 5000)
    program.keep(width=4)
    program.with_entry("ct_release")
    return program.whole


def _twice() -> str:
    tuple_, program = ends(), Program()
    for direction in (tuple_, turned(tuple_)):
        program.find("xdp_ct_alloc", direction, opts())
        program.insert()
        program.with_entry("ct_release")
    program.text += "r1 = 9\n"
    program.keep("r1")
    return program.whole


def _fixed() -> str:
    program = _allocated()
    program.change("ct_set_status", 1 << 10)
    program.insert()
    program.with_entry("ct_change_timeout", 1000)
    program.keep(width=4)
    program.with_entry("ct_release")
    return program.whole


def _zones(zone: int, zone_dir: int) -> str:
    """An entry of a zone, looked for there, and in no zone, in both directions."""
    program, tuple_ = Program(), ends()
    program.find("xdp_ct_alloc", tuple_, opts(zone=zone, zone_dir=zone_dir))
    program.insert()
    program.with_entry("ct_release")
    for number, (direction, where) in enumerate(itertools.product((tuple_, turned(tuple_)), (zone, 0))):
        program.bytes_at(_TUPLE, direction.ljust(36, b"\0"))
        program.bytes_at(_OPTS, opts(zone=where, zone_dir=zone_dir if where else 0))
        program.text += f"r1 = r6; r2 = r10; r2 += -{_TUPLE}; r3 = 12; r4 = r10; r4 += -{_OPTS}; r5 = 16\n"
        program.call("xdp_ct_lookup")
        program.text += f"r9 = 0; if r0 == 0 goto none{number}; r9 = 1; r1 = r0\n"
        program.call("ct_release")
        program.text += f"none{number}:\n"
        program.keep("r9")
    return program.whole


_REPLY = ("tuplehash[1].tuple.src.u3.ip", "tuplehash[1].tuple.dst.u3.ip", "tuplehash[1].tuple.src.u.all",
          "tuplehash[1].tuple.dst.u.all")  # fmt: skip


def _translation(manip: int, port: int) -> str:
    program = _allocated()
    program.nat(b"\x0c\0\0" + bytes([next(_HOSTS) & 255]), port, manip)
    for path in (*_REPLY, "status"):
        program.read(path)
    program.insert()
    program.read("status")
    program.with_entry("ct_release")
    return program.whole


def _both_translated() -> str:
    program = _allocated()
    program.nat(b"\x0c\0\1\1", 1234, 0)
    program.nat(b"\x0c\0\1\2", 4321, 1)
    for path in (*_REPLY, "status"):
        program.read(path)
    program.insert()
    program.with_entry("ct_release")
    return program.whole


def run(text: str, engine_name: str) -> str:
    """What a program leaves in its map."""
    machine = EmulatedMachine(cpus=2, seed=1)
    engine = ENGINES[engine_name](machine)
    out = machine.add_map(MapSpec("out", "ARRAY", 4, OUT_BYTES, 1))
    names = tuple(f"bpf_{name}" for name in KFUNCS)
    code, parts = assemble(text, maps={"out": 0}), ((Subprogram("prog", 0),), (), "GPL")
    spec = ProgramSpec("prog", "xdp", "XDP", 0, code, *parts, kfuncs=names)
    runner = engine.load(machine.add_program(spec, (out,), None))
    batch = Batch(1)
    at = batch.append(machine.pool.put(bytes(64)), ktime_ns=KTIME_NS, tai_ns=TAI_NS)
    batch.ifindex[at] = 1
    assert runner.run_batch(batch, 0)[1] is Stop.END
    assert batch.verdict[at] == 2
    left = out.lookup_bytes(bytes(4))
    assert left is not None
    return left.rstrip(b"\0").hex()
