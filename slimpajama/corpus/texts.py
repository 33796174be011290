"""Texts as UTF-8 in one buffer, so that kernels can go through all of them and Python makes no object for each.

Costs 16 bytes a text. Rejected: Arrow's string arrays (texts would have to lie one behind the other, in order).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Texts"]


@dataclass(frozen=True, slots=True)
class Texts:
    """n texts in UTF-8: number i is ``data[starts[i]:stops[i]]``.

    ``data`` ``uint8[m]`` is read-only, as kernels are compiled for that, and may hold more than the texts.

    ``starts``, ``stops``: ``int64[n]``.
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Texts:
        """The texts, encoded. Lone surrogates raise ``UnicodeEncodeError``."""
        encoded = [text.encode() for text in texts]
        stops = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), stops[:-1], stops[1:])

    @classmethod
    def joined(cls, parts: Sequence[Texts]) -> Texts:
        """The texts of all parts, in order; a copy, unless there is just one."""
        if len(parts) == 1:
            return parts[0]
        offsets = np.cumsum([0, *(part.data.size for part in parts)], dtype=np.int64).tolist()
        empty = np.zeros(0, dtype=np.int64)
        data = np.concatenate([np.zeros(0, dtype=np.uint8), *(part.data for part in parts)])
        data.setflags(write=False)
        return cls(
            data,
            np.concatenate([empty, *(part.starts + offset for part, offset in zip(parts, offsets, strict=False))]),
            np.concatenate([empty, *(part.stops + offset for part, offset in zip(parts, offsets, strict=False))]),
        )

    def __len__(self) -> int:
        return self.starts.size

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Bytes of each text, ``int64[n]``."""
        return self.stops - self.starts

    def chosen(self, which: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Texts:
        """Some of the texts, in the same buffer."""
        return Texts(self.data, self.starts[which], self.stops[which])

    def encoded(self) -> list[bytes]:
        """All texts as bytes, for libraries that take nothing else."""
        data = self.data.data
        return [bytes(data[start:stop]) for start, stop in zip(self.starts.tolist(), self.stops.tolist(), strict=True)]

    def decoded(self) -> list[str]:
        """All texts as strings."""
        data, spans = self.data.data, zip(self.starts.tolist(), self.stops.tolist(), strict=True)
        return [str(data[start:stop], "utf-8") for start, stop in spans]
