"""Make the page that shows what a run removed, what stayed and what its mixtures hold, or compare two runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slimpajama.cli.errors import reported, results_only
from slimpajama.cli.options import A_PATH, ARun, Debug, LogLevel, Quiet

__all__ = ["report"]


def report(
    output: ARun,
    other: Annotated[
        Path | None,
        typer.Argument(metavar="[OTHER]", parser=A_PATH["parser"], help="Another one, to compare the first with."),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", **A_PATH, help="Folder for the report (default: report/ in the output; comparison-RUN-OTHER here)."
        ),
    ] = None,
    quiet: Quiet = False,
    log_level: LogLevel = None,
    debug: Debug = False,
) -> None:
    """Make one HTML page of a finished run: what was removed and why, what stayed, what the mixtures hold.

    The page needs no network; its figures and their numbers lie beside it. With two outputs: their
    settings that differ, what that changed, and documents that one keeps alone, in --to.
    """
    with reported(debug, quiet=quiet, log_level=log_level):
        from slimpajama.pipeline.report import PAGE, compare, report_of

        with results_only():
            if other is None:
                page = report_of(output, to, again=True).page
            else:
                folder = to or Path(f"comparison-{output.name}-{other.name}")
                compare(output, other, folder)
                page = folder / PAGE
        if not quiet:
            typer.echo(f"report: {page}")
