"""`xdpsim verify`: rows, refusals, logs, what an older Linux lacks, JSON, and how it ends."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Xdpsim
from tests.support.elf_writer import ElfWriter
from xdpsim.cli.verify import Judged, Judgements
from xdpsim.cli.verify_progress import VerifyProgress
from xdpsim.cli.verify_text import print_verdicts
from xdpsim.errors import Unsupported
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import encode_all
from xdpsim.loader.load import load_object
from xdpsim.memory.cache import cache_dir
from xdpsim.sim.judging import Conditions, judge
from xdpsim.verifier.main import verify

MISTAKES = "programs/mistakes/mistakes.o"
FIREWALL, COUNTER = "programs/firewall.o", "programs/counter.o"
Write = Callable[..., Path]

REPORT = f"""\
{MISTAKES}
program             verdict   insns  states  peak  stack  message
short_bounds_check  rejected      9       0     0         EACCES: invalid access to packet, off=23 size=1, R1(id=0,off=23,r=14)

{MISTAKES}: short_bounds_check: rejected (EACCES)
  invalid access to packet, off=23 size=1, R1(id=0,off=23,r=14)
  R1 offset is outside of the packet
  at       programs/mistakes/mistakes.c:LINE  return ip->protocol == IPPROTO_UDP ? XDP_DROP : XDP_PASS;
           insn 8: r1 = *(u8 *)(r1 +23)
  with     R1=pkt(r=14)   from insn 2 (r1 = *(u32 *)(r1 +0)), programs/mistakes/mistakes.c:LINE
  after    programs/mistakes/mistakes.c:LINE  if ((void *)(eth + 1) > end)   insn 5 (if r3 > r2 goto pc+6) not taken
           programs/mistakes/mistakes.c:LINE  if (eth->h_proto != bpf_htons(ETH_P_IP))   insn 7 (if w2 != 0x8 goto pc+4) not taken
  instead  compare data + 24 with data_end before this access: only 14 bytes are proven here
