"""Every answer of docs/decisions-table.md runs, and DuckDB, polars and pandas give the same numbers."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import slimpajama
from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.dedup.summary import read_summary
from slimpajama.dedup.verdicts import SCHEMA, decisions_schema
from tests.corpus.shards import jsonl, put

PAGE = (Path(__file__).parents[1] / "docs" / "decisions-table.md").read_text(encoding="utf-8")
ENGINES = ("duckdb", "polars", "pandas")
QUESTIONS = re.findall(r"^## (\d+\. .*)$", PAGE, re.MULTILINE)


def blocks(section: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def page(seed: int, changed: int = 0) -> str:
    words = ["".join(random.Random(seed * 1000 + word).choices("abcdefghijklmnop", k=8)) for word in range(60)]
    return " ".join([*words[: 60 - changed], *["other"] * changed])


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sources that share documents, exact copies and near ones, short and bad records."""
    root = tmp_path_factory.mktemp("decisions")
    put(
        root / "in",
        {
            "arxiv/a.jsonl": [page(seed) for seed in range(12)],
            "c4/a.jsonl": jsonl({"text": page(seed, seed % 2)} for seed in range(6, 20)) + b'{"text": 1}\n',
            "c4/b.jsonl.gz": [*[page(30)] * 6, page(30, 1), page(3), "tiny"],
            "github/a.parquet": [*[page(seed) for seed in range(15, 25)], page(30), page(31), page(31)],
        },
    )
    slimpajama.deduplicate(root / "in", root / "out", workers=1, bands=32, rows=4, max_bad_fraction=1)
    return root / "out"


@pytest.fixture(scope="module")
def opened(output: Path) -> dict[str, dict[str, Any]]:
    """The names that the setup of each engine leaves."""
    for engine in ENGINES:
        pytest.importorskip(engine, reason=f"{engine} is not installed: pip install {engine}")
    names: dict[str, dict[str, Any]] = {engine: {} for engine in ENGINES}
    for engine, code in zip(ENGINES, blocks(section("Open it")), strict=True):
        here = code.replace("out/decisions", f"{output}/decisions")
        exec(compile(here, engine, "exec"), names[engine])  # noqa: S102
    return names


def numbers(rows: Any) -> list[tuple[Any, ...]]:
    """Rows in any order, their floats rounded."""
    plain = [tuple(round(float(cell), 6) if isinstance(cell, float) else cell for cell in row) for row in rows]
    return sorted(plain, key=str)


def test_there_are_ten_questions_with_an_answer_by_each_engine() -> None:
    assert len(QUESTIONS) == 10
    assert all(len(blocks(section(question))) == 3 for question in QUESTIONS)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda title: title.split(".")[0])
def test_the_three_engines_give_the_same_numbers(question: str, opened: dict[str, dict[str, Any]]) -> None:
    answers = {}
    for engine, code in zip(ENGINES, blocks(section(question)), strict=True):
        names = dict(opened[engine])
        exec(compile(code, f"{question} by {engine}", "exec"), names)  # noqa: S102
        answers[engine] = numbers(names["rows"])
    assert answers["duckdb"]
    assert answers["duckdb"] == answers["polars"] == answers["pandas"]


def test_removals_by_source_are_those_of_the_summary(output: Path, opened: dict[str, dict[str, Any]]) -> None:
    names = dict(opened["duckdb"])
    exec(compile(blocks(section(QUESTIONS[2]))[0], "3", "exec"), names)  # noqa: S102
    overlap = read_summary(DedupLayout(output)).overlap
    counts = {
        (source, stays): count
        for source, row in zip(overlap.sources, overlap.documents, strict=True)
        for stays, count in zip(overlap.survivors, row, strict=True)
        if count
    }
    assert {(source, stays): count for source, stays, count in names["rows"]} == counts


def test_every_column_is_described_in_the_order_of_the_table(output: Path) -> None:
    described = [
        name for cell in re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
    ]
    assert sorted(described) == sorted(decisions_schema(decontaminated=True, with_document_ids=True).names)
    assert pq.read_schema(next(output.rglob("decisions/**/*.parquet"))).names == SCHEMA.names
