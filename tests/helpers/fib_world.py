"""A random network, the same in a namespace of Linux and in a `Sim`, and lookups in it put to both.

A world is JSON: what it holds is made with iproute2 in the one and declared in the other. A lookup is the flags and the
64 bytes of struct bpf_fib_lookup; its answer is what the helper returned and those bytes afterwards.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from tests.support.netns import ip, ip_refuses, sysctl
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import encode_all
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.sim.program import Program
from xdpsim.sim.sim import Sim
from xdpsim.sysbpf.programs import ProgramDefinition, load_program
from xdpsim.sysbpf.testrun import TestRunner

HEADER_BYTES, PARAMS_BYTES = 16, 64
AF_INET, AF_INET6 = 2, 10
SEG6_BYTES = 64
"""What encapsulation with one segment adds: an IPv6 header, 8 bytes, an address."""
FLAGS = 16
"""Where in the packet the flags are; the parameters follow, and then the result."""
PARAMS, RESULT = 24, 88
_TO_STACK = "".join(
    f"r1 = *(u64 *)(r7 + {PARAMS + at}); *(u64 *)(r10 - {PARAMS_BYTES - at}) = r1\n" for at in range(0, PARAMS_BYTES, 8)
)
_FROM_STACK = "".join(
    f"r1 = *(u64 *)(r10 - {PARAMS_BYTES - at}); *(u64 *)(r7 + {PARAMS + at}) = r1\n" for at in range(0, PARAMS_BYTES, 8)
)
PROGRAM = f"""
r6 = r1; r7 = *(u32 *)(r1 + 0); r8 = *(u32 *)(r1 + 4)
r1 = r7; r1 += {RESULT + 8}; r0 = 1; if r1 > r8 goto out
{_TO_STACK}
r4 = *(u64 *)(r7 + {FLAGS})
r1 = r6; r2 = r10; r2 += -{PARAMS_BYTES}; r3 = {PARAMS_BYTES}; call 69
*(u64 *)(r7 + {RESULT}) = r0
{_FROM_STACK}
r0 = 2
out: exit
"""


def question(flags: int, params: bytes) -> bytes:
    """The packet that carries a lookup to the program."""
    return bytes(HEADER_BYTES) + struct.pack("<Q", flags) + params + bytes(8)


def answer(packet: bytes) -> list[Any]:
    """What the program left in it: result and parameters."""
    return [struct.unpack_from("<q", packet, RESULT)[0], packet[PARAMS:RESULT].hex()]


def params(
    family: int,
    ifindex: int,
    src: str = "",
    dst: str = "",
    *,
    tot_len: int = 0,
    tos: int = 0,
    tbid: int = 0,
    mark: int = 0,
) -> bytes:
    """struct bpf_fib_lookup as a program fills it; bytes that a lookup leaves alone are no zeroes."""
    ends = [(ip_address(text).packed if text else b"").ljust(16, b"\xee") for text in (src, dst)]
    head = struct.pack("<BBHHHII", family, 17, 0x3412, 0x7856, tot_len, ifindex, tos)
    return head + ends[0] + ends[1] + struct.pack("<II", tbid, mark) + b"\xdd" * 8


INTERFACES = {
    "va": {
        "ifindex": 12,
        "mac": "02:00:00:00:00:0a",
        "mtu": 1500,
        "addresses": ["10.1.0.1/16", "10.1.0.9/16", "10.200.0.1/24", "fd01::1/64"],
    },
    "vb": {"ifindex": 13, "mac": "02:00:00:00:00:0b", "mtu": 1300, "addresses": ["10.2.0.1/24", "fd02::1/48"]},
    "vc": {"ifindex": 14, "mac": "02:00:00:00:00:0c", "mtu": 9000, "addresses": ["10.3.0.1/30", "2001:db8:3::1/64"]},
    "vd": {"ifindex": 15, "mac": "02:00:00:00:00:0d", "mtu": 1500, "addresses": [], "forwarding": False},
    "ve": {"ifindex": 16, "mac": "02:00:00:00:00:0e", "mtu": 1280, "addresses": ["192.0.2.7/32"]},
}
_GATEWAYS = {
    "va": ["10.1.3.3", "10.1.0.254", "10.200.0.7", "fd01::99"],
    "vb": ["10.2.0.77", "fd02::5"],
    "vc": ["10.3.0.2", "2001:db8:3::2"],
}
_TYPES = ["blackhole", "unreachable", "prohibit", "throw"]
_TABLES = ["main", "main", "main", 100, 77]
_STATES = ["permanent", "reachable", "stale", "noarp", "failed", "incomplete", "none"]


def random_world(seed: int, *, rules: bool) -> dict[str, Any]:
    """Routes, neighbours and perhaps rules over the fixed interfaces."""
    rng = random.Random(seed)
    routes = [route for _ in range(60) if (route := _route(rng)) is not None]
    unique = {(r["to"], r.get("metric"), r["table"], r.get("tos", 0)): r for r in routes}
    neighbours = []
    for dev, gateways in _GATEWAYS.items():
        for address in gateways + _neighbours_of(rng, dev):
            state = rng.choice(_STATES)
            if state not in ("none", "incomplete"):
                neighbours.append({"to": address, "dev": dev, "state": state, "mac": _mac(rng)})
    neighbours = list({(n["to"], n["dev"]): n for n in neighbours}.values())
    world = plain_world(list(unique.values()), neighbours)
    if rules:
        world["rules"] = [
            {"version": 4, "priority": 50, "table": 100, "fwmark": 5},
            {"version": 4, "priority": 60, "table": 77, "source": "10.1.0.0/16"},
            {"version": 6, "priority": 50, "table": 100, "fwmark": 5},
            {"version": 6, "priority": 70, "table": 77, "iif": "vb"},
        ]
    return world


def plain_world(
    routes: list[dict[str, Any]], neighbours: list[dict[str, Any]], interfaces: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A world without rules; the loopback is up, unless the interfaces are not the usual ones."""
    return {
        "lo_up": interfaces is None,
        "interfaces": INTERFACES if interfaces is None else interfaces,
        "routes": routes,
        "neighbours": neighbours,
        "rules": [],
    }


