"""Which runs of held-out texts other texts hold, against sets of words."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.corpus.texts import Texts
from slimpajama.storage.npy import write_array
from slimpajama.tokens.held_out_runs import (
    HELD_OUT_RUN,
    HeldOutFiles,
    HeldOutRuns,
    beginnings,
    distinct_runs,
    thinned,
)


def words(seed: int, count: int) -> list[str]:
    source = random.Random(seed)
    return [source.choice("ab") * source.randrange(1, 5) for _ in range(count)]


def runs_of(text: str) -> set[tuple[str, ...]]:
    parts = text.split()
    return {tuple(parts[first : first + 13]) for first in range(len(parts) - 12)}


def held_out(texts: list[str], every: int = 1) -> HeldOutRuns:
    found = distinct_runs(Texts.of(texts), every)
    return HeldOutRuns(found.hashes, np.repeat(np.arange(len(texts)), np.diff(found.offsets)), len(texts), every)


def test_each_run_of_a_text_is_there_once() -> None:
    again = " ".join(words(1, 20) * 2)
    found = distinct_runs(Texts.of([again, "too few words", again]))
    assert np.diff(found.offsets).tolist() == [len(runs_of(again)), 0, len(runs_of(again))]
    assert found.hashes[: found.offsets[1]].tolist() == sorted(set(found.hashes.tolist()))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.lists(st.integers(0, 8), min_size=1, max_size=5))
def test_the_runs_that_texts_share_are_those_of_sets(held: list[int], others: list[int]) -> None:
    blocks = [words(seed, 9) for seed in range(10)]
    texts = [" ".join(blocks[one] + blocks[one + 1] + blocks[0]) for one in held]
    looked_at = [" ".join(blocks[one] + blocks[one + 1]) for one in others]
    index = held_out(texts)
    numbers, runs = index.shared(Texts.of(looked_at))
    pairs = {
        (number, text)
        for number, run in zip(numbers.tolist(), runs.tolist(), strict=True)
        for text in index.texts[index.firsts[run] : index.firsts[run + 1]].tolist()
    }
    shared = [len(runs_of(one) & set().union(*map(runs_of, texts))) for one in looked_at]
    assert np.bincount(numbers, minlength=len(looked_at)).tolist() == shared
    assert pairs == {
        (number, text)
        for number, one in enumerate(looked_at)
        for text, held_text in enumerate(texts)
        if runs_of(one) & runs_of(held_text)
    }
    assert index.sizes.tolist() == [len(runs_of(one)) for one in texts]


def test_no_held_out_run_is_found_where_there_is_none() -> None:
    numbers, runs = held_out(["short"]).shared(Texts.of([" ".join(words(1, 30))]))
    assert numbers.size == runs.size == 0


def test_a_text_is_cut_to_what_is_given_between_characters() -> None:
    texts = Texts.of(["abcdefgh", "äöü", "abc"])
    cut = beginnings(texts, np.array([1, 1, 7]), np.array([4, 2, 7]))
    assert cut.decoded() == ["ab", "ä", "abc"]


def test_a_part_of_the_runs_is_looked_at_where_there_are_too_many(tmp_path: Path) -> None:
    texts = [" ".join(words(seed, 300)) for seed in range(3)]
    whole, half = distinct_runs(Texts.of(texts)), distinct_runs(Texts.of(texts), 2)
    assert half.hashes.tolist() == [one for one in whole.hashes.tolist() if thinned(np.array([one], "u8"), 2)[0]]
    rows = np.zeros(whole.hashes.size, dtype=HELD_OUT_RUN)
    rows["run"], rows["text"] = whole.hashes, np.repeat(np.arange(3), np.diff(whole.offsets))
    write_array(tmp_path / "runs.npy", HELD_OUT_RUN, rows.size, [rows])
    read = HeldOutRuns.read([tmp_path / "runs.npy"] * 2, [3, 3], 2)
    assert read.sizes.tolist() == [*np.diff(half.offsets).tolist()] * 2
    files = [HeldOutFiles((), (), runs, "") for runs in (0, 6 << 20, (6 << 20) + 1, 40 << 20)]
    assert [one.every for one in files] == [1, 1, 2, 8]
