"""Removals are drawn by a seed, filtered by what was asked, and compared with what stays for each."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow.compute as pc
import pytest

import slimpajama
from slimpajama import ConfigError
from slimpajama.evidence.duplicates import SampledRemovals, duplicates
from tests.corpus.shards import put


def words(seed: int) -> list[str]:
    source = random.Random(seed)
    return ["".join(source.choices("abcdefghijklmnopqrst", k=8)) for _ in range(100)]


def changed(seed: int, count: int) -> str:
    """A text with its first ``count`` words replaced."""
    return " ".join([*words(1000 + seed)[:count], *words(seed)[count:]])


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty documents of arxiv; c4 has a copy of ten, ten with three words changed, and ten with twenty changed."""
    root = tmp_path_factory.mktemp("duplicates")
    shards = {
        "arxiv/a.jsonl.gz": [changed(seed, 0) for seed in range(30)],
        "c4/a.jsonl": [changed(seed, (0, 3, 20)[seed % 3]) for seed in range(30)],
        "c4/b.parquet": [changed(seed, 0) for seed in range(40, 45)] * 2,
    }
    put(root / "in", shards)
    slimpajama.deduplicate(
        root / "in", root / "out", workers=1, bands=32, rows=4, sources=["arxiv", "c4"], piece_bytes=1 << 16
    )
    return root / "out"


def drawn(found: SampledRemovals) -> list[int]:
    return [pair.document.id for pair in found.pairs]


def test_all_removals_are_listed_where_there_is_room_the_least_alike_first(output: Path) -> None:
    found = duplicates(output, count=100)
    assert (found.removals, found.looked_at, len(found.pairs)) == (35, 35, 35)
    assert [pair.jaccard for pair in found.pairs] == sorted(pair.jaccard for pair in found.pairs)
    assert sum(pair.jaccard == 1 for pair in found.pairs) == 15
    assert all(pair.document.cluster_global == pair.survivor.id for pair in found.pairs)
    assert all(not pair.document.kept_global and pair.survivor.kept_global for pair in found.pairs)


def test_the_same_seed_draws_the_same_and_another_others(output: Path) -> None:
    first = duplicates(output, count=8)
    assert drawn(first) == drawn(duplicates(output, count=8))
    assert drawn(first) != drawn(duplicates(output, count=8, seed=2))
    assert first.removals == 35


def test_every_removal_is_drawn_by_some_seed(output: Path) -> None:
    seen = {document for seed in range(40) for document in drawn(duplicates(output, count=1, seed=seed, scope="local"))}
    assert len(seen) == 5  # of c4/b.parquet, the copies within the source


def test_filters_are_what_they_say(output: Path) -> None:
    local = duplicates(output, scope="local")
    assert local.removals == 5
    assert {pair.scope for pair in local.pairs} == {"local"}
    assert duplicates(output, source="arxiv").pairs == ()
    across = duplicates(output, source="c4", kept_in="arxiv", count=50)
    assert (across.removals, {pair.survivor.source for pair in across.pairs}) == (30, {"arxiv"})
    within = duplicates(output, kept_in="c4", count=50)
    assert (within.removals, {pair.document.shard for pair in within.pairs}) == (5, {"c4/b.parquet"})


def test_below_compares_until_enough_are_found(output: Path) -> None:
    found = duplicates(output, below=0.9, count=50)
    assert len(found.pairs) == 10
    assert all(0.5 < pair.jaccard < 0.9 for pair in found.pairs)
    assert duplicates(output, below=0.9, count=4).looked_at < 35
    assert duplicates(output, below=0.01).pairs == ()


def test_exact_copies_and_others_are_told_apart(output: Path) -> None:
    exact, near = duplicates(output, match="exact", count=50), duplicates(output, match="near", count=50)
    assert (exact.removals, near.removals) == (15, 20)
    assert all(pair.document.match_global == "exact" for pair in exact.pairs)
    assert all(pair.jaccard < 1 for pair in near.pairs)
    assert duplicates(output, below=1.0, count=50).removals == 20


def test_what_is_known_to_be_similar_enough_is_not_compared(output: Path, tmp_path: Path) -> None:
    slimpajama.deduplicate(output.parent / "in", tmp_path / "out", workers=1, preset="verified", sampled_removals=0)
    every = slimpajama.open_decisions(tmp_path / "out").dataset.to_table(columns=["status", "similarity_global"])
    not_told = every.filter((pc.field("status") == "duplicate") & pc.field("similarity_global").is_null())
    found = duplicates(tmp_path / "out", below=0.8)
    assert found.removals == not_told.num_rows < every.filter(pc.field("status") == "duplicate").num_rows
    assert found.pairs == ()
    assert all(pair.jaccard >= 0.8 for pair in duplicates(tmp_path / "out", count=50).pairs)


def test_what_cannot_be_asked_for_is_refused(output: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no source 'web' in .*; the sources are arxiv, c4"):
        duplicates(output, source="web")
    with pytest.raises(ConfigError, match="0 pairs are asked for; give 1 or more"):
        duplicates(output, count=0)
    with pytest.raises(ConfigError, match=r"below is 80\.0; give a Jaccard similarity above 0, up to 1"):
        duplicates(output, below=80.0)
