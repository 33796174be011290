"""From a finished deduplication to mixtures: token store, then, for each recipe, plan and files."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from slimpajama.config.recipe import Recipe
from slimpajama.config.tokens import TokenConfig
from slimpajama.engine.machine import PeakMemory
from slimpajama.logging import LOGGER
from slimpajama.mixture.card import dataset_card
from slimpajama.mixture.formats.base import MixtureFormat, mixture_format
from slimpajama.mixture.output_files import file_items, held_out_tokens, is_output_file, plan_from_store
from slimpajama.mixture.plan import Plan, plan_warnings
from slimpajama.mixture.stages import build
from slimpajama.mixture.stages.build import FileItem, build_file
from slimpajama.pipeline.path_overlap import refuse_overlap
from slimpajama.pipeline.preflight import check_recipes, check_targets, check_tokenizer
from slimpajama.pipeline.replacement import announce, replaced_mixtures
from slimpajama.pipeline.request import REQUEST, from_anywhere, write_request
from slimpajama.pipeline.tokens import make_store
from slimpajama.planning.disk_need import SHARD_EXPANSION, mixture_bytes, warn_if_full
from slimpajama.stages.markers import Markers
from slimpajama.stages.runner import PlainResult, Stages
from slimpajama.stages.written_files import DamagedFile, WrittenFile
from slimpajama.storage.file_list import FILE_LIST, FileList, files_in, read_file_list, write_file_list
from slimpajama.storage.lock import locked, locked_for_reading
from slimpajama.storage.paths import is_remote
from slimpajama.tokens.dedup_reader import DedupOutput, expect_dedup_output, open_dedup_output
from slimpajama.tokens.holdout import SPLITS
from slimpajama.tokens.store import TokenStore, bucket_paths, open_store
from slimpajama.versions import versions

__all__ = ["Mixtures", "make_mixtures", "mix_arguments"]

STORE_STAGES = 7
REMAKE_STORE = "remove it and run the same command again: the token store is made anew"


@dataclass(frozen=True, slots=True)
class Mixtures:
    """What :func:`make_mixtures` did: the token store's ``summary``, each recipe's ``plan``, unless it was a dry
    run its ``manifest``, and the most memory it all took."""

    store: dict[str, Any]
    plans: dict[str, Plan]
    manifests: dict[str, dict[str, Any]]
    peak_memory_bytes: int = 0


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
    chosen = mixture_format(format)
    written = ["tokens", *(recipe.name for recipe in recipes)]
    refuse_overlap(input, output, read_as="deduplication", subfolders=written)
    expect_dedup_output(input)
    config = config.model_copy(update={"tokenizer": from_anywhere(config.tokenizer)})
    if stages.inspecting:
        documents = open_dedup_output(input)
        _check(documents, recipes, output)
        return _make(documents, recipes, config, output, stages, memory, chosen, dry_run)
    owned = [output / name for name in written]
    with locked_for_reading(input):
        documents = open_dedup_output(input)
        _check(documents, recipes, output)
        check_tokenizer(config, output / "tokens")
        _check_disk(documents, recipes, output, dry_run)
        request = mix_arguments(documents.folder, recipes, config, format)
        with contextlib.ExitStack() as holding:
            holding.enter_context(locked(output))
            announce(replaced_mixtures(output, recipes, request, not dry_run), keep)
            holding.enter_context(stages.cleaning(owned))
            write_request(output, "mix", request)
            with PeakMemory() as peak:
                try:
                    made = _make(documents, recipes, config, output, stages, memory, chosen, dry_run)
                except DamagedFile as fault:
                    LOGGER.warning("%s: it is made anew", fault.what)
                    made = _make(documents, recipes, config, output, stages, memory, chosen, dry_run)
                _list_files(output, list(made.manifests), stages)
            return replace(made, peak_memory_bytes=peak.bytes)


def mix_arguments(input: Path, recipes: Sequence[Recipe], config: TokenConfig, format: str) -> dict[str, Any]:
    """What the request of mixtures says."""
    return {
        "input": str(input.resolve()),
        "recipes": [recipe.model_dump(mode="json") for recipe in recipes],
        "settings": config.model_dump(mode="json"),
        "format": format,
    }


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
    tokens = output / "tokens"
    stages.count = STORE_STAGES + len(recipes)
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
        for warning in (*store_summary["warnings"], *(line for lines in warnings.values() for line in lines)):
            LOGGER.warning("%s", warning)
    manifests = {}
    for recipe in recipes if not dry_run else ():
        plan, said = plans[recipe.name], warnings[recipe.name]
        manifests[recipe.name] = _build(store, recipe, plan, said, output / recipe.name, format, stages)
    return Mixtures(store_summary, plans, manifests)


def _list_files(output: Path, names: Sequence[str], stages: Stages) -> None:
    """List what the store and these mixtures consist of; mixtures of earlier requests that are there stay listed."""
    path = output / "tokens" / FILE_LIST
    earlier = read_file_list(path) or FileList({}, frozenset())

    def stays(name: str) -> bool:
        folder = name.split("/")[0]
        return folder not in ("tokens", *names) and (output / folder / "manifest.json").exists()

    kept = FileList(
        {name: facts for name, facts in earlier.files.items() if stays(name)}, frozenset(filter(stays, earlier.sealed))
    )
    folders = ["tokens/done", *(f"{name}/.done" for name in names)]
    sealed = [REQUEST, *(file for folder in folders for file in files_in(output, folder))]
    write_file_list(path, output, stages.written.values(), sealed, kept)


def _check(documents: DedupOutput, recipes: Sequence[Recipe], output: Path) -> None:
    check_targets(recipes, output)
    global_only = (
        f"{documents.folder} holds only globally deduplicated shards; run slimpajama dedup again with --scope both"
        if documents.scope == "global"
        else ""
    )
    check_recipes(recipes, documents.sources, global_only=global_only)


def _check_disk(documents: DedupOutput, recipes: Sequence[Recipe], output: Path, dry_run: bool) -> None:
    """Of a new output on a disk; sizes of shards in a store would take a request each."""
    if is_remote(output) or is_remote(documents.folder) or (output / "request.json").exists():
        return
    text = SHARD_EXPANSION * sum(shard.bytes for shard in documents.shards)
    warn_if_full(output, mixture_bytes(text, [] if dry_run else [recipe.tokens for recipe in recipes]))


def _build(
    store: TokenStore,
    recipe: Recipe,
    plan: Plan,
    warnings: Sequence[str],
    out: Path,
    format: MixtureFormat,
    stages: Stages,
) -> dict[str, Any]:
    began = time.perf_counter()
    items = file_items(store, recipe, plan, out, format)
    depends = {
        "version": build.VERSION,
        "store": store.fingerprint,
        "recipe": recipe.model_dump(mode="json"),
        "format": format.name,
    }
    results = stages.run_plain(
        f"mix {recipe.name}",
        items,
        build_file,
        markers=Markers(out / ".done", out, PlainResult),
        keys=[item.stem.name for item in items],
        depends=[
            depends | {"sequences": dict(zip(item.sources, map(list, item.slices), strict=True))} for item in items
        ],
        weights=[4 * item.length * sum(last - first for first, last in item.slices) for item in items],
        reads=[_buckets_of(item, store) for item in items],
        kernels=["slimpajama.tokens.compiled"],
    )
    rows = {
        split: sum(sum(result["sequences"].values()) for result in results if result["split"] == split)
        for split in SPLITS
    }
    manifest = {
        "recipe": recipe.model_dump(mode="json"),
        "plan": {
            "sequences": plan.sequences,
            "tokens": plan.sequences * plan.sequence_length,
            "sources": [
                {
                    "source": source.name,
                    "share": float(source.share),
                    "sequences": source.sequences,
                    "tokens": source.tokens,
                    "available": source.available,
                    "epochs": source.epochs,
                    "unused": source.unused,
                }
                for source in plan.sources
            ],
        },
        "store": {"fingerprint": store.fingerprint, "vocabulary": store.vocabulary, "end_of_text": store.end_of_text},
        "format": format.name,
        "sequences": rows,
        "warnings": list(warnings),
        "empty_splits": [split for split, count in rows.items() if not count],
        "files": [
            {
                "name": Path(file.path).name,
                "bytes": file.bytes,
                "blake2b": file.blake2b,
                "split": result["split"],
                "sequences": result["sequences"],
                "documents": result["documents"],
            }
            for result in results
            for file in result["files"]
        ],
        "versions": versions(),
    }
    _remove_outdated(out, manifest, stages)
    facts: dict[str, object] = {"scope": recipe.scope, "seed": recipe.seed, "vocabulary": store.vocabulary}
    facts |= {"end of text": store.end_of_text, "token store": store.fingerprint}
    card = dataset_card(recipe, plan, {split: count for split, count in rows.items() if count}, facts, format, warnings)
    stages.write(out / "README.md", card.encode())
    stages.write_json(out / "manifest.json", manifest)
    return {**manifest, "seconds": round(time.perf_counter() - began, 3)}


def _buckets_of(item: FileItem, store: TokenStore) -> list[WrittenFile]:
    """The files of the store that one file of a mixture is made of."""
    found = []
    for source, (first, last) in zip(item.sources, item.slices, strict=True):
        stream = store.stream(source, item.split, item.scope)
        for number in stream.buckets_between(first * item.length, last * item.length):
            digests = store.index[source][item.split][number]["digests"]
            paths = reversed(bucket_paths(store.path, source, item.split, number))
            found += [WrittenFile(path, digest, REMAKE_STORE) for path, digest in zip(paths, digests, strict=True)]
    return found


def _remove_outdated(out: Path, manifest: dict[str, Any], stages: Stages) -> None:
    """Remove the files of mixtures that this manifest does not list, also of one that was never finished."""
    current = {file["name"] for file in manifest["files"]}
    for path in out.iterdir():
        if is_output_file(path.name) and path.name not in current:
            stages.remove(path)
