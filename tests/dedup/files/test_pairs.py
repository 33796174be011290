from __future__ import annotations

from pathlib import Path

import numpy as np

from slimpajama.dedup.files.pairs import (
    JudgedPairs,
    NeededTexts,
    PairsToCompare,
    read_pairs,
    share_of,
    spread,
    write_pairs,
)

IDS = np.array([3, 5], dtype=np.uint64)


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "pairs.arrow"
    pairs = PairsToCompare(IDS, IDS - np.uint64(1))
    write_pairs(path, pairs)
    assert same(pairs, read_pairs(path, PairsToCompare))
    judged = JudgedPairs(IDS, IDS - np.uint64(1), np.array([0.5, 1.0]), np.array([2, 0], dtype=np.uint8))
    write_pairs(path, judged)
    assert same(judged, read_pairs(path, JudgedPairs))
    needed = NeededTexts(IDS, IDS, np.array([True, False]))
    write_pairs(path, needed)
    assert same(needed, read_pairs(path, NeededTexts))


def same(one: object, other: object) -> bool:
    columns = [(getattr(one, name), getattr(other, name)) for name in type(one).__slots__]  # type: ignore[attr-defined]
    return all(a.dtype == b.dtype and a.tolist() == b.tolist() for a, b in columns)


def test_shares_are_even_and_cover_all_ids() -> None:
    shares = share_of(spread(np.arange(70_000, dtype=np.uint64) << np.uint64(40)), 7)
    counts = np.bincount(shares, minlength=7)
    assert counts.size == 7
    assert counts.min() > 9_500
