"""Do everything a config asks for."""

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
    OtherInput,
    Quiet,
    RayAddress,
    SetInSection,
    Workers,
)

__all__ = ["run"]


def run(
    config: Annotated[Path, typer.Argument(help="YAML config of a whole run, or a preset, e.g. sample.")],
    output: Annotated[
        Path,
        typer.Option("--output", **A_PATH, help="Folder for dedup/, mixtures/, report/ and summary.json."),
    ],
    input: OtherInput = None,
    preset: OnePreset = None,
    workers: Workers = None,
    engine: OnEngine = EngineName.local,
    ray_address: RayAddress = None,
    set: SetInSection = None,
    keep: Keep = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Leave out the page of the run, report/.")] = False,
    quiet: Quiet = False,
    json: Json = False,
    log_level: LogLevel = None,
    debug: Debug = False,
) -> None:
    """Do everything in a config: make or read the input, deduplicate, tokenise, build all mixtures.

    Run the same command again to resume; finished work is not done again.
    """
    with reported(debug, quiet=quiet or json, log_level=log_level):
        import orjson

        from slimpajama.cli.health import health_lines
        from slimpajama.cli.output import closing_lines, mixture_lines
        from slimpajama.cli.tables import catch_line, summary_table
        from slimpajama.config.presets import config_file
        from slimpajama.config.run import load_run_config
        from slimpajama.dedup.banding import banding
        from slimpajama.engine.choice import EngineChoice
        from slimpajama.pipeline.report import PAGE, REPORT_FOLDER
        from slimpajama.pipeline.run import run_all
        from slimpajama.storage.file_names import SUMMARY_FILE

        flags = {"input": str(input.resolve()) if input else None, "dedup.workers": workers}
        flags["dedup.preset"] = preset and preset.value
        file = config_file(config)
        settings = load_run_config(file, set or (), **flags)
        talks = not quiet and not json
        if talks:
            typer.echo(catch_line(*banding(settings.dedup)), err=True)
        chosen = EngineChoice(engine.value, ray_address)
        with results_only():
            summary = run_all(
                settings, file.parent, output, progress=talks, engine=chosen, keep=keep, report=not no_report
            )
        if json:
            typer.echo(orjson.dumps(summary.as_dict()).decode())
        elif talks:
            typer.echo(summary_table(summary.dedup))
            if health := health_lines(summary.dedup, output / "dedup"):
                typer.echo(f"\n{health}")
            typer.echo(closing_lines(summary.dedup, output / "dedup"))
            typer.echo("\n" + mixture_lines(summary.mixtures, output / "mixtures"))
            typer.echo(f"\n{summary.seconds:.1f} s in all; summary: {output / SUMMARY_FILE}")
            if (page := output / REPORT_FOLDER / PAGE).exists():
                typer.echo(f"report: {page}")
