"""Sockets of Linux in a namespace and the same ones declared in a `Sim`, with lookups put to both.

SOCKETS says what is there in the words of `Sim.socket`; `make_in_linux` opens them with the system calls that bring a
socket into that state. A lookup is the helper's number, the tuple's size, namespace and flags, and the tuple; its
answer the words of struct bpf_sock, None where nothing is found.
"""

from __future__ import annotations

import contextlib
import errno
import random
import socket
import struct
from collections.abc import Iterator
from typing import Any

from tests.support.netns import ip, sysctl
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import encode_all
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.sim.sim import Sim
from xdpsim.sysbpf.programs import ProgramDefinition, load_program
from xdpsim.sysbpf.testrun import TestRunner
from xdpsim.tables.kernel_structs import place

SK_LOOKUP_TCP, SK_LOOKUP_UDP, SKC_LOOKUP_TCP = 84, 85, 99
SOCK_WORDS = 20
TUPLE, NETNS, FLAGS, ANSWER = 16, 56, 64, 72
"""Where in the packet these are; the answer is a word that is 1 when a socket was found, and struct bpf_sock."""
PACKET_BYTES = ANSWER + 4 + 4 * SOCK_WORDS
_COMMON_HIDES = (2, 3, 4, 5)
"""Words of struct bpf_sock that programs may not read through the pointer of skc_lookup_tcp: type to priority."""

_FAMILY, _STATE, _RX_QUEUE, _LISTEN = 1, 18, 19, 10
_OTHER_VERSION = {socket.AF_INET: (7, 8, 9, 10, 14, 15, 16, 17), socket.AF_INET6: (6, 13)}
"""Words that hold an address of the other IP version, of which Linux keeps what it needs; the queue of an accepted
connection is any number."""
ADDRESSES = ["10.0.0.1/24", "10.0.0.2/24", "fd00::1/64", "fd00::2/64"]
SOCKETS: list[dict[str, Any]] = [
    {"protocol": "tcp", "local": "0.0.0.0:80"},
    {"protocol": "tcp", "local": "10.0.0.1:80", "mark": 7},
    {"protocol": "tcp", "local": "[::]:81"},
    {"protocol": "tcp", "local": "[::]:82", "v6only": True},
    {"protocol": "tcp", "local": "[fd00::1]:83", "priority": 5},
    {"protocol": "tcp", "local": "0.0.0.0:84", "dev": "va"},
    {"protocol": "tcp", "local": "0.0.0.0:85", "dev": "lo"},
    {"protocol": "tcp", "local": "10.0.0.2:5555", "remote": "10.0.0.1:80"},
    {"protocol": "tcp", "local": "10.0.0.1:80", "remote": "10.0.0.2:5555", "mark": 7},
    {"protocol": "tcp", "local": "10.0.0.2:5556", "remote": "10.0.0.1:81"},
    {"protocol": "tcp", "local": "[::ffff:10.0.0.1]:81", "remote": "[::ffff:10.0.0.2]:5556"},
    {"protocol": "tcp", "local": "[fd00::2]:5557", "remote": "[fd00::1]:83"},
    {"protocol": "tcp", "local": "[fd00::1]:83", "remote": "[fd00::2]:5557"},
    {"protocol": "tcp", "local": "10.0.0.2:5558", "remote": "10.0.0.1:80", "state": "time_wait"},
    {"protocol": "tcp", "local": "10.0.0.2:5559", "remote": "10.0.0.77:9", "state": "syn_sent"},
    {"protocol": "udp", "local": "0.0.0.0:53"},
    {"protocol": "udp", "local": "10.0.0.1:53", "mark": 9},
    {"protocol": "udp", "local": "10.0.0.1:54", "remote": "10.0.0.2:9"},
    {"protocol": "udp", "local": "[::]:55"},
    {"protocol": "udp", "local": "[fd00::1]:56"},
    {"protocol": "udp", "local": "[fd00::1]:57", "remote": "[fd00::2]:9"},
    {"protocol": "udp", "local": "0.0.0.0:58", "dev": "va"},
    {"protocol": "udp", "local": "0.0.0.0:58"},
    {"protocol": "udp", "local": "[::]:59", "v6only": True},
]


