"""The truth of a small corpus, made, kept and compared with sets of strings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.exact_jaccard import Pairs
from benchmarks.truth import compare_by_hand, documents, truth_of
from slimpajama.corpus.discovery import discover
from tests.corpus.shards import put

TEXT = " ".join(f"word{number:02d}" for number in range(60))
OTHER = " ".join(f"other{number:02d}" for number in range(60))
LINE = len('{"text":""}\n')
SHARDS = {"c4/a.jsonl": [TEXT, "short", TEXT + " and the end"], "books/b.jsonl": [OTHER, TEXT]}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return put(tmp_path / "in", SHARDS)


def test_documents_are_named_and_their_pairs_found(corpus: Path, tmp_path: Path) -> None:
    truth = truth_of(corpus, tmp_path / "cache")
    names, texts = documents(discover(corpus))
    assert truth.names == names
    last = f"c4/a.jsonl:{len(TEXT) + len('short') + 2 * LINE}"
    assert sorted(names) == ["books/b.jsonl:0", f"books/b.jsonl:{len(OTHER) + LINE}", "c4/a.jsonl:0", last]
    assert truth.bytes.tolist() == [len(text) for text in texts]
    pairs = {frozenset((names[one], names[two])) for one, two in zip(truth.pairs.left, truth.pairs.right, strict=True)}
    copies = sorted({*names} - {"books/b.jsonl:0"})
    assert pairs == {frozenset((one, two)) for one in copies for two in copies if one < two}


def test_it_is_made_once(corpus: Path, tmp_path: Path) -> None:
    made = truth_of(corpus, tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    written = kept.stat().st_mtime_ns
    again = truth_of(corpus, tmp_path / "cache")
    assert kept.stat().st_mtime_ns == written
    assert again.names == made.names
    assert np.array_equal(again.sets.shared, made.sets.shared)
    put(corpus, {"c4/c.jsonl": [OTHER]})
    assert len(truth_of(corpus, tmp_path / "cache").names) == 5


def test_a_pair_that_the_join_missed_is_seen(corpus: Path, tmp_path: Path) -> None:
    truth = truth_of(corpus, tmp_path / "cache")
    _, texts = documents(discover(corpus))
    compare_by_hand(truth, texts)
    nothing = np.empty(0, dtype=np.int64)
    with pytest.raises(ValueError, match=r"share \d+ shingles; the join differs"):
        compare_by_hand(replace(truth, pairs=Pairs(nothing, nothing, nothing)), texts)
