"""The argument parser: commands and their options, with the texts of --help.

A command only gathers its options and returns them; main.py runs what they ask for. Annotations are objects here, not
text, as typer reads them.
"""

from typing import TYPE_CHECKING, Annotated

import xdpsim
from xdpsim.cli.commands import add_commands
from xdpsim.cli.completion import program_names
from xdpsim.cli.errors import USAGE
from xdpsim.cli.loading import BTF_HELP, EVENT_HELP, NO_VERIFY_HELP, SET_HELP, TYPE_HELP, Loading
from xdpsim.cli.options import CaptureSide, EngineName, Layer2, RunOptions
from xdpsim.cli.timing_commands import add_timing_commands

if TYPE_CHECKING:
    from typer import Typer

ABOUT = "Run unmodified XDP programs on captures: no root, no kernel, no compiler."
RUN_EPILOG = (
    "Exit codes: 0 ok, 2 usage, 3 input, 4 rejected by the verifier, 5 no packet reached the program, "
    "6 unsupported, 70 a bug in xdpsim."
)


def build_app() -> "Typer":
    """The parser of `xdpsim`; invoking it returns RunOptions, Asked, or an exit code where all is done."""
    import typer

    app = typer.Typer(help=ABOUT, pretty_exceptions_enable=False)

    def show_version(wanted: bool) -> None:
        if wanted:
            print(f"xdpsim {xdpsim.__version__}")
            raise typer.Exit

    @app.callback(invoke_without_command=True)
    def common(
        context: typer.Context,
        version: Annotated[
            bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and exit.")
        ] = False,
    ) -> None:
        """Options that stand before the command."""
        if context.invoked_subcommand is None:  # no_args_is_help exits with 0 or 2, by version of the parser
            print(context.get_help())
            raise typer.Exit(USAGE)

    common.__doc__ = ABOUT
    _add_run(app)
    add_commands(app)
    add_timing_commands(app)
    return app


def _add_run(app: "Typer") -> None:
    import typer

    @app.command(epilog=RUN_EPILOG)
    def run(
        obj: Annotated[str, typer.Argument(metavar="OBJ", help="The eBPF object file, as clang writes it.")],
        read: Annotated[
            str,
            typer.Option("-r", "--read", metavar="FILE", help="The capture: pcap or pcapng, also gzip; - is stdin."),
        ],
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
        write: Annotated[
            str,
            typer.Option(
                "-w", "--write", metavar="FILE", help="Write packets and verdicts: pcapng, or pcap for a name in .pcap."
            ),
        ] = "",
        capture: Annotated[
            CaptureSide, typer.Option(help="What -w writes: packets as the program left them, as they came, or both.")
        ] = CaptureSide.EXIT,
        maps: Annotated[
            list[str] | None,
            typer.Option(metavar="FILE", help="Fill maps from a preset file or a --save-maps directory; repeatable."),
        ] = None,
        save_maps: Annotated[
            str, typer.Option(metavar="DIR", help="Write every map to DIR/NAME.json afterwards.")
        ] = "",
        engine: Annotated[
            EngineName | None, typer.Option(help="What runs the program.", show_default="by the size of the capture")
        ] = None,
        limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Stop after N packets.")] = None,
        seed: Annotated[int, typer.Option(metavar="N", help="Seed of bpf_get_prandom_u32.")] = 0,
        l2: Annotated[
            Layer2 | None, typer.Option(help="Give packets without an Ethernet header (RAW, NULL, SLL) a made-up one.")
        ] = None,
        types: Annotated[list[str] | None, typer.Option("--type", metavar="[PROG=]TYPE", help=TYPE_HELP)] = None,
        constants: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help=SET_HELP)] = None,
        btf: Annotated[str, typer.Option(metavar="PATH|host", help=BTF_HELP)] = "",
        events: Annotated[list[str] | None, typer.Option("--event", metavar="MAP=TYPE", help=EVENT_HELP)] = None,
        no_verify: Annotated[bool, typer.Option("--no-verify", help=NO_VERIFY_HELP)] = False,
        drops: Annotated[int, typer.Option(metavar="N", min=0, help="How many drops to explain, one of a kind.")] = 5,
        per_packet: Annotated[
            bool, typer.Option("--per-packet", help="One JSON line a packet on stdout; the report goes to stderr.")
        ] = False,
        json: Annotated[bool, typer.Option("--json", help="The report as one JSON object.")] = False,
    ) -> RunOptions:
        """Run a program on every packet of a capture and say what it did."""
        return RunOptions(
            obj, read, program, write, tuple(maps or ()), engine, limit, per_packet, save_maps, json, seed, l2, capture,
            drops, Loading(tuple(types or ()), tuple(constants or ()), btf, tuple(events or ()), not no_verify),
        )  # fmt: skip
