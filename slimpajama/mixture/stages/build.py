"""Build: each file of a mixture is gathered from the store, shuffled in itself, and written.

A file is one task. A seeded shuffle says which source each of its sequences is of; then, row group by row group,
the next sequences of each source are read in order, shuffled within the group, and written. The streams are shuffled
already, document by document, so nothing more is needed, and reading stays sequential. Memory: one row group (16 MiB)
and its compressed copy, whatever the size of a file. Rejected: gathering a whole file to shuffle it (256 MiB, and a
quarter slower for touching it), and a shuffle over all files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from slimpajama.config.part import part_of
from slimpajama.config.recipe import Recipe
from slimpajama.engine.heartbeat import beat
from slimpajama.mixture.formats.base import (
    MixtureFormat,
    SequenceGroup,
    SequenceShape,
    SequenceWriter,
    filled_tokens,
)
from slimpajama.mixture.formats.provenance import PROVENANCE_ENDING, ProvenanceWriter
from slimpajama.mixture.layout import MixtureLayout
from slimpajama.mixture.packing import BestFit, Concat, Packer, Windows
from slimpajama.mixture.packing_shares import Place
from slimpajama.mixture.parts import selection_of, train_stream
from slimpajama.mixture.plan import FilePlan, Plan
from slimpajama.stages.markers import Markers
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import WrittenFile
from slimpajama.storage.atomic import atomic_file
from slimpajama.storage.file_record import FileRecord
from slimpajama.tokens.holdout import SPLITS, TRAIN
from slimpajama.tokens.seeded_order import seeded_hash
from slimpajama.tokens.selected_sizes import SelectedSizes
from slimpajama.tokens.selection import Selection
from slimpajama.tokens.store import TokenStore, TokenStream, open_store

__all__ = [
    "BUILDS",
    "GROUP_TOKENS",
    "BuildPayload",
    "BuildResult",
    "BuildStage",
    "SourcePart",
    "build_task",
    "file_groups",
]

BUILDS = "mix "
"""What the label of each mixture begins with."""

GROUP_TOKENS = 1 << 22
"""Tokens of a group of sequences: 16 MiB, which a writer and a streaming reader hold at once."""

REMAKE_STORE = "remove it and run the same command again: the token store is made anew"


@dataclass(frozen=True, slots=True)
class SourcePart:
    """What a name in a recipe stands for: a source of the store, a selection of it, and its sizes, if counted."""

    source: str
    selection: Selection
    sizes: SelectedSizes | None


@dataclass(frozen=True, slots=True)
class BuildPayload:
    """One file: sequences ``slices[i] = (first, last)`` of ``sources[i]`` of the store in the folder ``store``.

    ``stem``: path without ending; ``number`` and ``seed`` shuffle it. ``places``: under best-fit packing, where the
    sequences of each source lie. ``group_tokens``: how many tokens are gathered, shuffled and written at once.
    ``parts``: the ``sources`` that are not all that ``scope`` keeps, once.
    """

    store: Path
    stem: Path
    split: str
    scope: str
    number: int
    seed: int
    length: int
    sources: tuple[str, ...]
    slices: tuple[tuple[int, int], ...]
    format: MixtureFormat
    places: tuple[Place, ...] | None = None
    provenance: bool = False
    group_tokens: int = GROUP_TOKENS
    parts: Mapping[str, SourcePart] = field(default_factory=dict)

    @property
    def sequences(self) -> dict[str, int]:
        """How many of each source."""
        return {source: last - first for source, (first, last) in zip(self.sources, self.slices, strict=True)}

    @property
    def output_files(self) -> tuple[Path, ...]:
        """The files that come of it."""
        return tuple(self.stem.with_name(self.stem.name + ending) for ending in self.endings)

    @property
    def endings(self) -> tuple[str, ...]:
        """Of these files."""
        beside = self.provenance and not self.format.holds_provenance
        return (*self.format.endings, PROVENANCE_ENDING) if beside else self.format.endings

    def stream(self, store: TokenStore, source: str) -> TokenStream:
        """A source as the recipe's seed orders it; held-out splits are the same for all seeds."""
        seed = self.seed if self.split == SPLITS[TRAIN] else None
        part = self.parts.get(source) or SourcePart(source, Selection(self.scope), None)
        return store.stream(part.source, self.split, part.selection, seed, part.sizes)

    def shape(self, store: TokenStore) -> SequenceShape:
        """What the file's sequences share."""
        sequences = sum(self.sequences.values())
        padded = self.places is not None
        return SequenceShape(self.length, self.sources, store.vocabulary, padded, sequences, self.provenance)


