"""List the presets, or print one."""

from __future__ import annotations

from typing import Annotated

import typer

from slimpajama.cli.errors import NOTHING_CHANGED, reported
from slimpajama.cli.options import Debug, Json

__all__ = ["presets"]


def presets(
    name: Annotated[str | None, typer.Argument(help="Preset to print (default: list all).")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List the settings, configs and recipes that come with the package, or print one to start from.

    A name works wherever its kind is asked for: `--preset verified` (dedup), `slimpajama run sample` (config),
    `--recipe dc-6` (recipe).
    """
    with reported(debug, NOTHING_CHANGED):
        import orjson

        from slimpajama.config import presets as shipped

        if name is not None:
            content = shipped.preset(name).content
            typer.echo(orjson.dumps({"name": name, "content": content}).decode() if json else content, nl=json)
            return
        found = shipped.presets()
        if json:
            typer.echo(orjson.dumps([{"name": one.name, "kind": one.kind, "title": one.title} for one in found]))
            return
        width = max(len(one.name) for one in found)
        for one in found:
            typer.echo(f"{one.name.ljust(width)}  {one.kind.ljust(6)}  {one.title}")
