"""Texts are stored in the chosen form and the chosen scopes, split by source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.corpus.shards import put, records_of
from tests.pipeline.small_corpora import (
    COMPOSED,
    DECOMPOSED,
    A,
    B,
    C,
    D,
    decisions,
    run,
    texts,
)


@pytest.mark.parametrize(
    ("normalisation", "given", "stored"),
    [
        ("nfc", DECOMPOSED, COMPOSED),
        ("none", DECOMPOSED, DECOMPOSED),
        ("ftfy", DECOMPOSED, COMPOSED),
        ("ftfy", "\u00e2\u0153\u201d " + A, "\u2714 " + A),
        ("nfc", "\u00e2\u0153\u201d " + A, "\u00e2\u0153\u201d " + A),
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_texts_are_written_and_counted_in_the_chosen_form(
    tmp_path: Path, name: str, normalisation: str, given: str, stored: str
) -> None:
    put(tmp_path / "in", {f"c4/{name}": [given, B]})
    run(tmp_path / "in", tmp_path / "out", normalisation=normalisation)
    assert texts(tmp_path / "out" / "global" / "c4" / "a.jsonl.zst") == [stored, B]
    assert decisions(tmp_path / "out")[0]["bytes"] == len(stored.encode())


def test_two_forms_of_one_text_are_the_same_document(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": [COMPOSED, DECOMPOSED, COMPOSED.upper()]})
    run(tmp_path / "in", tmp_path / "out")
    assert [row["status"] for row in decisions(tmp_path / "out")] == ["kept", "duplicate", "duplicate"]
    assert len({row["cleaned_chars"] for row in decisions(tmp_path / "out")}) == 1


@pytest.mark.parametrize(
    ("scope", "written"), [("global", ["global"]), ("local", ["local"]), ("both", ["global", "local"])]
)
def test_only_the_shards_asked_for_are_written_and_both_verdicts_always(
    tmp_path: Path, scope: str, written: list[str]
) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": [A], "arxiv/a.jsonl": [A]})
    run(tmp_path / "in", tmp_path / "out", scope=scope)
    found = sorted(path.name for path in (tmp_path / "out").iterdir() if path.name in ("global", "local"))
    assert found == written
    assert [(row["kept_global"], row["kept_local"]) for row in decisions(tmp_path / "out")] == [
        (True, True),
        (False, True),
    ]


def test_the_published_layout_is_split_by_the_source_each_record_names(tmp_path: Path) -> None:
    def record(text: str, name: str) -> dict[str, Any]:
        return {"text": text, "meta": {"redpajama_set_name": name}}

    first = [record(A, "RedPajamaCommonCrawl"), record(B, "RedPajamaC4"), record(C, "RedPajamaC4")]
    second = [record(A, "RedPajamaC4"), record(D, "RedPajamaBook"), record(D, "RedPajamaBook")]
    chunk = "train/chunk1/part"
    put(tmp_path / "in", {f"{chunk}_0.jsonl.zst": first, f"{chunk}_1.jsonl.zst": second})
    summary = run(tmp_path / "in", tmp_path / "out", duplicate_counts=False)
    out = tmp_path / "out"
    # C4 comes before CommonCrawl, so its copy survives although it stands in the later file.
    assert records_of(out / "global" / "c4" / f"{chunk}_0.jsonl.zst") == first[1:]
    assert records_of(out / "global" / "c4" / f"{chunk}_1.jsonl.zst") == second[:1]
    assert records_of(out / "global" / "common_crawl" / f"{chunk}_0.jsonl.zst") == []
    assert records_of(out / "local" / "common_crawl" / f"{chunk}_0.jsonl.zst") == first[:1]
    assert records_of(out / "local" / "books" / f"{chunk}_1.jsonl.zst") == second[1:2]
    in_order = pq.read_table(out / "decisions" / f"{chunk}_0.parquet").to_pylist()
    assert [(row["source"], row["status"]) for row in in_order] == [
        ("common_crawl", "duplicate"),
        ("c4", "kept"),
        ("c4", "kept"),
    ]
    assert summary["sources"]["total"]["global"]["kept"]["documents"] == 4
    assert summary["overlap"]["documents"][6][5] == 1
