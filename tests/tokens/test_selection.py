"""Selections by duplicates, and documents that come several times: against a slow twin, and as a stream."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.tokens.pieces import PIECE
from slimpajama.tokens.selection import DuplicateRange, Selection
from slimpajama.tokens.store import TokenStore, open_store
from tests.tokens.token_corpus import build, corpus, small_tokenizer

REPEATS = (((1, 1), 1), ((2, 4), 3), ((5, None), 2))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    folder = tmp_path_factory.mktemp("store")
    build(folder, corpus(4, (60, 40)), small_tokenizer(tmp_path_factory.mktemp("tokenizer")))
    return open_store(folder)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 9)), max_size=20),
    st.one_of(st.none(), st.tuples(st.integers(1, 5), st.one_of(st.none(), st.integers(5, 9)))),
    st.booleans(),
)
def test_rows_are_chosen_as_a_loop_would(
    documents: list[tuple[bool, int]], duplicates: DuplicateRange | None, repeated: bool
) -> None:
    rows = np.zeros(len(documents), dtype=PIECE)
    for row, (kept, count) in zip(rows, documents, strict=True):
        row["kept_local"], row["duplicates_local"] = kept, count
    chosen = Selection("local", duplicates, REPEATS if repeated else ()).chosen(rows)
    expected = []
    for place, (kept, count) in enumerate(documents):
        least, most = duplicates or (1, None)
        if kept and least <= count and (most is None or count <= most):
            times = 1 if not repeated or count == 1 else 3 if count <= 4 else 2
            expected += [(place, copy) for copy in range(times)]
    assert chosen.places.tolist() == [place for place, _ in expected]
    assert repeated == (chosen.copies is not None)
    if chosen.copies is not None:
        assert chosen.copies.tolist() == [copy for _, copy in expected]


def pieces(store: TokenStore, selection: Selection, epoch: int = 0, seed: int | None = 1) -> list[tuple[int, ...]]:
    stream = store.stream("s0", "train", selection, seed)
    tokens, begins = stream.read(0, stream.tokens, epoch)
    return [tuple(part.tolist()) for part in np.split(tokens, begins[1:])]


def test_parts_by_duplicates_are_the_whole(store: TokenStore) -> None:
    whole = Counter(pieces(store, Selection("local")))
    few, many = (Selection("local", part) for part in ((1, 3), (4, None)))
    assert Counter(pieces(store, few)) + Counter(pieces(store, many)) == whole
    assert len(pieces(store, few)) > 5 < len(pieces(store, many))
    sizes = [store.sizes("s0", "train", selection) for selection in (Selection("local"), few, many)]
    assert sizes[0].tokens == tuple(a + b for a, b in zip(sizes[1].tokens, sizes[2].tokens, strict=True))
    assert [one.distinct for one in sizes] == [sum(one.tokens) for one in sizes]


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("seed", [None, 1])
def test_each_document_comes_as_often_as_its_bucket_says(store: TokenStore, epoch: int, seed: int | None) -> None:
    expected = Counter(
        {
            piece: count * times
            for wanted, times in REPEATS
            for piece, count in Counter(pieces(store, Selection("local", wanted))).items()
        }
    )
    repeated = Selection("local", None, REPEATS)
    found = pieces(store, repeated, epoch, seed)
    assert Counter(found) == expected
    together = sum(a == b for a, b in pairwise(found))
    assert together < len(found) / 4, "copies have places of their own"
    sizes = store.sizes("s0", "train", repeated)
    assert sizes.distinct == store.stream("s0", "train", Selection("local")).tokens < sum(sizes.tokens)
    assert store.stream("s0", "train", repeated).documents > store.stream("s0", "train", Selection("local")).documents


def test_a_stream_with_known_sizes_counts_nothing_again(store: TokenStore, tmp_path: Path) -> None:
    selection = Selection("local", (2, None))
    sizes = store.sizes("s0", "train", selection)
    moved = TokenStore(tmp_path / "gone", store.index)
    assert moved.stream("s0", "train", selection, 1, sizes).tokens == sum(sizes.tokens)
