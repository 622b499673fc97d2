"""What one verification works on: the program, what is known of its insns, the work that waits, the log.

Modules of this package are functions over an Env, as those of kernel/bpf/verifier.c are over its bpf_verifier_env.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from xdpsim.verifier.regtypes import SCALAR_VALUE
from xdpsim.verifier.scalar import UNKNOWN, ZERO
from xdpsim.verifier.state import Reg, State

if TYPE_CHECKING:
    from xdpsim.btf.types import Btf
    from xdpsim.isa.insn import Code
    from xdpsim.loader.model import ProgramSpec
    from xdpsim.verifier.vmap import VMap

ALL_CAPS = frozenset({"bpf", "perfmon", "net_admin"})
LOG_LEVEL1, LOG_LEVEL2, LOG_STATS = 1, 2, 4
LOG_LEVEL = LOG_LEVEL1 | LOG_LEVEL2
"""Levels at which insns and states are told (BPF_LOG_LEVEL); the counts alone leave both out."""
ENOTSUPP = 524
"""The kernel's own errno, which the headers for programs do not have."""


class Refusal(Exception):
    """The program is not accepted: positive errno, and the message in Linux's words."""

    def __init__(self, errno: int, message: str) -> None:
        super().__init__(message)
        self.errno, self.message = errno, message


class Aux:
    """What is learned of one slot (struct bpf_insn_aux_data): marks of the first pass, facts of the second."""

    __slots__ = (
        "access_type",
        "alu_limit",
        "alu_state",
        "calls_callback",
        "ctx_field",
        "fastcall_pattern",
        "force_checkpoint",
        "is_iter_next",
        "jmp_point",
        "live_regs_before",
        "map",
        "map_key",
        "map_of_call",
        "nospec",
        "nospec_result",
        "notes",
        "prune_point",
        "scc",
        "seen",
    )

    def __init__(self) -> None:
        self.prune_point = self.jmp_point = self.force_checkpoint = self.calls_callback = self.is_iter_next = False
        self.live_regs_before = 0x7FF
        self.scc = 0
        self.seen = 0
        self.alu_state = self.alu_limit = 0
        self.nospec = self.nospec_result = False
        self.fastcall_pattern = 0
        self.access_type: int | None = None
        """Base type of the pointer that a load or store goes through, the same on every path."""
        self.ctx_field: Any = None
        self.map: VMap | None = None
        """LD_IMM64: the map it names."""
        self.map_of_call: Any = None
        """Calls: the VMap of the first argument on every path so far; False when paths differ."""
        self.map_key: Any = None
        """Calls with a constant key: the key on every path so far; False when paths differ."""
        self.notes: dict[str, Any] = {}
        """Rare things, by name (kptr_struct_meta, obj_new_size, insert_off, loop_inline, arg_prog ...)."""


@dataclass
class Subprog:
    """A function: slots [start, end of it), what the first pass and the walk learned (struct bpf_subprog_info)."""

    start: int
    name: str = ""
    type_id: int = 0
    linfo_idx: int = 0
    stack_depth: int = 0
    has_tail_call: bool = False
    tail_call_reachable: bool = False
    has_ld_abs: bool = False
    is_cb: bool = False
    is_async_cb: bool = False
    is_exception_cb: bool = False
    is_global: bool = False
    args_cached: bool = False
    changes_pkt_data: bool = False
    might_sleep: bool = False
    called: bool = False
    args: list[Any] = field(default_factory=list)
    fastcall_stack_off: int = 0
    keep_fastcall_stack: bool = False
    unreliable: bool = False
    linkage: int = 0
    """BTF linkage of the function: 0 static, 1 global, 2 extern. Static where there is no func_info."""
    postorder: tuple[int, ...] = ()
    """Its reachable slots, each behind what may follow it as far as loops allow (insn_postorder)."""
    private_stack: bool | None = None
    """Whether its frame lies outside the kernel stack; None before stack_depth.py has decided."""


