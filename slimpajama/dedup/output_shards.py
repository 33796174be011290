"""Stage 5: deduplicated shards, one per input file, source and scope.

Reads the input a second time, but parses only what is kept. Where both scopes keep the same records of a piece, the
shard is compressed once and written twice; where they differ in one record, it is compressed twice (two scopes cannot
share a part of a zstd frame, and more than one frame per file would be lost on common readers).
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from slimpajama.corpus.discovery import POSITION_BITS, Piece
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.writing import ShardWriter, changed, kept_lines
from slimpajama.dedup.rows import read_columns
from slimpajama.text.normalisation import Normalisation, normaliser

__all__ = ["VERSION", "WriteItem", "write_piece"]

VERSION = 1


@dataclass(frozen=True, slots=True)
class WriteItem:
    """One piece, its decisions, and the shard to write for each (scope, source order) in ``outputs``."""

    piece: Piece
    reader: LineReader
    normalisation: Normalisation
    decisions_file: Path
    rows_file: Path
    outputs: tuple[tuple[str, int, Path], ...]
    level: int

    @property
    def output_files(self) -> tuple[Path, ...]:
        """The files that are there when the item is done."""
        return tuple(path for _, _, path in self.outputs)


def write_piece(item: WriteItem) -> dict[str, Any]:
    """Write the outputs of a piece; returns the number of documents written to each scope, by source order.

    Raises :class:`InputChanged` where a kept record is no longer at its place.
    """
    kept = _kept_masks(item)
    with ExitStack() as stack:
        writers: list[tuple[NDArray[np.bool_], ShardWriter]] = []
        by_content: dict[tuple[int, bytes], list[Path]] = {}
        masks: dict[tuple[int, bytes], NDArray[np.bool_]] = {}
        for scope, source, path in item.outputs:
            mask = kept.by_output[scope, source]
            by_content.setdefault((source, mask.tobytes()), []).append(path)
            masks[source, mask.tobytes()] = mask
        for content, paths in by_content.items():
            writers.append((masks[content], ShardWriter(stack, paths, item.level)))
        # A record is rebuilt once, for the writers that keep it: their numbers are the bits of its code.
        codes = np.zeros(kept.positions.size, dtype=np.int64)
        for number, (mask, _) in enumerate(writers):
            codes |= mask.astype(np.int64) << number
        wanted = codes != 0
        receivers = {
            code: [writer for number, (_, writer) in enumerate(writers) if code >> number & 1]
            for code in np.unique(codes[wanted]).tolist()
        }
        lines = kept_lines(
            item.piece,
            item.reader,
            kept.positions[wanted],
            kept.sources[wanted],
            kept.rewritten[wanted],
            normaliser(item.normalisation),
        )
        written = 0
        for code, line in zip(codes[wanted].tolist(), lines, strict=False):
            written += 1
            for writer in receivers[code]:
                writer.write(line)
        if written != int(wanted.sum()):
            raise changed(item.piece, int(kept.positions[wanted][written]))
        for _, writer in writers:
            writer.finish()
    return {
        "documents": [[scope, source, int(kept.by_output[scope, source].sum())] for scope, source, _ in item.outputs]
    }


@dataclass(frozen=True, slots=True)
class _Kept:
    positions: NDArray[np.int64]
    sources: NDArray[np.int64]
    rewritten: NDArray[np.bool_]
    by_output: dict[tuple[str, int], NDArray[np.bool_]]


def _kept_masks(item: WriteItem) -> _Kept:
    table = pq.read_table(item.decisions_file, columns=["id", "position", "kept_global", "kept_local"])
    shards = (table.column("id").to_numpy() >> np.uint64(POSITION_BITS)).astype(np.int64)
    source_of_shard = {shard.index: shard.source for shard in item.piece.shards}
    sources = np.full(shards.size, -1, dtype=np.int64)
    for shard, source in source_of_shard.items():
        sources[shards == shard] = source
    by_output = {}
    for scope, source, _ in item.outputs:
        by_output[scope, source] = table.column(f"kept_{scope}").to_numpy() & (sources == source)
    (rewritten,) = read_columns(item.rows_file, ["rewritten"])
    return _Kept(table.column("position").to_numpy(), sources, rewritten, by_output)
