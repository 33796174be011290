"""A shard that cannot be used is refused with a remedy that fits the whole of it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from slimpajama.corpus.discovery import discover
from slimpajama.dedup.sketching import PieceCounts, too_many_bad
from tests.corpus.shards import put


@pytest.mark.parametrize(
    ("name", "content", "bad", "reason", "remedy"),
    [
        ("a.jsonl", b"1\n2\n", 1, "not an object", "mend or remove the shard, or raise max_bad_fraction"),
        ("a.jsonl", b"1\n2\n", 2, "not an object", "mend or remove the shard"),
        ("a.jsonl", gzip.compress(b"{}"), 2, "x", "it seems to be gzip-compressed data: let its name end in .jsonl.gz"),
        ("a.jsonl.gz", b'{\n "text": 1}', 2, "x", "its records seem to be indented over several lines"),
        ("a.json", b'[{"text": 1}, 2]', 2, "'text' is a number", "mend or remove the shard"),
        (
            "a.json",
            b'[{"body": "a"}]',
            2,
            "no field 'text'",
            "set text_field to the field that holds the text, such as",
        ),
        ("a.parquet", [{"text": None}], 2, "'text' is null", "mend or remove the shard"),
    ],
)
def test_where_all_records_fail_alike_the_remedy_is_for_the_file_and_not_a_higher_limit(
    tmp_path: Path, name: str, content: object, bad: int, reason: str, remedy: str
) -> None:
    (file,) = discover(put(tmp_path, {f"c4/{name}": content})).files
    message = str(too_many_bad(file, PieceCounts(records=2, bad=bad, first_bad=(0, reason)), 0.01, "text"))
    assert message.startswith(f"{file.path}: {bad} of 2 records read are bad ({bad / 2:.1%}, allowed are 1.0%), the ")
    assert f": {reason}; {remedy}" in message
    assert ("max_bad_fraction" in message) == (bad == 1)