"""  # noqa: E501


def bpf(text: str) -> bytes:
    return encode_all(assemble(text))


def test_an_accepted_program(xdpsim: Xdpsim) -> None:
    ran = xdpsim("verify", COUNTER)
    assert (ran.code, ran.err) == (0, "")
    title, heads, row = ran.out.splitlines()
    assert title == COUNTER
    assert heads.split() == ["program", "verdict", "insns", "states", "peak", "stack"]
    source = load_object(Path(COUNTER).read_bytes(), COUNTER)
    verdict = verify(source.programs["xdp_counter"], source.maps, source.btf)
    assert verdict.stack_depth == (8, 8)  # each function rounded up to 16
    counts = verdict.insns_processed, verdict.total_states, verdict.peak_states, 32
    assert row.split() == ["xdp_counter", "accepted", *map(str, counts)]


def test_a_refusal(xdpsim: Xdpsim) -> None:
    ran = xdpsim("verify", MISTAKES, "-p", "short_bounds_check")
    assert (ran.code, ran.err) == (4, "")
    assert re.sub(r"(mistakes\.c):\d+", r"\1:LINE", ran.out) == REPORT


def test_several_objects(xdpsim: Xdpsim, obj: Write) -> None:
    bad = obj(xdp=bpf("r0 = *(u8 *)(r0 +0); exit"), tc=bpf("r0 = 0; exit"))
    ran = xdpsim("verify", COUNTER, bad)
    assert ran.code == 4
    rows = [line.split()[:3] for line in ran.out.splitlines()[:4]]
    assert rows == [
        ["object", "program", "verdict"],
        [COUNTER, "xdp_counter", "accepted"],
        [str(bad), "xdp_main", "rejected"],
        [str(bad), "tc_main", "accepted"],
    ]
    assert f"\n{bad}: xdp_main: rejected (EACCES)\n  R0 !read_ok\n  at       insn 0: r0 = *(u8 *)(r0 +0)\n" in ran.out
    assert re.search(r"^3 programs: 2 accepted, 1 rejected; \d+ insns walked in [\d.]+ s", ran.out, re.MULTILINE)


def test_objects_that_cannot_be_read_do_not_keep_the_others_from_it(xdpsim: Xdpsim, tmp_path: Path, obj: Write) -> None:
    (tmp_path / "text.o").write_text("hello")
    ran = xdpsim("verify", tmp_path / "nowhere.o", COUNTER, tmp_path / "text.o")
    assert ran.code == 3
    assert "xdp_counter  accepted" in ran.out
    assert ran.err.count("xdpsim: ") == 2
    assert "nowhere.o: No such file or directory" in ran.err
    assert "expected an ELF object" in ran.err
    assert xdpsim("verify", tmp_path / "nowhere.o", obj(xdp=bpf("exit"))).code == 4
    ran = xdpsim("verify", tmp_path / "nowhere.o", "--json")
    assert (ran.code, ran.json["objects"][0]["programs"]) == (3, [])
    assert ran.json["objects"][0]["error"] == f"{tmp_path}/nowhere.o: No such file or directory"


def test_chosen_programs(xdpsim: Xdpsim) -> None:
    ran = xdpsim("verify", MISTAKES, COUNTER, "-p", "right", "-p", "xdp_counter")
    assert ran.code == 0
    assert re.findall(r"^\S+ +(\w+) +accepted", ran.out, re.MULTILINE) == ["right", "xdp_counter"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-p", "rihgt"], "-p rihgt: no such program\n  did you mean right?"),
        (["-p", "zzz"], "-p zzz: no such program\n  there is no_bounds_check, short_bounds_check, "),
        (["--caps", "root"], "--caps root: unknown root\n  some of bpf,net_admin,perfmon, or none"),
        (["--json", "--sarif"], "--json and --sarif: both want standard output"),
        (["--log-level", "9"], "invalid value for '--log-level': "),
        ([], "missing argument 'OBJ'\n  xdpsim verify --help lists the options"),
    ],
)
def test_usage(xdpsim: Xdpsim, options: list[str], message: str) -> None:
    ran = xdpsim("verify", *([MISTAKES] if options else []), *options)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"xdpsim: {message}")


def test_a_kernel_version_that_is_none(xdpsim: Xdpsim) -> None:
    ran = xdpsim("verify", COUNTER, "--linux", "five")
    assert (ran.code, ran.out) == (2, "")
    assert "--linux five: expected MAJOR.MINOR" in ran.err


def test_types_that_nobody_verifies(xdpsim: Xdpsim, tmp_path: Path) -> None:
    ran = xdpsim("verify", MISTAKES, "-p", "traced")
    assert ran.code == 6
    why = "programs of type KPROBE are outside the network side: xdpsim does not verify them"
    assert ran.out.splitlines()[2].split(maxsplit=2) == ["traced", "unsupported", why]
    assert "accepted" not in ran.out
    elf = ElfWriter()
    elf.program("mine", "something/odd")
    (tmp_path / "odd.o").write_bytes(elf.build())
    ran = xdpsim("verify", tmp_path / "odd.o", "--json")
    (program,) = ran.json["objects"][0]["programs"]
    assert (ran.code, program["verdict"], program["loads"], program["insns"]) == (6, "unsupported", False, None)
    assert "'something/odd'" in program["reason"]
    assert xdpsim("verify", tmp_path / "odd.o", "--type", "xdp").code == 0


def test_what_the_verifier_itself_has_not(xdpsim: Xdpsim, monkeypatch: pytest.MonkeyPatch) -> None:
    def decide(*_: object, **__: object) -> None:
        raise Unsupported("the kernel types at hand do not hold struct sk_buff")

    monkeypatch.setattr("xdpsim.sim.judging.decide", decide)
    ran = xdpsim("verify", COUNTER)
    assert (ran.code, ran.err) == (6, "")
    assert re.search(r"^xdp_counter  unsupported +the kernel types at hand do not", ran.out, re.MULTILINE)


def test_an_object_without_programs(xdpsim: Xdpsim, tmp_path: Path) -> None:
    (tmp_path / "empty.o").write_bytes(ElfWriter().build())
    ran = xdpsim("verify", tmp_path / "empty.o")
    assert (ran.code, ran.out) == (5, "no programs\n")


def test_capabilities(xdpsim: Xdpsim) -> None:
    stack = ("verify", MISTAKES, "-p", "uninitialised_stack")
    assert xdpsim(*stack).code == 0
    ran = xdpsim(*stack, "--caps", "bpf,CAP_NET_ADMIN")
    assert ran.code == 4
    assert "invalid read from stack off -4+0 size 1" in ran.out
    ran = xdpsim("verify", COUNTER, "--caps", "none")
    assert ran.code == 4
    assert "EPERM: the loader lacks a capability that this type of program needs" in ran.out


def test_strict_alignment(xdpsim: Xdpsim, obj: Write) -> None:
    checked = "r2 = *(u32 *)(r1 +0); r3 = *(u32 *)(r1 +4); r4 = r2; r4 += 8; if r4 > r3 goto out"
    made = obj(xdp=bpf(f"{checked}; r0 = *(u32 *)(r2 +4); out: r0 = 2; exit"))
    assert xdpsim("verify", made).code == 0
    ran = xdpsim("verify", made, "--strict-alignment")
    assert ran.code == 4
    assert "misaligned packet access off 2+" in ran.out


def test_the_log(xdpsim: Xdpsim) -> None:
    source = load_object(Path(MISTAKES).read_bytes(), MISTAKES)
    logs = {
        level: verify(source.programs["no_null_check"], source.maps, source.btf, log_level=level).log
        for level in (1, 6)
    }
    ran = xdpsim("verify", MISTAKES, "-p", "no_null_check", "-v")
    assert ran.out.startswith(f"{MISTAKES}: no_null_check\n{logs[6]}\n{MISTAKES}\nprogram  ")
    assert "\nstack depth 8\nprocessed 7 insns (limit 1000000) " in ran.out
    ran = xdpsim("verify", MISTAKES, "-p", "no_null_check", "--log-level", "1", "--json")
    assert ran.json["objects"][0]["programs"][0]["log"] == logs[1]


def test_what_an_older_linux_has_not(xdpsim: Xdpsim) -> None:
    ran = xdpsim("verify", FIREWALL, "--linux", "5.10")
    assert ran.code == 4
    assert re.search(r"^xdp_firewall  too new  .* 5\.12  Linux 5\.10 has no atomic fetch_add$", ran.out, re.MULTILINE)
    assert f"\n{FIREWALL}: xdp_firewall: needs Linux 5.12; what 5.10 has not:\n" in ran.out
    assert re.search(
        r"^  5\.12  atomic fetch_add  programs/firewall\.c:\d+  return __sync_fetch", ran.out, re.MULTILINE
    )
    assert "whether its verifier follows them as that of 6.18 does was not" in ran.out
    ran = xdpsim("verify", FIREWALL, "--linux", "5.12")
    assert ran.code == 0
    assert re.search(r"^xdp_firewall  accepted .* 5\.12$", ran.out, re.MULTILINE)


def test_json(xdpsim: Xdpsim) -> None:
    ran = xdpsim("verify", MISTAKES, "-p", "right", "-p", "leaked_record", "--linux", "5.4", "--json")
    assert ran.code == 4
    assert {name: ran.json[name] for name in ("accepted", "rejected", "unsupported", "linux")} == {
        "accepted": 1,
        "rejected": 1,
        "unsupported": 0,
        "linux": "5.4",
    }
    leaked, right = ran.json["objects"][0]["programs"]
    assert (leaked["name"], leaked["verdict"], leaked["loads"], leaked["section"]) == (
        *("leaked_record", "rejected", False, "xdp"),
    )
    assert leaked["kernel_needed"] == "5.8"
    lacking = [need["what"] for need in leaked["lacks"]]
    assert {"bpf_ringbuf_reserve", "map type RINGBUF"} <= set(lacking)
    assert leaked["lacks"][lacking.index("bpf_ringbuf_reserve")]["source"].startswith("__u64 *record = bpf_ringbuf_res")
    refusal = leaked["refusal"]
    assert refusal["errno"] == "EINVAL"
    assert refusal["message"].startswith("Unreleased reference id=2 alloc_insn=5\n")
    assert [(step["what"], step["source"]) for step in refusal["path"]] == [
        ("not taken", "if (!record)"),
        ("taken", "if (ctx->rx_queue_index == 3)"),
    ]
    assert (right["verdict"], right["refusal"], right["lacks"]) == ("accepted", None, [])
    assert xdpsim("verify", MISTAKES, "-p", "right", "--json").json["objects"][0]["programs"][0]["lacks"] is None


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cache of the test's own."""
    with monkeypatch.context() as changes:
        changes.setenv("XDPSIM_CACHE_DIR", str(tmp_path / "cache"))
        cache_dir.cache_clear()
        yield
    cache_dir.cache_clear()


