"""Shard formats: how deduplicated shards are stored. One class each.

To add one, write a subclass of :class:`ShardFormat` in a module that workers can import, register an instance with
``SHARD_FORMATS.register``, and set ``shard_format`` to its name. Mixtures and ``slimpajama verify`` read shards with
the input format of their ending, so there must be one (``INPUT_FORMATS``, ``CODECS``). Rejected: a writer of records as
Python objects (every record would be parsed and encoded once more).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Protocol

import zstandard

from slimpajama.corpus.file_formats import endings, suffix_of
from slimpajama.corpus.pieces import ShardFile
from slimpajama.errors import ConfigError
from slimpajama.registry import SHARD_FORMATS

__all__ = ["JsonLinesZst", "ShardEncoder", "ShardFormat", "shard_format", "written_shard"]


class ShardEncoder(Protocol):
    """Makes the bytes of one shard; compressors of ``zlib``, ``bz2``, ``lzma`` and ``zstandard`` are encoders."""

    def compress(self, lines: bytes, /) -> bytes:
        """The next bytes of the file, maybe none, for some whole JSON lines."""
        ...

    def flush(self) -> bytes:
        """The last bytes of the file."""
        ...


class ShardFormat(ABC):
    """A way to store deduplicated shards. ``ending``: of its files, one that an input format reads."""

    name: ClassVar[str]
    ending: ClassVar[str]

    @abstractmethod
    def encoder(self, level: int) -> ShardEncoder:
        """For one shard, or for two with the same content. ``level``: the setting ``compression_level``.

        The same lines must give the same bytes, however they are divided among calls.
        """


class JsonLinesZst(ShardFormat):
    """JSON lines in one zstd frame, because common readers stop at the end of the first without a word."""

    name = "jsonl.zst"
    ending = ".jsonl.zst"

    def encoder(self, level: int) -> ShardEncoder:
        """See :meth:`ShardFormat.encoder`."""
        return zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()


def shard_format(name: str) -> ShardFormat:
    """The format of that name. Raises :class:`ConfigError` where there is none, or its files could not be read."""
    found = SHARD_FORMATS.get(name)
    if found.ending.lower() not in endings():
        raise ConfigError(
            f"no input format reads files ending in {found.ending}, which the shard format {name!r} writes; "
            "register one"
        )
    return found


def written_shard(path: Path, name: str) -> ShardFile:
    """A shard that was written below the output of a deduplication, to be read from its beginning to its end.

    Its size is not looked up. Raises :class:`ConfigError` where no input format reads its ending.
    """
    suffix = suffix_of(path.name)
    if suffix is None:
        raise ConfigError(f"no input format reads {path}; register the one that reads what its shard format writes")
    return ShardFile(str(path), name, suffix, 0, 0)
