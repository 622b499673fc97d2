"""Classic BPF for tests: a small evaluator of our own, random filters, and Linux's answers through real sockets.

A filter's answer is how many bytes of a datagram it lets through, so `observed` rewrites a filter to show its
accumulator byte by byte.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tests.support.rawbpf import load
from tests.support.record import recorder
from xdpsim.isa.classic import AD_OFF, ClassicCode, ClassicInsn, encode_classic

SO_ATTACH_FILTER, SO_ATTACH_BPF = 26, 50
NAME = "classic"
FILTERS, PACKETS, MUTATIONS = 250, 2, 2000
PACKET_BYTES = 300
"""Longer than any byte that `observed` shows."""
M32 = 0xFFFF_FFFF


# The evaluator: what filter.rst says, for a datagram on a UNIX socket (no device, no protocol, no tag).


class Ended(Exception):
    """The filter returned."""


def evaluate(code: ClassicCode, packet: bytes) -> int:
    """What the filter returns on a datagram."""
    a = x = at = 0
    memory = [0] * 16
    while True:
        insn = code[at]
        at += 1
        k, kind = insn.k, insn.code & 7
        operand = x if insn.code & 8 else k
        try:
            if kind == 0:
                a = _load(insn, a, x, memory, packet)
            elif kind == 1:
                x = _load_x(insn, memory, packet)
            elif kind in (2, 3):
                memory[k] = a if kind == 2 else x
            elif kind == 4:
                a = _alu(insn.code & 0xF0, a, operand)
            elif kind == 5:
                at += _jump(insn, a, operand)
            elif kind == 6:
                return a if insn.code & 0x10 else k
            elif insn.code == 0x07:
                x = a
            else:
                a = x
        except Ended as end:
            return int(end.args[0])


def _bytes(packet: bytes, offset: int, size: int) -> int:
    if offset >> 31 or offset + size > len(packet):
        raise Ended(0)
    return int.from_bytes(packet[offset : offset + size], "big")


def _load(insn: ClassicInsn, a: int, x: int, memory: list[int], packet: bytes) -> int:
    mode, size = insn.code & 0xE0, {0x00: 4, 0x08: 2, 0x10: 1}[insn.code & 0x18]
    if mode == 0x20 and insn.k >= AD_OFF:
        return _ancillary(insn.k - AD_OFF, a, x, packet)
    if mode in (0x20, 0x40):
        return _bytes(packet, (insn.k + (x if mode == 0x40 else 0)) & M32, size)
    return len(packet) if mode == 0x80 else memory[insn.k] if mode == 0x60 else insn.k


def _load_x(insn: ClassicInsn, memory: list[int], packet: bytes) -> int:
    mode = insn.code & 0xE0
    if mode == 0xA0:
        return (_bytes(packet, insn.k, 1) & 15) * 4
    return len(packet) if mode == 0x80 else memory[insn.k] if mode == 0x60 else insn.k


def _ancillary(number: int, a: int, x: int, packet: bytes) -> int:
    if number in (8, 28):  # IFINDEX, HATYPE: there is no device
        raise Ended(a)
    if number == 40:
        return a ^ x
    if number in (12, 16):
        return _attribute(packet, a, x, nested=number == 16)
    return 0


def _attribute(packet: bytes, a: int, x: int, *, nested: bool) -> int:
    """Offset of netlink attribute `x` in the list at `a`, or inside the attribute at `a`; 0 without one."""
    if a > len(packet) - 4:
        return 0
    end = len(packet)
    if nested:
        length = int.from_bytes(packet[a : a + 2], "little")
        if length > len(packet) - a:
            return 0
        a, end = a + 4, a + max(length, 0)
    while end - a >= 4:
        length, kind = struct.unpack_from("<HH", packet, a)
        if not 4 <= length <= end - a:
            return 0
        if kind & 0x3FFF == x:
            return a
        a += (length + 3) & ~3
    return 0


def _alu(code: int, a: int, operand: int) -> int:
    if code in (0x30, 0x90) and operand == 0:
        raise Ended(0)
    return {
        0x00: lambda: a + operand,
        0x10: lambda: a - operand,
        0x20: lambda: a * operand,
        0x30: lambda: a // operand,
        0x40: lambda: a | operand,
        0x50: lambda: a & operand,
        0x60: lambda: a << (operand & 31),
        0x70: lambda: a >> (operand & 31),
        0x80: lambda: -a,
        0x90: lambda: a % operand,
        0xA0: lambda: a ^ operand,
    }[code]() & M32


def _jump(insn: ClassicInsn, a: int, operand: int) -> int:
    code = insn.code & 0xF0
    if code == 0:
        return insn.k
    holds = {0x10: a == operand, 0x20: a > operand, 0x30: a >= operand, 0x40: a & operand != 0}[code]
    return insn.jt if holds else insn.jf


# Random filters


def random_filter(seed: int, *, ancillary: tuple[int, ...] = (), insns: int = 24, high: bool = False) -> ClassicCode:
    """A filter that Linux takes, without its end: `observed` appends one. `high` adds SKF_NET_OFF and SKF_LL_OFF."""
    rnd = random.Random(f"classic {seed}")
    count = rnd.randrange(3, insns)
    head = [ClassicInsn(0x02, k=0), ClassicInsn(0x03, k=1), ClassicInsn(0x02, k=15)]
    return (*head, *(_random_insn(rnd, count - at, ancillary, high) for at in range(count)))


def _random_insn(rnd: random.Random, left: int, ancillary: tuple[int, ...], high: bool) -> ClassicInsn:
    number = rnd.choice((0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 80, 255, 0x800, 0xFFFF, 0x7FFF_FFFF, 1 << 31, M32))
    near = rnd.choice((rnd.randrange(0, 64), rnd.randrange(280, 304), rnd.choice((M32, 0x7FFF_FFFF, 1 << 31))))
    if rnd.random() < 0.85:
        near = rnd.randrange(0, 48)
    if high and rnd.random() < 0.5:
        near = rnd.choice((0xFFF0_0000, 0xFFE0_0000)) + rnd.randrange(0, 40)
    kind = rnd.choices(range(9), (6, 3, 2, 7, 3, 2, 1, 4 if ancillary else 0, 0.5))[0]
    if kind == 0:
        return ClassicInsn(rnd.choice((0x20, 0x28, 0x30, 0x40, 0x48, 0x50)), k=near if near < AD_OFF else 4)
    if kind == 1:
        return rnd.choice((ClassicInsn(0x00, k=number), ClassicInsn(0x01, k=number), ClassicInsn(0x81)))
    if kind == 2:
        return ClassicInsn(rnd.choice((0x60, 0x61, 0x02, 0x03)), k=rnd.choice((0, 1, 15)))
    if kind == 3:
        code = rnd.choice((0x04, 0x14, 0x24, 0x34, 0x44, 0x54, 0x64, 0x74, 0x84, 0x94, 0xA4))
        by_x = code != 0x84 and rnd.random() < 0.5
        k = number & 31 if code in (0x64, 0x74) else number or 3
        return ClassicInsn(code | 8, k=0) if by_x else ClassicInsn(code, k=0 if code == 0x84 else k)
    if kind == 4:
        code = rnd.choice((0x15, 0x25, 0x35, 0x45)) | rnd.choice((0, 8))
        return ClassicInsn(code, rnd.randrange(left), rnd.randrange(left), 0 if code & 8 else number)
    if kind == 5:
        return ClassicInsn(rnd.choice((0x07, 0x87, 0xB1)), k=0) if rnd.random() < 0.7 else ClassicInsn(0xB1, k=near)
    if kind == 6:
        return ClassicInsn(0x05, k=rnd.randrange(left))
    if kind == 7:
        return ClassicInsn(rnd.choice((0x20, 0x28, 0x30)), k=AD_OFF + rnd.choice(ancillary))
    return rnd.choice((ClassicInsn(0x06, k=rnd.randrange(PACKET_BYTES)), ClassicInsn(0x16)))


def observed(code: ClassicCode, byte: int) -> ClassicCode:
    """The filter ended so that it lets through one byte more than byte `byte` (0 to 3) of A says."""
    end = (ClassicInsn(0x74, k=8 * byte), ClassicInsn(0x54, k=255), ClassicInsn(0x04, k=1), ClassicInsn(0x16))
    return code + end


def random_packet(seed: int) -> bytes:
    """A datagram with small numbers in it, so that it holds netlink attributes at many places."""
    rnd = random.Random(f"packet {seed}")
    return bytes(rnd.choice((0, 0, 4, 8, rnd.randrange(16), rnd.randrange(256))) for _ in range(PACKET_BYTES))


UNIX_ANCILLARY = (0, 4, 8, 12, 16, 20, 24, 28, 32, 40, 44, 48, 52, 60)
"""All but the CPU and random numbers."""


def cases() -> Iterator[tuple[int, ClassicCode, bytes]]:
    """Number, filter and packet of every recorded case."""
    for seed in range(FILTERS):
        code = random_filter(seed, ancillary=UNIX_ANCILLARY)
        for packet in range(PACKETS):
            yield seed * PACKETS + packet, code, random_packet(seed + 1000 * packet)


def mutated(seed: int) -> ClassicCode:
    """A filter with one field changed, or an instruction missing: about half of them are refused."""
    rnd = random.Random(f"mutated {seed}")
    code = list(observed(random_filter(seed % 97, ancillary=UNIX_ANCILLARY), 0))
    at = rnd.choice((0, 1, len(code) - 1, rnd.randrange(len(code)), rnd.randrange(len(code))))
    change = rnd.randrange(6)
    if change == 0:
        del code[at]
    elif change == 1:
        code[at] = replace(code[at], code=rnd.randrange(256) if rnd.random() < 0.9 else rnd.randrange(1 << 16))
    elif change == 2:
        k = rnd.choice(
            (0, 15, 16, 31, 32, abs(len(code) - at - 2), len(code) - at - 1, AD_OFF + rnd.randrange(70), M32)
        )
        code[at] = replace(code[at], k=k)
    elif change == 3:
        code[at] = ClassicInsn(rnd.choice((0x15, 0x05, 0x45)), rnd.randrange(30), rnd.randrange(30), rnd.randrange(30))
    elif change == 4:
        code[at] = ClassicInsn(rnd.choice((0x60, 0x61, 0x02)), k=rnd.randrange(3, 18))
    else:
        code = code[:-1] if rnd.random() < 0.5 else code[:at]
    return tuple(code)


# Linux


def attach_classic(receiver: socket.socket, code: ClassicCode) -> None:
    """SO_ATTACH_FILTER; OSError (EINVAL) where Linux refuses the filter."""
    raw = encode_classic(code)
    buffer = ctypes.create_string_buffer(raw, len(raw))
    receiver.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(raw) // 8 & 0xFFFF, ctypes.addressof(buffer))
    )


def attach_ebpf(receiver: socket.socket, raw: bytes) -> None:
    """Load as SOCKET_FILTER and attach; ValueError with the verifier's log where Linux refuses it."""
    answer = load(raw, prog_type="SOCKET_FILTER", log_level=1)
    if not answer.accepted:
        raise ValueError(answer.log[-1000:])
    try:
        receiver.setsockopt(socket.SOL_SOCKET, SO_ATTACH_BPF, struct.pack("i", answer.fd))
    finally:
        os.close(answer.fd)


