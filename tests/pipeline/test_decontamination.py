"""A deduplication that looks for evaluation items: what is removed or marked, and what is redone."""

from __future__ import annotations

import random
import string
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import slimpajama
from slimpajama import ConfigError, InputNotFound, ShardUnreadable, deduplicate
from slimpajama.cli.evidence_text import explanation_text
from slimpajama.cli.tables import summary_table
from slimpajama.config.dedup import Config
from slimpajama.dedup.dedup_run import WorkSizes
from slimpajama.dedup.summary import DedupSummary
from slimpajama.engine.local import LocalEngine
from slimpajama.pipeline.dedup import deduplicate_on
from slimpajama.pipeline.status import run_status
from slimpajama.stages.runner import Stages
from tests.corpus.shards import files_below, jsonl, put, records_of


def words(seed: int, count: int) -> str:
    source = random.Random(seed)
    return " ".join("".join(source.choices(string.ascii_lowercase, k=7)) for _ in range(count))


QUESTION, OTHER, RARE = words(1, 32), words(2, 20), words(3, 9)
CLEAN = [words(10 + number, 60) for number in range(6)]
HOLDING = f"{words(20, 30)}\n{QUESTION.title()}? {words(21, 30)}"
TOO_LITTLE = f"{words(22, 30)} {' '.join(QUESTION.split()[5:])} {words(23, 30)}"
SHORT_HOLDING = f"{words(24, 40)} {RARE} {words(25, 30)}"


def corpus(root: Path) -> Path:
    return put(
        root,
        {
            "c4/a.jsonl": [*CLEAN[:3], HOLDING, TOO_LITTLE],
            "c4/b.jsonl.gz": jsonl({"text": text} for text in [CLEAN[3], SHORT_HOLDING, HOLDING, "short"]),
            "books/c.jsonl": [CLEAN[4], f"{HOLDING} {OTHER}", f"{HOLDING} {OTHER}"],
        },
    )


def sets(root: Path) -> Path:
    return put(
        root,
        {
            "mmlu/test.jsonl": [
                {"question": QUESTION, "choices": ["one", "two"]},
                {"question": "Too few words"},
                {"question": RARE},
                {"question": words(4, 30)},
            ],
            "own.jsonl.zst": [{"passage": {"text": OTHER[:40]}, "parts": [OTHER[40:], 7]}],
        },
    )


