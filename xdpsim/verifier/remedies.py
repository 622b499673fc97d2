"""What would have been right, in one sentence, for each of the verifier's messages."""

from __future__ import annotations

import re

_REMEDIES: tuple[tuple[str, str], ...] = (
    # pattern of Linux's message, what would have been right; {1} is the pattern's first group
    (r"invalid access to packet, off=(-?\d+) size=(\d+)", "compare data + {sum} with data_end before this access"),
    (
        r"invalid access to map value",
        "keep offset and size inside the value's size",
    ),
    (r"invalid access to map key", "keep offset and size inside the key's size"),
    (r"invalid access to memory, mem_size=(\d+)", "only {1} bytes are there: check offset and size against that"),
    (r"offset is outside of the packet", "compare the pointer plus the access size with data_end on every path"),
    (r"R(\d+) invalid mem access '(\w+_or_null\w*)'", "compare R{1} with NULL before it is used"),
    (r"R(\d+) invalid mem access 'scalar'", "R{1} is a number here: the pointer was overwritten, or died in a call"),
    (r"R(\d+) invalid mem access", "R{1} is no pointer that memory can be reached through"),
    (r"R(\d+) !read_ok", "give R{1} a value on every path that leads here; calls leave R1 to R5 without one"),
    (r"frame pointer is read only", "R10 cannot be written: copy it to another register"),
    (r"invalid bpf_context access off=(\d+) size=(\d+)", "this program type may not make that access to its context"),
    (r"dereference of modified ctx ptr", "access the context through the unmodified pointer with a constant offset"),
    (r"variable ctx access", "the offset into the context must be a constant"),
    (r"invalid (read from|write to) stack R\d+ off=", "the stack is the 512 bytes below R10"),
    (r"invalid read from stack", "write these bytes of the stack before they are read"),
    (r"invalid variable-offset", "bound the offset so that all of the access lies in the stack"),
    (r"invalid unbounded variable-offset", "bound the offset from both sides before it is added"),
    (r"unbounded memory access", "bound the value from above before it is used as an offset or a size"),
    (r"min value is negative, either use unsigned", "make the value unsigned, or check that it is not below zero"),
    (r"(min|max) value is outside of the allowed memory range", "tighten the check of the offset"),
    (r"misaligned", "align the access to its size"),
    (r"infinite loop detected", "something that the loop's end depends on must change in each round"),
    (r"BPF program is too large", "bound the loops more tightly, or put loops into bpf_loop or open-coded iterators"),
    (r"The sequence of \d+ jumps is too complex", "split the program into functions or tail calls"),
    (r"back-edge from insn", "without CAP_BPF a program may have no loops: unroll them"),
    (r"unreachable insn (\d+)", "no path leads to insn {1}: remove it"),
    (r"jump out of range", "the jump leaves the program, or its function"),
    (r"jump into the middle of ldimm64", "jumps must not lead to the second half of a 64-bit load"),
    (r"last insn is not an exit or jmp", "end every function with exit or a jump"),
    (r"too many subprograms", "a program may have 256 functions"),
    (r"combined stack size", "use less stack in the functions of this chain, or a per-CPU array for large buffers"),
    (r"the call stack of \d+ frames is too deep", "calls may nest 8 deep"),
    (r"recursive call", "functions must not call themselves"),
    (r"unknown opcode", "this is no instruction that Linux knows"),
    (r"uses reserved fields", "fields that an instruction does not use must be zero"),
    (r"(invalid func|unknown func)", "Linux has no helper of that number"),
    (r"program of this type cannot use helper (\S+)#", "this program type may not call {1}"),
    (r"cannot call GPL-restricted function", "give the program a licence that is compatible with the GPL"),
    (r"helper call might sleep", "only sleepable programs may call it"),
    (r"calling kernel function (\S+) is not allowed", "this program type may not call {1}"),
    (r"cannot pass map_type (\d+) into func (\S+)#", "{2} does not work on maps of this type"),
    (r"R(\d+) type=(\S+) expected=(.+)", "R{1} must be of one of these types: {3}"),
    (r"Possibly NULL pointer passed to (helper|trusted) arg(\d+)", "compare the pointer with NULL before the call"),
    (r"arg#?\d+ is expected to be non-NULL", "compare the pointer with NULL before the call"),
    (r"invalid zero-sized read", "the size may be zero here: check that it is at least 1"),
    (r"invalid indirect read from stack", "write all bytes that the helper will read"),
    (r"Unreleased reference id=(\d+) alloc_insn=(\d+)", "release what insn {2} acquired on every path to the end"),
    (r"reference has not been acquired before", "only what was acquired, and not released yet, can be released"),
    (r"would lead to reference leak", "release every reference before"),
    (r"release arg.* must be", "release the pointer exactly as it was acquired"),
    (r"function calls are not allowed while holding a lock", "unlock before the call"),
    (r"inside bpf_spin_lock-ed region", "unlock before the program ends"),
    (r"inside bpf_rcu_read_lock-ed region", "call bpf_rcu_read_unlock before"),
    (r"inside bpf_preempt_disable-ed region", "call bpf_preempt_enable before"),
    (r"inside bpf_local_irq_save-ed region", "call bpf_local_irq_restore before"),
    (r"unlock without taking a lock", "take the lock first"),
    (r"unlock of different lock", "unlock what was locked, through the same pointer"),
    (r"Locking two bpf_spin_locks", "hold one bpf_spin_lock at a time"),
    (r"doesn't have constant offset", "the field must be reached at a constant offset"),
    (r"has to have BTF", "declare the map with its key and value types"),
    (r"has no valid (\S+)", "the value's type needs a {1} where the pointer leads"),
    (r"(write into map forbidden|cannot write into)", "this memory is read-only for programs"),
    (r"read from map forbidden", "the map was made with BPF_F_WRONLY_PROG"),
    (r"pointer arithmetic (on|with) (\S+)", "do not compute with this pointer"),
    (r"pointer \S+ pointer prohibited", "only subtracting two pointers is allowed, and needs CAP_PERFMON"),
    (r"pointer comparison prohibited", "comparing pointers as numbers needs CAP_PERFMON"),
    (r"leaks addr", "a pointer must not get where it can be read as a number without CAP_PERFMON"),
    (r"math between .* is not allowed", "keep offsets far below 2^29: bound the value before it is added"),
    (r"value -?\d+ makes .* be out of bounds", "keep offsets far below 2^29"),
    (r"attempt to corrupt spilled pointer", "overwrite a spilled pointer with all 8 bytes, or not at all"),
    (r"invalid size of register (spill|fill)", "spill and fill pointers with 8-byte accesses"),
    (r"cannot spill pointers to stack into stack frame of the caller", "pass it by value, or keep it in this frame"),
    (r"cannot return stack pointer", "return a number; the function's stack is gone when it returns"),
    (r"same insn cannot be used with different pointers", "access each kind of pointer by code of its own"),
    (r"At program exit the register R0 has .* should have been in \[(-?\d+), (-?\d+)\]", "return {1} to {2}"),
    (r"should have been in \[(-?\d+), (-?\d+)\]", "return a value from {1} to {2}"),
    (r"At (program|subprogram) exit the register R0 is not", "return a number"),
    (r"R0 not a scalar value", "return a number"),
    (r"(Caller passes invalid args|R\d+ is not a scalar)", "pass what the function's prototype says"),
    (r"expects pointer to ctx", "pass the context"),
    (r"missing btf func_info", "compile with -g, so that the object has BTF"),
    (r"callback function not static", "make the callback static"),
    (r"LD_\[ABS\|IND\] instructions not allowed", "use direct packet access or bpf_skb_load_bytes"),
    (r"R6 != pointer to skb", "legacy packet loads take the context from R6"),
    (r"expected prog array map for tail call", "tail calls go through a PROG_ARRAY"),
    (r"Dynptr has to be an uninitialized dynptr", "pass stack space for a dynptr, 16 aligned bytes, that holds none"),
    (r"Expected an initialized dynptr", "initialise the dynptr first"),
    (r"cannot overwrite referenced dynptr", "submit or discard the dynptr before its stack is used again"),
    (r"expected (an )?(un)?initialized iter", "begin an iterator once, and destroy it once"),
    (r"BPF_ATOMIC .* is not allowed", "atomics work on map values, the stack and memory of the program's own"),
    (r"invalid atomic operand size", "atomics are 4 or 8 bytes wide"),
    (r"div by zero", "the divisor is a constant zero"),
    (r"invalid shift", "shift by less than the register's width"),
    (r"socket filter progs cannot use bpf_spin_lock", "use atomics in place of the lock"),
    (r"The total number of maps per program", "a program may use 64 maps"),
    (r"no direct value access support", "take the value's address with bpf_map_lookup_elem"),
    (r"attach type is none", "see xdpsim inspect for the section that names the attach type"),
    (r"lacks a capability", "load it with CAP_BPF and what the type needs: CAP_NET_ADMIN, CAP_PERFMON"),
)
_COMPILED = [(re.compile(pattern), text) for pattern, text in _REMEDIES]


def remedy(message: str) -> str:
    """One sentence on what would have been right; empty where nothing better can be said than the message."""
    for pattern, text in _COMPILED:
        found = pattern.search(message)
        if found is not None:
            made = text
            for number, value in enumerate(found.groups(), 1):
                made = made.replace(f"{{{number}}}", value or "")
            if "{sum}" in made:
                made = made.replace("{sum}", str(int(found[1]) + int(found[2])))
            return made
    return ""
