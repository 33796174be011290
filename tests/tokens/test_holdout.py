"""What becomes of each row of a run, and the tables of held-out documents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from slimpajama.errors import InputError
from slimpajama.tokens.contents import sorted_contents
from slimpajama.tokens.holdout import (
    DECONTAMINATED,
    DRAWN,
    EXCLUDED,
    HELD_OUT,
    NEAR_HELD_OUT,
    RESERVE,
    SPLITS,
    STATES,
    TEST,
    TRAIN,
    VALIDATION,
    Holdout,
    cut_to_given,
    load_holdout,
    read_held_out,
)
from slimpajama.tokens.run_files import RUN_RECORD
from slimpajama.tokens.seeded_order import seeded_hash


def drawn_rows(*rows: tuple[int, int, int, int]) -> NDArray[np.void]:
    """Of cluster, text, state and tokens."""
    table = np.zeros(len(rows), dtype=DRAWN)
    for place, (cluster, text, state, tokens) in enumerate(rows):
        table[place] = (cluster, (text, 0), state, tokens, tokens)
    return table


def run_rows(*rows: tuple[int, int, int, int]) -> NDArray[np.void]:
    """Of id, cluster, text and published split."""
    table = np.zeros(len(rows), dtype=RUN_RECORD)
    for place, (identity, cluster, text, split) in enumerate(rows):
        table["id"][place], table["cluster"][place], table["split"][place] = identity, cluster, split
        table["text"][place] = (text, 0)
    return table


DRAWS = drawn_rows((5, 50, VALIDATION, 100), (2, 20, TEST, 70), (9, 90, RESERVE, 0), (7, 70, EXCLUDED, 0))


def test_what_becomes_of_each_document() -> None:
    holdout = Holdout.of(DRAWS)
    rows = run_rows(
        (5, 5, 50, 0),  # a held-out survivor
        (2, 2, 20, 0),
        (6, 5, 51, 0),  # a near-duplicate of one
        (9, 9, 90, 0),  # the reserve
        (10, 9, 91, 0),  # and a near-duplicate of it
        (7, 7, 70, 0),  # a survivor for a text that is only behind it
        (11, 11, 50, 0),  # the text of a held-out document, in a cluster of its own
        (12, 12, 90, 0),  # the text of the reserve is nothing special
        (13, 13, 33, 0),  # shares much with a held-out text
        (14, 14, 44, 0),
        (15, 15, 45, VALIDATION),  # in a published split, but not chosen for it
    )
    dropped = sorted_contents(np.array([[33, 0], [50, 0]], dtype=np.uint64))
    assert [STATES[state] for state in holdout.states_of(rows, dropped)] == [
        "validation",
        "test",
        "excluded",
        "reserve",
        "excluded",
        "excluded",
        "decontaminated",
        "train",
        "near_held_out",
        "train",
        "excluded",
    ]
    assert holdout.states_of(rows)[8] == TRAIN
    assert (DECONTAMINATED, NEAR_HELD_OUT) == (5, 6)


def test_without_a_holdout_all_is_train() -> None:
    holdout = Holdout.of(DRAWS[:0])
    assert holdout.states_of(run_rows((1, 1, 1, 0), (2, 1, 2, 0))).tolist() == [TRAIN, TRAIN]
    assert holdout.states_of(run_rows()).tolist() == []


def test_a_held_out_document_gives_its_beginning() -> None:
    rows = run_rows(*[(5, 5, 50, 0)] * 3, (2, 2, 20, 0))
    rows["piece"], rows["tokens"], rows["ends"] = [0, 1, 2, 0], [64, 64, 30, 60], [False, False, True, True]
    given = cut_to_given(rows, Holdout.of(DRAWS), 64)
    assert given["tokens"].tolist() == [64, 36, 60]
    assert given["piece"].tolist() == [0, 1, 0]
    assert given["ends"].tolist() == [False, False, True]
    rows["tokens"][3] = 80
    assert cut_to_given(rows, Holdout.of(DRAWS), 128)["ends"].tolist()[-1] is False


def test_saved_and_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "drawn.npy", DRAWS)
    loaded = load_holdout(tmp_path / "drawn.npy")
    assert loaded.clusters.tolist() == [2, 5, 7, 9]
    assert loaded.states.tolist() == [TEST, VALIDATION, EXCLUDED, RESERVE]
    assert loaded.contents.tolist() == [[20, 0], [50, 0]]
    np.save(tmp_path / "other.npy", np.zeros(3, dtype="<u8"))
    (tmp_path / "broken.npy").write_bytes(b"not an array")
    (tmp_path / "empty.npy").write_bytes(b"")
    for name in ("other.npy", "broken.npy", "empty.npy", "absent.npy"):
        with pytest.raises(InputError, match=name):
            load_holdout(tmp_path / name)
        with pytest.raises(InputError, match=name):
            read_held_out(tmp_path / name)
    np.save(tmp_path / "holdout.npy", np.zeros(2, dtype=HELD_OUT))
    assert read_held_out(tmp_path / "holdout.npy").size == 2


def test_splits_are_numbered_as_named() -> None:
    assert [SPLITS[number] for number in (TRAIN, VALIDATION, TEST)] == ["train", "validation", "test"]


@given(st.lists(st.integers(0, 2**64 - 1), unique=True), st.integers(0, 2**32), st.sampled_from(["a", "b"]))
def test_keys_never_meet(numbers: list[int], seed: int, purpose: str) -> None:
    ids = np.array(numbers, dtype=np.uint64)
    keys = seeded_hash(ids, seed, purpose)
    assert len(set(keys.tolist())) == len(numbers)
    assert ids.tolist() == numbers


def test_keys_are_spread_evenly_and_apart_by_purpose() -> None:
    ids = np.arange(100_000, dtype=np.uint64) * np.uint64(731)
    keys = seeded_hash(ids, 1, "a")
    counts = np.bincount((keys >> np.uint64(58)).astype(np.int64), minlength=64)
    assert counts.min() > 1_300
    assert counts.max() < 1_850
    other = seeded_hash(ids, 1, "b")
    both = np.count_nonzero((keys < np.uint64(1 << 60)) & (other < np.uint64(1 << 60)))
    assert 300 < both < 500
