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

from slimpajama.config.part import part_of
from slimpajama.config.recipe import Recipe
from slimpajama.engine.heartbeat import beat
from slimpajama.mixture.formats.base import MixtureFormat, SequenceGroup, SequenceShape
from slimpajama.mixture.layout import MixtureLayout
from slimpajama.mixture.packing import pack
from slimpajama.mixture.plan import Plan, selection_of
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

__all__ = ["GROUP_TOKENS", "BuildPayload", "BuildResult", "BuildStage", "SourcePart", "build_task", "file_groups"]

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

    ``stem``: path without ending; ``number`` and ``seed`` shuffle it. ``group_tokens``: how many tokens are gathered,
    shuffled and written at once. ``parts``: the ``sources`` that are not all that ``scope`` keeps, once.
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
    group_tokens: int = GROUP_TOKENS
    parts: Mapping[str, SourcePart] = field(default_factory=dict)

    @property
    def sequences(self) -> dict[str, int]:
        """How many of each source."""
        return {source: last - first for source, (first, last) in zip(self.sources, self.slices, strict=True)}

    @property
    def output_files(self) -> tuple[Path, ...]:
        """The files that come of it."""
        return tuple(self.stem.with_name(self.stem.name + ending) for ending in self.format.endings)

    def stream(self, store: TokenStore, source: str) -> TokenStream:
        """A source as the recipe's seed orders it; held-out splits are the same for all seeds."""
        seed = self.seed if self.split == SPLITS[TRAIN] else None
        part = self.parts.get(source) or SourcePart(source, Selection(self.scope), None)
        return store.stream(part.source, self.split, part.selection, seed, part.sizes)

    def shape(self, store: TokenStore) -> SequenceShape:
        """What the file's sequences share."""
        return SequenceShape(self.length, self.sources, store.vocabulary, sequences=sum(self.sequences.values()))


class BuildResult(StageResult, frozen=True, kw_only=True):
    """One file of each ending. ``sequences``: by source. ``documents``: that begin in it."""

    split: str
    sequences: dict[str, int]
    documents: int
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
    version: ClassVar[int] = 5
    result_type = BuildResult
    kernels: ClassVar[tuple[str, ...]] = ("slimpajama.tokens.compiled",)
    scales_with: ClassVar[Scale] = "mixed tokens"

    @property
    def label(self) -> str:
        """Each mixture of a run is a stage of its own."""
        return f"mix {self.recipe.name}"

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

    @staticmethod
    def run(payload: BuildPayload) -> BuildResult:
        """Write one file."""
        store = open_store(payload.store)
        documents = 0
        with ExitStack() as stack:
            files = [stack.enter_context(atomic_file(path)) for path in payload.output_files]
            writer = stack.enter_context(
                payload.format.writer([cast(BinaryIO, file) for file in files], payload.shape(store))
            )
            for group in file_groups(payload, store):
                writer.write(group)
                documents += group.starts.size
        return BuildResult(
            split=payload.split,
            sequences=payload.sequences,
            documents=documents,
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
    for source, (first, last) in zip(payload.sources, payload.slices, strict=True):
        stream = payload.stream(store, source)
        source = payload.parts[source].source if source in payload.parts else source
        buckets = store.buckets(source, payload.split)
        for number in stream.buckets_between(first * payload.length, last * payload.length):
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
    streams = [payload.stream(store, source) for source in payload.sources]
    following = [first for first, _ in payload.slices]
    size = max(1, payload.group_tokens // payload.length)
    buffer = np.empty((min(size, labels.size), payload.length), dtype=np.uint32)
    for begin in range(0, labels.size, size):
        sources = labels[begin : begin + size]
        tokens = buffer[: sources.size]
        starts = [np.empty(0, dtype=np.int64)]
        for number, stream in enumerate(streams):
            rows = np.flatnonzero(sources == number)
            if not rows.size:
                continue
            numbers = np.arange(following[number], following[number] + rows.size, dtype=np.uint64)
            rows = rows[np.argsort(seeded_hash(numbers, payload.seed, f"{purpose} source {number}"), kind="stable")]
            packed = pack(stream, following[number], following[number] + rows.size, payload.length)
            following[number] += rows.size
            tokens[rows] = packed.tokens
            sequence, inside = np.divmod(packed.starts, payload.length)
            starts.append(rows[sequence] * payload.length + inside)
        beat()
        yield SequenceGroup(tokens, np.sort(np.concatenate(starts)), sources)
