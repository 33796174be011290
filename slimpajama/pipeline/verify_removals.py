"""Checking checked removals once more: a seeded sample of each source is compared with what stays, from the texts.

``verify`` changes nothing, so what is put aside lies in a folder of this machine that is removed again. The texts come
from the input, which has to be there still; without it, the rest of the output is checked, and a warning says so.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from slimpajama.config.dedup import Config
from slimpajama.config.loading import checked
from slimpajama.corpus.discovery import discover
from slimpajama.dedup.checking.rounds import PairWork
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.key_index import open_index
from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.dedup.files.manifest import read_manifest
from slimpajama.dedup.removal_sample import RemovalSample
from slimpajama.dedup.stages.sketch import SketchResult, SketchStage
from slimpajama.engine import Engine
from slimpajama.errors import InputError, OutputError
from slimpajama.logging import LOGGER
from slimpajama.pipeline.removal_sample import sample_of_removals
from slimpajama.pipeline.request import DedupRequest, read_request
from slimpajama.pipeline.text_sources import earlier_text_sources, own_text_sources
from slimpajama.stages.progress import Progress
from slimpajama.stages.runner import Stages
from slimpajama.storage.atomic import file_record
from slimpajama.storage.paths import path_of

__all__ = ["removal_findings"]


def removal_findings(folder: Path, engine: Engine, progress: Progress) -> tuple[int, list[str]]:
    """How many removals of the deduplication in ``folder`` were compared again, and which sources have wrong ones.

    None where removals were not checked.
    """
    request = read_request(folder)
    if not isinstance(request, DedupRequest):
        return 0, []
    config = checked(Config, request.settings, str(folder))
    if not config.checked or not config.sampled_removals:
        return 0, []
    try:
        sample = _sample(folder, request.input, config, engine, progress)
    except (InputError, OutputError) as fault:
        LOGGER.warning("%s: removals were not compared again: %s", folder, fault)
        return 0, []
    return sample.looked_at, [
        f"{source.below_threshold:,} of {source.looked_at:,} removals of source {name!r} in {folder} are below the "
        f"threshold {sample.threshold}, the lowest at {source.lowest}: remove decisions/ and work/ and run the same "
        "command again, and report this"
        for name, source in sample.sources.items()
        if source.below_threshold
    ]


def _sample(folder: Path, input: str, config: Config, engine: Engine, progress: Progress) -> RemovalSample:
    earlier = open_index(path_of(config.against)) if config.against else None
    first_shard = earlier.shards if earlier else 0
    corpus = discover(path_of(input), config.sources, config.piece_bytes, first_shard, config.layout)
    layout = DedupLayout(folder, tuple(source.name for source in corpus.sources))
    decided = {part.decisions for part in read_manifest(layout).parts}
    if decided != {layout.relative(layout.decisions(piece)) for piece in corpus.pieces}:
        raise _other_input(corpus.root, folder)
    dedup = DedupRun(corpus, config, layout, earlier)
    sketched = _sketched(dedup)
    decisions = [file_record(layout.decisions(piece)) for piece in corpus.pieces]
    sources = [*own_text_sources(dedup, sketched, forgets=False), *(earlier_text_sources(earlier) if earlier else ())]
    with tempfile.TemporaryDirectory(prefix="slimpajama-") as scratch:
        work = PairWork("verify removals", Path(scratch), Path(scratch) / "done", Path(scratch))
        return sample_of_removals(dedup, Stages(engine, progress), sketched, decisions, sources, work)


def _sketched(dedup: DedupRun) -> list[SketchResult]:
    """What the first pass found. Raises :class:`OutputError` where that is not known any more."""
    markers = dedup.markers(SketchStage(dedup))
    results = [markers.last_result(piece.name) for piece in dedup.corpus.pieces]
    found = [result for result in results if result is not None]
    if len(found) < len(results):
        raise _other_input(dedup.corpus.root, dedup.layout.root)
    return found


def _other_input(input: Path, output: Path) -> OutputError:
    return OutputError(
        f"the input {input} holds other shards than {output} was made of; bring back what it was, or run the "
        "deduplication again"
    )
