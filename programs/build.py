"""Build every program: X.c to X.o beside it, with BTF kept and DWARF stripped.

    python programs/build.py                  build all into this directory
    python programs/build.py --out DIR a b    build a.c and b.c into DIR

Needs clang-19 and llvm-strip-19; nobody needs them to run xdpsim, since the objects are checked in.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLANG, STRIP = "clang-19", "llvm-strip-19"
FLAGS = ("-target", "bpf", "-O2", "-g", "-mcpu=v3", "-Wall", "-Wextra", "-Werror", "-Wno-unused-variable")


def build(source: Path, out: Path) -> Path:
    """Compile one program into the directory `out`; the object's path."""
    target = out / f"{source.stem}.o"
    # File names in BTF are relative to the repository, whoever builds it and wherever.
    prefix = f"-ffile-prefix-map={HERE}=programs"
    include = HERE / "include"
    command = [CLANG, *FLAGS, prefix, "-I", str(include), "-c", str(source), "-o", str(target)]
    subprocess.run(command, check=True)
    subprocess.run([STRIP, "-g", str(target)], check=True)
    return target


def main() -> int:
    """Build the named programs, or all."""
    parser = argparse.ArgumentParser(description="build the BPF programs")
    parser.add_argument("names", nargs="*", help="programs without .c; default: all")
    parser.add_argument("--out", type=Path, default=HERE, help="directory for the objects; default: beside the source")
    arguments = parser.parse_args()
    names = arguments.names or sorted(path.stem for path in HERE.glob("*.c"))
    for name in names:
        print(build(HERE / f"{name}.c", arguments.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
