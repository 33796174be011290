"""What an input format is.

To add one whose records can be written as JSON, subclass
:class:`~slimpajama.corpus.formats.converted.ConvertedFormat`: one method. To read another way, subclass
:class:`InputFormat`. In both cases put the class into a module that workers can import, and register an instance with
``INPUT_FORMATS.register`` before the run starts; files with one of its endings are then shards. Rejected: a format as
functions in a table (reading, layout, the second pass and samples would need an entry each).
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from slimpajama.corpus.line_batch import LineBatch, in_batches
from slimpajama.storage.paths import opened, path_of

if TYPE_CHECKING:
    from slimpajama.corpus.content import ContentDigest
    from slimpajama.corpus.fields import Fields
    from slimpajama.corpus.lines import LineReader
    from slimpajama.corpus.pieces import Piece, ShardFile
    from slimpajama.corpus.records import RecordBatch
    from slimpajama.corpus.shard_writer import SecondPass

__all__ = ["InputFormat"]


class InputFormat(ABC):
    """A way to store records in a file.

    ``name``: unique among formats. ``endings``: of its files. ``compressible``: an ending may be followed by that of a
    codec. ``divisible``: the decoded bytes of a file may be cut into ranges at any byte, and a record belongs to
    the range it begins in. ``unit``: what positions count. ``may_be_description``: a file of one indented JSON object
    describes data and is left out.
    """

    name: ClassVar[str]
    endings: ClassVar[tuple[str, ...]]
    compressible: ClassVar[bool] = True
    divisible: ClassVar[bool] = False
    unit: ClassVar[Literal["byte", "row"]] = "byte"
    may_be_description: ClassVar[bool] = False

    @abstractmethod
    def read(
        self, piece: Piece, reader: LineReader, start: int, fields: Fields, content: ContentDigest
    ) -> Iterator[RecordBatch]:
        """All records of a piece from position ``start`` on, in batches of about 8 MiB.

        Positions ascend and fit into 40 bits. ``content`` must have taken in all of a batch when the next one is given
        out, or the end is reached. Raise :class:`ShardUnreadable` for a file that is not of this format.
        """

    @abstractmethod
    def kept_lines(self, piece: Piece, reader: LineReader, asked: SecondPass) -> Iterator[bytes]:
        """The output lines of the records at ``asked.positions``.

        See :func:`~slimpajama.corpus.shard_writer.kept_lines`, and :class:`~slimpajama.corpus.shard_writer.PartEnds`
        for the empty lines that end parts.
        """

    def kept_batches(self, piece: Piece, reader: LineReader, asked: SecondPass) -> Iterator[LineBatch]:
        """The same lines, many at a time. By default those of :meth:`kept_lines`, about a megabyte of them."""
        return in_batches(self.kept_lines(piece, reader, asked))

    @abstractmethod
    def first_labels(self, file: ShardFile) -> list[Any]:
        """``meta.redpajama_set_name`` of each of the first records, ``None`` where it has none.

        May raise :class:`OSError`, :class:`EOFError`, :class:`ValueError` or an error of Arrow: then nothing is known.
        """

    def text_bytes(self, file: ShardFile) -> int:
        """About how much text a file holds; by default, its size times what the codec makes of it."""
        return file.size * file.codec.expansion

    def remedy(self, file: ShardFile, reason: str, text_field: str) -> str:
        """What a file seems to be whose records are mostly bad for ``reason``, and what to do; empty if not known."""
        return ""

    def copy_beginning(self, file: ShardFile, most: int, target: Path) -> int:
        """Write a file of this format with records from about the first ``most`` bytes of ``file``, for a sample.

        Returns how many bytes of ``file`` they stand for. By default all of it is copied.
        """
        with opened(path_of(file.path)) as source, open(target, "wb") as copy:
            shutil.copyfileobj(source, copy)
        return file.size
