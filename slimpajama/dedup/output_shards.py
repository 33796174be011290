"""Stage 5: deduplicated shards, one per input file, source and scope; several for a file that has parts.

Reads the input a second time, but parses only what is kept. Where both scopes keep the same records of a part, the
shard is compressed once and written twice; where they differ in one record, it is compressed twice (two scopes cannot
share a part of a zstd frame, and more than one frame per file would be lost on common readers). A part that was
written before a run was killed is not written again. Holds 10 bytes for each record of the piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from slimpajama.corpus.content import PartsCheck
from slimpajama.corpus.discovery import POSITION_BITS, Piece
from slimpajama.corpus.fields import Fields
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.writing import Replacements, ShardWriter, changed, kept_lines
from slimpajama.dedup.rows import row_batches
from slimpajama.errors import InputChanged
from slimpajama.markers import ANY_BYTES, Markers
from slimpajama.storage import opened, remove_file, remove_tree
from slimpajama.text.normalisation import Normalisation, normaliser

__all__ = ["VERSION", "WriteItem", "write_piece"]

VERSION = 4

_BITS = {"global": 1, "local": 2}
"""Of a record's code: kept in that scope. The rest of the code is its source."""


@dataclass(frozen=True, slots=True)
class WriteItem:
    """One piece, its decisions, and where its shards go.

    ``parts``: positions at which the parts of the piece begin. ``outputs``: for each part the (scope, source order,
    path) of its shards. ``written`` remembers the parts that are there, which depend on ``depends``.
    ``content``: digests of the parts as they were read first; ``sketched``, ``sketched_parts``: the marker of that
    reading, and the folder of its parts.
    """

    piece: Piece
    reader: LineReader
    fields: Fields
    normalisation: Normalisation
    decisions_file: Path
    rows_file: Path
    parts: tuple[int, ...]
    outputs: tuple[tuple[tuple[str, int, Path], ...], ...]
    level: int
    written: Markers
    depends: dict[str, Any]
    content: tuple[str, ...]
    sketched: Path
    sketched_parts: Path


def write_piece(item: WriteItem) -> dict[str, Any]:
    """Write the outputs of a piece; returns the records of their ``files``, in the order of ``outputs``.

    ``replaced`` in the result counts the values of kept records that JSON cannot hold, by source order, and ``first``
    names the first record of them.
    Raises :class:`InputChanged` where the shard is not what was read first, which is forgotten then: its size and time
    may be the same, so the next run would not read it anew otherwise.
    """
    try:
        return _write(item)
    except InputChanged:
        remove_file(item.sketched)
        remove_tree(item.sketched_parts)
        raise


def _write(item: WriteItem) -> dict[str, Any]:
    files: list[dict[str, Any]] = []
    whole = Replacements()
    first = 0
    while len(item.parts) > 1 and first < len(item.parts):
        known, _ = item.written.result(str(first), item.depends, ANY_BYTES)
        if known is None:
            break
        files += known["files"]
        _add(whole, known)
        first += 1
    if first == len(item.parts):
        return {"files": files} | _as_result(whole)
    kept = _kept_records(item, item.parts[first])
    replaced = Replacements()
    lines = kept_lines(
        item.piece,
        item.reader,
        kept.positions,
        (kept.codes >> 2).astype(np.int64),
        kept.rewritten,
        normaliser(item.normalisation),
        item.parts[first],
        item.fields,
        replaced,
        # How much of a shard that breaks off can be read depends on where reading began.
        PartsCheck(
            item.piece,
            item.parts[first:],
            item.content[first:],
            compare_last=not (first and item.reader.truncated == "keep"),
        ),
    )
    ends = np.searchsorted(kept.positions, [*item.parts[first + 1 :], 1 << POSITION_BITS])
    begin = 0
    for number, end in enumerate(ends.tolist(), start=first):
        outputs = item.outputs[number]
        records, count = _write_part(outputs, kept.codes[begin:end], lines, item.level)
        if count != end - begin:
            raise changed(item.piece, int(kept.positions[begin + count]))
        if len(item.parts) > 1:
            item.written.finish(str(number), item.depends, {"files": records} | _as_result(replaced))
        _add(whole, _as_result(replaced))
        replaced.values.clear()
        replaced.first = ""
        files += records
        begin = end
    return {"files": files} | _as_result(whole)


