"""Record the golden files of the instruction set from the running kernel: `python -m tests.support.record_linux`."""

from __future__ import annotations

import sys

from tests.support import disassembly, encodings
from tests.support.rawbpf import kernel_answers

if __name__ == "__main__":
    if reason := kernel_answers():
        sys.exit(reason)
    encodings.record()
    disassembly.record()
