"""A run with its own text and id fields: the text moves to its place, all else to meta, and ids to the decisions."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from slimpajama import ConfigError, ShardUnreadable, deduplicate
from slimpajama.config.dedup import load_config
from tests.corpus.shards import put, records_of

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def text(seed: int) -> str:
    chosen = random.Random(seed)
    return " ".join("".join(chosen.choices(LETTERS, k=6)) for _ in range(60))


def documents(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"document": {"text": text(first + n), "id": f"{first + n}", "lang": "en"}, "text": "x", "score": 1.5}
        for n in range(count)
    ]


def columns(path: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = pq.read_table(path).to_pydict()
    return found


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_text_and_id_may_stand_within_an_object(tmp_path: Path, name: str) -> None:
    records = documents(3)
    put(tmp_path / "in", {f"c4/{name}": [*records, records[1]]})
    deduplicate(
        tmp_path / "in",
        tmp_path / "out",
        text_field="document.text",
        id_field="document.id",
        workers=1,
        duplicate_counts=False,
    )
    assert records_of(tmp_path / "out" / "global" / "c4" / "a.jsonl.zst") == [
        {
            "text": text(n),
            "meta": {
                "document": {"id": f"{n}", "lang": "en"},
                "text": "x",
                "score": 1.5,
                "redpajama_set_name": "RedPajamaC4",
            },
        }
        for n in range(3)
    ]
    decided = columns(tmp_path / "out" / "decisions" / "c4" / "a.parquet")
    assert decided["document_id"] == ["0", "1", "2", "1"]
    assert decided["status"] == ["kept", "kept", "kept", "duplicate"]


def test_ids_are_kept_by_a_shard_in_parts_and_missing_ones_are_null(tmp_path: Path) -> None:
    records = [*documents(300), {"document": {"text": text(1000)}}]
    put(tmp_path / "in", {"c4/a.jsonl.zst": records})
    settings: dict[str, Any] = {"text_field": "document.text", "id_field": "document.id", "part_bytes": 1 << 16}
    summary = deduplicate(tmp_path / "in", tmp_path / "out", workers=1, **settings)
    assert summary.total.global_.kept.documents == 301
    decided = columns(tmp_path / "out" / "decisions" / "c4" / "a.parquet")
    assert decided["document_id"] == [*(str(n) for n in range(300)), None]


def test_decisions_have_no_ids_unless_they_are_wanted(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": [{"text": text(1), "id": "a"}]})
    deduplicate(tmp_path / "in", tmp_path / "out", workers=1)
    assert "document_id" not in columns(tmp_path / "out" / "decisions" / "c4" / "a.parquet")


@pytest.mark.parametrize("name", ["a.jsonl.zst", "a.parquet"])
def test_numbers_that_json_does_not_have_are_null_and_counted(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    records = [{"text": text(n), "score": float("nan") if n in (70, 250) else 0.5} for n in range(300)]
    lines = "".join(json.dumps(record) + "\n" for record in records).encode()
    put(tmp_path / "in", {f"c4/{name}": records if name.endswith("parquet") else lines})
    with caplog.at_level(logging.WARNING, "slimpajama"):
        summary = deduplicate(tmp_path / "in", tmp_path / "out", workers=1, part_bytes=1 << 16)
    folder = tmp_path / "out" / "global" / "c4"
    found = [record for path in sorted(folder.iterdir()) for record in records_of(path)]
    assert [record["text"] for record in found] == [record["text"] for record in records]
    assert [n for n, record in enumerate(found) if record["meta"]["score"] is None] == [70, 250]
    assert (summary.sources["c4"].replaced_values, summary.total.replaced_values) == (2, 2)
    where = "row 70" if name.endswith("parquet") else f"byte {len(b''.join(lines.splitlines(True)[:70])):,}"
    (message,) = caplog.messages
    assert message == (
        "2 value(s) beside texts, such as NaN or a lone surrogate, have no form in JSON and were written as null or "
        f"U+FFFD, the first in {tmp_path}/in/c4/{name}, {where}; repair the input if they matter"
    )
    again = deduplicate(tmp_path / "in", tmp_path / "out", workers=1, part_bytes=1 << 16)
    assert again.sources["c4"].replaced_values == 2


def test_a_table_that_lacks_the_text_field_is_refused_with_the_setting(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.parquet": [{"content": "a"}]})
    with pytest.raises(ShardUnreadable, match=r"no string column 'document\.text' .*set text_field to the column"):
        deduplicate(tmp_path / "in", tmp_path / "out", text_field="document.text", workers=1)


@pytest.mark.parametrize("path", ["", ".", "a..b", ".a", "a."])
def test_a_path_with_an_empty_name_is_refused(path: str) -> None:
    for key in ("text_field", "id_field"):
        with pytest.raises(ConfigError, match=key):
            load_config(None, [f"{key}={path!r}"])


def test_an_id_field_that_no_document_has_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": [{"text": "a" * 300, "doc_id": 7}], "c4/b.jsonl": [{"text": "b", "docid": 1}]})
    deduplicate(tmp_path / "in", tmp_path / "out", workers=1, id_field="docid")
    (warning,) = [message for message in caplog.messages if "id_field" in message]
    assert warning == (
        f"{tmp_path / 'in' / 'c4' / 'a.jsonl'}: none of 1 documents has the field that id_field names, 'docid'; "
        "correct the setting if they should have one"
    )


def test_a_source_that_is_nearly_all_short_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    titles = [{"text": f"Title {number}", "content": f"{number} " * 300} for number in range(20)]
    put(tmp_path / "in", {"c4/a.jsonl": titles, "own/a.jsonl": ["words " * 99, *["short"] * 15]})
    deduplicate(tmp_path / "in", tmp_path / "out", workers=1)
    (warning,) = [message for message in caplog.messages if "dropped" in message]
    assert warning == (
        "c4: 20 of 20 documents have fewer than 200 cleaned characters and are dropped; if their text is in another "
        "field than 'text', set text_field, else set min_cleaned_characters"
    )
