"""`xdpsim prog run`, in bpftool's words: one test run of a program, data and context from and to files."""

from __future__ import annotations

import json
import sys

from xdpsim.cli.asked import ProgRunOptions
from xdpsim.cli.choose import choose_program
from xdpsim.cli.errors import OK, UsageError, output_error, tell
from xdpsim.cli.output import emit
from xdpsim.cli.refused import rejections
from xdpsim.errors import InputError
from xdpsim.maps.files import load_presets
from xdpsim.sim.sim import Sim
from xdpsim.sim.testrun import MAX_REPEAT, TestRunResult, run_test

_FILES = ("data_in", "data_out", "ctx_in", "ctx_out")
_WORDS = (*_FILES, "repeat")
_DUMPED_BYTES = 16


def run(options: ProgRunOptions) -> int:
    """Run and print as bpftool does; the exit code is 0 whatever the program returns."""
    options.loading.warn(options.engine)
    with rejections(options.json):
        return _run(options)


def _run(options: ProgRunOptions) -> int:
    words = _parsed(options.words)
    path, _, name = options.place.rpartition(":")
    loading = options.loading
    sim = Sim(engine=options.engine, verify=loading.verify)
    obj = sim.load(path or name, type=loading.type, set=loading.set, btf=loading.btf or None)
    for presets in options.maps:
        load_presets(obj.maps, presets)
    program = obj[choose_program(obj.source, name if path else "")]
    data = _read(words["data_in"])
    ctx = _read(words["ctx_in"]) if "ctx_in" in words else b""
    if not ctx and "ctx_out" in words:
        raise UsageError("ctx_out without ctx_in: a context comes out only where one goes in")
    result = run_test(program, data, ctx, int(words.get("repeat", "1")))
    if result.fault is not None:
        tell(f"fault: {result.fault}")
    for word, left in (("data_out", result.data), ("ctx_out", result.ctx)):
        if word in words and words[word] != "-":
            _write(words[word], left)
    emit(_json(result, words) if options.json else _text(result, words))
    return OK


def _parsed(words: tuple[str, ...]) -> dict[str, str]:
    """bpftool's pairs of words; UsageError for anything else."""
    if len(words) % 2:
        raise UsageError(f"{words[-1]}: expected a value behind it")
    pairs = dict(zip(words[::2], words[1::2], strict=True))
    for word in pairs:
        if word not in _WORDS:
            raise UsageError(f"{word}: expected {', '.join(_WORDS)}")
    if "data_in" not in pairs:
        raise UsageError("data_in FILE is missing: the packet to run on")
    repeat = pairs.get("repeat", "1")
    if not repeat.isdecimal() or int(repeat) > MAX_REPEAT:
        raise UsageError(f"repeat {repeat}: expected a number from 0 to {MAX_REPEAT}")
    return pairs


def _read(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as err:
        raise InputError(f"{path}: {err.strerror}") from err


def _write(path: str, data: bytes) -> None:
    try:
        with open(path, "wb") as file:
            file.write(data)
    except OSError as err:
        raise output_error(err) from err


def _json(result: TestRunResult, words: dict[str, str]) -> str:
    found: dict[str, object] = {}
    for word, data in (("data_out", result.data), ("ctx_out", result.ctx)):
        if words.get(word) == "-":
            found[word] = [f"0x{byte:02x}" for byte in data]
    return json.dumps(found | {"retval": result.value, "duration": result.duration_ns})


def _text(result: TestRunResult, words: dict[str, str]) -> str:
    lines = []
    for word, title, data in (("data_out", "Data", result.data), ("ctx_out", "Context", result.ctx)):
        if words.get(word) == "-":
            lines += [f"{title}:", *_dump(data)]
    return "\n".join([*lines, f"Return value: {result.value}, duration (average): {result.duration_ns}ns"])


def _dump(data: bytes) -> list[str]:
    rows = (data[at : at + _DUMPED_BYTES] for at in range(0, len(data), _DUMPED_BYTES))
    return [f"{at * _DUMPED_BYTES:07x} {' '.join(f'{byte:02x}' for byte in row)}" for at, row in enumerate(rows)]