def program(helper: int, size: int) -> str:
    """Looks up the tuple in the packet and writes what it found behind it."""
    hidden = _COMMON_HIDES if helper == SKC_LOOKUP_TCP else ()
    # The halves of a word with padding are read as Linux allows it: dst_port alone.
    words = "".join(
        f"r1 = *({'u16' if n == 12 else 'u32'} *)(r0 + {4 * n}); *(u32 *)(r7 + {ANSWER + 4 + 4 * n}) = r1\n"
        for n in range(SOCK_WORDS)
        if n not in hidden
    )
    copy = "".join(f"r1 = *(u32 *)(r7 + {TUPLE + n}); *(u32 *)(r10 - {40 - n}) = r1\n" for n in range(0, 36, 4))
    return f"""
    r6 = r1; r7 = *(u32 *)(r1 + 0); r8 = *(u32 *)(r1 + 4)
    r1 = r7; r1 += {PACKET_BYTES}; r0 = 1; if r1 > r8 goto out
    {copy}
    r4 = *(u64 *)(r7 + {NETNS}); r5 = *(u64 *)(r7 + {FLAGS})
    r1 = r6; r2 = r10; r2 += -40; r3 = {size}; call {helper}
    if r0 == 0 goto none
    *(u32 *)(r7 + {ANSWER}) = 1
    {words}
    r1 = r0; call 86
    none: r0 = 2
    out: exit
    """


def question(netns: int, flags: int, tuple_: bytes) -> bytes:
    """The packet that carries a lookup."""
    head = bytes(TUPLE) + tuple_.ljust(40, b"\0") + struct.pack("<QQ", netns, flags)
    return head + bytes(PACKET_BYTES - len(head))


def answer(packet: bytes) -> list[int] | None:
    """The words of struct bpf_sock, or None."""
    found, *words = struct.unpack_from(f"<{1 + SOCK_WORDS}I", packet, ANSWER)
    if not found:
        return None
    for other in _OTHER_VERSION.get(words[_FAMILY], ()):
        words[other] = 0
    if words[_STATE] != _LISTEN:
        words[_RX_QUEUE] = 0
    return list(words)


def lookups() -> list[list[Any]]:
    """Every kind, to each socket's own ends, to ends that differ in one thing, and to random ones."""
    rng = random.Random(5)
    rows: list[list[Any]] = []
    here = (1 << 64) - 1
    for made in SOCKETS:
        version, local, port = _split(made["local"])
        other = _split(made["remote"]) if "remote" in made else (version, _far(version), 4444)
        helpers = (SK_LOOKUP_UDP,) if made["protocol"] == "udp" else (SK_LOOKUP_TCP, SKC_LOOKUP_TCP)
        for helper in helpers:
            for source, sport, dest, dport in (
                (other[1], other[2], local, port),
                (other[1], other[2] ^ 1, local, port),
                (_far(version), other[2], local, port),
                (other[1], other[2], _near(version), port),
                (other[1], other[2], local, port ^ 64),
            ):
                rows.append([helper, 12 if version == 4 else 36, here, 0, _tuple(version, source, sport, dest, dport)])
    for netns, flags in (
        (here, 1),
        (0, 0),
        (5, 0),
        (0xFFFF_FFFF, 0),
        (1 << 31, 0),
        (1 << 32, 0),
        (here - 1, 0),
        (here, 1 << 40),
    ):
        rows.append([SK_LOOKUP_TCP, 12, netns, flags, _tuple(4, _far(4), 1, "10.0.0.1", 80)])
    for size in (1, 8, 11, 13, 35):
        rows.append([SK_LOOKUP_TCP, size, here, 0, _tuple(4, _far(4), 1, "10.0.0.1", 80)])
    for _ in range(150):
        version, helper = rng.choice((4, 6)), rng.choice((SK_LOOKUP_TCP, SK_LOOKUP_UDP, SKC_LOOKUP_TCP))
        hosts = ["10.0.0.1", "10.0.0.2", "10.0.0.3"] if version == 4 else ["fd00::1", "fd00::2", "::ffff:10.0.0.1"]
        ports = [*range(53, 60), *range(80, 86), *range(5555, 5560), 9]
        ends = rng.choice(hosts), rng.choice(ports), rng.choice(hosts), rng.choice(ports)
        rows.append([helper, 12 if version == 4 else 36, here, 0, _tuple(version, *ends)])
    return rows


