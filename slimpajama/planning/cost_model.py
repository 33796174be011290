"""What a run takes, from what its sample took; nothing but arithmetic.

Stages of a deduplication take so much for each piece, document and byte (:mod:`~slimpajama.planning.stage_rates`), or
for each key, link and linked document; those of a token store are scaled by what they are in proportion to. A sample
says little of duplicates, since both copies of a document are rarely in it: how much of the text is kept is a
parameter, and without it as much as in the sample, which is the most that disk and time can be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from slimpajama.config.dedup import Config
from slimpajama.dedup.banding import banding
from slimpajama.dedup.checking.rounds import CHECK, LOOK
from slimpajama.dedup.clustering.external_union_find import BYTES_PER_LINKED, SCRATCH_PER_LINKED, SPILLED_PER_LINKED
from slimpajama.dedup.files.clusters import CLUSTERS_ROW_BYTES
from slimpajama.dedup.files.groups import GROUPS_ROW_BYTES
from slimpajama.dedup.files.layout import BOTH
from slimpajama.dedup.lsh import BYTES_PER_KEY, key_ranges
from slimpajama.dedup.stages.cluster import ClusterStage
from slimpajama.dedup.stages.decide import DecideStage
from slimpajama.dedup.stages.evaluation import EvaluationStage
from slimpajama.dedup.stages.group import GroupStage
from slimpajama.dedup.stages.link import LinkStage
from slimpajama.dedup.stages.matches import MatchesStage
from slimpajama.dedup.stages.order import DEDUP_STAGES
from slimpajama.dedup.stages.sketch import SketchStage
from slimpajama.dedup.stages.write import WriteStage
from slimpajama.engine.resources import (
    OTHERS_BYTES,
    WORKER_BYTES,
    memory_bytes,
    task_bytes,
    whole_machine_bytes,
    worker_count,
)
from slimpajama.mixture.stages.build import BuildStage
from slimpajama.mixture.stages.shared_holdout import SharedHoldoutStage
from slimpajama.planning.calibration import LinkingSpeed
from slimpajama.planning.estimates import Range
from slimpajama.planning.stage_rates import Observed, rates_of
from slimpajama.stages.stage import Scale, Stage
from slimpajama.tokens.stages.order import TOKEN_STAGES

__all__ = ["Measured", "On", "RunPlan", "SourceEstimate", "StageCost", "Wanted", "run_plan"]

SCREENING: tuple[type[Stage[Any, Any]], ...] = (EvaluationStage, MatchesStage)
"""With decontamination only. What looking documents up costs is in the time of the sketch stage."""

STAGES: tuple[type[Stage[Any, Any]], ...] = (
    *SCREENING,
    *DEDUP_STAGES,
    *TOKEN_STAGES,
    SharedHoldoutStage,
    BuildStage,
)
"""All stages of a run. Each says itself what it scales with, and whether it is a single task."""

On = Literal["all workers", "one machine", "one process"]
"""What runs a stage: all workers of all machines, those of one, or one of them."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What small ``corpora`` took, on one core: one piece of a document, several such, documents of a few words, and
    the sample of the input. ``mixing``: seconds of the stages of token store and mixture, of the sample.

    Of the sample: ``reading``, the seconds to read its lines without looking at them; the ``kept_text`` by scope, in
    bytes; ``disk``, bytes of what was written; ``tokens`` of the store, ``mixed`` into a mixture.
    """

    corpora: tuple[Observed, Observed, Observed, Observed]
    mixing: Mapping[str, float]
    reading: float
    kept_text: Mapping[str, int]
    disk: Mapping[str, int]
    tokens: int
    mixed: int
    linking: LinkingSpeed

    @property
    def sample(self) -> Observed:
        """What the sample took."""
        return self.corpora[-1]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is planned: ``pieces`` to read, ``scopes`` of shards, ``mixed`` tokens of all mixtures (``None``: no token
    store either), the share of text ``kept``, if said, and ``nodes`` of ``cores`` each."""

    pieces: int
    scopes: Sequence[str]
    mixed: int | None
    kept: float | None
    cores: int
    nodes: int


@dataclass(frozen=True, slots=True)
class SourceEstimate:
    """One source, or all: its ``files``, their bytes on ``disk``, and what they hold."""

    files: int
    disk: int
    documents: Range
    text: Range