def bare_world() -> dict[str, Any]:
    """Interfaces that have no addresses at all."""
    names = {
        name: {"ifindex": 12 + n, "mac": f"02:00:00:00:00:{n:02x}", "mtu": 1400, "addresses": []}
        for n, name in enumerate(("va", "vb"))
    }
    routes = [{"to": "10.9.0.0/16", "dev": "vb", "table": "main"}, {"to": "fd09::/16", "dev": "vb", "table": "main"}]
    mac = "02:00:00:00:00:77"
    ends = ("10.9.0.1", "fd09::1")
    return plain_world(routes, [{"to": end, "dev": "vb", "state": "reachable", "mac": mac} for end in ends], names)


def bare_lookups() -> list[list[Any]]:
    """With and without a wish for the source address."""
    ends = ((AF_INET, "10.1.0.5", "10.9.0.1"), (AF_INET6, "fd01::5", "fd09::1"), (AF_INET6, "fd01::5", "fd08::1"))
    return [[flags, params(*end[:1], 12, *end[1:]).hex()] for end in ends for flags in (0, 16, 17, 20)]


def _mac(rng: random.Random) -> str:
    return "02:" + ":".join(f"{rng.randrange(256):02x}" for _ in range(5))


def _neighbours_of(rng: random.Random, dev: str) -> list[str]:
    subnets = {"va": "10.1.{}.{}", "vb": "10.2.0.{1}", "vc": "10.3.0.2"}
    return [subnets[dev].format(rng.randrange(4), 2 + rng.randrange(30)) for _ in range(12)]


def _prefix(rng: random.Random, version: int) -> str:
    bits = 32 if version == 4 else 128
    length = rng.choice(
        (0, 8, 9, 14, 16, 20, 24, 25, 31, 32) if version == 4 else (0, 16, 32, 48, 56, 64, 65, 127, 128)
    )
    number = int(ip_address(destination(rng, version)))
    kind = IPv4Address if version == 4 else IPv6Address
    return f"{kind(number >> (bits - length) << (bits - length))}/{length}"


