"""Packing: against the stream written out in full, epoch after epoch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from slimpajama.mixture.packing import pack
from slimpajama.tokens.piece_spans import PieceSpans


@dataclass
class Epochs:
    """A stream written out: document d is its number once for each of its tokens; epochs are rotations of the list."""

    lengths: list[int]

    @property
    def tokens(self) -> int:
        return sum(self.lengths)

    def order(self, epoch: int) -> list[int]:
        turn = epoch % len(self.lengths)
        return [*range(turn, len(self.lengths)), *range(turn)]

    def written_out(self, epoch: int) -> tuple[list[int], list[int]]:
        tokens: list[int] = []
        begins = []
        for document in self.order(epoch):
            begins.append(len(tokens))
            tokens += [document] * self.lengths[document]
        return tokens, begins

    def read(self, start: int, stop: int, epoch: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        assert 0 <= start < stop <= self.tokens
        tokens, begins = self.written_out(epoch)
        inside = [begin - start for begin in begins if start <= begin < stop]
        return np.array(tokens[start:stop], dtype=np.uint32), np.array(inside, dtype=np.int64)

    def pieces(self, start: int, stop: int, epoch: int) -> PieceSpans:
        tokens, begins = self.written_out(epoch)
        found = [begin for begin in begins if begin < stop and begin + self.lengths[tokens[begin]] > start]
        documents = [tokens[begin] for begin in found]
        whole = np.ones(len(found), dtype=np.bool_)
        lengths = np.array([self.lengths[document] for document in documents], dtype=np.int64)
        return PieceSpans(np.array(found, dtype=np.int64), lengths, np.array(documents, dtype=np.uint64), whole, whole)


def all_epochs(stream: Epochs, tokens: int) -> tuple[list[int], list[int]]:
    """The first ``tokens`` tokens of the epochs in a row, and the places where documents begin."""
    joined: list[int] = []
    begins: list[int] = []
    epoch = 0
    while len(joined) < tokens:
        part, heads = stream.written_out(epoch)
        begins += [head + len(joined) for head in heads]
        joined += part
        epoch += 1
    return joined[:tokens], [begin for begin in begins if begin < tokens]


streams = st.lists(st.integers(1, 12), min_size=1, max_size=8).map(Epochs)


@given(streams, st.integers(1, 20), st.integers(0, 12), st.integers(0, 12))
def test_any_range_of_sequences_is_that_range_of_the_stream(
    stream: Epochs, length: int, first: int, count: int
) -> None:
    packed = pack(stream, first, first + count, length)
    tokens, begins = all_epochs(stream, (first + count) * length)
    assert packed.tokens.shape == (count, length)
    assert packed.tokens.dtype == np.uint32
    assert packed.tokens.ravel().tolist() == tokens[first * length :]
    assert packed.starts.tolist() == [begin - first * length for begin in begins if begin >= first * length]


@given(streams, st.integers(1, 9), st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_slices_joined_in_order_are_the_stream_token_for_token(stream: Epochs, length: int, counts: list[int]) -> None:
    edges = np.cumsum([0, *counts]).tolist()
    slices = [pack(stream, first, last, length) for first, last in pairwise(edges)]
    tokens, begins = all_epochs(stream, edges[-1] * length)
    assert [token for part in slices for token in part.tokens.ravel().tolist()] == tokens
    assert [
        int(head) + first * length for part, first in zip(slices, edges, strict=False) for head in part.starts
    ] == begins


@given(streams, st.integers(1, 9), st.integers(1, 40))
def test_a_document_begins_floor_or_ceil_of_the_epochs_times(stream: Epochs, length: int, count: int) -> None:
    packed = pack(stream, 0, count, length)
    epochs = count * length / stream.tokens
    uses = Counter(packed.tokens.ravel()[packed.starts].tolist())
    assert {uses[document] for document in range(len(stream.lengths))} <= {floor(epochs), ceil(epochs)}


def test_packing_by_hand() -> None:
    # Epoch 0 is 0001122222, epoch 1 is 1122222000: cut in fours.
    packed = pack(Epochs([3, 2, 5]), 1, 4, 4)
    assert packed.tokens.tolist() == [[1, 2, 2, 2], [2, 2, 1, 1], [2, 2, 2, 2]]
    assert packed.starts.tolist() == [1, 6, 8]


def test_nothing_asked_is_nothing_given() -> None:
    packed = pack(Epochs([3]), 5, 5, 4)
    assert packed.tokens.shape == (0, 4)
    assert packed.starts.size == 0