class BuildResult(StageResult, frozen=True, kw_only=True):
    """One file of each ending. ``sequences``: by source. ``documents``: that begin in it; ``cut``: those of them that
    are not whole in one sequence; ``padding``: tokens of it."""

    split: str
    sequences: dict[str, int]
    documents: int
    cut: int
    padding: int
    written: tuple[FileRecord, ...]


@dataclass(frozen=True)
class BuildStage(Stage[BuildPayload, BuildResult]):
    """All files of the mixture of ``recipe``: its training split, as what is held out is shared by all mixtures."""

    store: TokenStore
    recipe: Recipe
    plan: Plan
    layout: MixtureLayout
    format: MixtureFormat

    name: ClassVar[str] = "mix"
    title: ClassVar[str] = "mixtures"
    version: ClassVar[int] = 6
    result_type = BuildResult
    kernels: ClassVar[tuple[str, ...]] = ("slimpajama.mixture.compiled",)
    scales_with: ClassVar[Scale] = "mixed tokens"

    @property
    def label(self) -> str:
        """Each mixture of a run is a stage of its own."""
        return f"{BUILDS}{self.recipe.name}"

    @property
    def markers(self) -> Markers[BuildResult]:
        """The markers of the finished files."""
        return Markers(self.layout.done, self.layout.root, BuildResult)

    def tasks(self) -> Sequence[Task[BuildPayload]]:
        """One for each file."""
        inputs = {"version": self.version, "recipe": self.recipe.model_dump(mode="json")}
        return [build_task(payload, self.store, inputs, payload.stem.name) for payload in self.payloads()]

    def payloads(self) -> list[BuildPayload]:
        """What each file holds, in the order of training."""
        parts = self._parts()
        return [
            BuildPayload(
                store=self.store.path,
                stem=self.layout.stem("train", number, self.plan.files),
                split="train",
                scope=self.recipe.scope,
                number=number,
                seed=self.recipe.seed,
                length=self.plan.sequence_length,
                sources=file.sources,
                slices=file.slices,
                format=self.format,
                parts={name: parts[name] for name in file.sources if name in parts},
                places=self._places(file),
                provenance=self.recipe.provenance,
            )
            for number, file in enumerate(self.plan.file_plans())
        ]

    def _parts(self) -> dict[str, SourcePart]:
        """The sources that are not all that the scope keeps; their sizes are counted once for all files."""
        found = {}
        for planned in self.plan.sources:
            source, selection = part_of(planned.name).source, selection_of(self.recipe, planned.name)
            if not selection.is_whole:
                found[planned.name] = SourcePart(source, selection, self.store.sizes(source, "train", selection))
        return found

    def _places(self, file: FilePlan) -> tuple[Place, ...] | None:
        """Where the sequences of each source lie under best-fit packing."""
        if self.recipe.packing == "concat":
            return None
        indexes = [train_stream(self.recipe, name).index(self.store) for name in file.sources]
        return tuple(index.places(*one) for index, one in zip(indexes, file.slices, strict=True))

    @staticmethod
    def run(payload: BuildPayload) -> BuildResult:
        """Write one file."""
        store = open_store(payload.store)
        documents = cut = padding = 0
        with ExitStack() as stack:
            files = [stack.enter_context(atomic_file(path)) for path in payload.output_files]
            own = [cast(BinaryIO, file) for file in files]
            beside = own[len(payload.format.endings) :]
            writers: list[SequenceWriter] = [
                stack.enter_context(payload.format.writer(own[: len(payload.format.endings)], payload.shape(store))),
                *(stack.enter_context(ProvenanceWriter(file)) for file in beside),
            ]
            for group in file_groups(payload, store):
                for writer in writers:
                    writer.write(group)
                documents += group.documents
                cut += group.cut
                padding += group.tokens.size - int(filled_tokens(group).sum())
        return BuildResult(
            split=payload.split,
            sequences=payload.sequences,
            documents=documents,
            cut=cut,
            padding=padding,
            written=tuple(file.record for file in files),
        )


