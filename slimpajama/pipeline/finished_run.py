"""A finished deduplication as it was run: its corpus, settings and what the first pass found, to read its texts again.

They follow from its request, its input and its markers. The input has to hold the very shards that were deduplicated:
ids are counted from them, so with one shard more or less they would name other documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slimpajama.config.dedup import Config
from slimpajama.config.loading import checked
from slimpajama.corpus.discovery import discover
from slimpajama.corpus.shard_formats import shard_format
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.key_index import open_index
from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.dedup.files.manifest import read_manifest
from slimpajama.dedup.stages.sketch import SketchResult, SketchStage
from slimpajama.errors import InputChanged
from slimpajama.pipeline.request import DedupRequest, read_request
from slimpajama.storage.paths import path_of

__all__ = ["FinishedRun", "finished_run"]


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run that is finished, and what it found in each piece."""

    dedup: DedupRun
    sketched: tuple[SketchResult, ...]


def finished_run(folder: Path) -> FinishedRun:
    """The deduplication in ``folder``.

    Raises :class:`InputError` where its input is not there, and :class:`InputChanged` where it holds other shards.
    """
    request = read_request(folder)
    if not isinstance(request, DedupRequest):
        raise InputChanged(f"{folder} was made by another command than the one its index is of; deduplicate it again")
    config = checked(Config, request.settings, str(folder))
    first_shard = open_index(folder).first_shard
    corpus = discover(path_of(request.input), config.sources, config.piece_bytes, first_shard, config.layout)
    earlier = open_index(path_of(config.against)) if config.against else None
    names = tuple(source.name for source in corpus.sources)
    layout = DedupLayout(folder, names, shard_format(config.shard_format).ending)
    dedup = DedupRun(corpus, config, layout, earlier)
    markers = dedup.markers(SketchStage(dedup))
    results = [markers.last_result(piece.name) for piece in corpus.pieces]
    decided = {part.decisions for part in read_manifest(layout).parts}
    sketched = tuple(result for result in results if result is not None)
    if len(sketched) < len(results) or decided != {layout.relative(layout.decisions(piece)) for piece in corpus.pieces}:
        raise InputChanged(
            f"the input {corpus.root} holds other shards than {folder} was made of; bring back what it was, or run the "
            "deduplication again"
        )
    return FinishedRun(dedup, sketched)