def _as_result(replaced: Replacements) -> dict[str, Any]:
    return {"replaced": {str(source): count for source, count in replaced.values.items()}, "first": replaced.first}


def _add(whole: Replacements, result: Mapping[str, Any]) -> None:
    for source, count in result["replaced"].items():
        whole.add(int(source), count, result["first"])


def _write_part(
    outputs: Sequence[tuple[str, int, Path]], codes: NDArray[np.uint16], lines: Iterator[bytes], level: int
) -> tuple[list[dict[str, Any]], int]:
    """Write one line for each of ``codes``; returns the records of the files, and how many lines there were."""
    paths: dict[int, dict[int, Path]] = {}
    for scope, source, path in outputs:
        paths.setdefault(source, {})[_BITS[scope]] = path
    count = 0
    with ExitStack() as stack:
        receivers: dict[int, list[ShardWriter]] = {}
        writers: list[ShardWriter] = []
        for source, by_bit in paths.items():
            differ = np.any(codes == source << 2 | _BITS["local"])
            groups = [[bit] for bit in by_bit] if differ else [list(by_bit)]
            for bits in groups:
                writer = ShardWriter(stack, [by_bit[bit] for bit in bits], level)
                writers.append(writer)
                for flags in range(1, 4):
                    if any(flags & bit for bit in bits):
                        receivers.setdefault(source << 2 | flags, []).append(writer)
        for code, line in zip([*codes.tolist(), -1], lines, strict=False):
            if not line:  # the part ends here, and is what was read first
                break
            count += 1
            for writer in receivers[code]:
                writer.write(line)
        for writer in writers:
            writer.finish()
    records = {record["path"]: record for writer in writers for record in writer.records}
    return [records[str(path)] for _, _, path in outputs], count


@dataclass(frozen=True, slots=True)
class _Kept:
    """The records of a piece that some output keeps. ``positions`` ``int64[n]``, ``rewritten`` ``bool[n]`` and
    ``codes`` ``uint16[n]``: ``source << 2`` and ``_BITS``."""

    positions: NDArray[np.int64]
    rewritten: NDArray[np.bool_]
    codes: NDArray[np.uint16]


def _kept_records(item: WriteItem, start: int) -> _Kept:
    """What is kept from position ``start`` on."""
    scopes = {scope for scope, _, _ in item.outputs[0]}
    source_of_shard = {shard.index: shard.source for shard in item.piece.shards}
    shards = np.array(sorted(source_of_shard), dtype=np.int64)
    sources = np.array([source_of_shard[shard] for shard in shards.tolist()], dtype=np.uint16)
    rewritten = np.concatenate(
        [np.zeros(0, dtype=np.bool_), *(flags for (flags,) in row_batches(item.rows_file, ["rewritten"]))]
    )
    kept: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = []
    row = 0
    with opened(item.decisions_file) as decisions, pq.ParquetFile(decisions) as file:
        for batch in file.iter_batches(columns=["id", "position", "kept_global", "kept_local"]):
            flags = np.zeros(batch.num_rows, dtype=np.uint16)
            for scope in scopes:
                flags |= batch.column(f"kept_{scope}").to_numpy(zero_copy_only=False) * np.uint16(_BITS[scope])
            positions = batch.column("position").to_numpy()
            chosen = np.flatnonzero((flags != 0) & (positions >= start))
            ids = batch.column("id").to_numpy()[chosen] >> np.uint64(POSITION_BITS)
            own = sources[np.searchsorted(shards, ids.astype(np.int64))]
            kept.append((positions[chosen], rewritten[row + chosen], own << 2 | flags[chosen]))
            row += batch.num_rows
    empty = (np.zeros(0, np.int64), np.zeros(0, np.bool_), np.zeros(0, np.uint16))
    return _Kept(*(np.concatenate(column) for column in zip(empty, *kept, strict=True)))
