"""SYN cookies of a listening socket: one run of segments past a real listener and a declared one.

Cookies themselves differ, for Linux's secrets are random: an answer is the error, or the segment size in the cookie's
upper half. A segment whose acknowledgement is "cookie" answers the last cookie that was made.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any

from tests.support.netns import ip, sysctl
from xdpsim.bits import M32
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import encode_all
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.sim.sim import Sim
from xdpsim.sysbpf.programs import ProgramDefinition, load_program
from xdpsim.sysbpf.testrun import TestRunner

CHECK, GEN = 100, 110
IP, TCP, RESULT, PACKET_BYTES = 16, 56, 96, 104
FIN, SYN, RST, ACK = 1, 2, 4, 16
LISTENERS = {80: "10.0.0.1", 81: "::", 82: "fd00::1", 83: "::"}
V6ONLY = 83
_OPTIONS = {24: b"\2\4\5\xb4", 28: b"\1\1\1\1\2\4\5\0", 20: b""}


def program(helper: int, port: int, udp: bool, ip_bytes: int, tcp_bytes: int) -> str:
    """Finds the listener of a port and has it make or check a cookie for the segment in the packet."""
    host = LISTENERS[port]
    packed = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, "fd00::1" if host == "::" else host)
    ends = bytes(len(packed)) + packed + struct.pack(">HH", 9, port)
    stores = "".join(
        f"r1 = {int.from_bytes(ends[at : at + 4], 'little', signed=True)}; *(u32 *)(r10 - {40 - at}) = r1\n"
        for at in range(0, len(ends), 4)
    )
    copy = "".join(
        f"r1 = *(u64 *)(r7 + {IP + at}); *(u64 *)(r10 - {128 - at}) = r1\n" for at in range(0, RESULT - IP, 8)
    )
    return f"""
    r6 = r1; r7 = *(u32 *)(r1 + 0); r8 = *(u32 *)(r1 + 4)
    r1 = r7; r1 += {PACKET_BYTES}; r0 = 1; if r1 > r8 goto out
    {stores}{copy}
    r1 = r6; r2 = r10; r2 += -40; r3 = {len(ends)}; r4 = -1; r5 = 0; call {85 if udp else 84}
    if r0 == 0 goto none
    r9 = r0; r1 = r0; r2 = r10; r2 += -128; r3 = {ip_bytes}; r4 = r10; r4 += -88; r5 = {tcp_bytes}; call {helper}
    *(u64 *)(r7 + {RESULT}) = r0
    r1 = r9; call 86
    none: r0 = 2
    out: exit
    """


def segments() -> list[dict[str, Any]]:
    """In order: checks before there was any cookie, cookies of every kind, checks of them, and mistakes."""
    rows: list[dict[str, Any]] = []

    def row(helper: int, **changes: Any) -> None:
        usual = {"helper": helper, "port": 80, "version": 4, "ip_bytes": 20, "tcp_bytes": 24, "udp": False}
        usual |= {"flags": SYN if helper == GEN else ACK, "ack": "cookie" if helper == CHECK else 0}
        rows.append(usual | {"doff": changes.get("tcp_bytes", 24)} | changes)

    row(CHECK, ack=5)
    for size in (24, 28, 20):
        row(GEN, tcp_bytes=size)
        row(CHECK, tcp_bytes=size)
    row(CHECK, ack="other")
    row(CHECK, ack=77)
    for flags in (0, ACK | SYN, ACK | RST, ACK | FIN, SYN):
        row(CHECK, flags=flags)
    for flags in (0, ACK, SYN | ACK, SYN | FIN, SYN | RST, SYN | 8):
        row(GEN, flags=flags)
    for helper in (GEN, CHECK):
        row(helper, tcp_bytes=19, doff=20)
        row(helper, tcp_bytes=24, doff=20)
        row(helper, ip_bytes=19)
        row(helper, ip_bytes=19, flags=0)
        for version in (0, 5, 6):
            row(helper, version=version)
    for port in (81, 82, 83):
        for version, size in ((6, 40), (6, 39), (4, 20)):
            row(GEN, port=port, version=version, ip_bytes=size)
            row(CHECK, port=port, version=version, ip_bytes=size)
    return rows


def packet(row: dict[str, Any], cookie: int) -> bytes:
    """The segment of a row."""
    header = bytes([row["version"] << 4 | 5]) + bytes(range(1, 40))
    ack = {"cookie": cookie + 1, "other": cookie + 2}.get(row["ack"], row["ack"])
    tcp = struct.pack(">HHIIBBHHH", 5555, row["port"], 1000 if row["helper"] == GEN else 1001, ack & M32,
                      row["doff"] << 2, row["flags"], 0, 0, 0)  # fmt: skip
    tcp += _OPTIONS.get(row["tcp_bytes"], b"")
    return bytes(IP) + header + tcp.ljust(RESULT - TCP, b"\0") + bytes(8)


def answers(run: Callable[[str, bytes], bytes]) -> list[int]:
    """What the helpers say to each segment in turn; `run` runs a program on a packet and gives the packet it left."""
    cookie, found = 0, []
    for row in segments():
        text = program(row["helper"], row["port"], row["udp"], row["ip_bytes"], row["tcp_bytes"])
        result: int = struct.unpack_from("<q", run(text, packet(row, cookie)), RESULT)[0]
        if row["helper"] == GEN and result > 0:
            cookie, result = result & M32, result >> 32
        found.append(result)
    return found


def ask_linux(_: Any) -> list[int]:
    """Runs inside a namespace, where listeners always answer with cookies."""
    sysctl("ipv4/tcp_syncookies", 2)
    ip("link set lo up")
    for address in ("10.0.0.1/24", "fd00::1/64 nodad"):
        ip(f"addr add {address} dev lo")
    held = []
    for port, host in LISTENERS.items():
        held.append(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
        if ":" in host:
            held[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(port == V6ONLY))
        held[-1].bind((host, port))
        held[-1].listen(8)

    def run(text: str, data: bytes) -> bytes:
        code = encode_all(assemble(text))
        return TestRunner(load_program(ProgramDefinition(type=PROG_TYPES["XDP"].id, code=code))).run(data).data

    return answers(run)


def ask_sim() -> list[int]:
    """The same past declared listeners."""
    sim = Sim()
    for port, host in LISTENERS.items():
        local = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        sim.socket("tcp", local=local, flooded=True, v6only=port == V6ONLY)
    return answers(lambda text, data: sim.load_insns(text, "XDP").run(data).packet)
