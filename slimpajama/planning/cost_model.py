"""What a run takes, from what its sample took; nothing but arithmetic.

Each figure of the sample is scaled by what it is in proportion to: text, documents, links or tokens. A sample says
little of duplicates, since both copies of a document are rarely in it: how much of the text is kept is a parameter, and
without it as much as in the sample, which is the most that disk and time can be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slimpajama.config.dedup import Config
from slimpajama.dedup.banding import banding
from slimpajama.dedup.checking.rounds import CHECK, LOOK
from slimpajama.dedup.clustering.external_union_find import BYTES_PER_LINKED, SCRATCH_PER_LINKED, SPILLED_PER_LINKED
from slimpajama.dedup.files.clusters import CLUSTERS_ROW_BYTES
from slimpajama.dedup.files.groups import GROUPS_ROW_BYTES
from slimpajama.dedup.files.layout import BOTH
from slimpajama.dedup.lsh import BYTES_PER_KEY, key_ranges
from slimpajama.dedup.stages.cluster import ClusterStage
from slimpajama.dedup.stages.link import LinkStage
from slimpajama.dedup.stages.order import DEDUP_STAGES
from slimpajama.dedup.stages.sketch import SketchStage
from slimpajama.engine.resources import (
    OTHERS_BYTES,
    WORKER_BYTES,
    memory_bytes,
    task_bytes,
    whole_machine_bytes,
    worker_count,
)
from slimpajama.mixture.stages.build import BuildStage
from slimpajama.planning.calibration import LinkingSpeed
from slimpajama.planning.estimates import Range
from slimpajama.stages.stage import Scale, Stage
from slimpajama.tokens.stages.order import TOKEN_STAGES

__all__ = ["Measured", "RunPlan", "SourceEstimate", "StageCost", "Wanted", "run_plan"]

STAGES: tuple[type[Stage[Any, Any]], ...] = (*DEDUP_STAGES, *TOKEN_STAGES, BuildStage)
"""All stages of a run. Each says itself what it scales with, and whether it is a single task."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the sample took. ``seconds`` of each stage on one core; ``documents``, ``text`` read and ``kept_text`` kept
    by scope, in bytes; ``disk``: bytes of what was written; ``tokens`` of the store, ``mixed`` into a mixture."""

    seconds: Mapping[str, float]
    documents: int
    text: int
    kept_text: Mapping[str, int]
    disk: Mapping[str, int]
    tokens: int
    mixed: int
    linking: LinkingSpeed


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is planned: ``scopes`` of shards, ``mixed`` tokens of all mixtures (``None``: no token store either), the
    share of text ``kept``, if said, and ``nodes`` of ``cores`` each."""

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
    """Core-seconds of one stage; a ``serial`` one runs in one process, whatever the cores."""

    stage: str
    core_seconds: float
    serial: bool


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Bytes, seconds and hours. ``kept``: share of the text, and whether it ``kept_is_said``; ``disk``: by what it is
    for; ``memory``: of one node; ``workers`` of a node; ``reading``: bytes a second that each node reads at most;
    ``notes``: what was assumed that may not be meant."""

    sampled_text: int
    sources: Mapping[str, SourceEstimate]
    kept: float
    kept_is_said: bool
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
        """Parallel stages are divided among all workers, serial ones are not."""
        workers = self.workers * self.nodes
        return sum(cost.core_seconds / (1 if cost.serial else workers) for cost in self.stages) / 3600


def run_plan(config: Config, sources: Mapping[str, SourceEstimate], measured: Measured, wanted: Wanted) -> RunPlan:
    """The plan. ``sources``: by name, and ``total``."""
    documents, text = sources["total"].documents.estimate, sources["total"].text.estimate
    bands, _ = banding(config)
    most_kept = max(measured.kept_text[scope] for scope in wanted.scopes or BOTH) / max(1, measured.text)
    kept = most_kept if wanted.kept is None else wanted.kept
    # Whatever is removed is linked in each band, at the most, to something that is kept.
    links = round(documents * bands * (1 if wanted.kept is None else 1 - kept))
    linked = min(documents, 2 * links // bands)
    by_text = text / max(1, measured.text)
    by_kept_text = by_text * kept / max(1e-9, most_kept)
    by_documents = documents / max(1, measured.documents)
    factors: dict[Scale, float] = {
        "text": by_text,
        "kept text": by_kept_text,
        "documents": by_documents,
        "mixed tokens": (wanted.mixed or 0) / max(1, measured.mixed),
        "fixed": 1.0,
    }
    item, lone = task_bytes(config, wanted.cores), whole_machine_bytes(config, wanted.cores)
    ranges = key_ranges(documents, item)
    costs = {
        SketchStage.title: 0.0,
        LinkStage.title: documents * bands * (measured.linking.linking + ranges * measured.linking.gathering),
        **({} if config.checked else {ClusterStage.title: links * measured.linking.clustering}),
        **{step: measured.seconds[step] * by_text for step in (CHECK, LOOK) if step in measured.seconds},
        **{
            stage.title: measured.seconds[stage.title] * factors[stage.scales_with]
            for stage in STAGES
            if stage.title in measured.seconds
        },
    }
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
        share = measured.kept_text[scope] / max(1, measured.text) if wanted.kept is None else kept
        disk[f"shards, {scope}"] = round(own * share * text)
    if wanted.mixed is not None:
        store = round(measured.disk["tokens"] * by_kept_text)
        disk |= {
            "token store": store,
            "while it is made": store,
            "mixtures": round(measured.disk["mixture"] * factors["mixed tokens"]),
        }
    serial = {stage.title for stage in STAGES if stage.single}
    workers = worker_count(config, wanted.cores)
    processes = workers * WORKER_BYTES + (OTHERS_BYTES if workers > 1 else 0)
    each_range = documents // ranges * BYTES_PER_KEY
    return RunPlan(
        sampled_text=measured.text,
        sources=sources,
        kept=kept,
        kept_is_said=wanted.kept is not None,
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
        stages=[StageCost(name, seconds, name in serial) for name, seconds in costs.items()],
        workers=workers,
        nodes=wanted.nodes,
        reading=sources["total"].disk * workers / max(1e-9, costs[SketchStage.title]),
    )
