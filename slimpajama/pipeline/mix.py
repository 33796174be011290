"""From a finished deduplication to mixtures: token store, then, for each recipe, plan and files."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from slimpajama.config.recipe import Recipe
from slimpajama.config.tokens import TokenConfig
from slimpajama.engine.machine import PeakMemory
from slimpajama.errors import ConfigError
from slimpajama.evidence.request import REQUEST, DedupRequest, MixRequest, from_anywhere, last_request, write_request
from slimpajama.logging import LOGGER
from slimpajama.mixture.finished import finished_mixtures
from slimpajama.mixture.formats.base import MixtureFormat
from slimpajama.mixture.holdout_shape import HoldoutShape
from slimpajama.mixture.layout import HOLDOUT_FOLDER, HoldoutLayout, MixtureLayout
from slimpajama.mixture.manifest import held_out_sources
from slimpajama.mixture.packing import Packing
from slimpajama.mixture.packing_shares import PackingShares
from slimpajama.mixture.parts import train_stream
from slimpajama.mixture.plan import Plan, plan_from_store
from slimpajama.mixture.plan_text import HeldOutCounts, plan_warnings
from slimpajama.mixture.planned import PlannedMixture
from slimpajama.mixture.ratios import RATIOS_FILE, ratios_table
from slimpajama.mixture.stages.build import BuildStage
from slimpajama.mixture.stages.shared_holdout import held_out_sequences
from slimpajama.mixture.summary import MixtureSummary
from slimpajama.mixture.train_windows import mixture_packing
from slimpajama.pipeline.beside_mixture import check_format
from slimpajama.pipeline.columns import with_columns_of
from slimpajama.pipeline.mixture_output import (
    build_holdout,
    build_mixture,
    files_of_holdout,
    files_of_mixture,
)
from slimpajama.pipeline.path_overlap import refuse_overlap
from slimpajama.pipeline.preflight import (
    check_earlier_holdout,
    check_packing,
    check_targets,
    check_tokenizer,
    checked_recipes,
)
from slimpajama.pipeline.replaced_input import replaced_store
from slimpajama.pipeline.replacement import announce, replaced_mixtures, stale_mixtures
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
from slimpajama.tokens.layout import TOKENS_FOLDER, StoreLayout
from slimpajama.tokens.stages.order import TOKEN_STAGES
from slimpajama.tokens.store import TokenStore, open_store
from slimpajama.tokens.summary import TokenSummary
from slimpajama.tokens.token_run import TokenRun

__all__ = ["Mixtures", "make_mixtures", "mix_request"]

MOST_SHOWN = 5
"""Recipes that cannot be met, of which an error says why; a swarm may have hundreds."""


@dataclass(frozen=True, slots=True)
class Mixtures:
    """What :func:`make_mixtures` did: the figures of the token store, each recipe's plan, unless it was a dry run the
    figures of its mixture, and the most memory it all took. ``store`` is ``None`` where no mixture was asked for.
    ``held_out``: for each mixture, what the shared holdout has of its shape. ``packing``: of each mixture, what either
    packing does to it."""

    store: TokenSummary | None
    plans: dict[str, Plan]
    held_out: dict[str, HeldOutCounts]
    manifests: dict[str, MixtureSummary]
    packing: dict[str, dict[Packing, PackingShares]]
    peak_memory_bytes: int = 0

    def as_dict(self) -> dict[str, object]:
        """The figures as plain values."""
        return {
            "tokens": self.store.as_dict() if self.store else {},
            "plans": {name: msgspec.to_builtins(plan) for name, plan in self.planned.items()},
            "mixtures": {name: mixture.as_dict() for name, mixture in self.manifests.items()},
        }

    @property
    def planned(self) -> dict[str, PlannedMixture]:
        """The plans by name, with what the shared holdout and either packing mean to them."""
        return {
            name: PlannedMixture.of(plan, self.held_out.get(name), self.packing.get(name, {}))
            for name, plan in self.plans.items()
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
    written = _written(recipes)
    refuse_overlap(input, output, read_as="deduplication", subfolders=written)
    expect_dedup_output(input)
    config = config.model_copy(
        update={"tokenizer": from_anywhere(config.tokenizer), "holdout_from": from_anywhere(config.holdout_from)}
    )
    if stages.inspecting:
        documents = open_dedup_output(input, unwritten_shards)
        recipes = _checked(documents, recipes, output)
        config = with_columns_of(config, recipes, documents.sources, output / TOKENS_FOLDER)
        return _make(documents, recipes, config, output, stages, memory, chosen, dry_run)
    owned = [output / name for name in written]
    with locked_for_reading(input):
        documents = open_dedup_output(input, unwritten_shards)
        recipes = _checked(documents, recipes, output)
        config = with_columns_of(config, recipes, documents.sources, output / TOKENS_FOLDER)
        check_packing(recipes, config)
        check_tokenizer(config, output / TOKENS_FOLDER)
        check_earlier_holdout(config, output / TOKENS_FOLDER)
        _check_disk(documents, recipes, output, dry_run)
        request = mix_request(documents.folder, recipes, config, format)
        with contextlib.ExitStack() as holding:
            holding.enter_context(locked(output))
            tokens = TokenRun(documents, config, StoreLayout(output / TOKENS_FOLDER), memory)
            stale = stale_mixtures(output, () if dry_run else recipes)
            replaced = replaced_mixtures(output, recipes, request, build=not dry_run, stale=stale)
            announce([*replaced, *replaced_store(tokens, stale)], keep)
            holding.enter_context(stages.cleaning(owned))
            write_request(output, _without_plans(request, output) if dry_run else request)
            with PeakMemory() as peak:
                try:
                    made = _make(documents, recipes, config, output, stages, memory, chosen, dry_run)
                except DamagedFile as fault:
                    LOGGER.warning("%s: it is made anew", fault.what)
                    made = _make(documents, recipes, config, output, stages, memory, chosen, dry_run)
                _list_files(output, list(made.manifests), stages)
            return replace(made, peak_memory_bytes=peak.bytes)


def _without_plans(request: MixRequest, output: Path) -> MixRequest:
    """Of a dry run: it asks for the token store, and for no other mixtures than were asked for before."""
    last = last_request(output)
    if isinstance(last, MixRequest):
        return msgspec.structs.replace(request, recipes=last.recipes, format=last.format)
    return msgspec.structs.replace(request, recipes=[])


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
    shapes = [] if dry_run else sorted({HoldoutShape.of(recipe) for recipe in recipes})
    stages.count = len(TOKEN_STAGES) + len(shapes) + len(recipes)
    store_summary = make_store(documents, config, tokens, stages=stages, memory=memory, recipes=recipes)
    stages.count = len(stages.records) + len(shapes) + len(recipes)
    store = open_store(tokens)
    plans = _plans(store, recipes)
    counts = {shape: held_out_sequences(store, shape) for shape in {HoldoutShape.of(recipe) for recipe in recipes}}
    held_out: dict[str, HeldOutCounts] = {recipe.name: counts[HoldoutShape.of(recipe)] for recipe in recipes}
    drawn = any(count for split in held_out_sequences(store, HoldoutShape(1)).values() for count in split.values())
    how = store_summary.holdout.how
    warnings = {
        recipe.name: plan_warnings(recipe, plans[recipe.name], held_out[recipe.name] if drawn else {}, how)
        for recipe in recipes
    }
    if not stages.inspecting:
        for warning in (line for lines in warnings.values() for line in lines):  # those of the store are said already
            LOGGER.warning("%s", warning)
    manifests = {}
    built = [
        BuildStage(store, recipe, plans[recipe.name], MixtureLayout(output / recipe.name), format) for recipe in recipes
    ]
    for stage in built:
        check_format(stage)
    if shapes:
        shared = HoldoutLayout(output / HOLDOUT_FOLDER)
        build_holdout(store, shapes, shared, format, stages, store_summary.warnings)
    for stage in built if not dry_run else ():
        recipe = stage.recipe
        measured = held_out_sources(stage.plan, held_out[recipe.name])
        manifests[recipe.name] = build_mixture(stage, measured, warnings[recipe.name], stages)
    if manifests and not stages.inspecting:
        stages.write(
            output / RATIOS_FILE, ratios_table(finished_mixtures(output, store.fingerprint), store.sources).encode()
        )
    packing = {
        recipe.name: mixture_packing(
            store, [(train_stream(recipe, one.name), one.sequences) for one in plans[recipe.name].sources]
        )
        for recipe in (recipes if not stages.inspecting else ())  # status prints no plans
    }
    return Mixtures(store_summary, plans, held_out if drawn else {}, manifests, packing)


def _plans(store: TokenStore, recipes: Sequence[Recipe]) -> dict[str, Plan]:
    """The plan of each recipe. Raises :class:`ConfigError` with what is wrong with any of them."""
    plans, wrong = {}, []
    for recipe in recipes:
        try:
            plans[recipe.name] = plan_from_store(store, recipe)
        except ConfigError as fault:
            wrong.append(str(fault))
    if wrong:
        more = f"; and {len(wrong) - MOST_SHOWN:,} more recipes cannot be met" if len(wrong) > MOST_SHOWN else ""
        raise ConfigError("; ".join(wrong[:MOST_SHOWN]) + more)
    return plans


def _list_files(output: Path, names: Sequence[str], stages: Stages) -> None:
    """List what the store, the holdout and these mixtures consist of. Mixtures of earlier requests that are there stay
    listed, and so do files of these mixtures in other formats."""
    store = StoreLayout(output / TOKENS_FOLDER)
    path = store.file_list
    earlier = read_file_list(path) or FileList({}, frozenset())
    # Without a mixture no holdout is built: the one that is there stays listed, of whatever store it is.
    owned = (TOKENS_FOLDER, HOLDOUT_FOLDER, *names) if names else (TOKENS_FOLDER,)
    kept = {f"{name}/{file}" for name in names for file in files_of_mixture(output / name)}
    kept |= {f"{HOLDOUT_FOLDER}/{file}" for file in files_of_holdout(output / HOLDOUT_FOLDER)}

    def stays(name: str) -> bool:
        folder = name.split("/")[0]
        if folder in owned:
            return name in kept
        return MixtureLayout(output / folder).manifest.exists()

    listed = FileList(
        {name: facts for name, facts in earlier.files.items() if stays(name)}, frozenset(filter(stays, earlier.sealed))
    )
    folders = [store.done, HoldoutLayout(output / HOLDOUT_FOLDER).done]
    folders += [MixtureLayout(output / name).done for name in names]
    sealed = [REQUEST, *(file for folder in folders for file in files_in(output, relative_name(folder, output)))]
    write_file_list(path, output, stages.written.values(), sealed, listed)


def _written(recipes: Sequence[Recipe]) -> list[str]:
    """The folders of an output that mixtures of ``recipes`` write."""
    return [TOKENS_FOLDER, HOLDOUT_FOLDER, *(recipe.name for recipe in recipes)]


def _checked(documents: DedupOutput, recipes: Sequence[Recipe], output: Path) -> list[Recipe]:
    """The recipes with their sources by the names they have here. Raises where one of them cannot be met."""
    request = last_request(documents.folder)
    if documents.summary.settings.scope == "none" and isinstance(request, DedupRequest):
        read, written = path_of(request.input), _written(recipes)
        refuse_overlap(read, output, read_as="input of the deduplication, of which texts are read,", subfolders=written)
    check_targets(recipes, output)
    global_only = (
        f"{documents.folder} holds only globally deduplicated shards; run slimpajama dedup again with --scope both"
        if documents.scope == "global"
        else ""
    )
    set_names = {source.name: source.set_name for source in documents.summary.settings.sources}
    return checked_recipes(recipes, documents.sources, set_names, global_only=global_only)


def _check_disk(documents: DedupOutput, recipes: Sequence[Recipe], output: Path, dry_run: bool) -> None:
    """Of a new output on a disk."""
    if is_remote(output) or (output / REQUEST).exists():
        return
    text = documents.summary.total.of(documents.scope).kept.bytes
    warn_if_full(output, mixture_bytes(text, [] if dry_run else [recipe.budget or 0 for recipe in recipes]))
