"""Of duplicates the first by source, path and position is kept, however they are linked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus.shards import put
from tests.examples import one_in
from tests.pipeline.small_corpora import (
    SHORT,
    A,
    decisions,
    document,
    edited,
    run,
    texts,
)

POOL = [*(document(number) for number in range(20, 25)), SHORT, "", "tiny"]
CORPORA = st.dictionaries(
    st.sampled_from(["c4/a.jsonl", "c4/b.jsonl.gz", "arxiv/a.jsonl.zst", "books/a.jsonl", "own/a.jsonl"]),
    st.lists(st.integers(0, len(POOL) - 1), max_size=8),
    min_size=1,
)


@one_in(5)
@given(CORPORA)
def test_of_equal_documents_the_first_by_source_then_path_then_position_is_kept(
    tmp_path_factory: pytest.TempPathFactory, corpus: dict[str, list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("survivors")
    put(folder / "in", {name: [POOL[number] for number in numbers] for name, numbers in corpus.items()})
    summary = run(folder / "in", folder / "out")
    order = ["books", "arxiv", "c4", "own"]
    first: dict[int, Any] = {}
    first_of_source: dict[Any, Any] = {}
    expected, kept, kept_locally = [], [], []
    for name in sorted(corpus, key=lambda name: (order.index(name.split("/")[0]), name)):
        for place, number in enumerate(corpus[name]):
            here, source = (name, place), name.split("/")[0]
            if len(POOL[number]) < 200:
                expected.append((name, number, "short", False, False))
                continue
            survives = first.setdefault(number, here) == here
            survives_locally = first_of_source.setdefault((source, number), here) == here
            expected.append((name, number, "kept" if survives else "duplicate", survives, survives_locally))
            kept += [(source, number)] * survives
            kept_locally += [(source, number)] * survives_locally
    rows = decisions(folder / "out")
    found = [(row["shard"], row["status"], row["kept_global"], row["kept_local"]) for row in rows]
    assert found == [(name, *verdict) for name, _, *verdict in expected]
    for scope, numbers in (("global", kept), ("local", kept_locally)):
        written = {
            source: [text for path in sorted((folder / "out" / scope / source).iterdir()) for text in texts(path)]
            for source in summary["overlap"]["sources"]
        }
        assert written == {source: [POOL[number] for owner, number in numbers if owner == source] for source in written}
        total = summary["sources"]["total"]
        assert total["read"]["documents"] == len(rows)
        for unit in ("documents", "bytes"):
            assert total["read"][unit] == (
                total["short"][unit]
                + total["bad"][unit]
                + sum(total[scope][what][unit] for what in ("kept", "duplicate"))
            )


def test_the_order_of_a_config_decides_which_source_wins(tmp_path: Path) -> None:
    put(tmp_path / "in", {"one/a.jsonl": [A], "two/a.jsonl": [edited(A)]})
    for order in (["one", "two"], ["two", "one"]):
        run(tmp_path / "in", tmp_path / "out", sources=order)
        assert [row["status"] for row in decisions(tmp_path / "out")] == ["kept", "duplicate"]
        assert texts(tmp_path / "out" / "global" / order[0] / "a.jsonl.zst") != []
        assert texts(tmp_path / "out" / "global" / order[1] / "a.jsonl.zst") == []


def test_a_chain_of_near_duplicates_is_one_cluster_with_one_survivor(tmp_path: Path) -> None:
    # The ends have few shingles in common: only the documents between them make them one cluster.
    words = [document(number, 1) for number in range(100, 700)]
    chain = [" ".join(words[start : start + 400]) for start in range(0, 180, 6)]
    put(tmp_path / "in", {"c4/a.jsonl": chain})
    summary = run(tmp_path / "in", tmp_path / "out")
    assert {row["cluster_global"] for row in decisions(tmp_path / "out")} == {0}
    assert summary["sources"]["c4"]["global"]["kept"]["documents"] == 1


def test_a_short_document_is_never_the_survivor_of_a_longer_one(tmp_path: Path) -> None:
    stem = document(9, 19)
    assert len(stem) == 189
    short, long = stem + " " * 50 + "!" * 50 + "abcdefgh", stem + " abcdefghij"
    put(tmp_path / "in", {"c4/a.jsonl": [short, long, short]})
    run(tmp_path / "in", tmp_path / "out")
    assert [(row["status"], row["cleaned_chars"]) for row in decisions(tmp_path / "out")] == [
        ("short", 198),
        ("kept", 200),
        ("short", 198),
    ]


def test_documents_without_a_shingle_are_kept_and_never_collapse(tmp_path: Path) -> None:
    tiny = ["", "", "!!!", "twelve chars", "twelve chars", "Twelve, chars!"]
    thirteen = ["thirteen char", "thirteen char"]
    put(tmp_path / "in", {"c4/a.jsonl": [*tiny, *thirteen]})
    run(tmp_path / "in", tmp_path / "out", min_cleaned_characters=0)
    assert [row["status"] for row in decisions(tmp_path / "out")] == ["kept"] * 7 + ["duplicate"]
    assert {row["cluster_global"] for row in decisions(tmp_path / "out")[:6]} == {None}
    assert texts(tmp_path / "out" / "local" / "c4" / "a.jsonl.zst") == [*tiny, thirteen[0]]
