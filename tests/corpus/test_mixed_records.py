"""Records of a mixed shard belong to the source that they name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from slimpajama.config.dedup import REDPAJAMA_SET_NAMES
from slimpajama.corpus.discovery import POSITION_BITS
from tests.corpus.reading import ARXIV, SET_NAMES, Read, named, read
from tests.corpus.shards import jsonl, mixed_piece, put


def test_records_of_a_mixed_shard_belong_to_the_source_they_name(tmp_path: Path) -> None:
    records = [named(name, redpajama_set_name=name) for name in reversed(REDPAJAMA_SET_NAMES.values())]
    found = read(tmp_path, records, "train/chunk1/a.jsonl.zst")
    assert found.texts == list(reversed(REDPAJAMA_SET_NAMES.values()))
    assert found.sources == [6, 5, 4, 3, 2, 1, 0]
    assert [document >> POSITION_BITS for document in found.ids] == found.sources, "one file, so shard = source"


@pytest.mark.parametrize(
    ("record", "named"),
    [
        ({"text": "a"}, "None"),
        ({"text": "a", "meta": None}, "None"),
        ({"text": "a", "meta": "RedPajamaC4"}, "None"),
        ({"text": "a", "meta": {}}, "None"),
        ({"text": "a", "meta": {"redpajama_set_name": "c4"}}, "'c4'"),
        ({"text": "a", "meta": {"redpajama_set_name": ["RedPajamaC4"]}}, "['RedPajamaC4']"),
        ({"text": "a", "meta": {"redpajama_set_name": {}}}, "{}"),
        ({"text": "a", "meta": {"redpajama_set_name": 4}}, "4"),
    ],
)
def test_a_record_of_a_mixed_shard_that_names_no_source_is_bad_and_booked_on_the_first(
    tmp_path: Path, record: Any, named: str
) -> None:
    sound = {"text": "sound", "meta": {"redpajama_set_name": "RedPajamaArXiv"}}
    put(tmp_path, {"a.jsonl": [sound, record, sound]})
    found = Read(mixed_piece(tmp_path / "a.jsonl"))
    assert found.texts == ["sound", "sound"]
    assert found.sources == [ARXIV, 0, ARXIV]
    assert [document >> POSITION_BITS for document in found.ids] == [ARXIV, 0, ARXIV]
    (bad,) = found.bad
    assert bad.reason == f"meta.redpajama_set_name is {named}, none of {SET_NAMES}"
    assert bad.position == len(jsonl([sound]))
    assert bad.first == orjson.dumps(record)
