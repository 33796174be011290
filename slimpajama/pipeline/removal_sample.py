"""Looking at a sample of removals: each is compared exactly with the document that stays for it.

Nobody has to take the word of a run for what it removed. The texts are read again in one pass; beside that, it costs
nothing that shows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slimpajama.config.dedup import Scope
from slimpajama.config.dedup_presets import PRESET_THRESHOLD
from slimpajama.dedup.checking.rounds import PairWork
from slimpajama.dedup.checking.similarity import Means
from slimpajama.dedup.checking.text_sources import TextSource
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.pairs import JudgedPairs, read_pairs
from slimpajama.dedup.removal_sample import RemovalSample
from slimpajama.dedup.stages.estimate import EstimateStage
from slimpajama.dedup.stages.look import SEED, DrawStage, LookStage
from slimpajama.dedup.stages.sketch import SketchResult
from slimpajama.pipeline.checked_clusters import compared_texts
from slimpajama.stages.runner import Stages
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import path_of

__all__ = ["sample_of_removals"]


def sample_of_removals(
    dedup: DedupRun,
    stages: Stages,
    sketched: Sequence[SketchResult],
    decisions: Sequence[FileRecord],
    sources: Sequence[TextSource],
    work: PairWork,
) -> RemovalSample:
    """Compare some removals of each source. ``decisions``: the table on each bundle; ``sources``: of their
    texts."""
    count = dedup.config.sampled_removals
    scope: Scope = "local" if dedup.config.scope == "local" else "global"
    earlier = len(sources) > len(dedup.corpus.bundles)
    looking = LookStage(dedup, decisions, scope, count, earlier, work)
    looked = stages.run(looking, work.markers(looking))
    drawing = DrawStage(dedup, looked, count, work)
    drawn = stages.run_one(drawing, work.markers(drawing))
    estimating = EstimateStage(dedup, sketched, [drawn.table], drawn.pairs, (), work, exact=True)
    estimated = stages.run(estimating, work.markers(estimating))
    text_bytes = sum(result.counts.text_bytes for result in sketched)
    compared = compared_texts(dedup, stages, sources, estimated, text_bytes, work)
    found_documents, similarities = [np.empty(0, dtype=np.uint64)], [np.empty(0)]
    records = [*(result.judged for result in estimated), *(result.judged for result in compared)]
    for judged in (read_pairs(path_of(record.path), JudgedPairs) for record in records):
        settled = judged.means != Means.UNSETTLED
        found_documents.append(judged.documents[settled])
        similarities.append(judged.similarities[settled])
    of_source, every = dedup.sources.reported_of(np.concatenate(found_documents)), np.concatenate(similarities)
    return RemovalSample.of(
        int(SEED),
        dedup.config.threshold or PRESET_THRESHOLD,
        {name: every[of_source == number] for number, name in enumerate(dedup.source_names)},
    )
