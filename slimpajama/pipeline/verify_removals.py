"""Checking checked removals once more: a seeded sample of each source is compared with what stays, from the texts.

``verify`` changes nothing, so what is put aside lies in a folder of this machine that is removed again. The texts come
from the input, which has to be there still; without it, the rest of the output is checked, and a warning says so.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from slimpajama.config.dedup import Config
from slimpajama.config.loading import checked
from slimpajama.dedup.checking.rounds import PairWork
from slimpajama.dedup.removal_sample import RemovalSample
from slimpajama.engine import Engine
from slimpajama.errors import InputError, OutputError
from slimpajama.evidence.request import DedupRequest, read_request
from slimpajama.logging import LOGGER
from slimpajama.pipeline.finished_run import FinishedRun, finished_run
from slimpajama.pipeline.removal_sample import sample_of_removals
from slimpajama.pipeline.text_sources import earlier_text_sources, own_text_sources
from slimpajama.stages.progress import Progress
from slimpajama.stages.runner import Stages
from slimpajama.storage.reading import own_record

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
        sample = _sample(finished_run(folder), engine, progress)
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


def _sample(finished: FinishedRun, engine: Engine, progress: Progress) -> RemovalSample:
    dedup, sketched = finished.dedup, finished.sketched
    decisions = [own_record(dedup.layout.decisions(bundle)) for bundle in dedup.corpus.bundles]
    earlier = earlier_text_sources(dedup.earlier) if dedup.earlier else ()
    sources = [*own_text_sources(dedup, sketched, forgets=False), *earlier]
    with tempfile.TemporaryDirectory(prefix="slimpajama-") as scratch:
        work = PairWork("verify removals", Path(scratch), Path(scratch) / "done", Path(scratch))
        return sample_of_removals(dedup, Stages(engine, progress), sketched, decisions, sources, work)
