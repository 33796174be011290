"""Read every output of a run again and check it."""

from __future__ import annotations

import typer

from slimpajama.cli.errors import NOTHING_CHANGED, reported, results_only
from slimpajama.cli.options import (
    ARun,
    Debug,
    EngineName,
    Json,
    LogLevel,
    Memory,
    OnEngine,
    Quiet,
    RayAddress,
    Workers,
)
from slimpajama.printable import printable

__all__ = ["verify"]


def verify(
    output: ARun,
    workers: Workers = None,
    engine: OnEngine = EngineName.local,
    ray_address: RayAddress = None,
    memory: Memory = None,
    quiet: Quiet = False,
    json: Json = False,
    log_level: LogLevel = None,
    debug: Debug = False,
) -> None:
    """Read every output of a run again and check it: digests, counts, clusters, splits, mixtures against plans.

    Exit code 7 if anything is wrong; each finding says what to do. Changes nothing.
    """
    with reported(debug, NOTHING_CHANGED, quiet=quiet or json, log_level=log_level):
        import dataclasses

        import orjson

        from slimpajama.engine.choice import EngineChoice
        from slimpajama.errors import DamagedOutput
        from slimpajama.pipeline.verify import verify as verify_output

        talks = not quiet and not json
        chosen = EngineChoice(engine.value, ray_address)
        with results_only():
            found = verify_output(output, workers=workers, memory=memory, progress=talks, engine=chosen)
        if json:
            typer.echo(orjson.dumps(dataclasses.asdict(found)).decode())
        else:
            for finding in found.findings:
                typer.echo(printable(finding))
            if talks:
                typer.echo("checked: " + ", ".join(f"{count:,} {what}" for what, count in found.checked.items()))
        if found.findings:
            raise DamagedOutput(f"{len(found.findings):,} finding(s) in {output}, listed above")
        if talks:
            typer.echo("nothing is wrong")