def run(folder: Path, **chosen: Any) -> DedupSummary:
    against = [
        str(folder / "sets/mmlu"),
        {"path": str(folder / "sets/own.jsonl.zst"), "fields": ["passage.text", "parts"], "name": "mine"},
    ]
    decontaminate = {"against": against, **chosen}
    return deduplicate(
        folder / "in", folder / "out", workers=1, sampled_removals=0, decontaminate=decontaminate, part_bytes=1 << 16
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    corpus(tmp_path / "in")
    sets(tmp_path / "sets")
    return tmp_path


def matches(folder: Path) -> list[tuple[Any, ...]]:
    rows = pq.read_table(folder / "out/decontamination/matches.parquet").to_pylist()
    return [(row["shard"], row["set"], row["file"], row["line"], round(row["overlap"], 3)) for row in rows]


FOUND = [
    ("books/c.jsonl", "mmlu", "test.jsonl", 1, 1.0),
    ("books/c.jsonl", "mine", "own.jsonl.zst", 1, 1.0),
    ("books/c.jsonl", "mmlu", "test.jsonl", 1, 1.0),
    ("books/c.jsonl", "mine", "own.jsonl.zst", 1, 1.0),
    ("c4/a.jsonl", "mmlu", "test.jsonl", 1, 1.0),
    ("c4/b.jsonl.gz", "mmlu", "test.jsonl", 3, 1.0),
    ("c4/b.jsonl.gz", "mmlu", "test.jsonl", 1, 1.0),
]


def test_documents_that_hold_items_are_removed_and_the_evidence_says_why(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    summary = run(folder)
    kept = [record["text"] for path in sorted((folder / "out/global").rglob("*.zst")) for record in records_of(path)]
    assert sorted(kept) == sorted([*CLEAN[:5], TOO_LITTLE])
    c4, books = summary.sources["c4"], summary.sources["books"]
    assert (c4.read.documents, c4.contaminated.documents, c4.short.documents, c4.global_.kept.documents) == (9, 3, 1, 5)
    assert (books.read.documents, books.contaminated.documents, books.global_.kept.documents) == (3, 2, 1)
    assert sorted(matches(folder)) == sorted(FOUND)
    figures = summary.as_dict()["decontamination"]
    assert figures == {
        "documents": {"books": 2, "c4": 3},
        "sets": {
            "mmlu": {"items": 4, "not_checkable": 1, "found": 2, "documents": {"books": 2, "c4": 3}},
            "mine": {"items": 1, "not_checkable": 0, "found": 1, "documents": {"books": 2, "c4": 0}},
        },
    }
    assert "1 of 4 items of the evaluation set mmlu have fewer than 5 words and are not looked for" in caplog.text
    assert slimpajama.open_decisions(folder / "out").with_status("contaminated").num_rows == 5
    assert slimpajama.verify(folder / "out").findings == []
    table = summary_table(summary)
    assert "Evaluation items, and documents that hold them, which are removed:" in table
    rows = pq.read_table(folder / "out/decontamination/matches.parquet").to_pylist()
    first = next(row for row in rows if row["shard"] == "c4/a.jsonl")
    assert first["position"] == HOLDING.index(QUESTION.title())
    assert HOLDING[first["position"] :].startswith(first["excerpt"])
    assert len(first["excerpt"]) == 160
    explained = explanation_text(slimpajama.explain(folder / "out", first["id"]))
    assert "contaminated: removed, as it holds evaluation items" in explained
    assert "100% of mmlu, test.jsonl line 1, from byte" in explained


def overlaps(folder: Path) -> dict[int, float]:
    """What the decisions say of each document that holds an item."""
    rows = slimpajama.open_decisions(folder / "out").dataset.to_table(columns=["id", "evaluation_overlap"]).to_pylist()
    return {row["id"]: row["evaluation_overlap"] for row in rows if row["evaluation_overlap"] is not None}


def largest(folder: Path) -> dict[int, float]:
    """The same from the table of matches."""
    found: dict[int, float] = {}
    for row in pq.read_table(folder / "out/decontamination/matches.parquet").to_pylist():
        found[row["id"]] = max(found.get(row["id"], 0.0), row["overlap"])
    return found


def test_decisions_say_how_much_of_an_item_a_document_holds(folder: Path) -> None:
    run(folder, overlap=0.5)
    assert overlaps(folder) == largest(folder)
    assert sorted(set(overlaps(folder).values())) == [0.75, 1.0]
    deduplicate(folder / "in", folder / "out", workers=1, sampled_removals=0, part_bytes=1 << 16)
    assert "evaluation_overlap" not in slimpajama.open_decisions(folder / "out").dataset.schema.names


def test_documents_are_only_marked_where_that_is_asked_for(folder: Path) -> None:
    plain = deduplicate(folder / "in", folder / "plain", workers=1, sampled_removals=0, part_bytes=1 << 16)
    summary = run(folder, action="mark")
    assert sorted(matches(folder)) == sorted(FOUND)
    assert summary.total == plain.total
    contract = ("global/", "local/", "work/rows/")
    of_both = [
        {name: content for name, content in files_below(folder / out).items() if name.startswith(contract)}
        for out in ("plain", "out")
    ]
    assert of_both[0] == of_both[1]
    tables = [slimpajama.open_decisions(folder / out).dataset.to_table() for out in ("plain", "out")]
    assert tables[0] == tables[1].drop_columns("evaluation_overlap")
    assert overlaps(folder) == largest(folder)
    assert len(largest(folder)) == 5
    assert "which are marked" in summary_table(summary)
    assert slimpajama.verify(folder / "out").findings == []


def test_only_what_depends_on_a_changed_setting_or_set_is_done_again(folder: Path) -> None:
    run(folder)
    again = run(folder)
    assert all(stage.reused == stage.items for stage in again.stages.values())
    assert run_status(folder / "out").finished
    assert run(folder, overlap=0.7).sources["c4"].contaminated.documents == 4
    put(folder / "sets", {"mmlu/more.jsonl": [{"question": CLEAN[0]}]})
    assert run(folder, overlap=0.7).sources["c4"].contaminated.documents == 5
    without = deduplicate(folder / "in", folder / "out", workers=1, sampled_removals=0, part_bytes=1 << 16)
    assert without.decontamination is None
    assert without.sources["c4"].contaminated.documents == 0
    assert not (folder / "out/decontamination/matches.parquet").exists()
    assert slimpajama.verify(folder / "out").findings == []


def test_a_shard_in_parts_has_one_table_and_a_document_that_normalisation_changes_is_looked_at_as_it_is_stored(
    tmp_path: Path,
) -> None:
    sets(tmp_path / "sets")
    decomposed = unicodedata.normalize("NFD", f"{words(30, 400)} 각각 é {QUESTION} {words(31, 400)}")
    texts = [words(100 + number, 400) for number in range(150)]
    texts[7], texts[70], texts[149] = f"{texts[7]} {QUESTION}", decomposed, f"{QUESTION} {texts[149]}"
    put(tmp_path / "in", {"c4/a.jsonl.gz": jsonl({"text": text} for text in texts)})
    chosen = {"against": [str(tmp_path / "sets/mmlu")]}
    settings = {"workers": 1, "sampled_removals": 0, "part_bytes": 1 << 16, "decontaminate": chosen}
    config = Config.model_validate(settings)
    for out, block_bytes in (("parts", 1 << 14), ("out", 1 << 23)):
        stages = Stages(LocalEngine(1))
        deduplicate_on(stages, tmp_path / "in", tmp_path / out, config, sizes=WorkSizes(block_bytes=block_bytes))
    parts, whole = (pq.read_table(tmp_path / out / "decontamination/matches.parquet") for out in ("parts", "out"))
    assert parts.num_rows == 3
    assert parts.equals(whole)
    stored = unicodedata.normalize("NFC", decomposed).encode()
    assert parts.column("position")[1].as_py() == stored.index(QUESTION.encode())


def test_a_table_that_was_changed_is_found_by_verify(folder: Path) -> None:
    run(folder)
    table = folder / "out/decontamination/matches.parquet"
    table.write_bytes(table.read_bytes() + b" ")
    assert any(str(table) in finding for finding in slimpajama.verify(folder / "out").findings)


@pytest.mark.parametrize(
    ("files", "chosen", "kind", "message"),
    [
        ({}, {"against": ["{}/none"], "fields": ["a"]}, InputNotFound, "none does not exist; give a file that ends in"),
        ({"s/x.txt": b""}, {"against": ["{}/s"], "fields": ["a"]}, InputNotFound, "s holds no file of JSON lines"),
        ({"s/x.jsonl": [{"b": 1}]}, {"against": ["{}/s"], "fields": ["a"]}, ConfigError, "no record has a text at 'a'"),
        ({"s/x.jsonl": []}, {"against": ["{}/s"], "fields": ["a"]}, ConfigError, "the file holds no record"),
        (
            {"s/x.jsonl": [{"q": 5, "id": 1}, {"q": "", "c": {"text": ["one"], "n": 1}, "t": "two", "e": ""}]},
            {"against": ["{}/s"], "fields": ["q"]},
            ConfigError,
            r"what records have at 'q' is no text, or empty; set fields of the evaluation set s to some of c.text, t$",
        ),
        (
            {"s/x.jsonl": [{"q": [5], "r": None}]},
            {"against": ["{}/s"], "fields": ["r"]},
            ConfigError,
            "no record has a text at 'r'; set fields of the evaluation set s to fields that hold texts, of which its",
        ),
        ({"s/x.jsonl": b"{}\nno\n"}, {"against": ["{}/s"], "fields": ["a"]}, ShardUnreadable, "line 2 is not JSON"),
        ({"s/x.jsonl": b""}, {"against": ["{}/s"]}, ConfigError, "the fields of the items of"),
        ({}, {"against": ["mmlu", "b/mmlu"]}, ConfigError, "two evaluation sets are called 'mmlu'"),
    ],
)
def test_sets_that_cannot_be_used_are_refused(
    tmp_path: Path, files: dict[str, Any], chosen: dict[str, Any], kind: type[Exception], message: str
) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": CLEAN})
    put(tmp_path, files)
    chosen = {**chosen, "against": [path.format(tmp_path) for path in chosen["against"]]}
    with pytest.raises(kind, match=message):
        deduplicate(tmp_path / "in", tmp_path / "out", workers=1, decontaminate=chosen)
