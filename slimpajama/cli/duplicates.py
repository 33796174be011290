"""List removed documents beside those that stay."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from slimpajama.cli.errors import NOTHING_CHANGED, reported
from slimpajama.cli.options import ADedup, Debug, Json, LogLevel, OneScope

__all__ = ["duplicates"]


class MatchName(str, Enum):
    """How a removed document matches the one that stays."""

    exact = "exact"
    near = "near"


def duplicates(
    output: ADedup,
    source: Annotated[str | None, typer.Option(help="Only documents removed from this source.")] = None,
    kept_in: Annotated[str | None, typer.Option(help="Only where the document that stays is of this source.")] = None,
    scope: Annotated[OneScope | None, typer.Option(help="Scope of deduplication (default: global).")] = None,
    below: Annotated[
        float | None, typer.Option(help="Only pairs whose exact Jaccard similarity is below this, e.g. 0.8.")
    ] = None,
    match: Annotated[MatchName | None, typer.Option(help="Only equal texts, or only others (default: both).")] = None,
    count: Annotated[int, typer.Option("-n", metavar="N", min=1, help="Pairs to list.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws others.")] = 1,
    json: Json = False,
    log_level: LogLevel = None,
    debug: Debug = False,
) -> None:
    """List removed documents, each beside the one that stays for it, with the first words that differ.

    They are drawn by a hash of their ids, so the same command lists the same. Their texts are read from the input; it
    must still be where it was. With --below, up to 1,000 removals (or 20 for each wanted) are compared.
    """
    with reported(debug, NOTHING_CHANGED, quiet=json, log_level=log_level):
        import dataclasses

        import orjson

        from slimpajama.cli.evidence_text import pairs_text
        from slimpajama.evidence.duplicates import duplicates as draw

        found = draw(
            output,
            source=source,
            kept_in=kept_in,
            scope="local" if scope is not None and scope.value == "local" else "global",
            below=below,
            match=None if match is None else "exact" if match is MatchName.exact else "near",
            count=count,
            seed=seed,
        )
        if json:
            typer.echo(orjson.dumps(dataclasses.asdict(found)).decode())
        else:
            typer.echo(pairs_text(found, below))