def build_task(payload: BuildPayload, store: TokenStore, inputs: Mapping[str, object], name: str) -> Task[BuildPayload]:
    """The task that writes one file, called ``name`` without its format; ``inputs``: what else it depends on."""
    depends = {
        **inputs,
        "store": store.fingerprint,
        "format": payload.format.name,
        "sequences": dict(zip(payload.sources, map(list, payload.slices), strict=True)),
    }
    size = 4 * payload.length * sum(payload.sequences.values())
    return Task(f"{name}.{payload.format.name}", payload, depends, size, _reads(payload, store))


def _reads(payload: BuildPayload, store: TokenStore) -> tuple[WrittenFile, ...]:
    """The files of the store that one file of a mixture is made of."""
    found: list[WrittenFile] = []
    for at, (source, (first, last)) in enumerate(zip(payload.sources, payload.slices, strict=True)):
        stream = payload.stream(store, source)
        source = payload.parts[source].source if source in payload.parts else source
        buckets = store.buckets(source, payload.split)
        begin, end = first * payload.length, last * payload.length
        if payload.places is not None and last > first:
            windows = Windows.of(stream, payload.length)
            begin, end = windows.span(payload.places[at].first)[0], windows.span(payload.places[at].last)[1]
        for number in stream.buckets_between(begin, end):
            files, digests = store.layout.bucket(source, payload.split, number), buckets[number].digests
            found.append(WrittenFile(files.tokens, digests.tokens, REMAKE_STORE))
            found.append(WrittenFile(files.documents, digests.documents, REMAKE_STORE))
    return tuple(found)


def file_groups(payload: BuildPayload, store: TokenStore) -> Iterator[SequenceGroup]:
    """The file's sequences in their final order, group by group; the arrays are used again for the next."""
    counts = [last - first for first, last in payload.slices]
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    purpose = f"{payload.split} file {payload.number}"
    labels = labels[
        np.argsort(seeded_hash(np.arange(labels.size, dtype=np.uint64), payload.seed, purpose), kind="stable")
    ]
    packers = _packers(payload, store)
    following = [first for first, _ in payload.slices]
    size = max(1, payload.group_tokens // payload.length)
    buffer = np.empty((min(size, labels.size), payload.length), dtype=np.uint32)
    for begin in range(0, labels.size, size):
        sources = labels[begin : begin + size]
        tokens = buffer[: sources.size]
        starts = [np.empty(0, dtype=np.int64)]
        places, ids = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.uint64)]
        filled = np.full(sources.size, payload.length, dtype=np.int64) if payload.places is not None else None
        documents = cut = 0
        for number, packer in enumerate(packers):
            rows = np.flatnonzero(sources == number)
            if not rows.size:
                continue
            numbers = np.arange(following[number], following[number] + rows.size, dtype=np.uint64)
            rows = rows[np.argsort(seeded_hash(numbers, payload.seed, f"{purpose} source {number}"), kind="stable")]
            packed = packer.take(rows.size)
            following[number] += rows.size
            tokens[rows] = packed.tokens
            starts.append(_moved(packed.starts, rows, payload.length))
            if filled is not None and packed.filled is not None:
                filled[rows] = packed.filled
            if payload.provenance:
                edges = np.arange(rows.size, dtype=np.int64) * payload.length
                places.append(_moved(np.union1d(packed.starts, edges), rows, payload.length))
                ids.append(packed.ids)
            documents += packed.documents
            cut += packed.cut
        beat()
        of_stretches = np.concatenate(ids)[np.argsort(np.concatenate(places))] if payload.provenance else None
        yield SequenceGroup(
            tokens, np.sort(np.concatenate(starts)), sources, filled, of_stretches, documents=documents, cut=cut
        )


def _packers(payload: BuildPayload, store: TokenStore) -> list[Packer]:
    """What gives the sequences of each source, from its first one on."""
    found: list[Packer] = []
    for at, (source, (first, _)) in enumerate(zip(payload.sources, payload.slices, strict=True)):
        stream = payload.stream(store, source)
        if payload.places is None:
            found.append(Concat(stream, first, payload.length))
        else:
            place = payload.places[at]
            windows = Windows.of(stream, payload.length)
            found.append(BestFit(windows, place.first, place.skip, store.end_of_text, payload.seed))
    return found


def _moved(places: NDArray[np.int64], rows: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Places in sequences one after the other, where sequence i goes to row ``rows[i]``."""
    sequence, inside = np.divmod(places, length)
    return rows[sequence] * length + inside