def destination(rng: random.Random, version: int) -> str:
    """An address in a small space, so that prefixes nest and lookups hit."""
    if version == 4:
        first = rng.choice(("10.1", "10.2", "10.3", "10.9", "10.200", "172.16", "192.0", "198.51"))
        return f"{first}.{rng.randrange(4)}.{rng.choice((0, 1, 2, 3, 7, 9, 77, 254, 255))}"
    first = rng.choice(("fd01:", "fd02:", "2001:db8:3:", "2001:db8:9:", "fd09:", "2002:"))
    return (
        f"{first}:{rng.choice(('', '1:'))}{rng.randrange(6):x}"
        if rng.random() < 0.9
        else rng.choice(("fe80::1", "::1"))
    )


def _route(rng: random.Random) -> dict[str, Any] | None:
    version = rng.choice((4, 6))
    made: dict[str, Any] = {"to": _prefix(rng, version), "table": rng.choice(_TABLES)}
    if rng.random() < 0.4:
        made["metric"] = rng.choice((1, 10, 500, 2000))
    if rng.random() < 0.2:
        made["type"] = rng.choice(_TYPES)
        return made
    dev = rng.choice(["va", "vb", "vc", "ve"])
    made["dev"] = dev
    own = [address.split("/")[0] for address in INTERFACES[dev]["addresses"]]
    gateways = [g for g in _GATEWAYS.get(dev, []) if (":" in g) == (version == 6)]
    if gateways and rng.random() < 0.7:
        made["via"] = rng.choice(gateways)
    elif version == 4 and dev != "ve" and rng.random() < 0.2:
        made["via"] = next(g for g in _GATEWAYS[dev] if ":" in g)
    same = [address for address in own if (":" in address) == (version == 6)]
    if same and rng.random() < 0.2:
        made["src"] = rng.choice(same)
    if rng.random() < 0.15:
        made["mtu_lock"] = rng.choice((600, 1280, 1400))
    if version == 4 and rng.random() < 0.15:
        made["tos"] = rng.choice((0x10, 0x08))
    if version == 6 and rng.random() < 0.05:
        made["encap"] = SEG6_BYTES
    return made


