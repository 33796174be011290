"""With the card, ``datasets`` opens shards whose metadata differ from source to source."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pytest

import slimpajama
from slimpajama.dedup.card import shards_by_split, shards_card
from slimpajama.dedup.summary import Count, ScopeFigures, SourceFigures


def put(path: Path, *records: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def text(name: str) -> str:
    return " ".join(f"{name}{number**3}" for number in range(60))


def alone(source: str) -> dict[str, object]:
    return {"global": 1, "local": 1, "exact": 1, "sources": [source]}


@pytest.mark.filterwarnings("default")  # of a library
def test_shards_of_different_metadata_load_as_one_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    put(tmp_path / "in/c4/a.jsonl", {"text": text("a"), "meta": {"url": "u", "lines": 3}})
    put(
        tmp_path / "in/github/a.jsonl",
        {"text": text("b"), "meta": {"lines": "three"}},
        {"text": text("c"), "stars": [1, None], "meta": None},
    )
    slimpajama.deduplicate(tmp_path / "in", tmp_path / "out", workers=1)
    rows = datasets.load_dataset(str(tmp_path / "out/global"), split="train", cache_dir=str(tmp_path / "cache"))
    assert [row["meta"] for row in rows] == [
        {"url": "u", "lines": 3, "redpajama_set_name": "RedPajamaC4", "duplicates": alone("c4")},
        {"lines": "three", "redpajama_set_name": "RedPajamaGithub", "duplicates": alone("github")},
        {"stars": [1, None], "redpajama_set_name": "RedPajamaGithub", "duplicates": alone("github")},
    ]


def test_a_scope_that_is_no_longer_written_loses_its_card_and_its_shards_of_other_texts(tmp_path: Path) -> None:
    put(tmp_path / "in/c4/a.jsonl", {"text": text("a")})
    slimpajama.deduplicate(tmp_path / "in", tmp_path / "out", workers=1)
    assert (tmp_path / "out/local/README.md").exists()
    put(tmp_path / "in/c4/a.jsonl", {"text": text("b")})
    slimpajama.deduplicate(tmp_path / "in", tmp_path / "out", workers=1, scope="global")
    assert not [path for path in (tmp_path / "out/local").rglob("*") if path.is_file()]
    assert (tmp_path / "out/global/README.md").exists()


@pytest.mark.filterwarnings("default")  # of a library
def test_the_split_that_the_input_comes_with_is_that_of_the_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    put(tmp_path / "in/c4/train/a.jsonl", {"text": text("a")})
    put(tmp_path / "in/c4/test/a.jsonl", {"text": text("b")})
    put(tmp_path / "in/web/a.jsonl", {"text": text("c")})
    slimpajama.deduplicate(tmp_path / "in", tmp_path / "out", workers=1)
    loaded = datasets.load_dataset(str(tmp_path / "out/global"), cache_dir=str(tmp_path / "cache"))
    texts = {split: sorted(row["text"] for row in rows) for split, rows in loaded.items()}
    assert texts == {"train": [text("a"), text("c")], "test": [text("b")]}


def test_a_folder_of_one_split_is_one_pattern() -> None:
    shards = [
        ("c4/test/a.x", "test"),
        ("c4/test/b.x", "test"),
        ("c4/a.x", "train"),
        ("w/a.x", "train"),
        ("w/b.x", "test"),
    ]
    assert shards_by_split(shards, ".x") == {"test": ["c4/test/*.x", "w/b.x"], "train": ["c4/*.x", "w/a.x"]}
    assert shards_by_split([], ".x") == {}


def test_the_card_explains_the_counts_where_records_have_them() -> None:
    assert "* `meta.duplicates`: how many documents of the input it stands for" in shards_card("local", ".x", {})
    assert "meta.duplicates" not in shards_card("local", ".x", {}, duplicate_counts=False)


def test_the_card_says_what_is_in_each_source() -> None:
    nothing, kept = Count(0, 0), Count(1200, 34567)
    scopes = ScopeFigures(kept, nothing, nothing, nothing), ScopeFigures(*[nothing] * 4)
    card = shards_card("global", ".jsonl.zst", {"c4": SourceFigures(kept, nothing, nothing, *scopes, 0)})
    assert card.endswith("| source | documents | bytes of text |\n| --- | --: | --: |\n| c4 | 1,200 | 34,567 |\n")
