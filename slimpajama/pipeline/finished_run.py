"""A finished deduplication as it was run: its corpus, settings and what the first pass found, to read its texts again.

They follow from its request, its input, its manifest and its markers. The input has to hold the very shards that were
deduplicated: ids are counted from them, so with one shard more or less they would name other documents.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from slimpajama.config.dedup import Config
from slimpajama.config.loading import checked
from slimpajama.corpus.bundles import BundleLimits
from slimpajama.corpus.discovery import Corpus, discover
from slimpajama.corpus.pieces import Bundle
from slimpajama.corpus.shard_formats import shard_format
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.key_index import open_index
from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.dedup.files.manifest import Manifest, read_manifest
from slimpajama.dedup.stages.sketch import SketchResult, SketchStage
from slimpajama.errors import InputChanged
from slimpajama.evidence.request import DedupRequest, read_request
from slimpajama.storage.paths import path_of

__all__ = ["FinishedRun", "finished_run"]


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run that is finished, and what it found in each bundle."""

    dedup: DedupRun
    sketched: tuple[SketchResult, ...]


def finished_run(folder: Path) -> FinishedRun:
    """The deduplication in ``folder``.

    Raises :class:`InputError` where its input is not there, and :class:`InputChanged` where it holds other shards.
    """
    request = read_request(folder)
    if not isinstance(request, DedupRequest):
        raise InputChanged(f"{folder} was made by another command than the one its index is of; deduplicate it again")
    config = checked(Config, request.settings, str(folder))
    first_shard = open_index(folder).first_shard
    one_by_one = BundleLimits(small_bytes=0)
    found = discover(path_of(request.input), config.sources, config.piece_bytes, first_shard, config.layout, one_by_one)
    bundles = _bundles_of(found, read_manifest(DedupLayout(folder)))
    if bundles is None:
        raise _other_shards(found.root, folder)
    corpus = replace(found, bundles=bundles)
    earlier = open_index(path_of(config.against)) if config.against else None
    names = tuple(source.name for source in corpus.sources)
    layout = DedupLayout(folder, names, shard_format(config.shard_format).ending)
    dedup = DedupRun(corpus, config, layout, earlier)
    markers = dedup.markers(SketchStage(dedup))
    results = [markers.last_result(bundle.name) for bundle in corpus.bundles]
    sketched = tuple(result for result in results if result is not None)
    if len(sketched) < len(results):
        raise _other_shards(corpus.root, folder)
    return FinishedRun(dedup, sketched)


def _bundles_of(corpus: Corpus, manifest: Manifest) -> tuple[Bundle, ...] | None:
    """The pieces of the ``corpus`` in the bundles that a run read; ``None`` where they are not its pieces.

    However small shards are bundled by now, they were read as its manifest says.
    """
    by_name = {piece.name: piece for piece in corpus.pieces}
    by_path = {piece.file.relative: piece for piece in corpus.pieces}
    found = []
    for part in {part.bundle: part for part in manifest.parts}.values():
        several = len(part.inputs) > 1
        pieces = [by_path.get(one.path) if several else by_name.get(part.bundle) for one in part.inputs]
        there = tuple(piece for piece in pieces if piece is not None)
        numbers = [tuple(shard.index for shard in piece.shards) for piece in there]
        if len(there) < len(pieces) or numbers != [one.numbers for one in part.inputs]:
            return None
        found.append(Bundle(there, part.bundle.removeprefix(there[0].name)))
    if sum(len(bundle.pieces) for bundle in found) < len(corpus.pieces):
        return None
    return tuple(found)


def _other_shards(root: Path, folder: Path) -> InputChanged:
    return InputChanged(
        f"the input {root} holds other shards than {folder} was made of; bring back what it was, or run the "
        "deduplication again"
    )
