"""Small made corpora, and what a deduplication left of them."""

from __future__ import annotations

import random
import string
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from slimpajama import deduplicate
from tests.corpus.shards import files_below, records_of

STAGES = ["read and sketch", "exact", "link", "cluster", "group", "diff", "decide", "write"]


def document(number: int, words: int = 40) -> str:
    """Words of random letters: two of them have hardly a shingle in common."""
    source = random.Random(number)
    return " ".join("".join(source.choices(string.ascii_lowercase, k=9)) for _ in range(words))


def edited(text: str) -> str:
    """Nearly the same: one letter in four hundred differs, so that a few shingles of hundreds do."""
    return "Q" + text[1:]


def run(source: Path, out: Path, **chosen: Any) -> dict[str, Any]:
    return deduplicate(source, out, **{"workers": 1, "sampled_removals": 0, **chosen}).as_dict()


def decisions(out: Path) -> list[dict[str, Any]]:
    """All decisions, by id."""
    rows = [row for path in (out / "decisions").rglob("*.parquet") for row in pq.read_table(path).to_pylist()]
    return sorted(rows, key=lambda row: row["id"])


def texts(path: Path) -> list[str]:
    return [record["text"] for record in records_of(path)]


def results(out: Path) -> dict[str, bytes]:
    """Every file of the contract, but the summary, which holds times."""
    return {
        path: content
        for path, content in files_below(out).items()
        if path.startswith(("decisions/", "global/", "local/", "quarantine/"))
    }


def reused(summary: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Of each stage, how many items were reused, and how many there are."""
    assert list(summary["stages"]) == STAGES
    return {name: (stage["reused"], stage["items"]) for name, stage in summary["stages"].items()}


A, B, C, D = (document(number) for number in range(4))
SHORT = "short " * 20
DECOMPOSED, COMPOSED = "cafe\u0301 " + A, "caf\u00e9 " + A
MANY = [document(number % 60) if number % 7 else edited(document(number % 60)) for number in range(400)]
