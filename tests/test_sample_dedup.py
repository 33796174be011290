"""Deduplicating the built-in sample does what the LSH curve promises, no less: its ground truth is exact."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest
import zstandard

from slimpajama import clean, deduplicate
from slimpajama.dedup.banding import catch_probability
from slimpajama.dedup.files.sketches import read_columns
from slimpajama.dedup.lsh import read_links
from slimpajama.engine.local import LocalEngine
from slimpajama.sample import GROUND_TRUTH, PAIRS, write_sample
from tests.dedup.pairs import pairs_of

POSITION = (1 << 40) - 1


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("sample")
    with LocalEngine(2) as engine:
        write_sample(folder / "in", docs=16_000, seed=5, engine=engine, progress=lambda size: None)
    return folder / "in", folder / "out", deduplicate(folder / "in", folder / "out", workers=2).as_dict()


@pytest.fixture(scope="module")
def pairs(run: tuple[Path, Path, dict[str, Any]]) -> list[dict[str, Any]]:
    """The planted pairs of documents that are long enough to take part, with the ids of both."""
    _, out, _ = run
    decisions = pq.read_table(out / "decisions", columns=["id", "shard", "position", "status"]).to_pylist()
    by_place = {(row["shard"], row["position"]): row for row in decisions}
    found = []
    for pair in pq.read_table(run[0] / PAIRS).to_pylist():
        a = by_place[pair["shard_a"], pair["position_a"]]
        b = by_place[pair["shard_b"], pair["position_b"]]
        if "short" not in (a["status"], b["status"]):
            found.append({**pair, "a": a["id"], "b": b["id"]})
    assert len(found) > 1000
    return found


@pytest.fixture(scope="module")
def keys(run: tuple[Path, Path, dict[str, Any]]) -> dict[int, np.ndarray[Any, Any]]:
    columns = ["id", *(f"band_{band}" for band in range(9))]
    found: dict[int, np.ndarray[Any, Any]] = {}
    for path in (run[1] / "work" / "rows").rglob("*.arrow"):
        ids, *bands = read_columns(path, columns)
        found.update(zip(ids.tolist(), np.stack(bands, axis=1), strict=True))
    return found


def test_every_planted_exact_duplicate_is_removed(
    run: tuple[Path, Path, dict[str, Any]], pairs: list[dict[str, Any]]
) -> None:
    kept = pq.read_table(run[1] / "decisions", columns=["id", "kept_global"])
    survivors = set(kept.column("id").to_numpy()[kept.column("kept_global").to_numpy()].tolist())
    exact = [pair for pair in pairs if pair["kind"] == "exact"]
    assert exact
    assert [pair for pair in exact if {pair["a"], pair["b"]} <= survivors] == []


@pytest.mark.parametrize(("low", "high"), [(0.3, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.85), (0.85, 0.9), (0.9, 0.95)])
def test_the_share_of_pairs_caught_is_what_the_curve_promises(
    low: float, high: float, pairs: list[dict[str, Any]], keys: dict[int, np.ndarray[Any, Any]]
) -> None:
    within = [pair for pair in pairs if low <= pair["jaccard"] < high]
    assert len(within) >= 30
    chances = np.array([catch_probability(pair["jaccard"], 9, 13) for pair in within])
    caught = sum(bool((keys[pair["a"]] == keys[pair["b"]]).any()) for pair in within)
    spread = math.sqrt(float((chances * (1 - chances)).sum()))
    assert abs(caught - chances.sum()) <= 4 * spread + 0.5


def test_documents_that_are_linked_directly_are_similar(run: tuple[Path, Path, dict[str, Any]]) -> None:
    source, out, _ = run
    links = {
        (int(a), int(b))
        for path in (out / "work" / "links").glob("*.arrow")
        for a, b in zip(*pairs_of(read_links(path)), strict=True)
    }
    places = {
        row["id"]: (row["shard"], row["position"])
        for row in pq.read_table(out / "decisions", columns=["id", "shard", "position"]).to_pylist()
    }
    wanted = {places[document] for link in links for document in link}
    texts = dict(_texts(source, wanted))
    similarities = [_jaccard(texts[places[a]], texts[places[b]]) for a, b in links]
    assert len(similarities) > 500
    assert min(similarities) >= 0.3


def test_counts_agree_with_the_ground_truth(run: tuple[Path, Path, dict[str, Any]]) -> None:
    source, _, summary = run
    truth = orjson.loads((source / GROUND_TRUTH).read_bytes())
    for name, planted in truth["sources"].items():
        figures = summary["sources"][name]
        assert figures["bad"]["documents"] == planted["broken"], name
        assert figures["short"]["documents"] == planted["short"], name
        assert figures["read"]["documents"] == planted["documents"] + planted["broken"], name


def _texts(source: Path, wanted: set[tuple[str, int]]) -> Iterator[tuple[tuple[str, int], str]]:
    for shard in sorted({shard for shard, _ in wanted}):
        with (source / shard).open("rb") as file:
            data = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()
        for place in wanted:
            if place[0] == shard:
                end = data.find(b"\n", place[1])
                yield place, orjson.loads(data[place[1] : end if end >= 0 else None])["text"]


def _jaccard(a: str, b: str) -> float:
    left, right = ({cleaned[at : at + 13] for at in range(len(cleaned) - 12)} for cleaned in (clean(a), clean(b)))
    return len(left & right) / len(left | right)
