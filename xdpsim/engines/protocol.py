"""The one protocol behind which all engines run programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from xdpsim.loader.model import ProgramSpec
from xdpsim.memory.batch import Batch, Stop
from xdpsim.verifier.facts import Facts

if TYPE_CHECKING:
    from xdpsim.btf.types import Btf
    from xdpsim.maps.map import Map


@dataclass(eq=False)
class LoadedProgram:
    """A program with its maps made: `maps[i]` is what an LD_IMM64 of map index i refers to.

    `number` is its place among all programs of the machine, which prog arrays hold. `facts` are those of the verifier
    once it has accepted the program.
    """

    spec: ProgramSpec
    maps: tuple[Map, ...]
    btf: Btf | None
    number: int
    facts: Facts = field(default_factory=Facts)


class Runner(Protocol):
    """One program made ready by one engine.

    `errnos` holds, after a batch, the packets (by index) that the engine could not run at all, with the positive errno:
    the kernel engine's BPF_PROG_TEST_RUN refuses some; ours never do.
    """

    @property
    def errnos(self) -> Mapping[int, int]:
        """Index -> errno of the last batch."""

    @property
    def reads_in_place(self) -> bool:
        """Whether packets may lie anywhere, in the memory that a file was read into for instance.

        Nothing writes to them, and no helper in Python looks for them in the frame pool.
        """

    def run_batch(self, batch: Batch, start: int) -> tuple[int, Stop]:
        """Run the packets of `batch` from index `start` on; where it stopped and why.

        END comes with batch.count. FAULT comes with the index of the packet that faulted, whose `fault` is in the run
        state; the caller records it and goes on behind it.
        """


class Engine(Protocol):
    """Makes programs ready. `name` is what --engine takes."""

    name: str

    def load(self, program: LoadedProgram) -> Runner:
        """Unsupported or Rejected when this engine cannot, or may not, run the program."""
