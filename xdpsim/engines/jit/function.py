"""One eBPF function as LLVM IR text: blocks, registers, and the vocabulary that the emitters of emit.py speak.

Registers are allocas (LLVM turns them into values) whose contents are kept at hand inside a block, which halves the
text. Whatever can go wrong leaves through `fault`, which records it in the run state and returns; callers test the
fault word after each call.
"""

from __future__ import annotations

from collections.abc import Iterator

from xdpsim.engines.fault import FaultKind
from xdpsim.engines.jit.needs import (
    BLOCK_COUNTS,
    FAULT_CODE,
    NUMBER,
    SIGNATURE,
    Needs,
    Setting,
    function_symbol,
    loader_symbol,
)
from xdpsim.engines.jit.text import Text
from xdpsim.engines.protocol import LoadedProgram
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import Family
from xdpsim.memory.structs import RUN_STATE, STACK_FRAME_BYTES
from xdpsim.verifier.cfg import STRAY, Function, call_target, successors
from xdpsim.verifier.facts import Facts

_SMALL = 150
"""Slots of a main function that is worth having twice."""
_CALLS = frozenset({Family.CALL_HELPER, Family.CALL_KFUNC, Family.CALL_LOCAL})


class FunctionEmitter(Text):
    """Collects the lines of one function; `name` is its symbol."""

    def __init__(
        self, program: LoadedProgram, function: Function, facts: Facts, setting: Setting, needs: Needs
    ) -> None:
        super().__init__()
        self.program, self.function, self.facts, self.setting, self.needs = program, function, facts, setting, needs
        self.context, self.budget, self._emitters = setting.context, setting.budget, setting.emitters
        self.name = function_symbol(function.entry)
        self._block: tuple[int, ...] = ()
        self._edges: list[tuple[str, int, int]] = []
        self._held: dict[int, str] = {}
        self._low: dict[int, str] = {}
        self._unsaved: set[int] = set()
        self._faults = False

    # Vocabulary

    def register(self, number: int, bits: int = 64) -> str:
        """The value of a register, truncated to `bits`. Not for a side way that does not come back: it is kept."""
        if bits == 32 and number in self._low:
            return self._low[number]
        value = self._held.get(number)
        if value is None:
            value = self._held[number] = self.value(f"load i64, ptr %r{number}")
        if bits == 64:
            return value
        narrow = self.value(f"trunc i64 {value} to i{bits}")
        if bits == 32:
            self._low[number] = narrow
        return narrow

    def set_register(self, number: int, value: str, bits: int = 64) -> None:
        """Put a value of `bits` bits into a register, zero-extended."""
        self._low.pop(number, None)
        if bits != 64:
            if bits == 32:
                self._low[number] = value
            value = self.value(f"zext i{bits} {value} to i64")
        self._held[number] = value
        self._unsaved.add(number)

    def save_registers(self) -> None:
        """Store what this block has put into registers: before each way out of it to another block."""
        for number in sorted(self._unsaved):
            self.line(f"store i64 {self._held[number]}, ptr %r{number}")
        self._unsaved.clear()

    def stack_pointer(self, offset: int) -> str:
        """Pointer to a byte of the function's stack frame, by its offset from r10."""
        return self.value(f"getelementptr i8, ptr %frame, i64 {offset}")

    def call(self, symbol: str, *arguments: str) -> str:
        """Call a native runtime function."""
        self.needs.natives[symbol] = len(arguments)
        return self.value(f"call i64 @{symbol}({', '.join(f'i64 {argument}' for argument in arguments)})")

    def number(self) -> str:
        """The program's number, bound when the code is loaded."""
        return self.value(f"trunc i64 {self.value(f'ptrtoint ptr @{NUMBER} to i64')} to i32")

    def map_symbol(self, index: int) -> str:
        """A symbol that stands for a map's header."""
        self.needs.maps[f"map{index}"] = index
        return f"map{index}"

    def map_header(self, index: int) -> str:
        """The address of a map's header."""
        return self.value(f"ptrtoint ptr @{self.map_symbol(index)} to i64")

    def context_loader(self, width: int, family: Family) -> str:
        """The function of the module that loads any field of the context (access.context_loader)."""
        self.needs.context_loads.add((width, family))
        return loader_symbol(width, family)

    def fault(self, kind: int, slot: int, address: str = "0", size: int | str = 0, is_write: int = 0) -> None:
        """End the function with a fault."""
        details = f"i32 {int(kind)}, i32 {slot}, i64 {address}, i32 {size}, i32 {is_write}"
        self.line(f"call void @record_fault(ptr %state, {details}, i64 {self.insns_up_to(slot)})")
        self._faults = self.needs.faults = True
        self.line("br label %faulted")

    def fault_unless(self, condition: str, kind: FaultKind, slot: int, **details: int | str) -> None:
        """Go on when the i1 `condition` holds, else fault."""
        good, bad = self.label(), self.label()
        self.line(f"br i1 {condition}, label %{good}, label %{bad}, !prof !0")
        self.place(bad)
        self.fault(kind, slot, **details)  # type: ignore[arg-type]
        self.place(good)

    def leave_on_fault(self, slot: int, *, is_own: bool = False) -> None:
        """Leave when what was called left a fault; `is_own`: the call's own, whose slot is not in it yet."""
        code = self.value(f"load i32, ptr {self.state_pointer(FAULT_CODE)}")
        good, bad = self.label(), self.label()
        self.line(f"br i1 {self.value(f'icmp eq i32 {code}, 0')}, label %{good}, label %{bad}, !prof !0")
        self.place(bad)
        function = "finish_fault" if is_own else "pass_fault"
        self.line(f"call void @{function}(ptr %state, i32 {slot}, i64 {self.insns_up_to(slot)})")
        self._faults = self.needs.faults = True
        self.line("br label %faulted")
        self.place(good)

    def count_insns(self, insns: int) -> None:
        """Add to the run state's count what this function has executed: `insns` in the running block."""
        total = self.value("load i64, ptr %insns")
        total = self.value(f"add i64 {total}, {insns}") if insns else total
        counter = self.state_pointer(RUN_STATE.offset("insns"))
        if self.setting.is_alone and not self.needs.faults:
            self.line(f"store i64 {total}, ptr {counter}")
            return
        before = self.value(f"load i64, ptr {counter}")
        self.line(f"store i64 {self.value(f'add i64 {before}, {total}')}, ptr {counter}")

    def leave(self, result: str, insns: int) -> None:
        """Return from the function, adding what it executed to the run state's count."""
        self.count_insns(insns)
        self.line(f"ret i64 {result}")

    def jump(self, slot: int, target: int) -> None:
        """Go to the block at `target`; a jump backwards pays out of the budget first."""
        self.save_registers()
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
        if target > slot or self.facts.verified:
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
        """Take one from the budget; a fault when it is spent. Nothing to pay where the verifier has seen the end."""
        if self.facts.verified:
            return
        self.needs.pays = True
        counter = self.state_pointer(RUN_STATE.offset("budget"))
        left = self.value(f"load i64, ptr {counter}")
        rest = self.value(f"sub i64 {left}, 1")
        self.line(f"store i64 {rest}, ptr {counter}")
        enough = self.value(f"icmp ne i64 {rest}, 0")
        self.fault_unless(enough, FaultKind.BUDGET, slot, address=str(self.budget))

    # Shape of the function

    def emit(self) -> str:
        """The whole function."""
        for block in self.function.blocks:
            self.place(f"b{block[0]}")
            self._emit_block(block)
        self._block = ()
        if any(text.endswith("%stray") or "label %stray," in text for text in self.lines):
            self.place("stray")
            self.fault(FaultKind.STRAY, len(self.program.spec.code))
        if self._faults:
            self.place("faulted")
            self.leave("0", 0)
        trait = "alwaysinline " if self.function.entry == 0 and self._is_small() else ""
        head = f"define internal i64 @{self.name}{SIGNATURE} {trait}{{"
        return "\n".join([head, *self._prologue(), *self.lines, "}"])

    def _is_small(self) -> bool:
        """Whether the main function is worth having twice: in its entry and in the loop over a batch."""
        calls_itself = any(
            insn.family is Family.CALL_LOCAL and call_target(self.program.spec.code, slot, insn) == 0
            for slot, insn in self._insns()
        )
        return len(self.function.slots) <= _SMALL and not calls_itself

    def _prologue(self) -> list[str]:
        lines = ["entry:", "  %rs = ptrtoint ptr %state to i64"]
        lines += self._open_frame() if self._has_frame() else ["  %fp = add i64 0, 0"]
        for number in range(11):
            lines += [f"  %r{number} = alloca i64", f"  store i64 {self._initial(number)}, ptr %r{number}"]
        counters = ["%insns", *(f"%goto{slot}" for slot, insn in self._insns() if insn.op == "may_goto")]
        for name in counters:
            lines += [f"  {name} = alloca i64", f"  store i64 0, ptr {name}"]
        return [*lines, f"  br label %b{self.function.entry}"]

    def _has_frame(self) -> bool:
        """Whether anything may look at the function's stack, or at where it is."""
        used = any(10 in (insn.dst, insn.src) or insn.family in _CALLS for _, insn in self._insns())
        found = used or self.needs.checks or self.function.entry != 0
        self.needs.stack = self.needs.stack or found
        return found

    def _open_frame(self) -> list[str]:
        lines = [
            f"  %own = getelementptr i8, ptr %state, i64 {RUN_STATE.offset('stack_low')}",
            "  %fp = load i64, ptr %own",
            "  %frame = inttoptr i64 %fp to ptr",
            f"  %low = sub i64 %fp, {STACK_FRAME_BYTES}",
            "  store i64 %low, ptr %own",
        ]
        if self.setting.makes_tail_calls:
            base = f"getelementptr i8, ptr %state, i64 {RUN_STATE.offset('call_base')}"
            lines += [f"  %base_at = {base}", "  %base = load i64, ptr %base_at"]
        used = self.facts.stack_bytes
        if used:
            lines.append(f"  %bottom = getelementptr i8, ptr %frame, i64 {-used}")
            lines.append(f"  call void @llvm.memset.p0.i64(ptr %bottom, i8 0, i64 {used}, i1 false)")
        return lines

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
        self._held, self._low = {}, {}
        self._unsaved.clear()
        if self.setting.counts_blocks:
            self.needs.blocks.append(block)
            self._add_to_count(0, "1")
        if block[0] in self.facts.dead:
            self.fault(FaultKind.STRAY, block[0])
            return
        for slot in block:
            insn = code[slot]
            assert insn is not None
            ends = self._emitters[insn.family](self, slot, insn)
        if not ends:
            self.count_block()
            self.jump(block[-1], successors(code, block[-1])[0])

    def _add_to_count(self, word: int, number: str) -> None:
        at = 16 * (len(self.needs.blocks) - 1) + 8 * word
        counter = self.value(f"getelementptr i8, ptr @{BLOCK_COUNTS}, i64 {at}")
        count = self.value(f"load i64, ptr {counter}")
        self.line(f"store i64 {self.value(f'add i64 {count}, {number}')}, ptr {counter}")

    def count_rest(self, slot: int) -> None:
        """Count what follows `slot` in the running block by itself: a tail call may have left before."""
        if not self.setting.counts_blocks:
            return
        block = self.needs.blocks[-1]
        begun, rest = (tuple(s for s in block if (s > slot) is later) for later in (False, True))
        self.needs.blocks[-1] = begun
        if rest:
            self.needs.blocks.append(rest)
            self._add_to_count(0, "1")

    def count_jump(self, taken: str) -> None:
        """Note whether the running block's branch jumps: the i1 `taken`."""
        if self.setting.counts_blocks:
            self._add_to_count(1, self.value(f"zext i1 {taken} to i64"))

    def count_block(self) -> None:
        """Add the finished block's instructions to the function's count."""
        count = self.value("load i64, ptr %insns")
        self.line(f"store i64 {self.value(f'add i64 {count}, {len(self._block)}')}, ptr %insns")
