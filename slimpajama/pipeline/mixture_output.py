"""Builds the shared holdout and single mixtures, and says what of earlier ones stays.

A mixture that is built again in another format keeps the files it has, and the shared holdout those of other shapes
and formats, as long as they are of the same recipe and the same token store; other files of mixtures are removed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from slimpajama.errors import InputError
from slimpajama.mixture.card import dataset_card, holdout_card
from slimpajama.mixture.formats.base import MixtureFormat, lies_beside
from slimpajama.mixture.holdout_shape import HoldoutShape
from slimpajama.mixture.layout import HoldoutLayout, is_holdout_file, is_output_file
from slimpajama.mixture.manifest import (
    HeldOutSource,
    HoldoutFile,
    HoldoutManifest,
    MixtureFile,
    MixtureManifest,
    MixturePlan,
    PackedDocuments,
    StoreUsed,
    read_holdout_manifest,
    read_mixture_manifest,
)
from slimpajama.mixture.stages.build import BuildStage
from slimpajama.mixture.stages.shared_holdout import SharedHoldoutStage
from slimpajama.mixture.summary import MixtureSummary
from slimpajama.pipeline.beside_mixture import write_beside, write_holdout_indexes
from slimpajama.registry import MIXTURE_FORMATS
from slimpajama.stages.runner import Stages
from slimpajama.storage.file_list import files_in
from slimpajama.tokens.store import TokenStore
from slimpajama.versions import versions

__all__ = ["build_holdout", "build_mixture", "files_of_holdout", "files_of_mixture"]


def build_holdout(
    store: TokenStore,
    shapes: Sequence[HoldoutShape],
    layout: HoldoutLayout,
    format: MixtureFormat,
    stages: Stages,
    warnings: Sequence[str],
) -> None:
    """Write what is held out in sequences of each of ``shapes``. ``warnings``: of the store, for the card."""
    used = StoreUsed(store.fingerprint, store.vocabulary, store.end_of_text)
    made: list[HoldoutFile] = []
    built = [SharedHoldoutStage(store, shape, layout, format) for shape in shapes]
    for stage, shape in zip(built, shapes, strict=True):
        for result in stages.run(stage, stage.markers):
            ((source, sequences),) = result.sequences.items()
            made += [
                HoldoutFile(
                    name=layout.relative(file.path),
                    bytes=file.bytes,
                    blake2b=file.blake2b,
                    format=format.name,
                    source=source,
                    split=result.split,
                    length=shape.tokens,
                    sequences=sequences,
                    documents=result.documents,
                    extra_token=shape.extra_token,
                    packing=shape.packing,
                )
                for file in result.written
            ]
    if stages.inspecting:
        return
    earlier = _earlier_holdout(layout.root)
    stays = [
        file
        for file in (earlier.files if earlier else ())
        if file.shape not in shapes or lies_beside(MIXTURE_FORMATS.get(file.format), format)
    ]
    if earlier is None or earlier.store != used:
        stays = []
    order = {source: number for number, source in enumerate(store.sources)}
    files = sorted([*stays, *made], key=lambda file: (order.get(file.source, -1), file.shape, file.format, file.name))
    manifest = HoldoutManifest(store=used, files=tuple(files))
    current = {*_names(manifest)}
    for name in files_in(layout.root, ""):
        if is_holdout_file(name) and name not in current:
            stages.remove(layout.root / name)
    sizes = {layout.root / file.name: file.bytes for file in made}
    for stage in built:
        write_holdout_indexes(stage, sizes, stages)
    formats = [MIXTURE_FORMATS.get(name) for name in dict.fromkeys(file.format for file in files)]
    stages.write(layout.card, holdout_card(manifest, formats, warnings).encode())
    stages.write_json(layout.manifest, msgspec.to_builtins(manifest))


def build_mixture(
    stage: BuildStage, measured: Sequence[HeldOutSource], warnings: Sequence[str], stages: Stages
) -> MixtureSummary:
    """Write the files of a mixture, its manifest and its card. ``measured``: how the shared holdout measures it."""
    began = time.perf_counter()
    store, layout = stage.store, stage.layout
    results = stages.run(stage, stage.markers)
    made = [
        MixtureFile(
            name=Path(file.path).name,
            bytes=file.bytes,
            blake2b=file.blake2b,
            format=stage.format.name,
            sequences=result.sequences,
            documents=result.documents,
        )
        for result in results
        for file in result.written
    ]
    recipe = stage.recipe.model_dump(mode="json")
    used = StoreUsed(store.fingerprint, store.vocabulary, store.end_of_text)
    stays = _files_that_stay(layout.root, recipe, used, stage.format)
    manifest = MixtureManifest(
        recipe=recipe,
        plan=MixturePlan.of(stage.plan),
        store=used,
        formats=tuple(dict.fromkeys([stage.format.name, *(file.format for file in stays)])),
        holdout=tuple(measured),
        packed=PackedDocuments(
            sum(result.documents for result in results),
            sum(result.cut for result in results),
            sum(result.padding for result in results),
        ),
        warnings=tuple(warnings),
        files=(*made, *stays),
        versions=versions(),
    )
    if not stages.inspecting:
        current = {file.name for file in manifest.files}
        for path in layout.root.iterdir():
            if (is_output_file(path.name) and path.name not in current) or path.name in _other_indexes(manifest):
                stages.remove(path)
        write_beside(stage, manifest, stages)
        formats = [MIXTURE_FORMATS.get(name) for name in manifest.formats]
        stages.write(layout.card, dataset_card(stage.recipe, stage.plan, manifest, formats).encode())
        stages.write_json(layout.manifest, msgspec.to_builtins(manifest))
    return MixtureSummary.of(manifest, time.perf_counter() - began)


def _files_that_stay(
    folder: Path, recipe: dict[str, object], store: StoreUsed, format: MixtureFormat
) -> list[MixtureFile]:
    """The files of an earlier mixture by the same recipe, of the same store, in formats that can lie beside
    ``format``."""
    try:
        earlier = read_mixture_manifest(folder)
    except InputError:
        return []
    if earlier.recipe != recipe or earlier.store != store:
        return []
    beside = {name for name in earlier.formats if lies_beside(MIXTURE_FORMATS.get(name), format)}
    return [file for file in earlier.files if file.format in beside]


def _earlier_holdout(folder: Path) -> HoldoutManifest | None:
    try:
        return read_holdout_manifest(folder)
    except InputError:
        return None


def _other_indexes(manifest: MixtureManifest) -> set[str]:
    """Names of what formats have beside their files, of formats that the mixture does not lie there in."""
    others = [name for name in MIXTURE_FORMATS.names if name not in manifest.formats]
    return {index for name in others for index in MIXTURE_FORMATS.get(name).folder_names}


def files_of_mixture(folder: Path) -> list[str]:
    """The names of the files of sequences that the manifest in ``folder`` lists, if there is one, and of what lies
    beside them."""
    try:
        manifest = read_mixture_manifest(folder)
    except InputError:
        return []
    beside = [name for one in manifest.formats for name in MIXTURE_FORMATS.get(one).folder_names]
    return [*(file.name for file in manifest.files), *beside]


def files_of_holdout(folder: Path) -> list[str]:
    """The paths of the files that the manifest of the shared holdout in ``folder`` lists, if there is one."""
    earlier = _earlier_holdout(folder)
    return _names(earlier) if earlier else []


def _names(holdout: HoldoutManifest) -> list[str]:
    """The paths of the files of sequences, and of the indexes beside them."""
    indexes = {
        f"{file.name.rpartition('/')[0]}/{index}": None
        for file in holdout.files
        for index in MIXTURE_FORMATS.get(file.format).folder_names
    }
    return [*(file.name for file in holdout.files), *indexes]