@dataclass(frozen=True, slots=True)
class StageCost:
    """Core-seconds of one stage, and what runs it."""

    stage: str
    core_seconds: float
    on: On


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Bytes, seconds and hours. ``kept``: share of the text, and whether it ``kept_is_said``; if not, it is that of the
    scope ``kept_scope``, the one of those written that keeps most. ``disk``: by what it is for; ``memory``: of one
    node; ``workers`` of a node; ``reading``: bytes a second that each node reads at most; ``notes``: what was assumed
    that may not be meant."""

    sampled_text: int
    sources: Mapping[str, SourceEstimate]
    kept: float
    kept_is_said: bool
    kept_scope: str
    tokens: int | None
    disk: Mapping[str, int]
    key_ranges: int
    cluster_ranges: int
    memory: Mapping[str, int]
    stages: Sequence[StageCost]
    workers: int
    nodes: int
    reading: float
    notes: Sequence[str] = ()

    @property
    def core_hours(self) -> float:
        """Of all stages."""
        return sum(cost.core_seconds for cost in self.stages) / 3600

    @property
    def wall_hours(self) -> float:
        """The seconds of a stage are divided among the workers that run it."""
        workers: dict[On, int] = {
            "all workers": self.workers * self.nodes,
            "one machine": self.workers,
            "one process": 1,
        }
        return sum(cost.core_seconds / workers[cost.on] for cost in self.stages) / 3600


def run_plan(config: Config, sources: Mapping[str, SourceEstimate], measured: Measured, wanted: Wanted) -> RunPlan:
    """The plan. ``sources``: by name, and ``total``."""
    documents, text = sources["total"].documents.estimate, sources["total"].text.estimate
    bands, _ = banding(config)
    sample = measured.sample
    kept_scope = max(wanted.scopes or BOTH, key=lambda scope: measured.kept_text[scope])
    most_kept = measured.kept_text[kept_scope] / max(1, sample.text)
    kept = most_kept if wanted.kept is None else wanted.kept
    # Whatever is removed is linked in each band, at the most, to something that is kept.
    removed = documents * (1 - kept)
    most_removed = documents if wanted.kept is None else removed
    links, linked = round(most_removed * bands), min(documents, round(2 * most_removed))
    by_text = text / max(1, sample.text)
    by_kept_text = by_text * kept / max(1e-9, most_kept)
    by_documents = documents / max(1, sample.documents)
    factors: dict[Scale, float] = {
        "text": by_text,
        "kept text": by_kept_text,
        "documents": by_documents,
        "mixed tokens": (wanted.mixed or 0) / max(1, measured.mixed),
        "fixed": 1.0,
    }
    item, lone = task_bytes(config, wanted.cores), whole_machine_bytes(config, wanted.cores)
    ranges = key_ranges(documents, item)
    speed = measured.linking
    by_speed = {
        LinkStage.title: documents * bands * (speed.linking + ranges * speed.gathering),
        ClusterStage.title: removed * bands * speed.clustering,
        GroupStage.title: min(documents, 2 * removed) * speed.grouping,
    }
    costs: dict[str, float] = {}
    for stage in STAGES:
        title = stage.title
        if stage in SCREENING:
            if title in sample.seconds:
                costs[title] = sample.seconds[title] * factors[stage.scales_with]
        elif title in sample.seconds:
            rates = rates_of(title, measured.corpora, by_text="text" in stage.scales_with)
            if title in by_speed:
                costs[title] = rates.seconds(wanted.pieces, 0, 0) + by_speed[title]
            else:
                costs[title] = rates.seconds(wanted.pieces, documents, text)
            if title == WriteStage.title:  # what is not kept is read, but no more
                reading = min(rates.text, measured.reading / max(1, sample.text))
                costs[title] += (rates.text - reading) * text * (kept / max(1e-9, most_kept) - 1)
        elif title in measured.mixing:
            costs[title] = measured.mixing[title] * factors[stage.scales_with]
        if title == LinkStage.title and CHECK in sample.seconds:
            costs[CHECK] = sample.seconds[CHECK] * by_text
        if title == DecideStage.title and LOOK in sample.seconds:
            costs[LOOK] = _look_seconds(measured, by_text, wanted.pieces, config.sampled_removals)
    cluster_ranges = max(1, -(-linked * BYTES_PER_LINKED // lone))
    scratch = SCRATCH_PER_LINKED + (SPILLED_PER_LINKED if cluster_ranges > 1 else 0)
    disk = {
        "band keys": round(measured.disk["rows"] * by_documents),
        "links": round(links * measured.linking.link_bytes),
        "clusters, and while they are made": (CLUSTERS_ROW_BYTES + 2 * GROUPS_ROW_BYTES + scratch) * linked,
        "decisions": round(measured.disk["decisions"] * by_documents),
    }
    for scope in wanted.scopes:
        own = measured.disk[scope] / max(1, measured.kept_text[scope])
        share = measured.kept_text[scope] / max(1, sample.text) if wanted.kept is None else kept
        disk[f"shards, {scope}"] = round(own * share * text)
    if wanted.mixed is not None:
        store = round(measured.disk["tokens"] * by_kept_text)
        disk |= {
            "token store": store,
            "while it is made": store,
            "mixtures": round(measured.disk["mixture"] * factors["mixed tokens"]),
        }
    run_by: dict[str, On] = {
        stage.title: "one machine" if stage.threaded else "one process" for stage in STAGES if stage.single
    }
    workers = worker_count(config, wanted.cores)
    processes = workers * WORKER_BYTES + (OTHERS_BYTES if workers > 1 else 0)
    each_range = documents // ranges * BYTES_PER_KEY
    return RunPlan(
        sampled_text=sample.text,
        sources=sources,
        kept=kept,
        kept_is_said=wanted.kept is not None,
        kept_scope=kept_scope,
        tokens=None if wanted.mixed is None else round(measured.tokens * by_kept_text),
        disk=disk,
        key_ranges=ranges,
        cluster_ranges=cluster_ranges,
        memory={
            "setting": memory_bytes(config),
            "reading and writing": processes,
            "linking": processes + workers * each_range,
            "clustering": processes + min(lone, linked * BYTES_PER_LINKED),
        },
        stages=[StageCost(name, seconds, run_by.get(name, "all workers")) for name, seconds in costs.items()],
        workers=workers,
        nodes=wanted.nodes,
        reading=sources["total"].disk * workers / max(1e-9, costs[SketchStage.title]),
    )


def _look_seconds(measured: Measured, by_text: float, pieces: int, removals: int) -> float:
    """As many ``removals`` are looked at in a large corpus as in a small one, but more is read to get to them."""
    sample, rates = measured.sample, rates_of(LOOK, measured.corpora)
    texts = max(0.0, sample.seconds[LOOK] - measured.reading - rates.seconds(sample.pieces, 0, 0))
    return rates.seconds(pieces, 0, 0) + texts + measured.reading * by_text * min(1.0, removals / max(1, pieces))
