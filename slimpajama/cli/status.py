"""Show the state of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from slimpajama.cli.errors import NOTHING_CHANGED, reported
from slimpajama.cli.options import ARun, Debug, Json, LogLevel
from slimpajama.printable import printable

__all__ = ["status"]


def status(
    output: ARun,
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Show the state with this setting instead; repeatable."),
    ] = None,
    json: Json = False,
    log_level: LogLevel = None,
    debug: Debug = False,
) -> None:
    """Show which stages of a run are done, which are not, and which are stale and why. Changes nothing."""
    with reported(debug, NOTHING_CHANGED, quiet=json, log_level=log_level):
        import dataclasses

        import orjson

        from slimpajama.pipeline.status import run_status, status_lines

        found = run_status(output, set or ())
        if json:
            typer.echo(orjson.dumps(dataclasses.asdict(found) | {"finished": found.finished}).decode())
        else:
            typer.echo("\n".join(map(printable, status_lines(found))))
