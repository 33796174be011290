"""All that the band keys of a text depend on, as one value.

Two runs can be compared if their parameters are equal; the index of a deduplication holds them. Rejected: the settings
themselves, most of which change no key.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from slimpajama.config.dedup import Config
from slimpajama.dedup.banding import PUBLISHED_BANDS, PUBLISHED_ROWS, banding
from slimpajama.registry import KEY_METHODS
from slimpajama.text.cleaning import Cleaning
from slimpajama.text.normalisation import Normalisation
from slimpajama.text.shingles import SHINGLE_CHARACTERS, Unit

__all__ = ["MinHashParams"]


@dataclass(frozen=True, slots=True)
class MinHashParams:
    """The published values by default.

    ``method``: the key method, by name, and its ``method_version``. ``num_perm`` permutations drawn with ``seed`` make
    a signature, of which ``bands`` of ``rows`` values each become keys. ``normalisation``: of the stored text, which is
    then cleaned in the way of ``cleaning`` and cut into shingles of ``shingle_length`` units. Documents of fewer than
    ``min_cleaned_characters`` have no keys. ``checked``: the low bytes of minima are kept beside the keys, and removals
    are held to ``threshold``."""

    num_perm: int = 128
    seed: int = 1
    normalisation: Normalisation = "nfc"
    min_cleaned_characters: int = 200
    bands: int = PUBLISHED_BANDS
    rows: int = PUBLISHED_ROWS
    shingle_unit: Unit = "character"
    shingle_length: int = SHINGLE_CHARACTERS
    cleaning: Cleaning = "slimpajama"
    method: str = "minhash"
    method_version: int = 1
    checked: bool = False
    threshold: float | None = None

    @classmethod
    def of(cls, config: Config) -> MinHashParams:
        """What ``config`` asks for."""
        bands, rows = banding(config)
        return cls(
            num_perm=config.num_perm,
            seed=config.seed,
            normalisation=config.normalisation,
            min_cleaned_characters=config.min_cleaned_characters,
            bands=bands,
            rows=rows,
            shingle_unit=config.shingle.unit,
            shingle_length=config.shingle.length,
            cleaning=config.cleaning,
            method=config.method,
            method_version=KEY_METHODS.get(config.method).version,
            checked=config.checked,
            threshold=config.threshold if config.checked else None,
        )

    @property
    def in_bins(self) -> bool:
        """Whether a signature is made by one permutation, in ``num_perm`` bins."""
        return self.method == "one-permutation"

    @property
    def values(self) -> int:
        """How many values of a signature are computed: those that bands use, or all bins, which cost no more."""
        return self.num_perm if self.in_bins else self.bands * self.rows

    def first_difference(self, other: MinHashParams) -> str:
        """The name of the first field in which two values differ, or nothing."""
        return next((one.name for one in fields(self) if getattr(self, one.name) != getattr(other, one.name)), "")
