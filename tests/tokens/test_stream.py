"""Streams of a finished store: which documents, in what order, and any range of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimpajama.errors import ConfigError
from slimpajama.tokens.holdout import SPLITS
from slimpajama.tokens.selection import SCOPES, Selection
from slimpajama.tokens.store import TokenStream
from slimpajama.tokens.tokenizer import TokenizerFile
from tests.tokens.token_corpus import (
    Built,
    members,
    pieces_of,
)


def parts_of(stream: TokenStream, epoch: int = 0) -> list[list[int]]:
    tokens, starts = stream.read(0, stream.tokens, epoch)
    return [part.tolist() for part in np.split(tokens, starts[1:])] if starts.size else []


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("source", ["s0", "s1", "s2", "s3"])
def test_a_stream_is_its_documents_in_the_order_of_their_hashes(
    built: Built, tokenizer: TokenizerFile, source: str, split: str, scope: str
) -> None:
    store, made, _, drawn = built
    documents = members(made, drawn, source, split, scope)
    rows = np.load(drawn)
    given = dict(zip(rows["cluster"].tolist(), rows["tokens"].tolist(), strict=True)) if split != "train" else {}
    expected = pieces_of(tokenizer, documents, 64, given)
    stream = store.stream(source, split, Selection(scope))
    assert (stream.documents, stream.tokens) == (len(documents), sum(map(len, expected)))
    tokens, starts = stream.read(0, stream.tokens, 0)
    assert tokens.dtype == np.uint32
    assert starts.dtype == np.int64
    assert parts_of(stream) == expected

    for epoch in (1, 2):
        shuffled = parts_of(stream, epoch)
        assert sorted(shuffled) == sorted(expected)
        if len(expected) > 20:
            assert shuffled != expected


def test_another_seed_of_a_recipe_reads_other_sequences_of_the_same_documents(built: Built) -> None:
    orders = [
        parts_of(built[0].stream("s0", "train", Selection("local"), seed), epoch)
        for seed in (None, 1, 2)
        for epoch in (0, 1)
    ]
    assert len({str(order) for order in orders}) == 6
    assert len({str(sorted(order)) for order in orders}) == 1
    tenth = len(orders[0]) // 10
    beginnings = [{str(part) for part in order[:tenth]} for order in orders]
    assert all(len(one & other) < 0.5 * tenth for one in beginnings for other in beginnings if one is not other)
    again = parts_of(built[0].stream("s0", "train", Selection("local"), 2), 1)
    assert again == orders[5]


def test_epochs_differ_and_move_documents_far(built: Built) -> None:
    stream = built[0].stream("s0", "train", Selection("local"))
    orders = []
    for epoch in range(4):
        tokens, starts = stream.read(0, stream.tokens, epoch)
        orders.append([part.tobytes() for part in np.split(tokens, starts[1:])])
    assert len({tuple(order) for order in orders}) == 4
    assert len(built[0].buckets("s0", "train")) > 2
    moved = np.abs([place - orders[1].index(document) for place, document in enumerate(orders[0])])
    assert moved.mean() > 0.2 * len(orders[0])


@settings(max_examples=150)
@given(data=st.data())
def test_any_range_is_a_slice_of_the_whole(built: Built, data: st.DataObject) -> None:
    source, split = data.draw(st.sampled_from(["s0", "s1", "s3"])), data.draw(st.sampled_from(["train", "test"]))
    scope, epoch = data.draw(st.sampled_from(SCOPES)), data.draw(st.integers(0, 2))
    stream = built[0].stream(source, split, Selection(scope))
    whole, starts = whole_of(stream, (source, split, scope, epoch))
    for _ in range(5):
        begin, end = sorted(data.draw(st.tuples(*[st.integers(0, stream.tokens)] * 2)))
        tokens, heads = stream.read(begin, end, epoch)
        assert np.array_equal(tokens, whole[begin:end])
        assert heads.tolist() == [head - begin for head in starts.tolist() if begin <= head < end]


_WHOLE: dict[tuple[str, str, str, int], tuple[Any, Any]] = {}


def whole_of(stream: TokenStream, key: tuple[str, str, str, int]) -> tuple[Any, Any]:
    if key not in _WHOLE:
        _WHOLE[key] = stream.read(0, stream.tokens, key[3])
    return _WHOLE[key]


def test_each_document_has_what_it_stands_for(built: Built) -> None:
    store, made, _, _ = built
    for source, documents in made.items():
        kept = {document.id: document.kept_global for document in documents}
        rows = [row for path in (store.path / "sources" / source).rglob("*.documents.npy") for row in np.load(path)]
        assert rows
        for row in rows:
            assert row["duplicates_global"] == 3 * kept[int(row["id"])]
            assert row["duplicates_local"] == 1 + int(row["id"]) % 7


@pytest.mark.parametrize(("start", "stop", "epoch"), [(-1, 5, 0), (5, 4, 0), (0, 10**9, 0), (0, 1, -1)])
def test_reading_outside_of_a_stream(built: Built, start: int, stop: int, epoch: int) -> None:
    stream = built[0].stream("s0", "train", Selection("local"))
    with pytest.raises(ConfigError, match=f"which has {stream.tokens} in each epoch"):
        stream.read(start, stop, epoch)


def test_streams_that_do_not_exist(built: Built) -> None:
    with pytest.raises(ConfigError, match=r"no source 'x' .* it has s0, s1, s2, s3"):
        built[0].stream("x", "train", Selection("local"))
    with pytest.raises(ConfigError, match="no split 'dev'"):
        built[0].stream("s0", "dev", Selection("local"))
    with pytest.raises(ConfigError, match="no scope 'both'"):
        built[0].stream("s0", "train", Selection("both"))
