"""LLVM IR as text: the few words that the emitters of functions and of the batch loop are made of."""

from __future__ import annotations

from xdpsim.memory.structs import RUN_STATE


class Text:
    """Collects the lines of one LLVM function."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._values = 0
        self._labels = 0

    def value(self, text: str) -> str:
        """Emit `%vN = text`; the value's name."""
        self._values += 1
        self.lines.append(f"  %v{self._values} = {text}")
        return f"%v{self._values}"

    def line(self, text: str) -> None:
        """Emit an instruction without a result."""
        self.lines.append("  " + text)

    def label(self) -> str:
        """A fresh label."""
        self._labels += 1
        return f"l{self._labels}"

    def place(self, label: str) -> None:
        """Start a block."""
        self.lines.append(f"{label}:")

    def pointer(self, address: str) -> str:
        """An address as an LLVM pointer."""
        return self.value(f"inttoptr i64 {address} to ptr")

    def state_pointer(self, offset: int) -> str:
        """Pointer to a byte of the run state."""
        return self.value(f"getelementptr i8, ptr %state, i64 {offset}")

    def state_word(self, name: str, width: int = 64) -> str:
        """The value of a field of the run state."""
        return self.value(f"load i{width}, ptr {self.state_pointer(RUN_STATE.offset(name))}")

    def set_state_word(self, name: str, value: str, width: int = 64) -> None:
        """Store a field of the run state."""
        self.line(f"store i{width} {value}, ptr {self.state_pointer(RUN_STATE.offset(name))}")
