"""Write the built-in sample of RedPajama's shape."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from slimpajama.cli.errors import reported
from slimpajama.cli.options import A_PATH, Debug, Json, LogLevel, Quiet, Workers

__all__ = ["sample"]


def sample(
    out: Annotated[
        Path,
        typer.Argument(**A_PATH, help="Folder to write: seven sources, ground truth beside them."),
    ],
    docs: Annotated[int, typer.Option(min=1, help="Documents in all, about 4 KB each.")] = 5000,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other text.")] = 1,
    workers: Workers = None,
    quiet: Quiet = False,
    json: Json = False,
    log_level: LogLevel = None,
    debug: Debug = False,
) -> None:
    """Write the built-in RedPajama-shaped sample: invented text, planted duplicates, ground truth."""
    with reported(debug, quiet=quiet or json, log_level=log_level):
        import dataclasses
        import os

        import orjson
        from tqdm import tqdm

        from slimpajama.engine.local import LocalEngine
        from slimpajama.sample import write_sample

        with (
            LocalEngine(workers or len(os.sched_getaffinity(0))) as engine,
            tqdm(
                desc="sample", unit="B", unit_scale=True, disable=quiet or json or not sys.stderr.isatty(), leave=False
            ) as bar,
        ):

            def advance(size: int) -> None:
                bar.update(size)

            summary = write_sample(out, docs=docs, seed=seed, engine=engine, progress=advance)
        if json:
            typer.echo(orjson.dumps(dataclasses.asdict(summary)).decode())
        elif not quiet:
            typer.echo(
                f"{summary.documents:,} documents, {summary.bytes / 1e6:,.1f} MB of JSONL, {summary.pairs:,} planted "
                f"pairs, {summary.broken} broken lines, in {summary.seconds:.1f} s\n"
                f"sample: {out}\nground truth: {out / '_ground_truth.parquet'}"
            )
