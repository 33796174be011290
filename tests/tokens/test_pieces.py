"""Pieces of documents: how they are cut, and where they come in an order."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from slimpajama.tokens.pieces import PIECE, begins, cut_into_pieces, in_order, piece_keys


def documents(sizes: list[int]) -> NDArray[np.void]:
    rows = np.zeros(len(sizes), dtype=PIECE)
    rows["tokens"], rows["id"], rows["ends"] = sizes, np.arange(len(sizes)), True
    rows["text"][:, 0] = 1000 + np.arange(len(sizes))
    return rows


def test_long_documents_are_cut() -> None:
    pieces = cut_into_pieces(documents([3, 10, 4, 1]), 4)
    assert pieces["id"].tolist() == [0, 1, 1, 1, 2, 3]
    assert pieces["piece"].tolist() == [0, 0, 1, 2, 0, 0]
    assert pieces["tokens"].tolist() == [3, 4, 4, 2, 4, 1]
    assert pieces["ends"].tolist() == [True, False, False, True, True, True]
    assert begins(pieces).tolist() == [True, True, False, False, True, True]


@given(st.lists(st.integers(1, 40)), st.integers(1, 20))
def test_pieces_are_all_of_the_document_and_no_longer_than_said(sizes: list[int], length: int) -> None:
    pieces = cut_into_pieces(documents(sizes), length)
    assert np.bincount(pieces["id"].astype(int), pieces["tokens"], len(sizes)).tolist() == sizes
    assert pieces["tokens"].max(initial=1) <= length
    assert (pieces["tokens"][~pieces["ends"]] == length).all()
    assert np.count_nonzero(begins(pieces)) == np.count_nonzero(pieces["ends"]) == len(sizes)
    keys = piece_keys(pieces, 3, "order")
    assert len(set(keys.tolist())) == keys.size


def test_documents_of_one_text_come_by_their_ids_however_they_lie() -> None:
    rows = cut_into_pieces(documents([5, 5, 9]), 4)
    rows["text"] = 7
    keys = piece_keys(rows, 1, "order")
    places = in_order(rows, keys)
    mixed = np.random.default_rng(1).permutation(rows.size)
    again = mixed[in_order(rows[mixed], keys[mixed])]
    assert places.tolist() == again.tolist()
    by_key = [(int(keys[place]), int(rows["id"][place])) for place in places]
    assert by_key == sorted(by_key)
