"""Parquet shards: positions are rows, and a file is read whole by one worker.

Rows are read by :mod:`slimpajama.corpus.parquet`; here they become records, and lines of the output.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from slimpajama.corpus.content import ContentDigest
from slimpajama.corpus.fields import Fields
from slimpajama.corpus.formats.base import InputFormat
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.parquet import kept_rows, text_rows
from slimpajama.corpus.pieces import POSITION_BITS, Piece, ShardFile
from slimpajama.corpus.records import FIRST_BYTES, BadRecord, RecordBatch, names_no_source
from slimpajama.corpus.shard_beginnings import copied_groups
from slimpajama.corpus.shard_writer import PartEnds, SecondPass, changed, rebuilt_line
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
        batch, held = RecordBatch(start=start), 0
        columns: list[Any] = []
        for rows in text_rows(piece, fields, start):
            coming = sum(len(text) for text in rows.texts if text is not None)
            if batch.ids and (held + coming > reader.block_bytes or len(batch.ids) + len(rows.texts) > BATCH_ROWS):
                yield batch
                for column in columns:
                    content.add_texts(column)
                batch, held, columns = RecordBatch(start=rows.first), 0, []
            columns.append(rows.column)
            for position, (text, named) in enumerate(zip(rows.texts, rows.set_names, strict=True), start=rows.first):
                encoded = text.encode() if isinstance(text, str) else text or b""
                size = len(encoded)
                shard = piece.shards[0]
                reason = _fault_in_row(text, size, reader.max_line_bytes, fields.text_name)
                if not reason and piece.mixed:
                    if isinstance(named, str) and named in piece.set_names:
                        shard = piece.shards[piece.set_names.index(named)]
                    else:
                        reason = names_no_source(named, piece)
                if reason:
                    batch.bad[len(batch.ids)] = BadRecord(position, reason, size, encoded[:FIRST_BYTES])
                else:
                    batch.texts.append(text)
                batch.ids.append((shard.index << POSITION_BITS) + position)
                batch.sources.append(shard.source)
                batch.sizes.append(size)
                held += size
            batch.document_ids += rows.document_ids
            batch.preferred += rows.preferred
        if batch.ids:
            yield batch
        for column in columns:
            content.add_texts(column)

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


def _fault_in_row(text: str | bytes | None, size: int, max_bytes: int, name: str) -> str:
    if size > max_bytes:
        return "too large"
    return "" if isinstance(text, str) else f"{name!r} is null" if text is None else f"{name!r} is not UTF-8"
