"""``slimpajama plan CONFIG``: what a run will take, before days and disks are spent on it.

A sample of the input goes through the very stages of a run, in one process with its kernels loaded, in a temporary
folder, and so do small corpora that are made, which tell what a piece takes and what a document. Nothing is written
elsewhere.
"""

from __future__ import annotations

import importlib
import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from slimpajama.config.dedup import Config
from slimpajama.config.loading import checked
from slimpajama.config.recipe import Recipe
from slimpajama.config.run import RunConfig
from slimpajama.config.sizes import size_in_bytes
from slimpajama.config.tokens import TokenConfig
from slimpajama.corpus.discovery import Corpus, discover
from slimpajama.corpus.left_out import report_left_out
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.records import read_records
from slimpajama.dedup.banding import banding
from slimpajama.dedup.files.layout import BOTH, DedupLayout, scopes_written
from slimpajama.dedup.files.manifest import read_manifest
from slimpajama.dedup.stages.sketch import SketchStage
from slimpajama.dedup.summary import DedupSummary
from slimpajama.engine.local import LocalEngine
from slimpajama.engine.resources import worker_count
from slimpajama.errors import ConfigError
from slimpajama.logging import captured
from slimpajama.mixture.stages.build import BuildStage
from slimpajama.mixture.stages.shared_holdout import SharedHoldoutStage
from slimpajama.pipeline.decontamination import refuse_missing_sets
from slimpajama.pipeline.dedup import deduplicate_on
from slimpajama.pipeline.mix import make_mixtures
from slimpajama.pipeline.preflight import check_tokenizer, checked_recipes
from slimpajama.pipeline.run import located, recipes_of, run_config, source_of
from slimpajama.planning.calibration import linking_speed
from slimpajama.planning.cost_model import Measured, RunPlan, SourceEstimate, Wanted, run_plan
from slimpajama.planning.disk_need import text_bytes
from slimpajama.planning.estimates import Counted, extrapolated
from slimpajama.planning.made_corpora import write_documents, write_pieces
from slimpajama.planning.sampling import SampledFile, draw_sample, strata_of
from slimpajama.planning.stage_rates import Observed
from slimpajama.sample import write_sample
from slimpajama.stages.progress import SILENT, Progress, progress_for
from slimpajama.stages.runner import Stages, step_of
from slimpajama.storage.reading import reading
from slimpajama.tokens.layout import TOKENS_FOLDER, StoreLayout
from slimpajama.tokens.selection import Selection
from slimpajama.tokens.store import open_store

__all__ = ["Assumptions", "plan", "plan_run"]

SAMPLE_TEXT = 50_000_000
MOST_TEXT = 200_000_000
"""Bytes of text that are sampled: at least (of a corpus that has so much) and at most; in between, 1 %."""

MADE_PIECES = 32
MADE_DOCUMENTS = 1 << 17
"""In the corpus of documents that is made, at most: so many for an input of 130 MB of text, fewer for a smaller one."""

KEYED_DOCUMENTS = 8
"""For each of these, documents that are keys alone, to measure linking and clustering."""

SEED = 1
FEWEST_SEQUENCES, MOST_MIXED = 64, 16_000_000
"""Of the mixture that is made of the sample: sequences, and tokens."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What a plan is told rather than measures: the machines, how much there is if the input is only a part of it,
    and the share of text that will be kept."""

    cores: int | None = None
    nodes: int = 1
    text: int | None = None
    documents: int | None = None
    kept: float | None = None


