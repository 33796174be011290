"""Token files of OLMo-core: ids one after the other in ``.npy`` files without a header, and documents in ``.csv.gz``.

OLMo-core maps the ``.npy`` file as a flat array of unsigned numbers, as wide as its tokenizer's vocabulary needs, and
cuts it every ``sequence_length`` tokens; where it packs documents itself or masks between them, it reads the lines
``start,end`` of the file beside. Here these are the stretches of one document inside one sequence, so that no reader
joins what was cut. Padding is in none of them. Costs two bytes a token, four where the vocabulary is above 65,536.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from slimpajama.mixture.formats.base import SequenceGroup, SequenceShape, stretches
from slimpajama.mixture.formats.streamed import Part, StreamedFormat, Tokens, token_width

__all__ = ["OlmoFormat"]


def _width(vocabulary: int) -> np.dtype[np.unsignedinteger[Any]]:
    """As OLMo-core guesses it: the least unsigned type that has every id."""
    return np.dtype(np.uint8) if vocabulary <= 1 << 8 else token_width(vocabulary)


class _DocumentLines(Part):
    gzipped = True

    def __init__(self) -> None:
        self._tokens = 0

    def add(self, group: SequenceGroup) -> bytes:
        begins, ends = stretches(group)
        lines = zip((begins + self._tokens).tolist(), (ends + self._tokens).tolist(), strict=True)
        self._tokens += group.tokens.size
        return "".join(f"{begin},{end}\n" for begin, end in lines).encode()


class OlmoFormat(StreamedFormat):
    """``<stem>.npy`` and ``<stem>.csv.gz``, for OLMo-core."""

    name = "olmo"
    endings = (".npy", ".csv.gz")
    contents = (
        "Each `.npy` file is a flat array of token ids for OLMo-core, without a header; give its dataset the sequence",
        "length below and `dtype` uint16 (uint32 for a vocabulary above 65,536). The `.csv.gz` file beside it has the",
        "first and last place of each document in each sequence.",
    )
    says_padding = True

    def parts(self, shape: SequenceShape) -> Sequence[Part]:
        """See :meth:`StreamedFormat.parts`."""
        return Tokens(_width(shape.vocabulary)), _DocumentLines()
