"""Boots Debian's kernels under qemu's software emulation and puts a script of questions to their bpf(2).

The kernel packages come from the distribution's repositories through apt-get and are only unpacked, into a cache folder;
the guest is that kernel and one static program (init.c), so nothing else is needed. Goldens are recorded this way; tests
only read them.
"""

from __future__ import annotations

import functools
import gzip
import json
import lzma
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PACKAGES = {"6.1": r"linux-image-6\.1\.0-\d+-amd64", "6.12": r"linux-image-6\.12\.\d+\+deb12-amd64"}
MODULES = ("crc32c_generic", "libcrc32c", "nf_defrag_ipv4", "nf_defrag_ipv6", "nf_conntrack", "nf_nat", "nf_flow_table")
"""Modules whose kernel functions programs call, in the order in which they load."""
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "xdpsim" / "kernels"
INIT = Path(__file__).with_name("init.c")
TIMEOUT_S = 900
_MARK = "@@ "


@functools.cache
def package_of(version: str) -> str:
    """The newest kernel package of that version that the configured repositories offer."""
    names = [
        line.split(" ")[0] for line in _output("apt-cache", "--names-only", "search", "^linux-image-").splitlines()
    ]
    found = [name for name in names if re.fullmatch(PACKAGES[version], name)]
    assert found, f"no package {PACKAGES[version]} in the repositories"
    return max(found, key=lambda name: [int(part) for part in re.findall(r"\d+", name)])


def unpacked(version: str) -> Path:
    """The folder of the unpacked package, fetched when it is not there."""
    package = package_of(version)
    folder = CACHE / package
    if not (folder / "boot").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (archive,) = folder.glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)
        archive.unlink()
    return folder


def run(version: str, script: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Boot the kernel, put the lines to it, and give the answers by id; AssertionError when it does not come to its end."""
    folder = unpacked(version)
    (kernel,) = (folder / "boot").glob("vmlinuz-*")
    with tempfile.TemporaryDirectory() as made:
        initramfs = Path(made) / "initramfs"
        initramfs.write_bytes(gzip.compress(_archive(folder, "".join(f"{line}\n" for line in script)), 1))
        command = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "2048", "-smp", "1", "-nographic"]
        command += ["-no-reboot", "-kernel", str(kernel), "-initrd", str(initramfs)]
        command += ["-append", "console=ttyS0 quiet panic=-1"]
        said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=True)
    console = said.stdout.decode(errors="replace").replace("\r", "")
    answers = [json.loads(line.partition(_MARK)[2]) for line in console.splitlines() if _MARK in line]
    assert answers and answers[-1]["id"] == "end", console[-2000:]
    return {row.pop("id"): row for row in answers}


def _archive(folder: Path, script: str) -> bytes:
    """The initial file system: the program, its script, the modules, a console."""
    with tempfile.TemporaryDirectory() as made:
        program = Path(made) / "init"
        subprocess.run(["gcc", "-O2", "-static", "-Wall", "-o", program, INIT], check=True)
        files = {"init": program.read_bytes(), "script": script.encode()}
    names = []
    for module in MODULES:
        for found in folder.rglob(f"{module}.ko*"):
            data = found.read_bytes()
            files[f"{module}.ko"] = lzma.decompress(data) if found.suffix == ".xz" else data
            names.append(f"/{module}.ko\n")
    files["modules"] = "".join(names).encode()
    parts = [_entry("dev", 0o040755), _entry("dev/console", 0o020600, device=(5, 1))]
    parts += [_entry(name, 0o100755, data) for name, data in files.items()]
    return b"".join([*parts, _entry("TRAILER!!!", 0)])


def _entry(name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    """One member of a cpio archive in its "newc" form."""
    numbers = (0, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % number for number in numbers) + name.encode() + b"\0"
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
