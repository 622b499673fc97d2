"""Runs a function in a network namespace of its own, in another process, which the namespace goes away with.

`in_namespace("tests.helpers.fib_world:ask", data)` imports the module there, calls the function with the JSON-able data
and gives back what it returns. Interfaces in there touch nothing outside.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.runtimes import surrounding

_CLONE_NEWNET = 0x4000_0000


def in_namespace(function: str, data: Any) -> Any:
    """What `module:function` returns for `data` inside a new network namespace."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.netns", function],
        input=json.dumps(data),
        capture_output=True,
        text=True,
        check=False,
        **surrounding(),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def ip(words: str) -> None:
    """One command of iproute2 in the namespace that this process is in."""
    refusal = ip_refuses(words)
    assert not refusal, f"ip {words}: {refusal}"


def ip_refuses(words: str) -> str:
    """As `ip`: why the command failed, empty when it did not."""
    done = subprocess.run(["ip", *words.split()], capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


def sysctl(name: str, value: int) -> None:
    """Set a network setting of that namespace, named by its path below /proc/sys/net."""
    Path("/proc/sys/net", name).write_text(str(value))


def main(function: str) -> None:
    """Be the other process."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
    module, _, name = function.partition(":")
    print(json.dumps(getattr(importlib.import_module(module), name)(json.load(sys.stdin))))


if __name__ == "__main__":
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    main(sys.argv[1])
