"""Suites of small XDP programs in C, each run once: what Linux made of them is recorded, ours must do the same.

A suite is tests/helpers/c/NAME.c; its golden file `helpers_NAME` holds the compiled object with Linux's answers, so
that replaying takes no compiler. Programs leave results in their verdict, in maps, in the packet and as events.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import subprocess
import tempfile
import zlib
from pathlib import Path
from typing import Any

from tests.support.clang import CLANG
from tests.support.oracle import bytes_spec, golden, golden_path, ramp
from xdpsim.net.machine import Event
from xdpsim.sim.program import LoadedObject
from xdpsim.sim.sim import Sim

HERE = Path(__file__).parents[1] / "helpers" / "c"
INCLUDE = Path(__file__).parents[2] / "programs" / "include"
FLAGS = ("-target", "bpf", "-O2", "-g", "-mcpu=v3", "-Wall", "-Werror", "-Wno-unused-variable", "-Wno-unused-function")
OWN = "own_"
"""Programs of such names are for tests of ours: one TEST_RUN does not show what they do."""
LINEAR, PAGED = 64, 6000
"""Bytes of the packet that a program gets, without and with frags."""
FED = (b"12345678", b"abc", b"", bytes(range(20)))
"""What waits in each user ring buffer."""


def compiled(name: str) -> bytes:
    """The object of a suite, with BTF and without DWARF."""
    assert CLANG, "recording needs clang-19"
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / f"{name}.o"
        prefix = f"-ffile-prefix-map={HERE}=c"
        command = [CLANG, *FLAGS, prefix, "-I", str(INCLUDE), "-c", str(HERE / f"{name}.c"), "-o", str(target)]
        subprocess.run(command, check=True)
        subprocess.run(["llvm-strip-19", "-g", str(target)], check=True)
        return target.read_bytes()


def source_hash(name: str) -> str:
    """Of the suite's source and of what it includes."""
    files = sorted({HERE / f"{name}.c", *HERE.glob("*.h")})
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def record_suite(name: str) -> dict[str, Any]:
    """Ask the running kernel."""
    image = compiled(name)
    programs = [program for program in Sim().load(image, name=name) if not program.startswith(OWN)]
    return {
        "source": source_hash(name),
        "object": base64.b64encode(zlib.compress(image, 9)).decode(),
        "rows": [{"name": program, **run_program(image, program, "kernel")} for program in programs],
    }


@functools.cache
def suite_object(name: str) -> bytes:
    """The recorded object of a suite."""
    return zlib.decompress(base64.b64decode(golden(f"helpers_{name}")["object"]))


def suite_rows(name: str) -> list[dict[str, Any]]:
    """Linux's recorded answers; none before the first recording."""
    return list(golden(f"helpers_{name}")["rows"]) if golden_path(f"helpers_{name}").exists() else []


def run_program(image: bytes, name: str, engine: str) -> dict[str, Any]:
    """Verdict, packet, events and maps after one run on a machine of its own."""
    sim = Sim(engine=engine)
    loaded = sim.load(image, name="suite")
    program = loaded[name]
    for ring in (made for made in loaded.maps.values() if made.spec.type == "USER_RINGBUF"):
        for record in FED:
            sim.feed(ring, record)
    outcome = program.run(ramp(PAGED if program.spec.frags else LINEAR))
    assert outcome.fault is None, str(outcome.fault)
    return {
        "value": outcome.value,
        "out": bytes_spec(outcome.meta + outcome.packet),
        "meta": len(outcome.meta),
        "events": [event_row(event) for event in outcome.events],
        "maps": {name: dump(loaded, name) for name in loaded.maps if not name.startswith(".rodata")},
    }


def event_row(event: Event) -> list[Any]:
    """An event as the golden file holds it."""
    data = event.data
    if isinstance(data, dict):
        data = {key: bytes_spec(value) if isinstance(value, bytes) else value for key, value in data.items()}
    return [event.kind, data]


def dump(loaded: LoadedObject, name: str) -> list[list[str]]:
    """Key and value of each entry that is not all zeroes, in hex."""
    entries = ([key.hex(), value.hex()] for key, value in loaded.maps[name].items_bytes())
    return sorted(entry for entry in entries if entry[1].strip("0"))
