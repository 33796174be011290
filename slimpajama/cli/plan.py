"""Estimate what a run will take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slimpajama.cli.errors import NOTHING_CHANGED, reported
from slimpajama.cli.options import Debug, Json, LogLevel, OnePreset, OtherInput, Quiet, SetInSection

__all__ = ["plan"]


def plan(
    config: Annotated[Path, typer.Argument(help="YAML config of a whole run, or a preset, e.g. redpajama.")],
    input: OtherInput = None,
    preset: OnePreset = None,
    cores: Annotated[int | None, typer.Option(min=1, help="Cores of a node (default: this machine's).")] = None,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes.")] = 1,
    text: Annotated[
        str | None, typer.Option(help="Text in all, e.g. 4.9TB, where the input is only a part of it.")
    ] = None,
    documents: Annotated[int | None, typer.Option(min=1, help="Documents in all (default: as the text).")] = None,
    kept: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of the text to be kept (default: as in the sample)."),
    ] = None,
    set: SetInSection = None,
    quiet: Quiet = False,
    json: Json = False,
    log_level: LogLevel = None,
    debug: Debug = False,
) -> None:
    """Estimate documents, tokens, disk, memory and hours of a run from a sample of the input. Keeps nothing."""
    with reported(debug, NOTHING_CHANGED, quiet=quiet or json, log_level=log_level):
        import dataclasses

        import orjson

        from slimpajama.config.presets import config_file
        from slimpajama.config.run import load_run_config
        from slimpajama.config.sizes import size_in_bytes
        from slimpajama.pipeline.plan import Assumptions, plan_run
        from slimpajama.planning.plan_table import plan_lines
        from slimpajama.stages.progress import progress_for

        file = config_file(config)
        flags = {"input": str(input.resolve()) if input else None, "dedup.preset": preset and preset.value}
        settings = load_run_config(file, set or (), **flags)
        told = Assumptions(cores, nodes, size_in_bytes(text, "--text") if text else None, documents, kept)
        planned = plan_run(settings, file.parent, told, progress=progress_for(not quiet and not json))
        if json:
            hours = {"core_hours": planned.core_hours, "wall_hours": planned.wall_hours}
            typer.echo(orjson.dumps(dataclasses.asdict(planned) | hours).decode())
        else:
            typer.echo("\n".join(plan_lines(planned)))