def random_lookups(seed: int, count: int) -> list[list[Any]]:
    """Flags and parameters, in hex."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        version = rng.choice((4, 6))
        ifindex = rng.choice((12, 12, 12, 13, 13, 14, 14, 16, 15, 1, 99))
        flags = sum(bit for bit in (1, 2, 4, 8, 16, 32) if rng.random() < 0.3)
        made = params(
            AF_INET if version == 4 else AF_INET6,
            ifindex,
            destination(rng, version),
            destination(rng, version),
            tot_len=rng.choice((0, 0, 0, 600, 601, 1280, 1300, 1301, 1500, 1501, 9000, 9001, 65535)),
            tos=rng.choice((0, 0, 0x10, 0x13, 0x08)) if version == 4 else 0,
            tbid=rng.choice((0, 77, 100, 254, 255, 253, 4242)),
            mark=rng.choice((0, 5, 6)),
        )
        rows.append([flags, made.hex()])
    return rows


def edge_lookups() -> list[list[Any]]:
    """Wrong families, flags that do not exist, addresses of one link."""
    rows = [(flags, params(family, 12, "10.1.0.5", "10.9.0.1")) for family in (0, 1, 7, 11, 255) for flags in (0, 4)]
    rows += [(1 << bit, params(AF_INET, 12, "10.1.0.5", "10.9.0.1")) for bit in range(64)]
    strict = ("fe80::5", "ff02::1", "::1", "::", "ff0e::1")
    rows += [(0, params(AF_INET6, 12, "fd09::1", address)) for address in strict]
    rows += [(0, params(AF_INET6, 12, address, "fd01::99")) for address in strict]
    special = (
        "0.0.0.0",
        "127.0.0.1",
        "255.255.255.255",
        "224.0.0.1",
        "10.1.0.0",
        "10.1.255.255",
        "10.3.0.3",
        "10.1.0.1",
    )
    rows += [(flags, params(AF_INET, 12, "10.1.0.5", address)) for address in special for flags in (0, 1, 2, 9)]
    own = ("fd01::", "fd01::1", "2001:db8:3::", "fd02::", "fd02::1")
    rows += [(flags, params(AF_INET6, 13, "fd02::7", address)) for address in own for flags in (0, 1, 2)]
    return [[flags, made.hex()] for flags, made in rows]


def make_in_linux(world: dict[str, Any]) -> None:
    """Build a world in the namespace that this process is in; routes that Linux refuses are taken out of it."""
    ip(f"link set lo {'up' if world['lo_up'] else 'down'}")
    for number, (name, about) in enumerate(world["interfaces"].items()):
        ip(f"link add {name} index {about['ifindex']} type veth peer name p{name} index {20 + number}")
        ip(f"link set {name} address {about['mac']} mtu {about['mtu']} addrgenmode none")
        ip(f"link set p{name} mtu {about['mtu']} addrgenmode none")
        for family in ("ipv4", "ipv6"):
            sysctl(f"{family}/conf/{name}/forwarding", int(about.get("forwarding", True)))
        sysctl(f"ipv6/conf/{name}/accept_dad", 0)
        ip(f"link set {name} up")
        ip(f"link set p{name} up")
        for address in about["addresses"]:
            ip(f"addr add {address} dev {name}{' nodad' if ':' in address else ''}")
    world["routes"] = [route for route in world["routes"] if not ip_refuses(route_words(route))]
    for row in world["neighbours"]:
        mac = f"lladdr {row['mac']}" if row["state"] not in ("failed", "incomplete") else ""
        ip(f"neigh replace {row['to']} dev {row['dev']} {mac} nud {row['state']}")
    for rule in world["rules"]:
        words = f"-{rule['version']} rule add priority {rule['priority']} table {rule['table']}"
        for word, key in (("fwmark", "fwmark"), ("iif", "iif"), ("from", "source")):
            words += f" {word} {rule[key]}" if key in rule else ""
        ip(words)


def route_words(route: dict[str, Any]) -> str:
    """The words of iproute2 for a route."""
    version = 6 if ":" in route["to"] else 4
    words = f"-{version} route add {route.get('type', '')} {route['to']}"
    if "encap" in route:
        words += " encap seg6 mode encap segs fd77::1"
    if "via" in route:
        words += f" via {'inet6 ' if version == 4 and ':' in route['via'] else ''}{route['via']}"
    for word, key in (("dev", "dev"), ("metric", "metric"), ("table", "table"), ("src", "src"), ("tos", "tos")):
        words += f" {word} {route[key]}" if key in route else ""
    words += f" mtu lock {route['mtu_lock']}" if "mtu_lock" in route else ""
    return words + (" onlink" if "via" in route else "")


def make_in_sim(world: dict[str, Any]) -> Sim:
    """Declare a world."""
    sim = Sim()
    sim.interface("lo", forwarding=False, up=world["lo_up"])
    for name, about in world["interfaces"].items():
        sim.interface(name, **about)
    for route in world["routes"]:
        rest = {key: value for key, value in route.items() if key != "to"}
        sim.route(route["to"], **rest)
    for row in world["neighbours"]:
        sim.neighbour(row["to"], dev=row["dev"], mac=row["mac"], state=row["state"])
    for rule in world["rules"]:
        sim.rule(**rule)
    return sim


def ask_linux(data: dict[str, Any]) -> dict[str, Any]:
    """Runs inside a namespace: data["world"] as it became, and the answers to data["lookups"] in it."""
    make_in_linux(data["world"])
    code = encode_all(assemble(PROGRAM))
    runner = TestRunner(load_program(ProgramDefinition(type=PROG_TYPES["XDP"].id, code=code)))
    answers = [answer(runner.run(question(flags, bytes.fromhex(made))).data) for flags, made in data["lookups"]]
    return {"world": data["world"], "answers": answers}


def ask_sim(sim: Sim, lookups: list[list[Any]]) -> Iterator[list[Any]]:
    """The answers of xdpsim to the same."""
    program: Program = sim.load_insns(PROGRAM, "XDP")
    for flags, made in lookups:
        yield answer(program.run(question(flags, bytes.fromhex(made))).packet)
