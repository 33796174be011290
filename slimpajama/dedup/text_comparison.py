"""How alike two texts are, by the measures that deduplication goes by: shingles, signatures and bands.

Everything is computed from the texts, with the parameters of the run. Costs a sketch and a sort of each text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slimpajama.config.dedup import SIGNATURE_METHODS
from slimpajama.corpus.texts import Texts
from slimpajama.dedup.minhash import signature
from slimpajama.dedup.one_permutation import bin_minima
from slimpajama.dedup.params import MinHashParams
from slimpajama.dedup.shingle_sets import containment, jaccard, shingle_sets
from slimpajama.registry import KEY_METHODS

__all__ = ["Comparison", "compare_texts"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two texts, ``first`` and ``second``.

    ``jaccard``: shared shingles as a share of all. ``estimate``: what their signatures say of it, as datasketch
    estimates it; ``None`` for a method without signatures. ``first_in_second``: the share of the first's shingles that
    the second has, too; ``second_in_first`` the other way round. ``bands``: those that agree, counted from 0.
    """

    jaccard: float
    estimate: float | None
    first_in_second: float
    second_in_first: float
    bands: tuple[int, ...]


def compare_texts(first: str, second: str, params: MinHashParams) -> Comparison:
    """Compare two stored texts. Texts without shingles share nothing."""
    sets = shingle_sets([first, second], params)
    one, other = sets[0], sets[1]
    estimate = None
    if params.method in SIGNATURE_METHODS:
        make = bin_minima if params.in_bins else signature
        signatures = [
            make(
                text,
                params.num_perm,
                params.seed,
                unit=params.shingle_unit,
                length=params.shingle_length,
                cleaning=params.cleaning,
            )
            for text in (first, second)
        ]
        estimate = float(np.mean(signatures[0] == signatures[1])) if one.size and other.size else 0.0
    keys = KEY_METHODS.get(params.method).sketcher(params).sketch(Texts.of([first, second])).keys
    agreeing = np.flatnonzero((keys[0] == keys[1]) & (keys[0] != 0))
    return Comparison(
        jaccard=jaccard(one, other),
        estimate=estimate,
        first_in_second=containment(one, other),
        second_in_first=containment(other, one),
        bands=tuple(agreeing.tolist()),
    )
