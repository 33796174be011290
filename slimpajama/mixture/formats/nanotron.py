"""Token files of nanotron, as datatrove writes them: ``.ds`` with ids, ``.ds.index`` and ``.ds.metadata`` beside it.

A loader cuts the ``.ds`` file every ``sequence_length + 1`` tokens and gives the model all but the last as inputs and
all but the first as targets. So a recipe with ``extra_token: true`` fits a model of the recipe's sequence length;
without it, nanotron is told a length one below. The index holds the end of each document in the file, counted in
tokens, as 64-bit numbers; here a document also ends where its sequence ends, and padding is a document of its own. The
metadata name the tokenizer and the bytes of a token, then the number of tokens, twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slimpajama.mixture.formats.base import SequenceGroup, SequenceShape, stretches
from slimpajama.mixture.formats.streamed import Part, StreamedFormat, Tokens, token_width

__all__ = ["NanotronFormat"]


class _Ends(Part):
    def __init__(self) -> None:
        self._tokens = 0

    def add(self, group: SequenceGroup) -> bytes:
        length = group.tokens.shape[1]
        _, ends = stretches(group)
        if group.filled is not None:
            padded = np.flatnonzero(group.filled < length)
            ends = np.union1d(ends, (padded + 1) * length)
        ends = ends + self._tokens
        self._tokens += group.tokens.size
        return ends.astype("<u8").tobytes()


class _Metadata(Part):
    def __init__(self, token_bytes: int) -> None:
        self._token_bytes = token_bytes
        self._tokens = 0

    def add(self, group: SequenceGroup) -> bytes:
        self._tokens += group.tokens.size
        return b""

    def end(self) -> bytes:
        return f"tokenizer|{self._token_bytes}\n{self._tokens}\n{_rounded(self._tokens)}".encode()


def _rounded(tokens: int) -> str:
    """The number for people, as the writer of the format says it: ``1.23 MT``."""
    for unit, size in (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if tokens >= size:
            return f"{tokens / size:.3g} {unit}T"
    return f"{tokens} T"


class NanotronFormat(StreamedFormat):
    """``<stem>.ds``, ``<stem>.ds.index`` and ``<stem>.ds.metadata``, for nanotron."""

    name = "nanotron"
    endings = (".ds", ".ds.index", ".ds.metadata")
    contents = (
        "Each `.ds` file holds token ids for nanotron (and `DatatroveFolderDataset`), which cuts them every",
        "`sequence_length + 1` tokens: set `sequence_length` one below the length of the sequences here, and",
        "`token_size_in_bytes` 2 (4 for a vocabulary above 65,536). nanotron shuffles files and sequences anew.",
    )
    says_padding = True

    def parts(self, shape: SequenceShape) -> Sequence[Part]:
        """See :meth:`StreamedFormat.parts`."""
        width = token_width(shape.vocabulary)
        return Tokens(width), _Ends(), _Metadata(width.itemsize)
