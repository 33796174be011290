"""Best-fit packing: against a twin that looks at every sequence, and what must hold of any packing."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from slimpajama.mixture.best_fit import WINDOW_TOKENS, fit, fitted, window_tokens
from slimpajama.mixture.packing import BestFit, Concat, Windows
from slimpajama.mixture.packing_shares import WindowIndex, measured_packing
from slimpajama.tokens.piece_spans import PieceSpans

PADDING = 10_000


@dataclass
class _Room:
    left: int
    changed: int


def slow_fit(lengths: list[int], length: int) -> tuple[list[int], int]:
    """Longest first, each into the sequence with the least room that has enough, the last changed of even ones."""
    rooms: list[_Room] = []
    placed = [0] * len(lengths)
    for time, document in enumerate(sorted(range(len(lengths)), key=lambda at: (-lengths[at], at))):
        fitting = [at for at, room in enumerate(rooms) if room.left >= lengths[document]]
        if not fitting:
            rooms.append(_Room(length, time))
            fitting = [len(rooms) - 1]
        chosen = min(fitting, key=lambda at: (rooms[at].left, -rooms[at].changed))
        rooms[chosen] = _Room(rooms[chosen].left - lengths[document], time)
        placed[document] = chosen
    return placed, len(rooms)


@st.composite
def documents(draw: st.DrawFn) -> tuple[list[int], int]:
    length = draw(st.integers(1, 40))
    return draw(st.lists(st.integers(1, length), max_size=60)), length


@given(documents())
def test_every_document_goes_where_the_slow_twin_puts_it(case: tuple[list[int], int]) -> None:
    lengths, length = case
    placed, count = fit(np.array(lengths, dtype=np.int64), length)
    assert (placed.tolist(), count) == slow_fit(lengths, length)


def test_best_fit_by_hand() -> None:
    # 7 and 6 open sequences with 3 and 4 left; 4 goes where 4 is left, 3 where 3 is left, 2 opens another.
    placed, count = fit(np.array([4, 6, 3, 7, 2], dtype=np.int64), 10)
    assert placed.tolist() == [1, 1, 0, 0, 2]
    assert count == 3


@dataclass
class Pieces:
    """A stream written out: piece p is its number once for each of its tokens; epochs are rotations of the list.

    ``parts``: for each document, the lengths of its pieces.
    """

    parts: list[list[int]]
    reads: int = field(default=0)

    @property
    def rows(self) -> list[tuple[int, int, bool, bool]]:
        """Length, document, and whether the document begins and ends with it, of each piece."""
        return [
            (size, document, number == 0, number == len(sizes) - 1)
            for document, sizes in enumerate(self.parts)
            for number, size in enumerate(sizes)
        ]

    @property
    def tokens(self) -> int:
        return sum(size for size, *_ in self.rows)

    def order(self, epoch: int) -> list[int]:
        count = len(self.rows)
        return [(at + epoch) % count for at in range(count)]

    def written_out(self, epoch: int) -> tuple[list[int], list[int]]:
        tokens: list[int] = []
        begins = []
        for piece in self.order(epoch):
            begins.append(len(tokens))
            tokens += [piece] * self.rows[piece][0]
        return tokens, begins

    def read(self, start: int, stop: int, epoch: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        self.reads += 1
        tokens, begins = self.written_out(epoch)
        inside = [begin - start for begin in begins if start <= begin < stop]
        return np.array(tokens[start:stop], dtype=np.uint32), np.array(inside, dtype=np.int64)

    def pieces(self, start: int, stop: int, epoch: int) -> PieceSpans:
        _, begins = self.written_out(epoch)
        found = [
            (begin, *self.rows[piece])
            for begin, piece in zip(begins, self.order(epoch), strict=True)
            if begin < stop and begin + self.rows[piece][0] > start
        ]
        starts, lengths, ids, first, ends = zip(*found, strict=True) if found else ((), (), (), (), ())
        return PieceSpans(
            np.array(starts, dtype=np.int64),
            np.array(lengths, dtype=np.int64),
            np.array(ids, dtype=np.uint64),
            np.array(first, dtype=np.bool_),
            np.array(ends, dtype=np.bool_),
        )


streams = st.lists(st.lists(st.integers(1, 25), min_size=1, max_size=3), min_size=1, max_size=12).map(Pieces)


@given(streams, st.integers(2, 20), st.integers(1, 200), st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_best_fit_keeps_every_token_and_cuts_only_what_is_longer_than_a_sequence(
    stream: Pieces, length: int, size: int, takes: list[int]
) -> None:
    windows = Windows(stream, length, size)
    index = WindowIndex(windows)
    count = index.sequences(0)
    packer = BestFit(windows, 0, 0, PADDING, seed=1)
    whole = packer.take(count)
    assert whole.filled is not None
    # The tokens of each piece, and no others: one sequence has all of it, unless it is longer.
    held: dict[int, list[int]] = defaultdict(list)
    for row, filled in zip(whole.tokens.tolist(), whole.filled.tolist(), strict=True):
        assert row[filled:] == [PADDING] * (length - filled)
        assert PADDING not in row[:filled]
        for piece in set(row[:filled]):
            held[piece].append(row.count(piece))
    rows = stream.rows
    assert {piece: sum(parts) for piece, parts in held.items()} == {at: row[0] for at, row in enumerate(rows)}
    for piece, parts in held.items():
        assert len(parts) == -(-rows[piece][0] // length)
        assert sorted(parts, reverse=True)[: rows[piece][0] // length] == [length] * (rows[piece][0] // length)
    assert whole.documents == len(stream.parts)
    assert whole.cut == sum(len(parts) > 1 or parts[0] > length for parts in stream.parts)
    # The same however many are taken at a time, and from whatever place.
    again = BestFit(windows, 0, 0, PADDING, seed=1)
    joined = [again.take(take) for take in takes]
    following = BestFit(windows, 0, 0, PADDING, seed=1).take(sum(takes))
    assert np.array_equal(np.concatenate([one.tokens for one in joined]), following.tokens)
    assert sum(one.documents for one in joined) == following.documents
    assert sum(one.cut for one in joined) == following.cut
    late = BestFit(windows, *index.place(sum(takes) - 1), PADDING, seed=1).take(1)
    assert np.array_equal(late.tokens[0], following.tokens[-1])


@given(streams, st.integers(2, 20), st.integers(1, 200), st.integers(1, 12))
def test_starts_ids_and_counts_say_what_lies_where(stream: Pieces, length: int, size: int, count: int) -> None:
    for packer in (Concat(stream, 2, length), BestFit(Windows(stream, length, size), 0, 0, PADDING, seed=3)):
        found = packer.take(count)
        filled = np.full(count, length) if found.filled is None else found.filled
        edges = {row * length for row in range(count)}
        begins = sorted(edges | set(found.starts.tolist()))
        assert found.ids.size == len(begins)
        documents = [row[1] for row in stream.rows]
        for place, identity in zip(begins, found.ids.tolist(), strict=True):
            row, inside = divmod(place, length)
            assert inside < filled[row]
            assert documents[int(found.tokens[row, inside])] == identity


@given(streams, st.integers(2, 20))
def test_shares_are_those_of_the_whole_epoch(stream: Pieces, length: int) -> None:
    windows = Windows.of(stream, length)
    joined = measured_packing(windows, "concat")
    tokens, _ = stream.written_out(0)
    cut = 0
    for document, parts in enumerate(stream.parts):
        first = next(at for at, row in enumerate(stream.rows) if row[1] == document)
        places = [at for at, piece in enumerate(tokens) if piece == first]
        cut += len(parts) > 1 or places[0] // length != places[-1] // length
    assert (joined.documents, joined.cut, joined.padding) == (len(stream.parts), cut, 0)
    best = measured_packing(windows, "best-fit")
    assert best.padding == WindowIndex(windows).sequences(0) * length - stream.tokens
    assert best.cut == sum(len(parts) > 1 or parts[0] > length for parts in stream.parts)


@given(streams, st.integers(2, 20), st.integers(1, 30))
def test_a_source_is_measured_by_its_first_windows(stream: Pieces, length: int, size: int) -> None:
    windows = Windows(stream, length, size)
    for packing in ("concat", "best-fit"):
        whole = measured_packing(windows, packing)
        assert (whole.documents, whole.tokens) == (len(stream.parts), stream.tokens)
        begin = measured_packing(windows, packing, most_tokens=2 * size)
        assert begin.tokens == windows.pieces(0)[1].lengths.sum() + (
            windows.pieces(1)[1].lengths.sum() if windows.of_an_epoch > 1 else 0
        )
        assert 0 <= begin.cut_share <= 1
        assert 0 <= begin.padding_share < 1


def test_windows_hold_at_least_sixteen_sequences() -> None:
    assert window_tokens(2048) == WINDOW_TOKENS == 2_097_152
    assert window_tokens(1 << 20) == 1 << 24


def test_the_order_of_sequences_is_shuffled_by_the_seed() -> None:
    lengths = np.arange(1, 101, dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    one, same, other = (fitted(starts, lengths, 100, seed, "window") for seed in (1, 1, 2))
    assert one.starts.tolist() == same.starts.tolist() != other.starts.tolist()
    assert sorted(one.starts.tolist()) == sorted(other.starts.tolist())
    firsts = one.lengths[one.edges[:-1]]
    assert firsts.tolist() != sorted(firsts.tolist(), reverse=True)


def test_padding_is_small() -> None:
    rng = np.random.default_rng(1)
    lengths = np.minimum(rng.lognormal(6.2, 1.2, 4000).astype(np.int64) + 1, 2048)
    _, count = fit(lengths, 2048)
    assert count * 2048 < 1.001 * lengths.sum() + 2048
