"""What a recipe reads of a source, and how it packs: found once for planning, building and checking a mixture.

Finding the windows of best-fit packing goes through the lengths of all pieces of a source, so what was found is kept
for this process, by all that it depends on. Costs a microsecond a document the first time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from slimpajama.mixture.packing import Packing, Windows
from slimpajama.mixture.packing_shares import PackingShares, WindowIndex, measured_packing
from slimpajama.tokens.selection import Selection
from slimpajama.tokens.store import TokenStore, open_store

__all__ = ["TrainStream", "mixture_packing"]

_KEPT = 256
"""Streams whose windows are remembered."""

_BOTH: tuple[Packing, ...] = ("concat", "best-fit")


@dataclass(frozen=True, slots=True)
class TrainStream:
    """The training documents of ``source`` that ``selection`` takes, in the order of ``seed``, in sequences of
    ``length`` tokens."""

    source: str
    selection: Selection
    seed: int
    length: int

    def index(self, store: TokenStore) -> WindowIndex:
        """Where its best-fit sequences lie."""
        return _index(store.path, store.fingerprint, self)

    def padded_tokens(self, store: TokenStore) -> int:
        """Tokens of the best-fit sequences of an epoch, padding among them."""
        return self.index(store).sequences(0) * self.length

    def windows(self, store: TokenStore) -> Windows:
        """Its windows."""
        return Windows.of(store.stream(self.source, "train", self.selection, self.seed), self.length)


@lru_cache(maxsize=_KEPT)
def _index(path: Path, fingerprint: str, stream: TrainStream) -> WindowIndex:
    return WindowIndex(stream.windows(open_store(path)))


@lru_cache(maxsize=2 * _KEPT)
def _measured(path: Path, fingerprint: str, stream: TrainStream, packing: Packing) -> PackingShares:
    return measured_packing(stream.windows(open_store(path)), packing)


def mixture_packing(store: TokenStore, counts: Iterable[tuple[TrainStream, int]]) -> dict[Packing, PackingShares]:
    """What either packing does to a mixture of so many sequences of each stream.

    Measured on the first tokens of each source, so the numbers are those of about as many sequences.
    """
    streams = list(counts)
    found: dict[Packing, PackingShares] = {}
    for packing in _BOTH:
        whole = PackingShares(0, 0, 0, 0)
        for stream, count in streams:
            part = _measured(store.path, store.fingerprint, stream, packing)
            times = count * stream.length / max(1, part.tokens + part.padding)
            numbers = (part.documents, part.cut, part.tokens, part.padding)
            whole = whole.with_more(*(round(times * number) for number in numbers))
        found[packing] = whole
    return found
