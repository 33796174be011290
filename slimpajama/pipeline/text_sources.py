"""The pieces whose texts can be read again: those of this run, and those of the runs it is compared with.

An earlier run's pieces are found by its own request, in its own input, which has to be there still: what is stored of a
document tells most pairs apart, but not all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from slimpajama.config.dedup import Config
from slimpajama.config.loading import checked
from slimpajama.corpus.discovery import discover
from slimpajama.dedup.checking.text_sources import TextSource
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.key_index import Index, open_index
from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.dedup.stages.sketch import SketchResult, SketchStage
from slimpajama.errors import InputChanged, InputError
from slimpajama.pipeline.request import DedupRequest, read_request
from slimpajama.storage.paths import path_of

__all__ = ["earlier_text_sources", "own_text_sources"]


def own_text_sources(dedup: DedupRun, sketched: Sequence[SketchResult], *, forgets: bool = True) -> list[TextSource]:
    """The pieces of this run. ``forgets``: what was found in a piece that has changed since is forgotten."""
    sources = [_source(dedup, number, result) for number, result in enumerate(sketched)]
    if not forgets:
        return sources
    markers, layout = dedup.markers(SketchStage(dedup)), dedup.layout
    return [
        replace(
            source,
            sketch_marker=markers.path(source.piece.name),
            sketch_parts=layout.part_markers(SketchStage.name, source.piece),
        )
        for source in sources
    ]


def earlier_text_sources(earlier: Index) -> tuple[TextSource, ...]:
    """The pieces of the run of an index, and of those before it.

    Raises :class:`InputError` where the input of one is not there, or not as that run read it.
    """
    return tuple(source for run in earlier.runs for source in _sources_of_run(path_of(run)))


def _sources_of_run(run: Path) -> list[TextSource]:
    request = read_request(run)
    if not isinstance(request, DedupRequest):
        raise InputChanged(f"{run} was made by another command than the one its index is of; deduplicate it again")
    config = checked(Config, request.settings, str(run))
    try:
        corpus = discover(
            path_of(request.input), config.sources, config.piece_bytes, open_index(run).first_shard, config.layout
        )
    except InputError as fault:
        raise InputChanged(
            f"to check removals, texts of the earlier run in {run} are read again from its input, and that fails: "
            f"{fault}; bring the input back, or set checked=false"
        ) from fault
    dedup = DedupRun(corpus, config, DedupLayout(run, tuple(source.name for source in corpus.sources)))
    markers = dedup.markers(SketchStage(dedup))
    sources = []
    for number, piece in enumerate(corpus.pieces):
        result = markers.last_result(piece.name)
        if result is None:
            raise InputChanged(
                f"{piece.file.path} is not among what the earlier run in {run} read: its input has changed since; "
                "bring back what it was, or run that deduplication again"
            )
        sources.append(_source(dedup, number, result))
    return sources


def _source(dedup: DedupRun, number: int, result: SketchResult) -> TextSource:
    piece = dedup.corpus.pieces[number]
    return TextSource(
        piece=piece,
        reader=dedup.reader,
        fields=dedup.fields,
        normalisation=dedup.config.normalisation,
        rows_file=dedup.layout.rows_file(piece),
        parts=result.parts,
        content=result.content,
    )
