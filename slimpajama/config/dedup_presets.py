"""The settings of the field by name: what a preset sets that is not given.

The values are those that each project publishes; equal settings are not equal bytes, since its cleaning, hashing and
choice of the survivor are its own. Rejected: YAML files, as the shipped configs are, since a preset must hold before
any file is read and no file of a user may stand in for one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from slimpajama.config.shingle import ShingleConfig

__all__ = ["DEDUP_PRESETS", "PRESET_THRESHOLD", "DedupPreset", "PresetName"]

PresetName = Literal["slimpajama", "verified", "quick", "fineweb", "dolma3", "nemo"]

PRESET_THRESHOLD = 0.8
"""What removals are held to where ``checked`` and no threshold is given."""


@dataclass(frozen=True, slots=True)
class DedupPreset:
    """The values of one preset. ``title``: one line about it."""

    title: str
    shingle: ShingleConfig
    bands: int
    rows: int
    num_perm: int
    checked: bool = False
    method: str = "minhash"


DEDUP_PRESETS: dict[PresetName, DedupPreset] = {
    "slimpajama": DedupPreset(
        "as published: shingles of 13 characters, 9 bands of 13 rows, whatever shares a band is a duplicate",
        ShingleConfig(unit="character", length=13),
        bands=9,
        rows=13,
        num_perm=128,
    ),
    "verified": DedupPreset(
        "a document is removed only if one that stays has Jaccard >= 0.8 with it; 13 characters, 14 bands of 8 rows",
        ShingleConfig(unit="character", length=13),
        bands=14,
        rows=8,
        num_perm=112,
        checked=True,
    ),
    "quick": DedupPreset(
        "as verified, for less time: one permutation in 256 bins; 13 characters, 16 bands of 8 rows",
        ShingleConfig(unit="character", length=13),
        bands=16,
        rows=8,
        num_perm=256,
        checked=True,
        method="one-permutation",
    ),
    "fineweb": DedupPreset(
        "FineWeb's settings: shingles of 5 words, 14 bands of 8 rows",
        ShingleConfig(unit="word", length=5),
        bands=14,
        rows=8,
        num_perm=112,
    ),
    "dolma3": DedupPreset(
        "Dolma 3's settings: shingles of 5 words, 26 bands of 11 rows, checked at Jaccard 0.8",
        ShingleConfig(unit="word", length=5),
        bands=26,
        rows=11,
        num_perm=286,
        checked=True,
    ),
    "nemo": DedupPreset(
        "NeMo Curator's settings: shingles of 24 characters, 20 bands of 13 rows",
        ShingleConfig(unit="character", length=24),
        bands=20,
        rows=13,
        num_perm=260,
    ),
}
