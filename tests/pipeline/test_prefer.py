"""Rows of a run hold the ranks that ``prefer`` asks for, from every kind of shard."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slimpajama import ConfigError, deduplicate
from slimpajama.dedup.files.sketches import read_columns
from slimpajama.dedup.ranks import UNRANKED, sortable
from tests.corpus.shards import put

TEXT = "a text that is long enough to be kept, with a word or two of its own: "
SCORES: list[Any] = [0.5, 3, None, -2.25]


def documents() -> list[dict[str, Any]]:
    return [
        {"text": TEXT + "x" * number, "meta": {"score": score, "date": f"202{number}-01-01"}}
        for number, score in enumerate(SCORES)
    ]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.parquet"])
def test_rows_hold_ranks_of_fields_and_lengths(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    records = documents()
    if not name.endswith(".parquet"):
        records[2]["meta"]["score"] = "high"
    with caplog.at_level(logging.WARNING, logger="slimpajama"):
        deduplicate(
            put(tmp_path / "in", {f"c4/{name}": records}),
            tmp_path / "out",
            workers=1,
            min_cleaned_characters=20,
            prefer=["-meta.score", "source", "newest", "longest"],
        )
    ids, score, newest, longest = read_columns(
        tmp_path / "out/work/rows/c4/a.arrow", ["id", "rank_0", "rank_1", "rank_2"]
    )
    assert ids.size == len(SCORES)
    expected = [math.nan if value is None else value for value in SCORES]
    assert score.tolist() == sortable(np.array(expected), larger_first=False).tolist()
    assert np.argsort(newest).tolist() == np.argsort(longest).tolist() == [3, 2, 1, 0]
    (warning,) = [record.message for record in caplog.records]
    assert warning == (
        "1 of 4 documents have no number or date for '-meta.score' of prefer; where that decides, they come last: "
        "correct the field's name if they should have one"
    )


def test_broken_repaired_and_large_lines_keep_their_places(tmp_path: Path) -> None:
    filler = b", ".join(b"1" for _ in range(70_000))
    lines = [
        b'{"text": "%s one", "meta": {"score": 1}}' % TEXT.encode(),
        b'{"text": broken',
        b'{"text": "%s two", "meta": {"score": 2, "x": NaN}}' % TEXT.encode(),
        b"",
        b'{"text": "%s three", "meta": {"score": 3}, "list": [%s]}' % (TEXT.encode(), filler),
        b'{"text": "%s four", "meta": null}' % TEXT.encode(),
    ]
    source = put(tmp_path / "in", {"c4/a.jsonl": b"\n".join(lines) + b"\n"})
    options: dict[str, Any] = {"workers": 1, "min_cleaned_characters": 20, "max_bad_fraction": 1.0}
    deduplicate(source, tmp_path / "out", prefer=["meta.score"], **options)
    status, score = read_columns(tmp_path / "out/work/rows/c4/a.arrow", ["status", "rank_0"])
    assert status.tolist() == [0, 2, 0, 0, 0]
    nan = math.nan
    assert score.tolist() == sortable(np.array([1, nan, 2, 3, nan]), larger_first=True).tolist()
    assert score[1] == UNRANKED


def test_the_default_has_no_ranks(tmp_path: Path) -> None:
    deduplicate(put(tmp_path / "in", {"c4/a.jsonl": documents()}), tmp_path / "out", workers=1)
    with pytest.raises(KeyError, match="rank_0"):
        read_columns(tmp_path / "out/work/rows/c4/a.arrow", ["rank_0"])


def test_an_unknown_key_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^settings: prefer: there is no key 'best' of prefer; the keys are "):
        deduplicate(put(tmp_path / "in", {"c4/a.jsonl": documents()}), tmp_path / "out", prefer=["best"])
    assert not (tmp_path / "out").exists()
