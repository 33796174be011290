"""The shards that a run with ``scope: none`` did not write, and what of its input each of them is made of."""

from __future__ import annotations

from pathlib import Path

from slimpajama.dedup.files.layout import BOTH
from slimpajama.dedup.unwritten_shard import UnwrittenShard
from slimpajama.errors import InputChanged, InputError
from slimpajama.pipeline.finished_run import finished_run
from slimpajama.pipeline.text_sources import own_text_sources

__all__ = ["unwritten_shards"]


def unwritten_shards(folder: Path) -> dict[str, UnwrittenShard]:
    """By the path below ``folder`` that each would have.

    Raises :class:`InputChanged` where the input is not there, or holds other shards than were deduplicated.
    """
    try:
        finished = finished_run(folder)
    except InputError as fault:
        raise InputChanged(
            f"{folder} holds decisions alone (scope: none), so texts are read from its input, and that fails: {fault}; "
            "bring the input back, or run slimpajama dedup again"
        ) from fault
    dedup, layout, sketched = finished.dedup, finished.dedup.layout, finished.sketched
    names = dedup.source_names if dedup.config.duplicate_counts else None
    return {
        layout.relative(output.path): UnwrittenShard(
            texts, own.sketches, layout.decisions(texts.bundle), part, output.source, output.scope, names
        )
        for texts, own in zip(own_text_sources(dedup, sketched, forgets=False), sketched, strict=True)
        for part, outputs in enumerate(layout.shards(texts.bundle, len(texts.parts), BOTH))
        for output in outputs
    }
