"""The command line: its commands, its exit codes. Results go to standard output, progress and notes to error.

Exit codes: 0 done; 2 a setting or argument is wrong; 3 the input cannot be used; 4 the output cannot be written, or the
result cannot be printed; 5 a worker was killed twice; 6 documents were not conserved; 7 verify found something wrong;
8 a source would lose too many documents; 129 the terminal went away; 130 interrupted; 141 the reader of standard output
went away; 143 terminated.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from slimpajama.cli.dedup import dedup
from slimpajama.cli.duplicates import duplicates
from slimpajama.cli.explain import explain
from slimpajama.cli.measure import measure
from slimpajama.cli.mix import mix
from slimpajama.cli.plan import plan
from slimpajama.cli.presets import presets
from slimpajama.cli.report import report
from slimpajama.cli.run import run
from slimpajama.cli.sample import sample
from slimpajama.cli.status import status
from slimpajama.cli.study import study
from slimpajama.cli.verify import verify

__all__ = ["app", "main"]

COMMANDS = (sample, presets, dedup, mix, status, plan, verify, explain, duplicates, run, report, study, measure)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"slimpajama {version('slimpajama')}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    pass


def _app_of(commands: Sequence[Callable[..., None]]) -> typer.Typer:
    made = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help="Deduplicate multi-source pretraining text, locally and globally, and mix it.",
        epilog="Exit codes: 0 done, 2 wrong setting, 3 unusable input, 4 unwritable output, 5 worker killed, "
        "6 documents not conserved, 7 verify found something wrong, 8 too much of a source removed, 129 terminal gone, "
        "130 interrupted, 143 terminated.",
    )
    made.callback()(_options)
    for command in commands:
        made.command()(command)
    return made


app = _app_of(COMMANDS)


def main() -> None:
    """Run the command line."""
    from slimpajama.engine.import_guard import all_ours
    from slimpajama.streams import prepare_streams

    results = prepare_streams()
    all_ours()
    try:
        os.getcwd()
    except FileNotFoundError:
        sys.exit(_fail("the current folder was removed; change to another and run the command again", 2))
    code: int | str | None = 0
    try:
        # typer reads the options of all commands that it is given, and that takes a while.
        asked = [command for command in COMMANDS if [command.__name__] == sys.argv[1:2]]
        (_app_of(asked) if asked else app)()
    except SystemExit as leaving:
        code = leaving.code
    sys.stdout.flush()
    if results.fault is not None and not code:
        code = _unprinted(results.fault)
    sys.exit(code)


def _unprinted(fault: OSError) -> int:
    """The exit code of a command that did its work but could not print the result."""
    if isinstance(fault, BrokenPipeError):
        return 128 + signal.SIGPIPE
    return _fail(f"the work is done, but the result could not be printed: {fault.strerror or fault}", 4)


def _fail(message: str, code: int) -> int:
    typer.echo(f"error: {message}", err=True)
    return code
