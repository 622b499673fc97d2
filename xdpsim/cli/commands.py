"""The parsers of `xdpsim inspect`, `map`, `trace` and `verify`: they gather options and return them, as app.py's do.

Annotations are objects here, not text, as typer reads them.
"""

from typing import TYPE_CHECKING, Annotated

from xdpsim.cli.asked import InspectOptions, MapOptions, TraceOptions, VerifyOptions
from xdpsim.cli.completion import map_names, program_names
from xdpsim.cli.loading import BTF_HELP, NO_VERIFY_HELP, SET_HELP, TYPE_HELP, Loading
from xdpsim.cli.options import Layer2

if TYPE_CHECKING:
    from typer import Typer

OBJECT_HELP = "The eBPF object file, as clang writes it."
MAP_HELP = "Look into maps that `run --save-maps` wrote, and change them, in bpftool's words."
_MAP_ACTIONS = {
    "dump": ("Print all entries.", ""),
    "lookup": ("Print the entry of a key.", "key DATA"),
    "update": ("Set the value of a key.", "key DATA value DATA [any|exist|noexist]"),
    "delete": ("Remove a key.", "key DATA"),
    "getnext": ("Print the key behind a key, or the first.", "[key DATA]"),
}
_MAP_EPILOG = (
    "DATA is bytes (10 0 0 1, 0x0a 0x00 0x00 0x01, or hex 0a 00 00 01), or what the entry shows: "
    "10.0.0.0/8, 5, or '{\"hits\": 1}' in JSON. New entries by their types need --object."
)

_VERIFY_EPILOG = (
    "Exit codes: 0 all are accepted, 2 usage, 3 input, 4 a program is rejected or --linux cannot load it, "
    "5 no program at all, 6 none of these but a program of a type that is not verified. -v is --log-level 6."
)
_VERBOSE_LEVEL = 6


def add_commands(app: "Typer") -> None:
    """Add the commands of this module to the parser."""
    _add_inspect(app)
    _add_map(app)
    _add_trace(app)
    _add_verify(app)


def _add_inspect(app: "Typer") -> None:
    import typer

    @app.command()
    def inspect(
        obj: Annotated[str, typer.Argument(metavar="OBJ", help=OBJECT_HELP)],
        disasm: Annotated[bool, typer.Option("--disasm", help="List the instructions of every program.")] = False,
        source: Annotated[bool, typer.Option("--source", help="As --disasm, with the source lines.")] = False,
        btf: Annotated[bool, typer.Option("--btf", help="List the types.")] = False,
        dot: Annotated[
            str,
            typer.Option(
                metavar="PROG", autocompletion=program_names, help="Only print this program's control flow, in DOT."
            ),
        ] = "",
        no_verify: Annotated[
            bool, typer.Option("--no-verify", help="Do not ask whether Linux would take the programs.")
        ] = False,
        json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    ) -> InspectOptions:
        """Say what is in an object: programs, what they call and need, maps with their types."""
        return InspectOptions(obj, disasm or source, source, btf, dot, json, not no_verify)


def _add_map(app: "Typer") -> None:
    import typer

    group = typer.Typer(help=MAP_HELP, no_args_is_help=True)
    app.add_typer(group, name="map")
    for action, (text, words) in _MAP_ACTIONS.items():
        _add_map_action(group, action, text, words)


def _add_map_action(group: "Typer", action: str, text: str, words_metavar: str) -> None:
    import typer

    settings = {"ignore_unknown_options": True}  # -1 is a value

    @group.command(action, help=text, epilog=_MAP_EPILOG if words_metavar else None, context_settings=settings)
    def act(
        place: Annotated[
            str, typer.Argument(metavar="DIR_OR_FILE", help="A directory of saved maps, or a file of one or more.")
        ],
        name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=map_names, help="The map.")],
        words: Annotated[
            list[str] | None, typer.Argument(metavar=words_metavar or "...", hidden=not words_metavar)
        ] = None,
        obj: Annotated[
            str, typer.Option("--object", metavar="OBJ", help="The object that defines the map: its type and its BTF.")
        ] = "",
        json: Annotated[bool, typer.Option("--json", "-j", help="JSON as bpftool prints it.")] = False,
    ) -> MapOptions:
        return MapOptions(action, place, name, tuple(words or ()), obj, json)


