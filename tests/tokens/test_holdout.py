"""The draw: exact counts, whole clusters, independent of how the ids came."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from slimpajama.errors import ConfigError, InputError
from slimpajama.tokens.holdout import (
    RATE,
    SPLITS,
    TEST,
    TRAIN,
    VALIDATION,
    HeldOutCounts,
    Holdout,
    candidates,
    draw_holdout,
    holdout_size,
    load_holdout,
)
from slimpajama.tokens.seeded_order import seeded_hash


def ids_of(size: int, shard: int = 0) -> NDArray[np.uint64]:
    ids: NDArray[np.uint64] = np.uint64(shard << 40) + np.arange(size, dtype=np.uint64) * np.uint64(731)
    return ids


@pytest.mark.parametrize(
    ("survivors", "rate", "size"),
    [
        (0, RATE, 0),
        (1, RATE, 0),
        (19, RATE, 0),
        (20, RATE, 2),
        (200, RATE, 2),
        (1_176, RATE, 2),
        (1_471, RATE, 3),
        (1_000_000, RATE, 1_700),
        (1_000_000, 0.0, 0),
        (15, 0.1, 2),
        (10, 0.5, 5),
    ],
)
def test_how_many_are_held_out(survivors: int, rate: float, size: int) -> None:
    assert holdout_size(survivors, rate) == size


def test_every_source_gives_its_share_half_and_half() -> None:
    sources = {"large": ids_of(100_000), "odd": ids_of(1_500, 1), "small": ids_of(200, 2), "tiny": ids_of(5, 3)}
    chosen = {name: candidates(ids, RATE, 11) for name, ids in sources.items()}
    holdout, account = draw_holdout(chosen, {name: ids.size for name, ids in sources.items()}, RATE, 11)
    assert account.sources == {
        "large": HeldOutCounts(survivors=100_000, validation=85, test=85),
        "odd": HeldOutCounts(survivors=1_500, validation=2, test=1),
        "small": HeldOutCounts(survivors=200, validation=1, test=1),
        "tiny": HeldOutCounts(survivors=5, validation=0, test=0),
    }
    assert account.without_validation == account.without_test == ("tiny",)
    for name, ids in sources.items():
        splits = holdout.split_of(ids)
        assert np.count_nonzero(splits == VALIDATION) == account.sources[name].validation
        assert np.count_nonzero(splits == TEST) == account.sources[name].test


@given(
    st.sets(st.integers(0, 2**64 - 1), max_size=300),
    st.floats(0, 0.5),
    st.integers(0, 2**32),
    st.integers(1, 5),
)
def test_the_draw_is_the_smallest_hashes(numbers: set[int], rate: float, seed: int, parts: int) -> None:
    ids = np.array(sorted(numbers), dtype=np.uint64)
    joined = np.concatenate([candidates(ids[part::parts], rate, seed) for part in range(parts)])
    holdout, account = draw_holdout({"s": joined}, {"s": ids.size}, rate, seed)

    keys = seeded_hash(ids, seed, "holdout").tolist()
    ranked = [number for _, number in sorted(zip(keys, ids.tolist(), strict=True))]
    size = holdout_size(ids.size, rate)
    expected = {number: VALIDATION if rank < (size + 1) // 2 else TEST for rank, number in enumerate(ranked[:size])}
    assert dict(zip(holdout.clusters.tolist(), holdout.splits.tolist(), strict=True)) == expected
    assert holdout.split_of(ids).tolist() == [expected.get(number, TRAIN) for number in ids.tolist()]
    assert account.sources["s"].survivors == ids.size


@pytest.mark.parametrize("rate", [0.0, RATE, 0.02, 0.5])
def test_candidates_hold_the_draw_of_a_large_source(rate: float) -> None:
    ids = ids_of(60_000)
    chosen = np.concatenate([candidates(ids[begin : begin + 7_000], rate, 5) for begin in range(0, ids.size, 7_000)])
    again = candidates(chosen, rate, 5)
    assert np.array_equal(np.sort(again), np.sort(candidates(ids, rate, 5)))
    from_candidates, _ = draw_holdout({"s": again}, {"s": ids.size}, rate, 5)
    from_all, _ = draw_holdout({"s": ids}, {"s": ids.size}, rate, 5)
    assert np.array_equal(from_candidates.clusters, from_all.clusters)
    assert np.array_equal(from_candidates.splits, from_all.splits)
    assert rate > 0.02 or again.size < 0.2 * ids.size


def test_another_seed_draws_others() -> None:
    ids = ids_of(50_000)
    one, two = (set(draw_holdout({"s": ids}, {"s": ids.size}, RATE, seed)[0].clusters.tolist()) for seed in (1, 2))
    assert len(one) == len(two) == 85
    assert len(one & two) < 5


@pytest.mark.parametrize("rate", [-0.1, 0.51, float("nan")])
def test_a_rate_that_is_no_share_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match=r"from 0 to 0\.5"):
        draw_holdout({}, {}, rate, 1)


def test_saved_and_loaded(tmp_path: Path) -> None:
    holdout = Holdout(ids_of(9), np.array([1, 2, 1, 2, 1, 2, 1, 2, 1], dtype=np.uint8))
    holdout.save(tmp_path / "holdout.npy")
    loaded = load_holdout(tmp_path / "holdout.npy")
    assert np.array_equal(loaded.clusters, holdout.clusters)
    assert np.array_equal(loaded.splits, holdout.splits)
    (tmp_path / "holdout.npy").write_bytes(b"not an array")
    for name in ("holdout.npy", "absent.npy"):
        with pytest.raises(InputError, match=name):
            load_holdout(tmp_path / name)


def test_splits_are_numbered_as_named() -> None:
    assert [SPLITS[number] for number in (TRAIN, VALIDATION, TEST)] == ["train", "validation", "test"]


@given(st.lists(st.integers(0, 2**64 - 1), unique=True), st.integers(0, 2**32), st.sampled_from(["a", "b"]))
def test_keys_never_meet(numbers: list[int], seed: int, purpose: str) -> None:
    ids = np.array(numbers, dtype=np.uint64)
    keys = seeded_hash(ids, seed, purpose)
    assert len(set(keys.tolist())) == len(numbers)
    assert ids.tolist() == numbers


def test_keys_are_spread_evenly_and_apart_by_purpose() -> None:
    ids = ids_of(100_000)
    keys = seeded_hash(ids, 1, "a")
    counts = np.bincount((keys >> np.uint64(58)).astype(np.int64), minlength=64)
    assert counts.min() > 1_300
    assert counts.max() < 1_850
    other = seeded_hash(ids, 1, "b")
    both = np.count_nonzero((keys < np.uint64(1 << 60)) & (other < np.uint64(1 << 60)))
    assert 300 < both < 500