def plan(
    config: RunConfig | str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
    cores: int | None = None,
    nodes: int = 1,
    text: int | str | None = None,
    documents: int | None = None,
    kept: float | None = None,
    progress: bool | Progress = False,
) -> RunPlan:
    """Estimate a run's documents, tokens, disk, memory and hours from a sample of its input; nothing is kept.

    ``config``, ``settings`` and ``folder`` are those of :func:`run`. ``cores`` and ``nodes``: the machines. ``text``
    (bytes or ``"4.9TB"``) and ``documents``: the full size, if the input is only a part of the corpus. ``kept``: the
    share of the text that deduplication will keep, if you know it. Raises :class:`~slimpajama.SlimpajamaError`.
    """
    for name, value in (("cores", cores), ("nodes", nodes), ("documents", documents)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} is {value}; it must be at least 1")
    if kept is not None and not 0 <= kept <= 1:
        raise ConfigError(f"kept is {kept}; it is a share of the text, from 0 to 1")
    chosen, beside = run_config(config, settings, folder)
    size = size_in_bytes(text, "text") if isinstance(text, str) else text
    return plan_run(chosen, beside, Assumptions(cores, nodes, size, documents, kept), progress=progress_for(progress))


def plan_run(config: RunConfig, folder: Path, assumptions: Assumptions, *, progress: Progress = SILENT) -> RunPlan:
    """Plan the run of ``config``, whose paths are relative to ``folder``. Raises what discovering the input raises."""
    config = located(config, folder)
    recipes = recipes_of(config.mixtures, folder)
    with tempfile.TemporaryDirectory(prefix="slimpajama-plan-") as name, LocalEngine(1) as engine:
        scratch = Path(name)
        source = source_of(config, folder, scratch)
        if config.sample is not None:
            write_sample(
                source, docs=config.sample.docs, seed=config.sample.seed, engine=engine, progress=lambda size: None
            )
        corpus = discover(source, config.dedup.sources, config.dedup.piece_bytes, layout=config.dedup.layout)
        refuse_missing_sets(config.dedup)
        report_left_out(corpus, config.dedup.strict_input)
        if recipes:
            set_names = {one.name: one.set_name for one in corpus.sources}
            recipes = checked_recipes(recipes, tuple(set_names), set_names)
            check_tokenizer(config.tokens, scratch)
        expanded = text_bytes(corpus.files)
        part = min(MOST_TEXT, max(SAMPLE_TEXT, expanded // 100)) / max(1, expanded)
        wanted = round(part * sum(file.size for file in corpus.files))
        sampled = draw_sample(corpus, wanted, scratch / "sample", SEED)
        stages = Stages(engine, progress)
        made = min(MADE_DOCUMENTS, 1000 + expanded // 1000)
        measured = _measure(with_found_sources(config, corpus), recipes, scratch, stages, made)
        found = _sources(corpus, sampled, _held(scratch / "out"))
        sources = _scaled(found, assumptions)
        larger = sources["total"].text.estimate / max(1, found["total"].text.estimate)
        told = Wanted(
            pieces=round(len(corpus.bundles) * larger),
            scopes=scopes_written(config.dedup.scope),
            mixed=sum(recipe.budget or 0 for recipe in recipes) if recipes else None,
            kept=assumptions.kept,
            cores=assumptions.cores or worker_count(config.dedup),
            nodes=assumptions.nodes,
        )
        return replace(
            run_plan(config.dedup, sources, measured, told), notes=_notes(config.dedup, recipes, assumptions)
        )


def _notes(config: Config, recipes: Sequence[Recipe], assumptions: Assumptions) -> list[str]:
    notes = [
        f"the recipe {recipe.name} takes epochs of its sources and no budget, so its tokens are not in these figures"
        for recipe in recipes
        if recipe.budget is None
    ]
    if assumptions.text or assumptions.documents:
        notes.append("text and documents in all are as said, and divided among the sources as what lies here is")
    if assumptions.cores and config.workers is not None and config.workers < assumptions.cores:
        notes.append(f"the config sets workers to {config.workers}, so the other cores of {assumptions.cores} are idle")
    if assumptions.cores and config.memory is None:
        notes.append("the config sets no memory, so that of this machine is assumed")
    return notes


def with_found_sources(config: RunConfig, corpus: Corpus) -> RunConfig:
    """With the sources of ``corpus`` as configured ones: a sample of it has other folders and other first records."""
    sources = [source.model_dump() for source in corpus.sources]
    if corpus.in_records:
        sources = [{"name": source.name, "set_name": source.set_name} for source in corpus.sources]
    found = {"sources": sources, "layout": "records" if corpus.in_records else "folders", "strict_input": False}
    return config.model_copy(update={"dedup": checked(Config, config.dedup.model_dump() | found, "settings")})


def _measure(config: RunConfig, recipes: Sequence[Recipe], scratch: Path, stages: Stages, made: int) -> Measured:
    """Run all stages over the sample, and those of a deduplication over the corpora that are made.

    ``made``: documents of the largest of these.
    """
    for module in ("slimpajama.dedup.compiled", "slimpajama.tokens.compiled"):
        importlib.import_module(module)
    bands, _ = banding(config.dedup)
    speed = linking_speed(scratch, bands, KEYED_DOCUMENTS * made)
    out = scratch / "out"
    settings = config.dedup.model_copy(update={"workers": 1, "memory": None, "against": None})
    plain = settings.model_copy(
        update={
            "sources": (),
            "layout": "folders",
            "text_field": "text",
            "id_field": None,
            "prefer": ("source",),
            "max_removed_fraction": None,
            "strict_input": False,
        }
    )
    write_pieces(scratch / "piece", 1)
    write_pieces(scratch / "pieces", MADE_PIECES)
    write_documents(scratch / "documents", made)
    with captured(logging.WARNING):  # a warning would be of what is made
        _observed(plain, scratch / "piece", scratch / "loading-out", stages)  # loads what is loaded once
        piece, pieces, documents = (
            _observed(plain, scratch / name, scratch / f"{name}-out", stages)[0]
            for name in ("piece", "pieces", "documents")
        )
    sample, summary = _observed(settings, scratch / "sample", out, stages)
    mixing: dict[str, float] = {}
    tokens = mixed = 0
    if recipes:
        mixing, tokens, mixed = _measure_mixing(config.tokens, recipes[0], scratch, stages)
    return Measured(
        corpora=(piece, pieces, documents, sample),
        mixing=mixing,
        reading=_reading_seconds(settings, scratch / "sample"),
        kept_text={scope: summary.total.of(scope).kept.bytes for scope in BOTH},
        disk={
            "rows": _size(DedupLayout(out).rows),
            "decisions": _size(out / "decisions"),
            "global": _size(out / "global"),
            "local": _size(out / "local"),
            "tokens": _size(StoreLayout(scratch / "mix" / TOKENS_FOLDER).sources),
            "mixture": _size(scratch / "mix" / "mixture", "train-*"),
        },
        tokens=tokens,
        mixed=mixed,
        linking=speed,
    )


def _observed(config: Config, input: Path, output: Path, stages: Stages) -> tuple[Observed, DedupSummary]:
    """Deduplicate a small corpus, and see what that takes."""
    own = Stages(stages.engine, stages.progress)
    summary = deduplicate_on(own, input, output, config)
    seconds: dict[str, float] = {}
    for name, record in own.records.items():
        seconds[step_of(name)] = seconds.get(step_of(name), 0.0) + record.seconds
    read = summary.total.read
    return Observed(own.records[SketchStage.title].items, read.documents, read.bytes, seconds), summary


def _reading_seconds(config: Config, folder: Path) -> float:
    """What it takes to read all records below a folder, without looking at lines where records are lines."""
    reader = LineReader(config.max_document_bytes, config.truncated)
    began = time.perf_counter()
    for piece in discover(folder, config.sources, config.piece_bytes, layout=config.layout).pieces:
        lines = hasattr(piece.file.format, "open_lines")
        for _ in reader.blocks(piece) if lines else read_records(piece, reader):
            pass
    return time.perf_counter() - began


def _measure_mixing(
    config: TokenConfig, recipe: Recipe, scratch: Path, stages: Stages
) -> tuple[dict[str, float], int, int]:
    """Seconds of the stages of the store and of ``mixtures``, the store's tokens, and those of the mixture."""
    of_store, of_mixture = Stages(stages.engine, stages.progress), Stages(stages.engine, stages.progress)
    # Warnings would be of the sample, not of the run.
    with captured(logging.WARNING):
        make_mixtures(scratch / "out", [], config, scratch / "mix", stages=of_store, memory=1 << 28)
    store = open_store(scratch / "mix" / TOKENS_FOLDER)
    available = {name: store.stream(name, "train", Selection("local")).tokens for name in store.sources}
    # What a token takes does not depend on the proportions, and a source may have next to nothing in the sample.
    length = recipe.sequence_length
    mixed = min(MOST_MIXED, max(FEWEST_SEQUENCES * length, sum(available.values())))
    asked = {"name": "mixture", "rule": "proportional", "tokens": mixed, "sequence_length": length, "max_epochs": 1e9}
    small = checked(Recipe, asked, "the recipe that is measured")
    with captured(logging.WARNING):
        make_mixtures(scratch / "out", [small], config, scratch / "mix", stages=of_mixture, memory=1 << 28)
    seconds = {name: record.seconds for name, record in of_store.records.items()}
    for name, record in of_mixture.records.items():
        if step_of(name) == SharedHoldoutStage.title:
            seconds[SharedHoldoutStage.title] = record.seconds
    seconds[BuildStage.title] = of_mixture.records["mix mixture"].seconds
    return seconds, sum(available.values()), mixed


def _held(out: Path) -> dict[str, dict[str, tuple[int, int]]]:
    """By input file and source, documents and bytes of text that were read."""
    held: dict[str, dict[str, tuple[int, int]]] = {}
    for name in dict.fromkeys(part.decisions for part in read_manifest(DedupLayout(out)).parts):
        with reading(out / name):
            table = pq.read_table(out / name, columns=["shard", "source", "bytes"])
        for row in table.group_by(["shard", "source"]).aggregate([("bytes", "sum"), ("bytes", "count")]).to_pylist():
            documents, size = held.setdefault(row["shard"], {}).get(row["source"], (0, 0))
            held[row["shard"]][row["source"]] = (documents + row["bytes_count"], size + row["bytes_sum"])
    return held


def _size(folder: Path, pattern: str = "*") -> int:
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())


def _sources(
    corpus: Corpus, sampled: Sequence[SampledFile], held: Mapping[str, Mapping[str, tuple[int, int]]]
) -> dict[str, SourceEstimate]:
    """What each source holds, and all."""
    strata = strata_of(corpus)
    sizes = {stratum: sum(file.size for file in files) for stratum, files in strata.items()}
    counted = [Counted(one.stratum, one.size, one.taken, held.get(one.relative, {})) for one in sampled]
    names = [source.name for source in corpus.sources]
    found = {}
    for name, (documents, text) in extrapolated(counted, sizes, names, SEED).items():
        own = [number for number in sizes if name == "total" or number in (-1, names.index(name))]
        files = sum(len(strata[number]) for number in own)
        disk = sum(sizes[number] for number in own)
        found[name] = SourceEstimate(files, disk, documents, text)
    return found


def _scaled(sources: Mapping[str, SourceEstimate], assumptions: Assumptions) -> dict[str, SourceEstimate]:
    """To the text and documents that are said, if they are."""
    total = sources["total"]
    by_text = assumptions.text / max(1, total.text.estimate) if assumptions.text else 1.0
    by_documents = assumptions.documents / max(1, total.documents.estimate) if assumptions.documents else by_text
    if by_text == by_documents == 1.0:
        return dict(sources)
    return {
        name: SourceEstimate(
            own.files, round(own.disk * by_text), own.documents.times(by_documents), own.text.times(by_text)
        )
        for name, own in sources.items()
    }
