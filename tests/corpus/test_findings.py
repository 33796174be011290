"""What fuzzing (``benchmarks.fuzz``) once found to break the reader, read again; and a few fresh cases of each kind."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.fuzz import DEEPEST, FINDINGS, a_shard, check_container, check_lines, hash_of, is_sound

CONTAINERS = (".jsonl.zst", ".jsonl.gz", ".parquet")


@pytest.fixture(autouse=True)
def deep_recursion() -> Iterator[None]:
    """The slow way recurses where the fast one counts."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(4 * DEEPEST)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.parametrize("file", sorted(FINDINGS.iterdir()), ids=lambda path: path.name)
@pytest.mark.parametrize("seed", range(4))
def test_a_finding_is_read_or_refused_by_name(file: Path, seed: int, tmp_path: Path) -> None:
    ending = "".join(file.suffixes)
    if ending == ".jsonl":
        check_lines(file.read_bytes(), tmp_path, random.Random(seed))
    else:
        check_container(file.read_bytes(), ending, tmp_path, random.Random(seed))


@pytest.mark.parametrize("kind", ["lines", *CONTAINERS])
def test_fresh_cases_keep_the_rules(kind: str, tmp_path: Path) -> None:
    verdicts = set()
    for number in range(4 if kind == "lines" else 40):
        _, check = a_shard(kind, hash_of("tests", kind, number))
        verdicts |= set(check(tmp_path))
    expected = (
        {"sound", "not JSON", "not UTF-8"} if kind == "lines" else {"read to the end", "refused: ShardUnreadable"}
    )
    assert expected <= verdicts


def test_cases_are_the_same_in_every_process() -> None:
    assert hash_of(1, "lines", 2) == 8487300808484031231
    assert a_shard("lines", 5)[0] == a_shard("lines", 5)[0]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b'{"text":"a"}', "a"),
        (b'{"text":"a","text":"b"}', "b"),
        (b'{"text":"\\ud800","text":"b"}', "b"),
        (b'{"text":"b","text":"\\ud800"}', None),
        (b'{"text":"a","n":1e999}', "a"),
        (b'{"text":"a","n":NaN}', "a"),
        (b'{"text":NaN}', None),
        (b'{"text":1}', None),
        (b'["text"]', None),
        (b'{"text":"a","n":' + b"[" * 1023 + b"]" * 1023 + b"}", "a"),
        (b'{"text":"a","n":' + b"[" * 1024 + b"]" * 1024 + b"}", None),
        (b'{"text":"\xff"}', None),
    ],
)
def test_the_slow_way_knows_what_is_sound(line: bytes, text: str | None) -> None:
    assert is_sound(line) == text
