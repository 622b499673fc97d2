"""One eBPF function as LLVM IR text: blocks, registers, and the small vocabulary that the emitters of emit.py speak.

Registers are allocas (LLVM turns them into values). Whatever can go wrong leaves through `fault`, which records it in
the run state and returns; callers test the fault word after each call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from xdpsim.engines.contexts import NativeContext
from xdpsim.engines.fault import FaultKind
from xdpsim.engines.protocol import LoadedProgram
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import Family
from xdpsim.memory.structs import FAULT, RUN_STATE, STACK_FRAME_BYTES
from xdpsim.verifier.cfg import STRAY, Function, successors
from xdpsim.verifier.facts import Facts

FAULT_CODE = RUN_STATE.offset("fault") + FAULT.offset("code")


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for all functions of a program: its context, its budget, and the emitters by family."""

    context: NativeContext
    budget: int
    emitters: Mapping[Family, Callable[[FunctionEmitter, int, Insn], bool]]


_WRITES_DST = frozenset(
    {Family.ALU, Family.NEG, Family.MOV, Family.MOVSX, Family.ENDIAN, Family.LD_IMM64}
    | {Family.LOAD, Family.LOAD_SX, Family.LOAD_ACQUIRE, Family.ADDR_SPACE_CAST}
)


class FunctionEmitter:
    """Collects the lines of one function; `name` is its symbol."""

    def __init__(self, program: LoadedProgram, function: Function, facts: Facts, setting: Setting) -> None:
        self.program, self.function, self.facts = program, function, facts
        self.context, self.budget, self._emitters = setting.context, setting.budget, setting.emitters
        self.name = function_symbol(function.entry)
        self.lines: list[str] = []
        self.externals: set[str] = set()
        self.addresses: dict[str, int] = {}
        self.context_loads: set[tuple[int, Family]] = set()
        self.writes_r10 = any(insn.dst == 10 and insn.family in _WRITES_DST for _, insn in self._insns())
        self._values = 0
        self._labels = 0
        self._block: tuple[int, ...] = ()
        self._edges: list[tuple[str, int, int]] = []

    # Vocabulary

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

    def register(self, number: int, bits: int = 64) -> str:
        """The value of a register, truncated to `bits`."""
        value = self.value(f"load i64, ptr %r{number}")
        return value if bits == 64 else self.value(f"trunc i64 {value} to i{bits}")

    def set_register(self, number: int, value: str, bits: int = 64) -> None:
        """Put a value of `bits` bits into a register, zero-extended."""
        if bits != 64:
            value = self.value(f"zext i{bits} {value} to i64")
        self.line(f"store i64 {value}, ptr %r{number}")

    def pointer(self, address: str) -> str:
        """An address as an LLVM pointer."""
        return self.value(f"inttoptr i64 {address} to ptr")

    def state_pointer(self, offset: int) -> str:
        """Pointer to a byte of the run state."""
        return self.value(f"getelementptr i8, ptr %state, i64 {offset}")

    def call(self, symbol: str, *arguments: str) -> str:
        """Call a native runtime function."""
        self.externals.add(symbol)
        return self.value(f"call i64 @{symbol}({', '.join(f'i64 {argument}' for argument in arguments)})")

    def context_loader(self, width: int, family: Family) -> str:
        """The function of the module that loads any field of the context (access.context_loader)."""
        self.context_loads.add((width, family))
        return loader_symbol(width, family)

    def address_symbol(self, address: int) -> str:
        """A symbol that stands for a native address, bound when the code is loaded."""
        for symbol, known in self.addresses.items():
            if known == address:
                return symbol
        symbol = f"at{self.function.entry}_{len(self.addresses)}"
        self.addresses[symbol] = address
        return symbol

    def fault(self, kind: FaultKind, slot: int, address: str = "0", size: int | str = 0, is_write: int = 0) -> None:
        """End the function with a fault."""
        details = f"i64 {address}, i32 {size}, i32 {is_write}"
        self.line(f"call void @record_fault(ptr %state, i32 {int(kind)}, i32 {slot}, {details})")
        self.leave("0", self.insns_up_to(slot))

    def fault_unless(self, condition: str, kind: FaultKind, slot: int, **details: int | str) -> None:
        """Go on when the i1 `condition` holds, else fault."""
        good, bad = self.label(), self.label()
        self.line(f"br i1 {condition}, label %{good}, label %{bad}, !prof !0")
        self.place(bad)
        self.fault(kind, slot, **details)  # type: ignore[arg-type]
        self.place(good)

    def leave(self, result: str, insns: int) -> None:
        """Return from the function, adding what it executed to the run state's count."""
        total = self.value("load i64, ptr %insns")
        total = self.value(f"add i64 {total}, {insns}")
        counter = self.state_pointer(RUN_STATE.offset("insns"))
        before = self.value(f"load i64, ptr {counter}")
        self.line(f"store i64 {self.value(f'add i64 {before}, {total}')}, ptr {counter}")
        self.line(f"ret i64 {result}")

    def jump(self, slot: int, target: int) -> None:
        """Go to the block at `target`; a jump backwards pays out of the budget first."""
        if target == STRAY:
            self.line("br label %stray")
            return
        if target <= slot:
            self.pay(slot)
        self.line(f"br label %b{target}")

    def branch_target(self, slot: int, target: int) -> str:
        """The label to branch to; a way that needs work on it gets a block of its own, emitted by `flush_edges`."""
        if target == STRAY:
            return "stray"
        if target > slot:
            return f"b{target}"
        label = self.label()
        self._edges.append((label, slot, target))
        return label

    def flush_edges(self) -> None:
        """Emit the blocks that branch_target promised."""
        for label, slot, target in self._edges:
            self.place(label)
            self.jump(slot, target)
        self._edges.clear()

    def pay(self, slot: int) -> None:
        """Take one from the budget; a fault when it is spent."""
        counter = self.state_pointer(RUN_STATE.offset("budget"))
        left = self.value(f"load i64, ptr {counter}")
        rest = self.value(f"sub i64 {left}, 1")
        self.line(f"store i64 {rest}, ptr {counter}")
        enough = self.value(f"icmp ne i64 {rest}, 0")
        self.fault_unless(enough, FaultKind.BUDGET, slot, address=str(self.budget))

    # Shape of the function

    def emit(self) -> str:
        """The whole function."""
        from_slot = {block[0]: block for block in self.function.blocks}
        self._prologue()
        for block in from_slot.values():
            self.place(f"b{block[0]}")
            self._emit_block(block)
        self.place("stray")
        self.fault(FaultKind.STRAY, len(self.program.spec.code))
        arguments = ", ".join(f"i64 %a{n}" for n in range(1, 6))
        head = f"define internal i64 @{self.name}(ptr %state, {arguments}, i64 %fp) {{"
        return "\n".join([head, *self.lines, "}"])

    def _prologue(self) -> None:
        self.place("entry")
        self.line("%rs = ptrtoint ptr %state to i64")
        for number in range(11):
            self.line(f"%r{number} = alloca i64")
            self.line(f"store i64 {self._initial(number)}, ptr %r{number}")
        self.line("%insns = alloca i64")
        self.line("store i64 0, ptr %insns")
        self.line("%stack_low = alloca i64")
        for slot, insn in self._insns():
            if insn.op == "may_goto":
                self.line(f"%goto{slot} = alloca i64")
                self.line(f"store i64 0, ptr %goto{slot}")
        low = self.value(f"sub i64 %fp, {STACK_FRAME_BYTES}")
        self.line(f"store i64 {low}, ptr %stack_low")
        self.line(f"store i64 {low}, ptr {self.state_pointer(RUN_STATE.offset('stack_low'))}")
        used = self.facts.stack_bytes
        if used:
            bottom = self.pointer(self.value(f"sub i64 %fp, {used}"))
            self.line(f"call void @llvm.memset.p0.i64(ptr {bottom}, i8 0, i64 {used}, i1 false)")
        self.line(f"br label %b{self.function.entry}")

    @staticmethod
    def _initial(number: int) -> str:
        return f"%a{number}" if 1 <= number <= 5 else "%fp" if number == 10 else "0"

    def _insns(self) -> Iterator[tuple[int, Insn]]:
        for slot in self.function.slots:
            insn = self.program.spec.code[slot]
            if insn is not None:
                yield slot, insn

    def insns_up_to(self, slot: int) -> int:
        """Instructions of the current block that have begun when `slot` runs."""
        return sum(1 for done in self._block if done <= slot)

    def _emit_block(self, block: tuple[int, ...]) -> None:
        self._block, code, ends = block, self.program.spec.code, False
        for slot in block:
            insn = code[slot]
            assert insn is not None
            ends = self._emitters[insn.family](self, slot, insn)
        if not ends:
            self.count_block()
            self.jump(block[-1], successors(code, block[-1])[0])

    def count_block(self) -> None:
        """Add the finished block's instructions to the function's count."""
        count = self.value("load i64, ptr %insns")
        self.line(f"store i64 {self.value(f'add i64 {count}, {len(self._block)}')}, ptr %insns")


def loader_symbol(width: int, family: Family) -> str:
    """Name of the function that loads context fields of `width` bytes."""
    return f"@context_{family.name.lower()}_{width}"


def function_symbol(entry: int) -> str:
    """Symbol of the function whose first slot is `entry`."""
    return f"f{entry}"
