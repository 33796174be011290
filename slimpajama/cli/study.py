"""Train small models on mixtures and measure them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slimpajama.cli.errors import reported, results_only
from slimpajama.cli.options import A_PATH, Debug, Json, LogLevel, Quiet

__all__ = ["study"]


def study(
    config: Annotated[Path, typer.Argument(help="YAML file with the settings of the study.")],
    output: Annotated[Path, typer.Option("--output", **A_PATH, help="Folder for runs, tables and drawings.")],
    input: Annotated[
        Path | None, typer.Option("--input", **A_PATH, help="Output of slimpajama mix or run, over the file's.")
    ] = None,
    ratios: Annotated[
        Path | None,
        typer.Option(help="CSV with a mixture in each row: train on these, and write ratios.csv and metrics.csv."),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time on a CPU, one thread each (default: one per core).")
    ] = None,
    set: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting, over the file's; repeatable.")
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
    log_level: LogLevel = None,
    debug: Debug = False,
) -> None:
    """Train models of a few sizes on mixtures, with several seeds, and compare their losses on each source.

    Needs the extra slimpajama[study]. Run the same command again to resume; finished runs are not done again.
    """
    with reported(debug, quiet=quiet or json, log_level=log_level):
        import msgspec

        from slimpajama.config.study import load_study_config
        from slimpajama.engine.import_guard import admit_all
        from slimpajama.errors import ConfigError

        admit_all()
        flags: dict[str, object] = {"input": None if input is None else str(input), "processes": processes}
        settings = load_study_config(config, set or (), **flags)
        try:
            from slimpajama.study.command import do_study
        except ImportError as fault:
            raise ConfigError(
                f"{fault.name} is not installed, which a study needs; install it with: pip install 'slimpajama[study]'"
            ) from fault
        talks = not quiet and not json

        def told(line: str) -> None:
            if talks:
                typer.echo(line, err=True)

        with results_only():
            found = do_study(settings, output, ratios=ratios, told=told)
        if found is None:  # the first process of torchrun has the results
            return
        if json:
            typer.echo(msgspec.json.encode(found.figures).decode())
        elif not quiet:
            typer.echo(f"{found.text}\n\n{found.places}")