@contextmanager
def datagrams() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connected pair of UNIX datagram sockets: sender, receiver."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        pair[1].setblocking(False)
        yield pair
    finally:
        for one in pair:
            one.close()


def passed(sender: socket.socket, receiver: socket.socket, packet: bytes) -> int:
    """How many bytes of `packet` come through."""
    sender.send(packet)
    try:
        return len(receiver.recv(len(packet) + 1))
    except BlockingIOError:
        return 0


def accepts(code: ClassicCode) -> bool:
    """Whether Linux takes the filter."""
    with datagrams() as (_, receiver):
        try:
            attach_classic(receiver, code)
        except OSError as err:
            if err.errno != errno.EINVAL:
                raise
            return False
        return True


class Loopback:
    """A network namespace with nothing but lo in it: frames sent there come back to `receiver` twice, out and in."""

    def __init__(self) -> None:
        done: list[BaseException | None] = []
        thread = threading.Thread(target=lambda: done.append(_caught(self._open)))
        thread.start()
        thread.join()
        if done[0] is not None:
            raise done[0]

    def _open(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(0x4000_0000):
            raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", 0x49))  # SIOCSIFFLAGS: up, loopback, running
        self.sender, self.receiver = (socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) for _ in range(2))
        self.sender.bind(("lo", 0))
        self.sender.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0x1234_5678)
        self.receiver.setblocking(False)
        self.receiver.bind(("lo", 3))  # ETH_P_ALL

    def passed(self, frame: bytes) -> list[int]:
        """Lengths at which the two copies of a frame come through."""
        self.sender.send(frame)
        lengths = []
        while True:
            try:
                lengths.append(len(self.receiver.recv(2000)))
            except BlockingIOError:
                return lengths

    def close(self) -> None:
        """Let the namespace go."""
        self.sender.close()
        self.receiver.close()


def _caught(function: Callable[[], None]) -> BaseException | None:
    try:
        function()
    except OSError as err:
        return err
    return None


@recorder(NAME)
def record_classic() -> Any:
    """For each case the bytes that came through for the four bytes of A."""
    answers = []
    with datagrams() as (sender, receiver):
        for _, code, packet in cases():
            row = []
            for byte in range(4):
                attach_classic(receiver, observed(code, byte))
                row.append(passed(sender, receiver, packet))
            answers.append(row)
    takes = "".join("01"[accepts(mutated(seed))] for seed in range(MUTATIONS))
    return {"passed": answers, "accepts": takes}
