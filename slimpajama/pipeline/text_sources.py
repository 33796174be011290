"""The bundles whose texts can be read again: those of this run, and those of the runs it is compared with.

An earlier run's bundles are found by its own request, in its own input, which has to be there still: what is stored of
a document tells most pairs apart, but not all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from slimpajama.dedup.checking.text_sources import TextSource
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.key_index import Index
from slimpajama.dedup.stages.sketch import SketchResult, SketchStage
from slimpajama.errors import InputChanged, InputError
from slimpajama.pipeline.finished_run import finished_run
from slimpajama.storage.paths import path_of

__all__ = ["earlier_text_sources", "own_text_sources"]


def own_text_sources(dedup: DedupRun, sketched: Sequence[SketchResult], *, forgets: bool = True) -> list[TextSource]:
    """The bundles of this run. ``forgets``: what was found in one that has changed since is forgotten."""
    sources = [_source(dedup, number, result) for number, result in enumerate(sketched)]
    if not forgets:
        return sources
    markers, layout = dedup.markers(SketchStage(dedup)), dedup.layout
    return [
        replace(
            source,
            sketch_marker=markers.path(source.bundle.name),
            sketch_parts=layout.part_markers(SketchStage.name, source.bundle),
        )
        for source in sources
    ]


def earlier_text_sources(earlier: Index) -> tuple[TextSource, ...]:
    """The bundles of the run of an index, and of those before it.

    Raises :class:`InputError` where the input of one is not there, or not as that run read it.
    """
    return tuple(source for run in earlier.runs for source in _sources_of_run(path_of(run)))


def _sources_of_run(run: Path) -> list[TextSource]:
    try:
        finished = finished_run(run)
    except InputError as fault:
        raise InputChanged(
            f"to check removals, texts of the earlier run in {run} are read again from its input, and that fails: "
            f"{fault}; bring the input back, or set checked=false"
        ) from fault
    return own_text_sources(finished.dedup, finished.sketched, forgets=False)


def _source(dedup: DedupRun, number: int, result: SketchResult) -> TextSource:
    bundle = dedup.corpus.bundles[number]
    return TextSource(
        bundle=bundle,
        reader=dedup.reader,
        fields=dedup.fields,
        normalisation=dedup.config.normalisation,
        rows_file=dedup.layout.rows_file(bundle),
        parts=result.parts,
        content=result.content,
    )