class Env:
    """One verification. `cur` is the state being walked; `insn_idx` the slot being looked at."""

    def __init__(
        self,
        spec: ProgramSpec,
        maps: tuple[VMap, ...],
        btf: Btf | None,
        *,
        caps: frozenset[str] = ALL_CAPS,
        kernel_btf: Btf | None = None,
        log_level: int = 0,
        strict_alignment: bool = False,
        test_state_freq: bool = False,
        device_bound: bool = False,
    ) -> None:
        self.spec, self.maps, self.btf, self.kernel_btf = spec, maps, btf, kernel_btf
        self.code: Code = spec.code
        self.prog_type, self.attach_type = spec.type, spec.attach_type
        self.caps = caps
        self.bpf_capable = "bpf" in caps
        perfmon = "perfmon" in caps
        self.allow_ptr_leaks = self.allow_uninit_stack = perfmon
        self.bypass_spec_v1 = self.bypass_spec_v4 = perfmon
        self.strict_alignment, self.test_state_freq = strict_alignment, test_state_freq
        self.device_bound = device_bound
        self.aux = [Aux() for _ in self.code]
        self.subprogs: list[Subprog] = []
        self.cur = State()
        self.insn_idx = self.prev_insn_idx = 0
        self.worklist: list[tuple[State, int, int, int]] = []
        """States that wait: the state, its insn, the insn before, the length of the log then; the last is next."""
        self.explored: dict[int, list[State]] = {}
        """Kept states by hash bucket as Linux has them, the oldest first."""
        self.explored_size = self.free_list_size = self.num_backedges = 0
        self.scc_visits: dict[tuple[tuple[int, ...], int], Any] = {}
        self.has_scc = False
        self.pass_cnt = 0
        self.id_gen = 0
        self.insn_processed = self.total_states = self.peak_states = self.max_states_per_insn = 0
        self.prev_insn_processed = self.prev_jmps_processed = self.jmps_processed = 0
        self.longest_mark_read_walk = 0
        self.peak_stack = 0
        """Bytes of stack of the deepest chain of calls, once stack_depth.py has looked."""
        self.log_level = log_level
        self.log: list[str] = []
        self.notes: list[str] = []
        """Lines told of the insn being looked at, which a refusal repeats."""
        self.seen_exception = False
        self.null_for_memory = False
        """A global function is given NULL for memory that may not be NULL, which Linux lets pass: nothing is proven."""
        self.seen_direct_write = self.packet_given_to_write = False
        self.exception_callback_subprog = 0
        self.has_hist_entry = False
        """Whether the last entry of the current state's jump history is of the insn being looked at."""
        self.unknown = Reg(SCALAR_VALUE, UNKNOWN, 0, 0, 0, not self.bpf_capable)
        """A number that may be anything; without CAP_BPF every number is precise."""
        self.zero = Reg(SCALAR_VALUE, ZERO, 0, 0, 0, not self.bpf_capable)
        self.explore_alu_limits = False
        self.returned_from_call = False
        self.successors: tuple[tuple[int, ...], ...] = ()
        """By slot, where control may go next inside the function: the slot behind, then the target of the jump."""
        self.stack_live: Any = None
        """The StackLiveness of stack_live.py."""
        self.scratched_regs = self.scratched_slots = 0
        """Bit per register, per spi of the running frame: touched since the state was printed last."""
        self.prev_line: Any = None
        """The line_info row that the log told last."""
        self.log_end = -1
        """len(log) after the insn printed last, -1 before the first."""
        self.insn_width = 0
        """Characters of the insn printed last, its newline included."""

    @property
    def regs(self) -> list[Any]:
        """Registers of the running frame."""
        return self.cur.frames[self.cur.curframe].regs

    def new_id(self) -> int:
        """The next number for links between registers and for references."""
        self.id_gen += 1
        return self.id_gen

    def verbose(self, text: str) -> None:
        """A piece of the log, newline included where one belongs."""
        if self.log_level:
            self.log.append(text)

    def note(self, text: str) -> None:
        """A line of the log that belongs to the message of a refusal, should one follow at the same insn."""
        if self.log_level:
            self.log.append(text + "\n")
        self.notes.append(text)

    def fail_unended(self, errno: int, text: str) -> NoReturn:
        """Refuse the program with one of the messages that Linux ends without a newline."""
        self.verbose(text)
        self.refuse(errno, text)

    def fail(self, errno: int, text: str) -> NoReturn:
        """Refuse the program: `text` in Linux's words, without the newline at its end, is the last of the log."""
        if self.log_level:
            self.log.append(text + "\n")
        self.refuse(errno, text)

    def refuse(self, errno: int, text: str) -> NoReturn:
        """Refuse the program where the log has the message already."""
        raise Refusal(errno, "\n".join([*self.notes, text]) if self.notes else text)