def _far(version: int) -> str:
    return "192.0.2.1" if version == 4 else "2001:db8::1"


def _near(version: int) -> str:
    return "10.0.0.2" if version == 4 else "fd00::2"


def _split(end: str) -> tuple[int, str, int]:
    host, _, port = end.rpartition(":")
    host = host.strip("[]")
    return (6 if ":" in host else 4), host, int(port)


def _tuple(version: int, source: str, sport: int, dest: str, dport: int) -> str:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    ends = socket.inet_pton(family, source) + socket.inet_pton(family, dest)
    return (ends + struct.pack(">HH", sport, dport)).hex()


def make_in_linux() -> list[socket.socket]:
    """Open the sockets in the namespace that this process is in; they live as long as the list."""
    ip("link set lo up")
    ip("link add va index 12 type veth peer name pva")
    for name in ("pva", "va"):
        ip(f"link set {name} addrgenmode none")
        sysctl(f"ipv6/conf/{name}/accept_dad", 0)
        ip(f"link set {name} up")
    for address in ADDRESSES:
        ip(f"addr add {address} dev va{' nodad' if ':' in address else ''}")
    held: list[socket.socket] = []
    for made in SOCKETS:
        kind = socket.SOCK_STREAM if made["protocol"] == "tcp" else socket.SOCK_DGRAM
        if kind == socket.SOCK_DGRAM or "remote" not in made:
            held.append(_bound(made, kind))
            if "remote" in made:
                held[-1].connect(_split(made["remote"])[1:])
            elif kind == socket.SOCK_STREAM:
                held[-1].listen(8)
        elif _split(made["local"])[2] > 5000:
            held += _connected(made, held)
    return held


def _bound(made: dict[str, Any], kind: int) -> socket.socket:
    version, host, port = _split(made["local"])
    opened = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, kind)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, made.get("mark", 0))
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, made.get("priority", 0))
    if version == 6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(made.get("v6only", False)))
    if "dev" in made:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, made["dev"].encode())
    opened.bind((host, port))
    return opened


def _connected(made: dict[str, Any], listeners: list[socket.socket]) -> list[socket.socket]:
    """Both ends of a connection over the loopback, in the state asked for."""
    near = _bound(made, socket.SOCK_STREAM)
    if made.get("state") == "syn_sent":
        near.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            near.connect(_split(made["remote"])[1:])
        return [near]
    near.connect(_split(made["remote"])[1:])
    far = _accepted(listeners)
    if made.get("state") != "time_wait":
        return [near, far]
    near.close()
    far.close()
    return []


def _accepted(listeners: list[socket.socket]) -> socket.socket:
    for listener in listeners:
        listener.setblocking(False)
        try:
            return listener.accept()[0]
        except OSError as err:
            if err.errno not in (errno.EAGAIN, errno.EINVAL, errno.EOPNOTSUPP):
                raise
    raise AssertionError("no listener has the connection")


CASTS = (136, 137, 138, 139, 140, 178, 196)
"""bpf_skc_to_*: tcp6_sock, tcp_sock, tcp_timewait_sock, tcp_request_sock, udp6_sock, unix_sock, mptcp_sock."""
_COMMON = {"skc_daddr": 4, "skc_rcv_saddr": 4, "skc_dport": 2, "skc_num": 2, "skc_family": 2, "skc_state": 1}
CAST_WORDS = 1 + len(_COMMON)


