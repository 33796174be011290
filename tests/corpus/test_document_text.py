"""Single texts are read back from wherever a shard holds them, and what has gone or changed is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimpajama import ConfigError, InputChanged, InputNotFound
from slimpajama.config.dedup import Config
from slimpajama.corpus.discovery import discover
from slimpajama.corpus.document_text import TextReader
from slimpajama.corpus.fields import Fields
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.pieces import POSITION_BITS
from slimpajama.corpus.records import read_records
from tests.corpus.shards import jsonl, put

TEXTS = [f"text {number} " * (1 + 7 * number) for number in range(30)]
ARRAY = b"[" + b",\n".join(line for line in jsonl({"text": text} for text in TEXTS).splitlines()) + b"]"
SHARDS = {
    "c4/a.jsonl": TEXTS,
    "c4/b.jsonl.zst": TEXTS,
    "c4/c.jsonl.gz": [{"text": text, "meta": {"n": 1}} for text in TEXTS],
    "c4/d.json": ARRAY,
    "c4/e.parquet": TEXTS,
    "c4/f.jsonl": b"\n".join(b" " * (at % 2) + line for at, line in enumerate(jsonl(TEXTS).splitlines())),
}


def positions_of(root: Path, relative: str, fields: Fields) -> list[int]:
    piece = next(piece for piece in discover(root).pieces if piece.file.relative == relative)
    return [
        document & ((1 << POSITION_BITS) - 1)
        for batch in read_records(piece, LineReader(), 0, fields)
        for document in batch.ids.tolist()
    ]


@pytest.mark.parametrize("relative", sorted(set(SHARDS) - {"c4/f.jsonl"}))
def test_every_text_is_found_at_its_position_alone_and_together_with_others(tmp_path: Path, relative: str) -> None:
    root = put(tmp_path, {relative: SHARDS[relative]})
    reader = TextReader(root, Config())
    positions = positions_of(root, relative, Fields.of("text", None))
    assert len(positions) == len(TEXTS)
    assert [reader.text(relative, position) for position in positions] == TEXTS
    assert reader.texts(reader.shard(relative), positions) == TEXTS
    assert reader.texts(reader.shard(relative), positions[3::9]) == TEXTS[3::9]


def test_documents_far_apart_in_a_plain_shard_are_read_each_by_itself(tmp_path: Path) -> None:
    long = "b" * (5 << 20)
    put(tmp_path, {"a.jsonl": ["first", long, "last"]})
    reader = TextReader(tmp_path, Config())
    last = (tmp_path / "a.jsonl").read_bytes().rindex(b'{"text"')
    assert reader.texts(reader.shard("a.jsonl"), [0, last]) == ["first", "last"]


def test_the_text_comes_as_it_is_stored_and_from_the_field_of_the_settings(tmp_path: Path) -> None:
    put(tmp_path, {"a.jsonl": jsonl([{"doc": {"body": "e\u0301te\u0301"}}])})
    assert TextReader(tmp_path, Config(text_field="doc.body")).text("a.jsonl", 0) == "\u00e9t\u00e9"
    assert (
        TextReader(tmp_path, Config(text_field="doc.body", normalisation="none")).text("a.jsonl", 0)
        == "e\u0301te\u0301"
    )


def test_the_input_may_be_one_shard(tmp_path: Path) -> None:
    put(tmp_path, {"a.jsonl": ["one", "two"]})
    assert TextReader(tmp_path / "a.jsonl", Config()).text("a.jsonl", len(b'{"text":"one"}\n')) == "two"


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json"])
def test_lines_are_counted_from_one(tmp_path: Path, name: str) -> None:
    put(tmp_path, {name: jsonl({"text": text} for text in TEXTS)})
    reader = TextReader(tmp_path, Config())
    for number in (1, 2, 17, 30):
        assert reader.text(name, reader.position_of(name, number)) == TEXTS[number - 1]
    with pytest.raises(ConfigError, match="has fewer than 40 lines; give a line that it has"):
        reader.position_of(name, 40)
    with pytest.raises(ConfigError, match="lines are counted from 1"):
        reader.position_of(name, 0)


def test_rows_are_counted_from_one(tmp_path: Path) -> None:
    put(tmp_path, {"a.parquet": TEXTS})
    assert TextReader(tmp_path, Config()).position_of("a.parquet", 5) == 4


def test_a_shard_that_has_gone_and_a_record_that_is_elsewhere_are_named(tmp_path: Path) -> None:
    put(tmp_path, {"a.jsonl": ["one", "two"], "b.jsonl.zst": ["one"], "c.parquet": ["one"]})
    reader = TextReader(tmp_path, Config())
    with pytest.raises(
        InputNotFound, match=r"gone.jsonl is not there, so its texts cannot be read; bring the input back"
    ):
        reader.text("gone.jsonl", 0)
    for name, position in (("a.jsonl", 5), ("a.jsonl", 1000), ("b.jsonl.zst", 1000), ("c.parquet", 9)):
        with pytest.raises(InputChanged, match=rf"{name} holds no such record at .* any more; it changed after it"):
            reader.text(name, position)