@pytest.mark.usefixtures("empty_cache")
def test_decisions_are_remembered(xdpsim: Xdpsim) -> None:
    first, second = (xdpsim("verify", FIREWALL, "--json").json for _ in range(2))
    (before,), (after,) = (report["objects"][0]["programs"] for report in (first, second))
    assert (before.pop("remembered"), after.pop("remembered")) == (False, True)
    del before["elapsed_s"], after["elapsed_s"]
    assert before == after
    ran = xdpsim("verify", FIREWALL, COUNTER)
    assert "1 of the decisions remembered" in ran.out


class Terminal(io.StringIO):
    """Standard output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def judged() -> Judgements:
    source = load_object(Path(MISTAKES).read_bytes(), MISTAKES)
    programs = [source.programs[name] for name in ("right", "short_bounds_check", "traced")]
    return Judgements([Judged(MISTAKES, list(judge(source, programs, Conditions())))], "", 1.0)


@pytest.mark.parametrize("no_color", [False, True])
def test_on_a_terminal(no_color: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    (monkeypatch.setenv if no_color else monkeypatch.delenv)("NO_COLOR", *(["1"] if no_color else [False]))
    target = Terminal()
    print_verdicts(judged(), target)
    text = target.getvalue()
    assert ("\x1b[32maccepted" in text) is not no_color
    plain = re.sub(r"\x1b\[[\d;]*m", "", text)
    rows = plain.splitlines()[1:5]
    assert max(map(len, rows)) <= 80
    assert rows[2].endswith("…")
    assert "  invalid access to packet, off=23 size=1, R1(id=0,off=23,r=14)\n" in plain


def test_progress() -> None:
    source = load_object(Path(MISTAKES).read_bytes(), MISTAKES)
    progress, said = VerifyProgress(2), []
    with progress:
        for _ in judge(source, [source.programs["right"]], Conditions(log_level=4), progress.watch):
            said.append(progress.text)
            progress.done()
        said.append(progress.text)
    assert said == ["1 of 2, right: 29 insns walked", "2 of 2, right"]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (f"verify {MISTAKES} -p wri", ["written_context", "written_constant"]),
        (f"verify {COUNTER} {MISTAKES} -p ri", ["right"]),
        (f"verify {MISTAKES} {COUNTER} nowhere.o -p xdp_", ["xdp_counter"]),
        ("verify --st", ["--strict-alignment"]),
    ],
)
def test_the_shell_completes(xdpsim: Xdpsim, line: str, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_XDPSIM_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"xdpsim {line}")
    monkeypatch.setenv("COMP_CWORD", str(len(line.split())))
    assert xdpsim().out.split() == names
