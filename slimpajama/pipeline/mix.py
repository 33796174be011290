"""From a finished deduplication to mixtures: token store, then, for each recipe, plan and files."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from slimpajama.config.recipe import Recipe
from slimpajama.config.tokens import TokenConfig
from slimpajama.engine.machine import PeakMemory
from slimpajama.logging import LOGGER
from slimpajama.mixture.card import dataset_card
from slimpajama.mixture.formats.base import MixtureFormat
from slimpajama.mixture.layout import MixtureLayout, is_output_file
from slimpajama.mixture.manifest import MixtureFile, MixtureManifest, MixturePlan, SequenceCounts, StoreUsed
from slimpajama.mixture.plan import Plan, held_out_tokens, plan_from_store, plan_warnings
from slimpajama.mixture.stages.build import BuildStage
from slimpajama.mixture.summary import MixtureSummary
from slimpajama.pipeline.beside_mixture import check_format, write_beside
from slimpajama.pipeline.path_overlap import refuse_overlap
from slimpajama.pipeline.preflight import check_earlier_holdout, check_recipes, check_targets, check_tokenizer
from slimpajama.pipeline.replaced_input import replaced_store
from slimpajama.pipeline.replacement import announce, replaced_mixtures
from slimpajama.pipeline.request import REQUEST, DedupRequest, MixRequest, from_anywhere, last_request, write_request
from slimpajama.pipeline.tokens import make_store
from slimpajama.pipeline.unwritten_shards import unwritten_shards
from slimpajama.planning.disk_need import mixture_bytes, warn_if_full
from slimpajama.registry import MIXTURE_FORMATS
from slimpajama.stages.runner import Stages
from slimpajama.stages.written_files import DamagedFile
from slimpajama.storage.file_list import FileList, files_in, read_file_list, write_file_list
from slimpajama.storage.lock import locked, locked_for_reading
from slimpajama.storage.paths import is_remote, path_of, relative_name
from slimpajama.tokens.dedup_reader import DedupOutput, expect_dedup_output, open_dedup_output
from slimpajama.tokens.holdout import SPLITS
from slimpajama.tokens.layout import TOKENS_FOLDER, StoreLayout
from slimpajama.tokens.stages.order import TOKEN_STAGES
from slimpajama.tokens.store import open_store
from slimpajama.tokens.summary import TokenSummary
from slimpajama.tokens.token_run import TokenRun
from slimpajama.versions import versions

__all__ = ["Mixtures", "make_mixtures", "mix_request"]


@dataclass(frozen=True, slots=True)
class Mixtures:
    """What :func:`make_mixtures` did: the figures of the token store, each recipe's plan, unless it was a dry run the
    figures of its mixture, and the most memory it all took. ``store`` is ``None`` where no mixture was asked for."""

    store: TokenSummary | None
    plans: dict[str, Plan]
    manifests: dict[str, MixtureSummary]
    peak_memory_bytes: int = 0

    def as_dict(self) -> dict[str, object]:
        """The figures as plain values."""
        return {
            "tokens": self.store.as_dict() if self.store else {},
            "mixtures": {name: mixture.as_dict() for name, mixture in self.manifests.items()},
        }


def make_mixtures(
    input: Path,
    recipes: Sequence[Recipe],
    config: TokenConfig,
    output: Path,
    *,
    stages: Stages,
    memory: int,
    format: str = "parquet",
    dry_run: bool = False,
    keep: bool = False,
) -> Mixtures:
    """Make the token store ``output/tokens`` of the deduplication ``input``, or use it, and of each recipe its mixture
    ``output/<name>``.

    All recipes are checked before anything is done and planned before the first is built, so a mistake in the last
    costs nothing. ``input`` is locked before it is looked at. With ``keep``, finished results of other settings are not
    replaced but refused with :class:`~slimpajama.errors.OutputError`. Raises :class:`ConfigError` for a recipe that
    cannot be met, and :class:`~slimpajama.errors.InputNotFound` where ``input`` is no finished deduplication.
    """
    chosen = MIXTURE_FORMATS.get(format)
    written = [TOKENS_FOLDER, *(recipe.name for recipe in recipes)]
    refuse_overlap(input, output, read_as="deduplication", subfolders=written)
    expect_dedup_output(input)
    config = config.model_copy(
        update={"tokenizer": from_anywhere(config.tokenizer), "holdout_from": from_anywhere(config.holdout_from)}
    )
    if stages.inspecting:
        documents = open_dedup_output(input, unwritten_shards)
        _check(documents, recipes, output)
        return _make(documents, recipes, config, output, stages, memory, chosen, dry_run)
    owned = [output / name for name in written]
    with locked_for_reading(input):
        documents = open_dedup_output(input, unwritten_shards)
        _check(documents, recipes, output)
        check_tokenizer(config, output / TOKENS_FOLDER)
        check_earlier_holdout(config, output / TOKENS_FOLDER)
        _check_disk(documents, recipes, output, dry_run)
        request = mix_request(documents.folder, recipes, config, format)
        with contextlib.ExitStack() as holding:
            holding.enter_context(locked(output))
            tokens = TokenRun(documents, config, StoreLayout(output / TOKENS_FOLDER), memory)
            announce([*replaced_mixtures(output, recipes, request, not dry_run), *replaced_store(tokens)], keep)
            holding.enter_context(stages.cleaning(owned))
            write_request(output, request)
            with PeakMemory() as peak:
                try:
                    made = _make(documents, recipes, config, output, stages, memory, chosen, dry_run)
                except DamagedFile as fault:
                    LOGGER.warning("%s: it is made anew", fault.what)
                    made = _make(documents, recipes, config, output, stages, memory, chosen, dry_run)
                _list_files(output, list(made.manifests), stages)
            return replace(made, peak_memory_bytes=peak.bytes)


def mix_request(input: Path, recipes: Sequence[Recipe], config: TokenConfig, format: str) -> MixRequest:
    """The request of these mixtures, as it can be repeated from any folder."""
    return MixRequest(
        input=str(input.resolve()),
        recipes=[recipe.model_dump(mode="json") for recipe in recipes],
        settings=config.model_dump(mode="json"),
        format=format,
    )


def _make(
    documents: DedupOutput,
    recipes: Sequence[Recipe],
    config: TokenConfig,
    output: Path,
    stages: Stages,
    memory: int,
    format: MixtureFormat,
    dry_run: bool,
) -> Mixtures:
    tokens = output / TOKENS_FOLDER
    stages.count = len(TOKEN_STAGES) + len(recipes)
    store_summary = make_store(documents, config, tokens, stages=stages, memory=memory)
    stages.count = len(stages.records) + len(recipes)
    store = open_store(tokens)
    plans = {recipe.name: plan_from_store(store, recipe) for recipe in recipes}
    warnings = {
        recipe.name: plan_warnings(
            recipe, plans[recipe.name], held_out_tokens(store, recipe.scope) if config.holdout else {}
        )
        for recipe in recipes
    }
    if not stages.inspecting:
        for warning in (*store_summary.warnings, *(line for lines in warnings.values() for line in lines)):
            LOGGER.warning("%s", warning)
    manifests = {}
    built = [
        BuildStage(store, recipe, plans[recipe.name], MixtureLayout(output / recipe.name), format) for recipe in recipes
    ]
    for stage in built:
        check_format(stage)
    for recipe, stage in zip(recipes, built, strict=True) if not dry_run else ():
        manifests[recipe.name] = _build(stage, warnings[recipe.name], stages)
    return Mixtures(store_summary, plans, manifests)


def _list_files(output: Path, names: Sequence[str], stages: Stages) -> None:
    """List what the store and these mixtures consist of; mixtures of earlier requests that are there stay listed."""
    store = StoreLayout(output / TOKENS_FOLDER)
    path = store.file_list
    earlier = read_file_list(path) or FileList({}, frozenset())

    def stays(name: str) -> bool:
        folder = name.split("/")[0]
        return folder not in (TOKENS_FOLDER, *names) and MixtureLayout(output / folder).manifest.exists()

    kept = FileList(
        {name: facts for name, facts in earlier.files.items() if stays(name)}, frozenset(filter(stays, earlier.sealed))
    )
    folders = [store.done, *(MixtureLayout(output / name).done for name in names)]
    sealed = [REQUEST, *(file for folder in folders for file in files_in(output, relative_name(folder, output)))]
    write_file_list(path, output, stages.written.values(), sealed, kept)


def _check(documents: DedupOutput, recipes: Sequence[Recipe], output: Path) -> None:
    request = last_request(documents.folder)
    if documents.summary.settings.scope == "none" and isinstance(request, DedupRequest):
        read, written = path_of(request.input), [TOKENS_FOLDER, *(recipe.name for recipe in recipes)]
        refuse_overlap(read, output, read_as="input of the deduplication, of which texts are read,", subfolders=written)
    check_targets(recipes, output)
    global_only = (
        f"{documents.folder} holds only globally deduplicated shards; run slimpajama dedup again with --scope both"
        if documents.scope == "global"
        else ""
    )
    check_recipes(recipes, documents.sources, global_only=global_only)


def _check_disk(documents: DedupOutput, recipes: Sequence[Recipe], output: Path, dry_run: bool) -> None:
    """Of a new output on a disk."""
    if is_remote(output) or (output / REQUEST).exists():
        return
    text = documents.summary.total.of(documents.scope).kept.bytes
    warn_if_full(output, mixture_bytes(text, [] if dry_run else [recipe.tokens for recipe in recipes]))


def _build(stage: BuildStage, warnings: Sequence[str], stages: Stages) -> MixtureSummary:
    began = time.perf_counter()
    store, layout = stage.store, stage.layout
    results = stages.run(stage, stage.markers)
    rows = dict.fromkeys(SPLITS, 0)
    for result in results:
        rows[result.split] += sum(result.sequences.values())
    manifest = MixtureManifest(
        recipe=stage.recipe.model_dump(mode="json"),
        plan=MixturePlan.of(stage.plan),
        store=StoreUsed(store.fingerprint, store.vocabulary, store.end_of_text),
        format=stage.format.name,
        sequences=SequenceCounts(**rows),
        warnings=tuple(warnings),
        empty_splits=tuple(split for split, count in rows.items() if not count),
        files=tuple(
            MixtureFile(
                name=Path(file.path).name,
                bytes=file.bytes,
                blake2b=file.blake2b,
                split=result.split,
                sequences=result.sequences,
                documents=result.documents,
            )
            for result in results
            for file in result.written
        ),
        versions=versions(),
    )
    _remove_outdated(layout, manifest, stages)
    write_beside(stage, manifest, stages)
    stages.write(layout.card, dataset_card(stage.recipe, stage.plan, manifest, stage.format).encode())
    stages.write_json(layout.manifest, msgspec.to_builtins(manifest))
    return MixtureSummary.of(manifest, time.perf_counter() - began)


def _remove_outdated(layout: MixtureLayout, manifest: MixtureManifest, stages: Stages) -> None:
    """Remove the files of mixtures that this manifest does not list, also of one that was never finished."""
    current = {file.name for file in manifest.files}
    for path in layout.root.iterdir():
        if is_output_file(path.name) and path.name not in current:
            stages.remove(path)
