"""Sketch: each bundle is read once, and leaves a rows file and its broken records in the quarantine.

A compressed or Parquet shard cannot be cut beforehand and may be of any size: after every ``part_bytes`` of it, what
is known so far is put aside with a marker, so that a killed run goes on from there (what is before is decompressed
once more, which is cheap, and thrown away). In the end the parts become one rows file. Where they begin is a result
too: the outputs of the shard are cut there.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from slimpajama.corpus.bundle_records import bundle_records
from slimpajama.corpus.content import ContentDigest
from slimpajama.corpus.pieces import POSITION_BITS, Bundle
from slimpajama.corpus.records import read_records
from slimpajama.dedup import sketching
from slimpajama.dedup.careful import DOCUMENT_SECONDS, Care, next_care
from slimpajama.dedup.contamination import Screen, join_matches
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.sketches import join_rows
from slimpajama.dedup.params import MinHashParams
from slimpajama.dedup.ranks import rank_keys
from slimpajama.dedup.sketching import PieceCounts, SketchSettings, has_parts
from slimpajama.dedup.stages.evaluation import EvaluationResult, index_files
from slimpajama.engine import Death, Retry, Trial
from slimpajama.logging import LOGGER
from slimpajama.registry import KEY_METHODS
from slimpajama.stages.markers import ANY_BYTES, Markers
from slimpajama.stages.stage import Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import atomic_file
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import is_remote, opened, path_of, remove_file, remove_tree
from slimpajama.versions import versions

__all__ = ["SketchPart", "SketchPayload", "SketchResult", "SketchStage", "documents_in", "forget_sketch", "try_again"]

READING = (
    "method",
    "num_perm",
    "seed",
    "min_cleaned_characters",
    "normalisation",
    "max_document_bytes",
    "truncated",
    "text_field",
    "id_field",
    "checked",
    "cleaning",
)
"""Settings that the result depends on as they are."""


class SketchPart(StageResult, frozen=True, kw_only=True):
    """A finished part of a piece.

    ``next``: the position at which the next one begins, if there is one. ``content``: a digest of what was read.
    """

    counts: PieceCounts
    content: str
    next: int | None
    sketches: FileRecord
    quarantine: FileRecord | None
    matches: FileRecord | None = None


class SketchResult(StageResult, frozen=True, kw_only=True):
    """A bundle.

    ``pieces``: what each of its pieces held. ``parts``: positions at which the parts of its only piece begin, or 0.
    ``content``: digests of what was read of each part, or of each of several pieces. ``quarantine``: its broken
    records, if it has any; ``matches``: its documents that hold evaluation items, if any was looked for and found.
    """

    pieces: tuple[PieceCounts, ...]
    parts: tuple[int, ...]
    content: tuple[str, ...]
    sketches: FileRecord
    quarantine: FileRecord | None
    matches: FileRecord | None = None

    @property
    def files(self) -> tuple[FileRecord, ...]:
        """All of them; the counts of a thousand pieces are not searched for more."""
        return tuple(file for file in (self.sketches, self.quarantine, self.matches) if file is not None)

    @property
    def counts(self) -> PieceCounts:
        """What all pieces held."""
        whole = PieceCounts()
        for piece in self.pieces:
            whole.add(piece)
        return whole


@dataclass(frozen=True, slots=True)
class SketchPayload:
    """One bundle, and where its rows go. ``part_bytes``: 0 where it is read in one go; else ``parts`` remembers its
    finished parts, which depend on ``inputs``. ``care``: of a try after a worker died."""

    bundle: Bundle
    settings: SketchSettings
    rows_file: Path
    quarantine_file: Path
    matches_file: Path
    part_bytes: int
    parts: Markers[SketchPart]
    inputs: Mapping[str, object]
    care: Care | None = None


@dataclass(frozen=True)
class SketchStage(Stage[SketchPayload, SketchResult]):
    """The sketches of all documents of a deduplication, held against ``evaluation`` items if there are any."""

    dedup: DedupRun
    evaluation: EvaluationResult | None = None

    name: ClassVar[str] = "sketch"
    title: ClassVar[str] = "read and sketch"
    version: ClassVar[int] = 6
    result_type = SketchResult
    kernels: ClassVar[tuple[str, ...]] = ("slimpajama.dedup.compiled",)

    @property
    def retry(self) -> Retry[SketchPayload]:
        """The documents one by one."""
        return try_again

    def tasks(self) -> Sequence[Task[SketchPayload]]:
        """One for each bundle."""
        dedup, config = self.dedup, self.dedup.config
        params = MinHashParams.of(config)
        settings = SketchSettings(
            reader=dedup.reader,
            fields=dedup.fields,
            params=params,
            method=KEY_METHODS.get(config.method),
            max_bad_fraction=config.max_bad_fraction,
            preferences=rank_keys(config.prefer),
            screen=self._screen(),
        )
        shown = {name: getattr(config, name) for name in READING} | {
            "bands": params.bands,
            "rows": params.rows,
            "shingle": [params.shingle_unit, params.shingle_length],
            "ranks": [key for key in config.prefer if key != "source"],
            "method_version": params.method_version,
        }
        reads = written_files(self.evaluation.arrays) if self.evaluation is not None else ()
        tasks = []
        for bundle, identity in zip(dedup.corpus.bundles, dedup.identities(), strict=True):
            part_bytes = config.part_bytes if has_parts(bundle, config.part_bytes) else 0
            first = bundle.first
            inputs: dict[str, object] = {
                "version": [self.version, versions()["unicode"]],
                "settings": shown | {"part_bytes": part_bytes},
                "input": identity,
                "ids": [[shard.index for shard in bundle.shards], first.start, first.stop],
            }
            if settings.screen is not None:
                inputs["decontaminate"] = settings.screen.described
            payload = SketchPayload(
                bundle=bundle,
                settings=settings,
                rows_file=dedup.layout.rows_file(bundle),
                quarantine_file=dedup.layout.quarantine(bundle.name),
                matches_file=dedup.layout.matches_file(bundle),
                part_bytes=part_bytes,
                parts=dedup.part_markers(self.name, bundle, SketchPart),
                inputs=inputs,
            )
            tasks.append(Task(bundle.name, payload, inputs, bundle.input_bytes, reads))
        return tasks

    def _screen(self) -> Screen | None:
        """What documents are held against."""
        chosen = self.dedup.config.decontaminate
        if self.evaluation is None or chosen is None:
            return None
        return Screen(index_files(self.dedup, self.evaluation), chosen.action)

    @staticmethod
    def run(payload: SketchPayload) -> SketchResult:
        """Read, measure and sketch every record of a bundle."""
        sketcher = payload.settings.sketcher()
        bundle, reader, fields = payload.bundle, payload.settings.reader, payload.settings.fields
        if not payload.part_bytes:
            every, contents = [PieceCounts() for _ in bundle.pieces], list[str]()
            sketched = sketching.sketch_part(
                bundle,
                payload.settings,
                sketcher,
                bundle_records(bundle, reader, fields, contents),
                every,
                payload.rows_file,
                payload.quarantine_file,
                payload.matches_file,
                care=payload.care,
            )
            return SketchResult(
                pieces=tuple(every),
                parts=(0,),
                content=tuple(contents),
                sketches=sketched.sketches,
                quarantine=sketched.quarantine,
                matches=sketched.matches,
            )
        whole, content = PieceCounts(), ContentDigest()
        parts: list[SketchPart] = []
        start: int | None = 0
        starts: list[int] = []
        while start is not None and (part := _finished_part(payload, len(parts))) is not None:
            parts.append(part)
            starts.append(start)
            whole.add(part.counts)
            start = part.next
        batches = read_records(bundle.first, reader, start, fields, content) if start is not None else iter(())
        while start is not None:
            counts = PieceCounts()
            key = str(len(parts))
            stem = payload.parts.folder / key
            sketched = sketching.sketch_part(
                bundle,
                payload.settings,
                sketcher,
                batches,
                [counts],
                stem.with_suffix(".arrow"),
                stem.with_suffix(".jsonl"),
                stem.with_suffix(".matches"),
                part_bytes=payload.part_bytes,
                care=payload.care,
                before=whole,
            )
            head = sketched.head
            part = SketchPart(
                counts=counts,
                content=content.take(),
                next=head.start if head is not None else None,
                sketches=sketched.sketches,
                quarantine=sketched.quarantine,
                matches=sketched.matches,
            )
            payload.parts.finish(key, payload.inputs, part)
            parts.append(part)
            starts.append(start)
            whole.add(counts)
            start = part.next
            if head is not None:
                batches = itertools.chain([head], batches)
        sketches, quarantine = _joined(payload, parts)
        return SketchResult(
            pieces=(whole,),
            parts=tuple(starts),
            content=tuple(part.content for part in parts),
            sketches=sketches,
            quarantine=quarantine,
            matches=_joined_matches(payload, parts),
        )


def forget_sketch(marker: Path, parts: Path) -> None:
    """Forget what was found in a bundle that has changed since: its size and time may be as they were."""
    remove_file(marker)
    remove_tree(parts)


def documents_in(dedup: DedupRun, sketched: Sequence[SketchResult]) -> int:
    """How many documents have keys, those of the earlier run among them."""
    return sum(result.counts.in_lsh for result in sketched) + (dedup.earlier.documents if dedup.earlier else 0)


def try_again(
    payload: SketchPayload, death: Death, document_seconds: float = DOCUMENT_SECONDS
) -> Trial[SketchPayload] | None:
    """What to try next of a bundle whose worker died: each document by itself, without those that are to blame."""
    folder = Path(tempfile.gettempdir()) if is_remote(payload.rows_file) else payload.rows_file.parent
    name = hashlib.blake2b(str(payload.rows_file).encode(), digest_size=4).hexdigest()
    care = next_care(payload.care, death, folder / f"at.{name}.tmp")  # named as what cleaning removes
    if care is None:
        return None
    for culprit in care.left_out[len(payload.care.left_out) if payload.care else 0 :]:
        file, position = payload.bundle.piece_of(culprit.document).file, culprit.document & ((1 << POSITION_BITS) - 1)
        LOGGER.warning(
            "%s: the document at %s %d is quarantined: %s", file.path, file.format.unit, position, culprit.reason
        )
    return Trial(replace(payload, care=care), document_seconds)


def _finished_part(payload: SketchPayload, number: int) -> SketchPart | None:
    return payload.parts.result(str(number), payload.inputs, ANY_BYTES)[0]


def _joined(payload: SketchPayload, parts: Sequence[SketchPart]) -> tuple[FileRecord, FileRecord | None]:
    """One rows file and one quarantine out of those of the parts."""
    settings = payload.settings
    with atomic_file(payload.rows_file) as file:
        paths = [path_of(part.sketches.path) for part in parts]
        join_rows(paths, file, settings.shape)
    quarantines = [path_of(part.quarantine.path) for part in parts if part.quarantine is not None]
    if not quarantines:
        remove_file(payload.quarantine_file)
        return file.record, None
    with atomic_file(payload.quarantine_file) as joined:
        for path in quarantines:
            with opened(path) as quarantine:
                shutil.copyfileobj(quarantine, joined)
    return file.record, joined.record


def _joined_matches(payload: SketchPayload, parts: Sequence[SketchPart]) -> FileRecord | None:
    """One file of matches out of those of the parts."""
    found = [path_of(part.matches.path) for part in parts if part.matches is not None]
    if not found:
        remove_file(payload.matches_file)
        return None
    return join_matches(found, payload.matches_file)
