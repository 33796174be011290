"""Explain the verdict on one document."""

from __future__ import annotations

from typing import Annotated

import typer

from slimpajama.cli.errors import NOTHING_CHANGED, reported
from slimpajama.cli.options import ADedup, Debug, Json, LogLevel

__all__ = ["explain"]


def explain(
    output: ADedup,
    document: Annotated[
        str,
        typer.Argument(
            help="An id (decimal or 0x…), SHARD:LINE, SHARD@POSITION, or the record's own id if the run had id_field."
        ),
    ],
    members: Annotated[
        int, typer.Option(metavar="N", min=0, help="List N documents of its global cluster; searches all decisions.")
    ] = 0,
    json: Json = False,
    log_level: LogLevel = None,
    debug: Debug = False,
) -> None:
    """Explain what was decided on a document, and show it beside the one that stays.

    Shards are named as below the input, lines are counted from 1. The two texts are read from the input, which must
    still be where it was; their similarity is computed from them, not taken from the run. Changes nothing.
    """
    with reported(debug, NOTHING_CHANGED, quiet=json, log_level=log_level):
        import dataclasses

        import orjson

        from slimpajama.cli.evidence_text import explanation_text
        from slimpajama.pipeline.explain import explain as explain_document

        found = explain_document(output, document, members=members)
        if json:
            typer.echo(orjson.dumps(dataclasses.asdict(found)).decode())
        else:
            typer.echo(explanation_text(found))
