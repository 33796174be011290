"""Deduplicate shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slimpajama.cli.errors import reported, results_only
from slimpajama.cli.options import (
    A_PATH,
    Debug,
    EngineName,
    Json,
    Keep,
    LogLevel,
    OnEngine,
    OnePreset,
    Quiet,
    RayAddress,
    ScopeName,
    Workers,
)

__all__ = ["dedup"]


def dedup(
    input: Annotated[Path, typer.Option("--input", **A_PATH, help="Folder that holds the sources' folders.")],
    output: Annotated[Path, typer.Option("--output", **A_PATH, help="Folder for decisions, shards and summary.")],
    preset: OnePreset = None,
    scope: Annotated[
        ScopeName | None,
        typer.Option(help="Shards to write; decisions always hold both scopes; none: decisions alone (default: both)."),
    ] = None,
    workers: Workers = None,
    engine: OnEngine = EngineName.local,
    ray_address: RayAddress = None,
    against: Annotated[
        Path | None,
        typer.Option(**A_PATH, help="Output of an earlier run: what is there is not kept again."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings, or a preset, e.g. redpajama.")] = None,
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting, over the file's; repeatable."),
    ] = None,
    keep: Keep = False,
    quiet: Quiet = False,
    json: Json = False,
    log_level: LogLevel = None,
    debug: Debug = False,
) -> None:
    """Deduplicate shards within each source (local) and across all (global), in one pass.

    The output holds decisions/ (a verdict on every record, Parquet), global/ and local/ (deduplicated shards),
    quarantine/ (broken records) and summary.json. Run the same command again to resume.
    """
    with reported(debug, quiet=quiet or json, log_level=log_level):
        from slimpajama.config.dedup import load_config
        from slimpajama.config.presets import config_file
        from slimpajama.engine.choice import EngineChoice

        settings = load_config(
            config and config_file(config),
            set or (),
            preset=preset and preset.value,
            scope=scope and scope.value,
            workers=workers,
            against=str(against) if against else None,
        )
        chosen = EngineChoice(engine.value, ray_address)
        if not output.exists():  # else all may be done already
            chosen.start_server(settings, ["slimpajama.dedup.stages.sketch", "slimpajama.dedup.compiled"])
        talks = not quiet and not json
        if talks:
            from slimpajama.cli.tables import catch_line
            from slimpajama.dedup.banding import banding

            typer.echo(catch_line(*banding(settings)), err=True)
        from slimpajama.pipeline.dedup import deduplicate

        with results_only():
            summary = deduplicate(input, output, settings, progress=talks, engine=chosen, keep=keep)
        import orjson

        from slimpajama.cli.health import health_lines
        from slimpajama.cli.output import closing_lines
        from slimpajama.cli.tables import summary_table

        if json:
            typer.echo(orjson.dumps(summary.as_dict()).decode())
        elif talks:
            typer.echo(summary_table(summary))
            if health := health_lines(summary, output):
                typer.echo(f"\n{health}")
            typer.echo(closing_lines(summary, output))
