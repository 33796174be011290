"""From a finished deduplication to a token store: survey → tokenizer → tokenise → holdout → shuffle → token store.

A store that was made of the same documents with the same settings is used as it is. One that was not is made anew as a
whole: tokenizer, holdout and shuffle are drawn from all documents. It stays usable until its buckets are replaced, or
its tokenizer, whichever is first. Between holdout and shuffle, documents are read once more to find those that say
nearly what a held-out one says, unless nothing is held out or the setting is 0.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from slimpajama.config.recipe import Recipe
from slimpajama.config.tokens import TokenConfig
from slimpajama.errors import InputError
from slimpajama.logging import LOGGER
from slimpajama.mixture.parts import check_seen
from slimpajama.stages.markers import Markers
from slimpajama.stages.runner import Stages, Unfinished
from slimpajama.stages.written_files import damage_of, written_files
from slimpajama.storage.file_list import files_in
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import path_of
from slimpajama.storage.reading import reading
from slimpajama.tokens.columns import read_values
from slimpajama.tokens.dedup_reader import DedupOutput
from slimpajama.tokens.held_out_rows import write_holdout
from slimpajama.tokens.layout import StoreLayout
from slimpajama.tokens.stages.finish import (
    FinishResult,
    FinishStage,
    KeptFile,
    store_inputs,
)
from slimpajama.tokens.stages.held_out_texts import HeldOutTextsStage
from slimpajama.tokens.stages.holdout import HoldoutResult, HoldoutStage
from slimpajama.tokens.stages.near_held_out import NearHeldOutResult, NearHeldOutStage
from slimpajama.tokens.stages.shared_runs import SharedRunsStage
from slimpajama.tokens.stages.shuffle import BucketResult, ShuffleStage
from slimpajama.tokens.stages.survey import SurveyStage
from slimpajama.tokens.stages.tokenize import TokenizeResult, TokenizeStage
from slimpajama.tokens.stages.tokenizer import TokenizerResult, TokenizerStage
from slimpajama.tokens.store import open_store
from slimpajama.tokens.summary import TokenSummary, in_corpus_order
from slimpajama.tokens.token_run import TokenRun

__all__ = ["make_store"]

MOST_TASK_BYTES = 1 << 30
"""A task is given no more, because it would not be faster."""


def make_store(
    documents: DedupOutput,
    config: TokenConfig,
    out: Path,
    *,
    stages: Stages,
    memory: int,
    recipes: Sequence[Recipe] = (),
) -> TokenSummary:
    """Make the token store ``out`` of the kept documents, or find it made. ``memory``: bytes that a task may hold.

    Raises :class:`ConfigError` where one of ``recipes`` names a value that no document has, before an earlier store is
    given up.
    """
    tokens = TokenRun(documents, config, StoreLayout(out), min(memory, MOST_TASK_BYTES))
    layout = tokens.layout
    began = time.perf_counter()
    finished = _finished(tokens, stages)
    if finished is not None and _hold([file.record(layout) for file in finished.beside], stages):
        return in_corpus_order(finished.summary, documents.sources)
    surveying = SurveyStage(tokens)
    surveyed = stages.run(surveying, tokens.markers(surveying))
    choosing = TokenizerStage(tokens, surveyed)
    tokenizer = stages.run_one(choosing, tokens.markers(choosing))
    if finished is not None and _restored(finished, tokenizer, layout, stages):
        return in_corpus_order(finished.summary, documents.sources)
    early = [] if stages.inspecting else tokens.earlier_tokenizer_warnings(tokenizer.digest)
    _warn(early)
    _remove_if_of_other_ids(layout, tokenizer, stages)
    tokenizing = TokenizeStage(tokens, surveyed, tokenizer)
    tokenized = stages.run(tokenizing, tokens.markers(tokenizing))
    _check_values(recipes, tokenized)
    drawing = HoldoutStage(tokens, tokenized)
    holdout = stages.run_one(drawing, tokens.markers(drawing))
    near = _near_held_out(tokens, tokenized, holdout, stages)
    stages.remove(layout.index)  # the shuffle replaces the buckets of an earlier store
    shuffling = ShuffleStage(tokens, tokenized, holdout, tokenizing.settings, near.contents_file if near else None)
    buckets = stages.run(shuffling, tokens.markers(shuffling))
    seconds = time.perf_counter() - began
    common = near.common if near else {}
    finishing = FinishStage(tokens, surveyed, holdout, tokenizer, tokenized, buckets, seconds, common)
    made = stages.run_one(finishing, tokens.markers(finishing))
    stages.list_files([file.record(layout) for file in made.beside])
    _warn([warning for warning in made.summary.warnings if warning not in early])
    stages.remove_tree(layout.runs)
    _remove_other_buckets(layout, buckets, stages)
    return in_corpus_order(made.summary, documents.sources)


def _check_values(recipes: Sequence[Recipe], tokenized: Sequence[TokenizeResult]) -> None:
    if not any(recipe.split_by for recipe in recipes):
        return
    seen: dict[tuple[str, str], dict[int, str]] = {}
    for result in tokenized:
        for column, values in read_values(path_of(result.values.path)).items() if result.values else ():
            known = seen.setdefault((result.source, column), {})
            known.update((int(value, 16), shown) for value, shown in values.items())
    for recipe in recipes:
        check_seen(recipe, seen)


def _warn(warnings: Sequence[str]) -> None:
    """Said when the store is made; later its summary and the card of the holdout have them."""
    for warning in warnings:
        LOGGER.warning("%s", warning)


def _near_held_out(
    tokens: TokenRun, tokenized: Sequence[TokenizeResult], holdout: HoldoutResult, stages: Stages
) -> NearHeldOutResult | None:
    """The texts that say nearly what a held-out text says; nothing is read where none is to be found."""
    if not tokens.config.holdout_overlap or not any(holdout.shards.values()):
        return None
    held_out = HeldOutTextsStage(tokens, holdout)
    texts = stages.run(held_out, tokens.markers(held_out))
    searching = SharedRunsStage(tokens, tokenized, holdout, texts)
    shared = stages.run(searching, tokens.markers(searching))
    deciding = NearHeldOutStage(tokens, texts, shared)
    return stages.run_one(deciding, tokens.markers(deciding))


def _remove_if_of_other_ids(layout: StoreLayout, tokenizer: TokenizerResult, stages: Stages) -> None:
    """Remove the index of an earlier store whose ids are not those of the tokenizer that lies there now."""
    with contextlib.suppress(InputError):
        if open_store(layout.root).index.tokenizer == tokenizer.tokenizer.digest:
            return
    stages.remove(layout.index)


def _finished(tokens: TokenRun, stages: Stages) -> FinishResult | None:
    """The store of an earlier run, if it was made of the same and still holds."""
    layout = tokens.layout
    markers = Markers(layout.done / FinishStage.name, layout.root, FinishResult)
    result = stages.finished(FinishStage.title, markers, "all", store_inputs(tokens))
    if result is None or not _hold([result.index_file, result.summary_file], stages):
        return None
    return result


def _restored(finished: FinishResult, tokenizer: TokenizerResult, layout: StoreLayout, stages: Stages) -> bool:
    """Whether what was gone beside the buckets of a finished store is there again as it was."""
    if stages.inspecting:
        raise Unfinished(FinishStage.title)
    written = write_holdout(layout, open_store(layout.root).index.sources)
    stages.list_files([written])
    return finished.beside == (KeptFile.of(written, layout), KeptFile.of(tokenizer.file, layout))


def _hold(records: Sequence[FileRecord], stages: Stages) -> bool:
    """Whether these few files of the store are as they were written; damaged ones are removed."""
    damaged = []
    for file in written_files(records):
        with reading(file.path):
            damaged += [file] if damage_of(file) else []
    stages.list_files(records)
    for file in damaged:
        stages.remove(file.path)
    return not damaged


def _remove_other_buckets(layout: StoreLayout, buckets: Sequence[BucketResult], stages: Stages) -> None:
    """Those of an earlier store that had more buckets."""
    current = {layout.relative(file.path) for bucket in buckets for file in bucket.files}
    for name in files_in(layout.root, layout.relative(layout.sources)):
        if name not in current and layout.is_bucket(name):
            stages.remove(layout.root / name)
