"""Write: deduplicated shards, one per bundle, source and scope; several for a file that has parts.

Reads the input a second time, but parses only what is kept. A part that was written before a run was killed is not
written again. Holds 23 bytes for each record of the bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from slimpajama.corpus.fields import Fields
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.pieces import Bundle
from slimpajama.corpus.shard_formats import ShardFormat, shard_format
from slimpajama.corpus.shard_writer import Replacements, changed
from slimpajama.dedup import output_shards
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.layout import OutputShard
from slimpajama.dedup.output_shards import batches_of_kept
from slimpajama.dedup.stages.decide import DecideResult
from slimpajama.dedup.stages.sketch import SketchResult, SketchStage, forget_sketch
from slimpajama.errors import InputChanged
from slimpajama.stages.markers import ANY_BYTES, Markers
from slimpajama.stages.stage import Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.file_record import FileRecord
from slimpajama.text.normalisation import Normalisation
from slimpajama.versions import versions

__all__ = ["WritePayload", "WriteResult", "WriteStage"]


class WriteResult(StageResult, frozen=True, kw_only=True):
    """The shards of a bundle or of a part of it, in the order they were asked for.

    ``replaced``: values of kept records that JSON cannot hold, by source number; ``first_replaced``: where the first
    record of them is.
    """

    shards: tuple[FileRecord, ...]
    replaced: dict[int, int]
    first_replaced: str


@dataclass(frozen=True, slots=True)
class WritePayload:
    """One bundle, its decisions, and where its shards go.

    ``parts``: positions at which the parts of its only piece begin, or 0. ``outputs``: for each part its shards.
    ``written`` remembers the parts that are there, which depend on ``inputs``. ``content``: digests of the parts, or of
    several pieces, as they were read first; ``sketch_marker``, ``sketch_parts``: the marker of that reading, and the
    folder of its parts. ``source_names``: where records get what they stand for.
    """

    bundle: Bundle
    reader: LineReader
    fields: Fields
    normalisation: Normalisation
    decisions_file: Path
    rows_file: Path
    parts: tuple[int, ...]
    outputs: tuple[tuple[OutputShard, ...], ...]
    format: ShardFormat
    level: int
    source_names: tuple[str, ...] | None
    written: Markers[WriteResult]
    inputs: Mapping[str, object]
    content: tuple[str, ...]
    sketch_marker: Path
    sketch_parts: Path


@dataclass(frozen=True)
class WriteStage(Stage[WritePayload, WriteResult]):
    """The shards of what was ``decided`` of what was ``sketched``."""

    dedup: DedupRun
    sketched: Sequence[SketchResult]
    decided: Sequence[DecideResult]

    name: ClassVar[str] = "write"
    title: ClassVar[str] = "write"
    version: ClassVar[int] = 5
    result_type = WriteResult
    kernels: ClassVar[tuple[str, ...]] = ("slimpajama.dedup.compiled",)

    def tasks(self) -> Sequence[Task[WritePayload]]:
        """One for each bundle; none where no shards are wanted."""
        dedup, config, layout = self.dedup, self.dedup.config, self.dedup.layout
        if not dedup.scopes:
            return []
        settings = {
            "normalisation": config.normalisation,
            "shard_format": config.shard_format,
            "compression_level": config.compression_level,
            "scopes": list(dedup.scopes),
            "truncated": config.truncated,
            "text_field": config.text_field,
            "duplicate_counts": config.duplicate_counts,
        }
        tasks = []
        for bundle, own, identity, decision in zip(
            dedup.corpus.bundles, self.sketched, dedup.identities(), self.decided, strict=True
        ):
            outputs = layout.shards(bundle, len(own.parts), dedup.scopes)
            inputs: dict[str, object] = {
                "version": [self.version, versions()["unicode"]],
                "settings": settings,
                "input": identity,
                "kept": decision.kept,
                "duplicates": decision.duplicates if config.duplicate_counts else "",
                "parts": list(own.parts),
                "content": list(own.content),
                "outputs": [layout.relative(shard.path) for part in outputs for shard in part],
            }
            payload = WritePayload(
                bundle=bundle,
                reader=dedup.reader,
                fields=dedup.fields,
                normalisation=config.normalisation,
                decisions_file=layout.decisions(bundle),
                rows_file=layout.rows_file(bundle),
                parts=own.parts,
                outputs=outputs,
                format=shard_format(config.shard_format),
                level=config.compression_level,
                source_names=dedup.source_names if config.duplicate_counts else None,
                written=dedup.part_markers(self.name, bundle, WriteResult),
                inputs=inputs,
                content=own.content,
                sketch_marker=dedup.markers(SketchStage(dedup)).path(bundle.name),
                sketch_parts=layout.part_markers(SketchStage.name, bundle),
            )
            reads = written_files([own.sketches, decision.decisions])
            tasks.append(Task(bundle.name, payload, inputs, bundle.input_bytes, reads))
        return tasks

    @staticmethod
    def run(payload: WritePayload) -> WriteResult:
        """Write the shards of a bundle.

        Raises :class:`InputChanged` where a shard is not what was read first, which is forgotten then: its size and
        time may be the same, so the next run would not read it anew otherwise.
        """
        try:
            return _written(payload)
        except InputChanged:
            forget_sketch(payload.sketch_marker, payload.sketch_parts)
            raise


def _written(payload: WritePayload) -> WriteResult:
    finished: list[WriteResult] = []
    while len(payload.parts) > 1 and len(finished) < len(payload.parts):
        known, _ = payload.written.result(str(len(finished)), payload.inputs, ANY_BYTES)
        if known is None:
            break
        finished.append(known)
    first = len(finished)
    if first == len(payload.parts):
        return _joined(finished)
    kept = output_shards.kept_records(
        payload.bundle,
        payload.decisions_file,
        payload.rows_file,
        {shard.scope for shard in payload.outputs[0]},
        payload.parts[first],
        payload.source_names,
    )
    replaced = Replacements()
    batches = batches_of_kept(payload.bundle, kept, payload, payload.parts[first:], payload.content[first:], replaced)
    ends = np.searchsorted(kept.positions, payload.parts[first + 1 :])
    begin = 0
    for number, end in enumerate([*ends.tolist(), kept.positions.size], start=first):
        shards, count = output_shards.write_part(
            payload.outputs[number], kept.codes[begin:end], batches, payload.format, payload.level
        )
        if count != end - begin:
            raise changed(payload.bundle.first, int(kept.positions[begin + count]))
        part = WriteResult(shards=tuple(shards), replaced=dict(replaced.values), first_replaced=replaced.first)
        if len(payload.parts) > 1:
            payload.written.finish(str(number), payload.inputs, part)
        finished.append(part)
        replaced.values.clear()
        replaced.first = ""
        begin = end
    return _joined(finished)


def _joined(parts: Sequence[WriteResult]) -> WriteResult:
    whole = Replacements()
    for part in parts:
        for source, count in part.replaced.items():
            whole.add(source, count, part.first_replaced)
    shards = tuple(shard for part in parts for shard in part.shards)
    return WriteResult(shards=shards, replaced=whole.values, first_replaced=whole.first)