def cast_program(lookup: int, size: int, cast: int) -> str:
    """Finds a socket, has it as one of the kernel's own structs, and reads what all of them begin with."""
    head, _, _ = program(lookup, size).partition("*(u32 *)(r7 + 72) = 1")
    words = ""
    for at, (name, width) in enumerate(_COMMON.items()):
        words += f"r1 = *(u{width * 8} *)(r0 + {place('sock_common', name).offset}); "
        words += f"*(u32 *)(r7 + {ANSWER + 4 + 4 * at}) = r1\n"
    return f"""{head}
    r9 = r0; r1 = r0; call {cast}
    if r0 == 0 goto give_back
    *(u32 *)(r7 + {ANSWER}) = 1
    {words}
    give_back: r1 = r9; call 86
    none: r0 = 2
    out: exit
    """


def cast_rows() -> list[list[Any]]:
    """Every conversion of a socket of each kind."""
    here = (1 << 64) - 1
    rows: list[list[Any]] = []
    for made in SOCKETS:
        version, local, port = _split(made["local"])
        if "remote" not in made and local in ("0.0.0.0", "::") and port not in (80, 81, 53, 55):
            continue
        other = _split(made["remote"]) if "remote" in made else (version, _far(version), 4444)
        lookup = SK_LOOKUP_UDP if made["protocol"] == "udp" else SKC_LOOKUP_TCP
        size, tuple_ = 12 if version == 4 else 36, _tuple(version, *other[1:], local, port)
        rows += [[lookup, size, here, 0, tuple_, cast] for cast in CASTS]
    return rows


def cast_answer(packet: bytes) -> list[int] | None:
    """What was read, None where the conversion gave NULL."""
    found, *words = struct.unpack_from(f"<{CAST_WORDS}I", packet, ANSWER)
    if found and words[4] == socket.AF_INET6:
        words[:2] = 0, 0
    return list(words) if found else None


def ask_linux_casts(rows: list[list[Any]]) -> list[list[int] | None]:
    """Runs inside a namespace: the answers to the conversions."""
    held, answers = make_in_linux(), []
    for lookup, size, netns, flags, tuple_, cast in rows:
        code = encode_all(assemble(cast_program(lookup, size, cast)))
        fd = load_program(ProgramDefinition(type=PROG_TYPES["XDP"].id, code=code))
        answers.append(cast_answer(TestRunner(fd).run(question(netns, flags, bytes.fromhex(tuple_))).data))
    assert held
    return answers


def ask_linux(rows: list[list[Any]]) -> list[list[int] | None]:
    """Runs inside a namespace: the answers to the lookups."""
    held = make_in_linux()
    runners: dict[tuple[int, int], TestRunner] = {}
    answers = []
    for helper, size, netns, flags, tuple_ in rows:
        if (helper, size) not in runners:
            code = encode_all(assemble(program(helper, size)))
            runners[helper, size] = TestRunner(load_program(ProgramDefinition(type=PROG_TYPES["XDP"].id, code=code)))
        answers.append(answer(runners[helper, size].run(question(netns, flags, bytes.fromhex(tuple_))).data))
    assert held
    return answers


def make_in_sim() -> Sim:
    """Declare the same sockets."""
    sim = Sim()
    sim.interface("lo")
    sim.interface("va", ifindex=12, addresses=ADDRESSES)
    for made in SOCKETS:
        sim.socket(**made)
    return sim


def ask_sim(sim: Sim, rows: list[list[Any]]) -> Iterator[list[int] | None]:
    """The answers of xdpsim."""
    programs = {}
    for helper, size, netns, flags, tuple_ in rows:
        if (helper, size) not in programs:
            programs[helper, size] = sim.load_insns(program(helper, size), "XDP")
        yield answer(programs[helper, size].run(question(netns, flags, bytes.fromhex(tuple_))).packet)
