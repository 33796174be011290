"""A digest of what was read of a shard, so that the second pass over it notices that its content is another.

Size and time of a file tell most changes, but a program can change a file and keep both. Both passes read every byte
anyway: the first leaves a digest of each part of a piece, of its lines or its texts, and the second compares before it
lets the outputs of the part appear. How the bytes were cut into blocks does not matter. xxh3 takes 0.1 s for a
gigabyte; it is no defence against somebody who wants two digests to agree. Of a line that is too large only the
size counts, and of a Parquet shard only the texts, as the first pass reads no other column. Rejected:
blake2b (a tenth of the speed).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from slimpajama.corpus.discovery import Piece
from slimpajama.corpus.lines import LineBlock
from slimpajama.errors import InputChanged

__all__ = ["ContentDigest", "PartsCheck"]


class ContentDigest:
    """Takes lines or texts in their order; :meth:`take` gives the digest of all since the last time."""

    def __init__(self) -> None:
        self._content = xxhash.xxh3_128()
        self._sizes = xxhash.xxh3_128()

    def add_lines(self, block: LineBlock) -> None:
        """Lines of a shard, each as if it ended in one newline."""
        if not block.starts.size:
            return
        if block.too_large:
            self._sizes.update(np.int64(block.too_large).tobytes())
            return
        spans = [(int(block.starts[0]), int(block.stops[-1]))]
        if np.any(block.starts[1:] != block.stops[:-1] + 1):  # something between the lines that is of none
            spans = list(zip(block.starts.tolist(), block.stops.tolist(), strict=True))
        for start, stop in spans:
            self._content.update(block.data[start:stop])
            self._content.update(b"\n")

    def add_texts(self, texts: pa.Array) -> None:
        """Texts of rows, null or not."""
        if not len(texts):
            return
        values = texts.cast(pa.large_binary())
        _, offsets, data = values.buffers()
        bounds = np.frombuffer(offsets, dtype=np.int64)[values.offset : values.offset + len(values) + 1]
        sizes = np.diff(bounds)
        sizes[values.is_null().to_numpy(zero_copy_only=False)] = -1
        self._sizes.update(sizes.tobytes())
        if data is not None:
            self._content.update(memoryview(data)[int(bounds[0]) : int(bounds[-1])])

    def take(self) -> str:
        """The digest, in hexadecimal."""
        digest = self._content.hexdigest() + self._sizes.hexdigest()
        self._content.reset()
        self._sizes.reset()
        return digest


class PartsCheck:
    """Compares the parts of a piece, which begin at positions ``starts``, with the digests of the first pass.

    A part has been compared once something behind it was added. ``compare_last``: whether the last one is compared.
    """

    def __init__(
        self, piece: Piece, starts: Sequence[int], digests: Sequence[str], *, compare_last: bool = True
    ) -> None:
        self._piece = piece
        self._starts = list(starts)
        self._digests = list(digests)
        self._compare_last = compare_last
        self._current = 0
        self._digest = ContentDigest()

    @property
    def compares_all(self) -> bool:
        """Whether no part goes uncompared."""
        return self._compare_last

    @property
    def inner_bounds(self) -> list[int]:
        """Where all parts but the first begin."""
        return self._starts[1:]

    def add_lines(self, block: LineBlock) -> None:
        """Lines in their order. Raises :class:`InputChanged` where those of a part that ends here are others."""
        starts, stops = block.starts, block.stops
        while starts.size and self._current + 1 < len(self._starts):
            inside = int(np.searchsorted(starts, self._starts[self._current + 1] - block.offset))
            if inside == starts.size:
                break
            self._digest.add_lines(LineBlock(block.data, starts[:inside], stops[:inside], block.offset))
            self._close()
            starts, stops = starts[inside:], stops[inside:]
        self._digest.add_lines(LineBlock(block.data, starts, stops, block.offset, block.too_large))

    def add_texts(self, first: int, texts: pa.Array) -> None:
        """Texts of rows from number ``first`` on, as :meth:`add_lines`."""
        while self._current + 1 < len(self._starts):
            inside = self._starts[self._current + 1] - first
            if inside >= len(texts):
                break
            self._digest.add_texts(texts.slice(0, inside))
            self._close()
            first, texts = first + inside, texts.slice(inside)
        self._digest.add_texts(texts)

    def end(self) -> None:
        """The shard ends here. Raises :class:`InputChanged` where what was read last is something else."""
        compared = len(self._starts) if self._compare_last else len(self._starts) - 1
        if self._current < compared:
            self._close()
        if self._current < compared:
            raise self._changed()

    def _close(self) -> None:
        if self._digest.take() != self._digests[self._current]:
            raise self._changed()
        self._current += 1

    def _changed(self) -> InputChanged:
        unit = self._piece.file.format.unit
        start: Any = self._starts[min(self._current, len(self._starts) - 1)]
        return InputChanged(
            f"{self._piece.file.path} changed during the run, somewhere from {unit} {start:,} on; run the same command "
            "again, it starts this shard anew"
        )
