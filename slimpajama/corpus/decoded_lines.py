"""The lines of a file of JSON lines, one after the other, for readers that want a few thousand of them at most.

Shards of the corpus are read by :mod:`.records`, which makes no object for a line; this makes one. It keeps a line in
memory, however long it is.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slimpajama.corpus.codecs import Codec
from slimpajama.corpus.file_formats import kind_of, suffix_of
from slimpajama.storage.paths import opened

__all__ = ["codec_of_lines", "decoded_lines"]


def codec_of_lines(name: str) -> Codec | None:
    """How a file of JSON lines is compressed; ``None`` for other files."""
    suffix = suffix_of(name)
    kind = kind_of(suffix) if suffix else None
    return kind.codec if kind is not None and kind.format.name == "jsonl" else None


def decoded_lines(path: Path, codec: Codec) -> Iterator[bytes]:
    """Each line with its end. Raises :class:`OSError`, also for a file that is not what its name says."""
    with opened(path) as raw:
        yield from io.BufferedReader(_DecodedStream(codec.decoded(raw)))


class _DecodedStream(io.RawIOBase):
    """A stream of a codec as Python's buffered files want it."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        read: int = self._stream.readinto(memoryview(target).cast("B"))
        return read
