"""The windows of a recipe's sources under best-fit packing, found once for planning, building and checking a mixture.

Finding them goes through the lengths of all pieces of a source, so what was found is kept for this process, by all that
it depends on. Costs a microsecond a document the first time.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from slimpajama.config.recipe import Recipe
from slimpajama.mixture.packing import Packing, Windows
from slimpajama.mixture.packing_shares import PackingShares, WindowIndex, measured_packing
from slimpajama.tokens.selection import Selection
from slimpajama.tokens.store import TokenStore, open_store

__all__ = ["available_tokens", "mixture_packing", "window_index"]

_KEPT = 256
"""Sources whose windows are remembered."""


def window_index(store: TokenStore, source: str, recipe: Recipe) -> WindowIndex:
    """Where the best-fit sequences of a source lie in the stream of the recipe."""
    return _index(store.path, store.fingerprint, source, recipe.scope, recipe.seed, recipe.tokens_per_sequence)


@lru_cache(maxsize=_KEPT)
def _index(path: Path, fingerprint: str, source: str, scope: str, seed: int, length: int) -> WindowIndex:
    return WindowIndex(Windows.of(open_store(path).stream(source, "train", Selection(scope), seed), length))


def available_tokens(store: TokenStore, source: str, recipe: Recipe) -> int:
    """Tokens of one epoch of a source; under best-fit packing those of its sequences, padding among them."""
    if recipe.packing == "concat":
        return store.stream(source, "train", Selection(recipe.scope), recipe.seed).tokens
    return window_index(store, source, recipe).sequences(0) * recipe.tokens_per_sequence


def mixture_packing(store: TokenStore, recipe: Recipe, sequences: Mapping[str, int]) -> dict[Packing, PackingShares]:
    """What either packing does to a mixture of so many ``sequences`` by source.

    Measured on the first tokens of each source, so the numbers are those of about as many sequences.
    """
    found: dict[Packing, PackingShares] = {}
    for packing in _BOTH:
        whole = PackingShares(0, 0, 0, 0)
        for source, count in sequences.items():
            part = _measured(
                store.path, store.fingerprint, source, recipe.scope, recipe.seed, recipe.tokens_per_sequence, packing
            )
            times = count * recipe.tokens_per_sequence / max(1, part.tokens + part.padding)
            numbers = (part.documents, part.cut, part.tokens, part.padding)
            whole = whole.with_more(*(round(times * number) for number in numbers))
        found[packing] = whole
    return found


_BOTH: tuple[Packing, ...] = ("concat", "best-fit")


@lru_cache(maxsize=2 * _KEPT)
def _measured(
    path: Path, fingerprint: str, source: str, scope: str, seed: int, length: int, packing: Packing
) -> PackingShares:
    stream = open_store(path).stream(source, "train", Selection(scope), seed)
    return measured_packing(Windows.of(stream, length), packing)
