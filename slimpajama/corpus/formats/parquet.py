"""Parquet shards: positions are rows, and a file is read whole by one worker.

Rows are read by :mod:`slimpajama.corpus.parquet`; here they become records, and lines of the output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.corpus.arrow_json import is_text
from slimpajama.corpus.content import ContentDigest
from slimpajama.corpus.fields import Fields
from slimpajama.corpus.formats.base import InputFormat
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.parquet import TextRows, column_values, kept_rows, text_rows
from slimpajama.corpus.parsed_line import names_no_source
from slimpajama.corpus.pieces import Piece, ShardFile
from slimpajama.corpus.rebuilt_line import rebuilt_line
from slimpajama.corpus.records import FIRST_BYTES, BadRecord, RecordBatch, ids_of, sources_of
from slimpajama.corpus.shard_beginnings import copied_groups
from slimpajama.corpus.shard_writer import PartEnds, SecondPass, changed
from slimpajama.corpus.texts import Texts
from slimpajama.storage.paths import is_remote, opened, path_of

__all__ = ["ParquetShards"]

BATCH_ROWS = 4096

LABELLED_ROWS = 256
"""Rows whose labels are looked at, at most."""


class ParquetShards(InputFormat):
    """``.parquet``."""

    name = "parquet"
    endings = (".parquet",)
    compressible = False
    unit = "row"

    def read(
        self, piece: Piece, reader: LineReader, start: int, fields: Fields, content: ContentDigest
    ) -> Iterator[RecordBatch]:
        """See :meth:`InputFormat.read`."""
        waiting: list[TextRows] = []
        held = count = 0
        for rows in text_rows(piece, fields, start):
            if waiting and (held + rows.characters > reader.block_bytes or count + len(rows) > BATCH_ROWS):
                yield _batch(piece, fields, waiting, reader.max_line_bytes)
                for given in waiting:
                    content.add_texts(given.column)
                held, count, waiting = 0, 0, []
            waiting.append(rows)
            held += int(rows.texts.sizes.sum())
            count += len(rows)
        if waiting:
            yield _batch(piece, fields, waiting, reader.max_line_bytes)
        for given in waiting:
            content.add_texts(given.column)

    def kept_lines(self, piece: Piece, reader: LineReader, asked: SecondPass) -> Iterator[bytes]:
        """See :meth:`InputFormat.kept_lines`."""
        fields, ends = asked.fields, PartEnds(asked.check)
        for index, row in enumerate(kept_rows(piece, fields, asked.positions, asked.start, asked.check)):
            source, position = int(asked.sources[index]), int(asked.positions[index])
            yield from ends.before(position)
            if not isinstance(row.text, str):
                raise changed(piece, position)
            asked.replaced.add(source, row.replaced, f"{piece.file.path}, row {position:,}")
            text = orjson.dumps(asked.normalise(row.text))
            (duplicates,) = asked.duplicates(index, index + 1)
            line = orjson.dumps(row.record)
            yield rebuilt_line(line, asked.set_names[source], text, fields, piece.keeps_labels, duplicates)
        yield from ends.closing()

    def first_labels(self, file: ShardFile) -> list[Any]:
        """See :meth:`InputFormat.first_labels`."""
        import pyarrow.parquet as pq

        path = path_of(file.path)
        source: Any = opened(path) if is_remote(path) else file.path
        with pq.ParquetFile(source, pre_buffer=False, buffer_size=1 << 16) as table:
            columns = [table.schema.column(index).path for index in range(len(table.schema.names))]
            if "meta.redpajama_set_name" not in columns:
                return [None] * min(1, table.metadata.num_rows)
            batches = table.iter_batches(LABELLED_ROWS, columns=["meta.redpajama_set_name"])
            metas = next(batches, pa.record_batch([pa.array([])], names=["meta"])).column("meta").to_pylist()
        return [meta.get("redpajama_set_name") if isinstance(meta, dict) else None for meta in metas]

    def copy_beginning(self, file: ShardFile, most: int, target: Path) -> int:
        """See :meth:`InputFormat.copy_beginning`."""
        return copied_groups(file, most, target)


def _batch(piece: Piece, fields: Fields, parts: Sequence[TextRows], max_bytes: int) -> RecordBatch:
    """The records of successive rows. Those that hold no text, or more than ``max_bytes`` of it, are bad."""
    texts = Texts.joined([rows.texts for rows in parts])
    positions = np.arange(parts[0].first, parts[0].first + len(texts))
    null = np.concatenate([rows.null for rows in parts])
    not_utf8 = np.concatenate([rows.not_utf8 for rows in parts])
    owners = _owners(piece, pa.chunked_array([rows.set_names for rows in parts])) if piece.mixed else positions * 0
    reasons: dict[int, str] = {}
    for row in np.flatnonzero((texts.sizes > max_bytes) | null | not_utf8 | (owners < 0)).tolist():
        if texts.sizes[row] > max_bytes:
            reasons[row] = "too large"
        elif null[row] or not_utf8[row]:
            reasons[row] = f"{fields.text_name!r} is {'null' if null[row] else 'not UTF-8'}"
        else:
            (named,) = column_values(pa.concat_arrays([rows.set_names for rows in parts]).slice(row, 1))
            reasons[row] = names_no_source(named, piece)
    bad = {}
    for row, reason in reasons.items():
        start, stop = int(texts.starts[row]), int(texts.stops[row])
        first = texts.data[start : min(stop, start + FIRST_BYTES)].tobytes()
        bad[row] = BadRecord(int(positions[row]), reason, stop - start, first)
    # Whose a broken record of a mixed file is cannot be read, so it is booked on the first source.
    owners[list(bad)] = 0
    sound = np.ones(len(texts), dtype=np.bool_)
    sound[list(bad)] = False
    return RecordBatch(
        ids=ids_of(piece, owners, positions),
        sources=sources_of(piece, owners),
        sizes=texts.sizes,
        texts=texts.chosen(sound),
        bad=bad,
        start=parts[0].first,
        document_ids=[one for rows in parts for one in rows.document_ids],
        preferred=[one for rows in parts for one in rows.preferred],
    )


def _owners(piece: Piece, names: pa.ChunkedArray) -> NDArray[np.int64]:
    """``int64[n]``: which of the piece's sources each row names, -1 where none."""
    import pyarrow.compute as pc

    if not is_text(names.type):
        return np.full(len(names), -1, dtype=np.int64)
    found = pc.index_in(names.cast(pa.large_string()), pa.array(piece.set_names, pa.large_string()))
    return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int64)
