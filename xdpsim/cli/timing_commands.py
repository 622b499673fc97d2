"""The parsers of `xdpsim bench` and `xdpsim prog run`: they gather options and return them, as commands.py's do.

Annotations are objects here, not text, as typer reads them.
"""

from typing import TYPE_CHECKING, Annotated

from xdpsim.cli.asked import BenchOptions, ProgRunOptions
from xdpsim.cli.completion import program_names
from xdpsim.cli.loading import NO_VERIFY_HELP, SET_HELP, TYPE_HELP, Loading
from xdpsim.cli.options import EngineName, Other

if TYPE_CHECKING:
    from typer import Typer

_OBJECT_HELP = "The eBPF object file, as clang writes it."
_PROG_HELP = "Run a program once, or often, as bpftool prog run does."
_PROG_EPILOG = (
    "WORDS are bpftool's: data_in FILE [data_out FILE] [ctx_in FILE [ctx_out FILE]] [repeat N]. "
    "FILE - is standard input, or a dump on standard output."
)
_MAPS_HELP = "Fill maps from a preset file or a --save-maps directory; repeatable."


def add_timing_commands(app: "Typer") -> None:
    """Add the commands of this module to the parser."""
    _add_bench(app)
    _add_prog(app)


def _add_bench(app: "Typer") -> None:
    import typer

    @app.command()
    def bench(
        obj: Annotated[str, typer.Argument(metavar="OBJ", help=_OBJECT_HELP)],
        read: Annotated[
            str, typer.Option("-r", "--read", metavar="FILE", help="Packets: the first 1,024 of a capture.")
        ] = "",
        program: Annotated[
            str, typer.Option("-p", "--program", metavar="NAME", autocompletion=program_names, help="Which program.")
        ] = "",
        maps: Annotated[list[str] | None, typer.Option(metavar="FILE", help=_MAPS_HELP)] = None,
        engine: Annotated[EngineName, typer.Option(help="What runs the program.")] = EngineName.JIT,
        against: Annotated[Other | None, typer.Option(help="Time the running kernel on the same packets.")] = None,
        seconds: Annotated[float, typer.Option(min=0.01, metavar="S", help="How long to time.")] = 1.0,
        types: Annotated[list[str] | None, typer.Option("--type", metavar="[PROG=]TYPE", help=TYPE_HELP)] = None,
        constants: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help=SET_HELP)] = None,
        no_verify: Annotated[bool, typer.Option("--no-verify", help=NO_VERIFY_HELP)] = False,
        json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    ) -> BenchOptions:
        """Say how fast a program is, and how fast the kernel runs it."""
        loading = Loading(tuple(types or ()), tuple(constants or ()), verify=not no_verify)
        other = against.value if against else ""
        return BenchOptions(obj, read, program, tuple(maps or ()), engine.value, other, seconds, json, loading)


def _add_prog(app: "Typer") -> None:
    import typer

    group = typer.Typer(help=_PROG_HELP, no_args_is_help=True)
    app.add_typer(group, name="prog")

    @group.callback()
    def words() -> None:
        """What comes behind `prog`."""

    words.__doc__ = _PROG_HELP

    @group.command("run", epilog=_PROG_EPILOG)
    def run(
        place: Annotated[str, typer.Argument(metavar="OBJ[:PROG]", help="The object, and which program of it.")],
        given: Annotated[list[str], typer.Argument(metavar="WORDS...")],
        maps: Annotated[list[str] | None, typer.Option(metavar="FILE", help=_MAPS_HELP)] = None,
        engine: Annotated[EngineName, typer.Option(help="What runs the program.")] = EngineName.JIT,
        types: Annotated[list[str] | None, typer.Option("--type", metavar="[PROG=]TYPE", help=TYPE_HELP)] = None,
        constants: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help=SET_HELP)] = None,
        no_verify: Annotated[bool, typer.Option("--no-verify", help=NO_VERIFY_HELP)] = False,
        json: Annotated[bool, typer.Option("--json", "-j", help="JSON as bpftool prints it.")] = False,
    ) -> ProgRunOptions:
        """Run a program on a packet from a file."""
        loading = Loading(tuple(types or ()), tuple(constants or ()), verify=not no_verify)
        return ProgRunOptions(place, tuple(given), tuple(maps or ()), engine.value, json, loading)