def _add_trace(app: "Typer") -> None:
    import typer

    @app.command()
    def trace(
        obj: Annotated[str, typer.Argument(metavar="OBJ", help=OBJECT_HELP)],
        read: Annotated[
            str,
            typer.Option("-r", "--read", metavar="FILE", help="The capture: pcap or pcapng, also gzip; - is stdin."),
        ],
        number: Annotated[
            int,
            typer.Option("-n", "--number", metavar="N", min=1, help="Which packet, from 1; those before it run first."),
        ] = 1,
        program: Annotated[
            str,
            typer.Option(
                "-p",
                "--program",
                metavar="NAME",
                autocompletion=program_names,
                help="Which program, where OBJ has several.",
            ),
        ] = "",
        maps: Annotated[
            list[str] | None,
            typer.Option(metavar="FILE", help="Fill maps from a preset file or a --save-maps directory; repeatable."),
        ] = None,
        seed: Annotated[int, typer.Option(metavar="N", help="Seed of bpf_get_prandom_u32.")] = 0,
        l2: Annotated[
            Layer2 | None, typer.Option(help="Give packets without an Ethernet header (RAW, NULL, SLL) a made-up one.")
        ] = None,
        types: Annotated[list[str] | None, typer.Option("--type", metavar="[PROG=]TYPE", help=TYPE_HELP)] = None,
        constants: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help=SET_HELP)] = None,
        btf: Annotated[str, typer.Option(metavar="PATH|host", help=BTF_HELP)] = "",
        no_verify: Annotated[bool, typer.Option("--no-verify", help=NO_VERIFY_HELP)] = False,
        json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    ) -> TraceOptions:
        """Show every instruction that a program does on one packet of a capture."""
        loading = Loading(tuple(types or ()), tuple(constants or ()), btf, verify=not no_verify)
        return TraceOptions(obj, read, number, program, tuple(maps or ()), seed, l2.value if l2 else "", json, loading)


def _add_verify(app: "Typer") -> None:
    import typer

    @app.command(epilog=_VERIFY_EPILOG)
    def verify(
        obj: Annotated[list[str], typer.Argument(metavar="OBJ", help="Object files, as clang writes them.")],
        programs: Annotated[
            list[str] | None,
            typer.Option(
                "-p",
                "--program",
                metavar="NAME",
                autocompletion=program_names,
                help="Only this program; repeatable.",
            ),
        ] = None,
        linux: Annotated[
            str, typer.Option(metavar="V", help="Say what the programs need that Linux V has not, 5.4 for instance.")
        ] = "",
        caps: Annotated[
            str,
            typer.Option(metavar="LIST", help="Capabilities of the loader: some of bpf,perfmon,net_admin, or none."),
        ] = "",
        strict_alignment: Annotated[
            bool, typer.Option("--strict-alignment", help="Refuse unaligned accesses (BPF_F_STRICT_ALIGNMENT).")
        ] = False,
        verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Print Linux's log: every state.")] = False,
        log_level: Annotated[
            int | None,
            typer.Option(metavar="N", min=0, max=7, help="Which log: 1 the path refused, 2 every state, 4 counts."),
        ] = None,
        types: Annotated[list[str] | None, typer.Option("--type", metavar="[PROG=]TYPE", help=TYPE_HELP)] = None,
        constants: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help=SET_HELP)] = None,
        btf: Annotated[str, typer.Option(metavar="PATH|host", help=BTF_HELP)] = "",
        json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
        sarif: Annotated[bool, typer.Option("--sarif", help="SARIF 2.1.0, for code scanning.")] = False,
    ) -> VerifyOptions:
        """Say whether Linux 6.18 would accept the programs of objects, and if not, why, and what would be right."""
        level = log_level if log_level is not None else _VERBOSE_LEVEL if verbose else 0
        loading = Loading(tuple(types or ()), tuple(constants or ()), btf)
        return VerifyOptions(
            tuple(obj), tuple(programs or ()), linux, caps, strict_alignment, level, json, sarif, loading
        )
