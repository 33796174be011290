"""Decontamination in the course of a deduplication: what is done before documents are sketched, and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from slimpajama.config.dedup import Config
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.evaluation_items import evaluation_files
from slimpajama.dedup.stages.evaluation import EvaluationResult, EvaluationStage
from slimpajama.dedup.stages.matches import MatchesStage
from slimpajama.dedup.stages.order import DEDUP_STAGES
from slimpajama.dedup.stages.sketch import SketchResult
from slimpajama.dedup.summary import DecontaminationFigures
from slimpajama.evidence.request import from_anywhere
from slimpajama.logging import LOGGER
from slimpajama.stages.runner import Stages

__all__ = ["gathered_matches", "indexed_items", "refuse_missing_sets", "stage_count", "with_places"]


def with_places(config: Config, folder: Path = Path()) -> Config:
    """With an earlier run and evaluation sets that lie below ``folder``, or here, by absolute paths."""
    changed: dict[str, object] = {"against": from_anywhere(config.against, folder)}
    if config.decontaminate is not None:
        sets = [
            one.model_copy(update={"path": from_anywhere(one.path, folder)}) for one in config.decontaminate.against
        ]
        changed["decontaminate"] = config.decontaminate.model_copy(update={"against": tuple(sets)})
    return config.model_copy(update=changed)


def stage_count(config: Config) -> int:
    """How many stages a deduplication has."""
    return len(DEDUP_STAGES) + (2 if config.decontaminate is not None else 0)


def refuse_missing_sets(config: Config) -> None:
    """Raise :class:`~slimpajama.InputNotFound` for an evaluation set that is not there, before work starts."""
    if config.decontaminate is not None:
        evaluation_files(config.decontaminate)


def indexed_items(dedup: DedupRun, stages: Stages) -> EvaluationResult | None:
    """The index of evaluation items, if any are looked for; tells of items that cannot be."""
    chosen = dedup.config.decontaminate
    if chosen is None:
        return None
    stage = EvaluationStage(dedup, chosen)
    found = stages.run_one(stage, dedup.markers(stage))
    for name in dict.fromkeys(file.set_name for file in found.files_read):
        own = [file for file in found.files_read if file.set_name == name]
        items, without = sum(len(file.lines) for file in own), sum(file.not_checkable for file in own)
        if without and not stages.inspecting:
            LOGGER.warning(
                f"{without:,} of {items:,} items of the evaluation set {name} have fewer than 5 words and are not "
                "looked for; add a field to its fields if they should be longer"
            )
    return found


def gathered_matches(
    dedup: DedupRun, stages: Stages, items: EvaluationResult | None, sketched: Sequence[SketchResult]
) -> DecontaminationFigures | None:
    """The table of documents that hold items, and its figures; without items, what an earlier run left is removed."""
    if items is None:
        stages.remove(dedup.layout.matches)
        return None
    stage = MatchesStage(dedup, items, sketched)
    found = stages.run_one(stage, dedup.markers(stage))
    return DecontaminationFigures(found.documents, found.sets)
