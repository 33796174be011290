"""Items are found in every text that holds enough of their runs, and in no other, as the slow twin says."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.corpus.texts import Texts
from slimpajama.dedup.evaluation_index import EvaluationIndex, IndexFiles, item_runs, table_entries
from tests.twins import run_words

FEW_WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "h"]), max_size=40).map(" ".join)


def words(seed: int, count: int) -> list[str]:
    source = random.Random(seed)
    return ["".join(source.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(count)]


def index_of(items: Sequence[str], ngram: int, overlap: float) -> EvaluationIndex:
    runs = item_runs(items, ngram)
    return EvaluationIndex(runs, table_entries(runs, items, overlap), overlap)


def found(items: Sequence[str], texts: Sequence[str], ngram: int = 13, overlap: float = 0.8) -> list[tuple[int, ...]]:
    matches = index_of(items, ngram, overlap).matches(Texts.of(texts))
    return list(zip(matches.texts.tolist(), matches.items.tolist(), matches.overlaps.tolist(), strict=True))


def runs_of(text: str, length: int) -> list[tuple[str, ...]]:
    own = run_words(text)
    return [tuple(own[at : at + length]) for at in range(len(own) - length + 1)]


def twin(items: Sequence[str], texts: Sequence[str], ngram: int, overlap: float) -> list[tuple[int, int, float]]:
    expected = []
    for number, text in enumerate(texts):
        for item, wanted in enumerate(items):
            length = min(ngram, len(run_words(wanted)))
            if length >= 5:
                runs = set(runs_of(wanted, length))
                share = len(runs & set(runs_of(text, length))) / len(runs)
                if share >= overlap - 1e-9:
                    expected.append((number, item, share))
    return expected


@given(
    st.lists(FEW_WORDS, max_size=8),
    st.lists(FEW_WORDS, max_size=8),
    st.integers(5, 8),
    st.sampled_from([0.1, 0.3, 0.5, 0.8, 1.0]),
)
def test_matches_are_those_of_the_twin(items: list[str], texts: list[str], ngram: int, overlap: float) -> None:
    assert found(items, texts + items, ngram, overlap) == twin(items, texts + items, ngram, overlap)


ITEM = words(1, 32)  # 20 runs of 13 words


@pytest.mark.parametrize(("broken", "share"), [(0, 1.0), (4, 0.8), (5, 0.75)])
def test_an_item_is_found_at_its_overlap_and_not_below(broken: int, share: float) -> None:
    text = " ".join([*words(2, 50), *ITEM[broken:], *words(3, 50)])
    expected = [(0, 0, share)] if share >= 0.8 else []
    assert found([" ".join(ITEM)], [text]) == expected
    assert found([" ".join(ITEM)], [text], overlap=share) == [(0, 0, share)]


def test_where_an_item_begins_is_told_in_bytes() -> None:
    before = "Zürich — " * 9
    matches = index_of([" ".join(ITEM), " ".join(words(5, 7))], 13, 0.8).matches(
        Texts.of(["", before + " ".join(ITEM).upper(), "x, " + "; ".join(words(5, 7))])
    )
    assert matches.texts.tolist() == [1, 2]
    assert matches.begins.tolist() == [len(before.encode()), 3]


def test_a_short_item_is_one_run_and_one_of_fewer_than_five_words_is_none() -> None:
    six, four = words(4, 6), words(5, 4)
    items = [" ".join(six), " ".join(four)]
    assert item_runs(items, 13).counts.tolist() == [1, 0]
    assert found(items, [" ".join([*words(6, 9), *six, *four])]) == [(0, 0, 1.0)]
    assert found(items, [" ".join([*six[:5], "other", *four])]) == []
    assert found([" ".join(four)], [" ".join(four)]) == []


def test_a_template_of_many_items_calls_none_of_them_up() -> None:
    template = words(7, 30)
    items = [" ".join([*template, *words(100 + number, 20)]) for number in range(50)]
    runs = item_runs(items, 13)
    entries = table_entries(runs, items, 0.8)
    in_table = np.isin(item_runs([" ".join(template)], 13).runs, entries.wholes)
    assert not in_table.any()
    assert found(items, [" ".join(template), items[17]]) == [(1, 17, 1.0)]


def test_an_index_is_the_same_from_its_files(tmp_path: Path) -> None:
    items = [" ".join(ITEM), " ".join(words(8, 9)), "few words"]
    runs = item_runs(items, 13)
    files = IndexFiles(tmp_path, 0.5)
    files.write(runs, table_entries(runs, items, 0.5))
    matches = files.open().matches(Texts.of(items))
    assert matches.items.tolist() == [0, 1]


@pytest.mark.parametrize("items", [[], ["too few words here"]])
def test_an_index_of_nothing_finds_nothing(items: list[str], tmp_path: Path) -> None:
    assert found(items, [" ".join(ITEM), ""]) == []
    runs = item_runs(items, 13)
    files = IndexFiles(tmp_path, 0.5)
    files.write(runs, table_entries(runs, items, 0.5))
    assert files.open().matches(Texts.of(["any text of some words"])).items.tolist() == []


def test_more_places_than_there_is_room_for_are_all_found() -> None:
    item = " ".join(words(9, 5))
    texts = [" ".join([item] * 100)] * 60
    assert len(index_of([item], 5, 1.0).matches(Texts.of(texts)).texts) == 60
