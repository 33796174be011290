"""Arguments and options that several commands have."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from slimpajama.printable import printable

__all__ = [
    "A_PATH",
    "ADedup",
    "ARun",
    "Debug",
    "EngineName",
    "Json",
    "Keep",
    "LogLevel",
    "LogLevelName",
    "Memory",
    "OnEngine",
    "OnePreset",
    "OneScope",
    "OtherInput",
    "PresetChoice",
    "Quiet",
    "RayAddress",
    "ScopeName",
    "SetInSection",
    "Workers",
]


def _path(text: str) -> Path:
    """A path or the URL of a store."""
    from slimpajama.errors import ConfigError
    from slimpajama.storage.paths import path_of

    try:
        return path_of(text)
    except ConfigError as error:
        typer.echo(f"error: {printable(str(error))}", err=True)
        raise typer.Exit(error.exit_code) from error


A_PATH: dict[str, Any] = {"parser": _path, "metavar": "PATH"}

# `global` is a keyword, so these are made from values.
ScopeName = Enum("ScopeName", {"both": "both", "global": "global", "local": "local", "none": "none"}, type=str)
PresetChoice = Enum(
    "PresetChoice",
    {
        "slimpajama": "slimpajama",
        "verified": "verified",
        "quick": "quick",
        "fineweb": "fineweb",
        "dolma3": "dolma3",
        "nemo": "nemo",
    },
    type=str,
)
OneScope = Enum("OneScope", {"global": "global", "local": "local"}, type=str)
LogLevelName = Enum(
    "LogLevelName", {"debug": "debug", "info": "info", "warning": "warning", "error": "error"}, type=str
)
EngineName = Enum("EngineName", {"local": "local", "ray": "ray"}, type=str)

ARun = Annotated[Path, typer.Argument(metavar="RUN", parser=_path, help="Output folder of dedup, mix or run.")]
ADedup = Annotated[Path, typer.Argument(metavar="OUTPUT", parser=_path, help="Output folder of dedup or run.")]
OtherInput = Annotated[Path | None, typer.Option("--input", **A_PATH, help="Folder of shards, over the config's.")]
OnEngine = Annotated[EngineName, typer.Option("--engine", help="Run on this machine, or on a Ray cluster.")]
RayAddress = Annotated[
    str | None, typer.Option(help="Address of a Ray cluster, e.g. auto (default: a Ray of this machine).")
]
OnePreset = Annotated[
    PresetChoice | None,
    typer.Option(
        "--preset",
        help="Settings of a deduplication by one name; a single setting that is given beats it (default: slimpajama).",
    ),
]
Workers = Annotated[int | None, typer.Option(min=1, help="Worker processes (default: one per core).")]
Memory = Annotated[str | None, typer.Option(help="Memory for all workers, e.g. 8GiB (default: half).")]
SetInSection = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="One setting, over the file's; repeatable."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no table; warnings are still shown.")]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON instead of tables.")]
LogLevel = Annotated[
    LogLevelName | None,
    typer.Option(
        "--log-level",
        help="Lines to write to standard error (default: info; with --quiet or --json, warning).",
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Keep = Annotated[
    bool, typer.Option("--keep", help="Refuse to replace finished results that were made with other settings or input.")
]
