"""What `slimpajama duplicates` prints: pairs, where they lie, and the first words that differ, side by side."""

from __future__ import annotations

import random
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

import slimpajama
from slimpajama.cli.main import app
from tests.corpus.shards import put

SOURCE = random.Random(6)
WORDS = ["".join(SOURCE.choices("abcdefghijklmnopqrst", k=7)) for _ in range(150)]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("duplicates")
    changed = [*WORDS[:70], "\x1b[2Jother", *WORDS[71:]]
    put(root / "in", {"c4/a.jsonl": [" ".join(WORDS), " ".join(changed), " ".join(WORDS)]})
    slimpajama.deduplicate(root / "in", root / "out", workers=1, threshold=0.5)
    return root / "out"


def printed(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["duplicates", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.stdout if not code else result.stderr


def test_pairs_are_listed_the_least_alike_first(output: Path) -> None:
    lines = printed(output).splitlines()
    assert lines[0].startswith("1. Jaccard 0.9")
    assert lines[1].startswith("  removed  0x4bb, c4/a.jsonl, byte 1,211 (c4)")
    assert lines[2].startswith("  stays    0x0, c4/a.jsonl, byte 0 (c4)")
    columns = [line.split("|") for line in lines[4 : lines.index("2. equal texts")] if line]
    left, right = (" ".join(" ".join(cells).split()) for cells in zip(*columns, strict=True))
    assert "[\\x1b[2Jother]" in left
    assert f"[{WORDS[70]}]" in right
    assert lines[-1] == "2 of 2 removal(s) that fit are listed"


def test_below_says_how_many_were_compared(output: Path) -> None:
    assert printed(output, "--below", "0.1") == "1 removal(s) fit; 0 of the 1 that were compared are below 0.1\n"
    assert printed(output, "--kept-in", "c4", "--scope", "local", "--match", "exact").endswith(
        "1 of 1 removal(s) that fit are listed\n"
    )
    assert printed(output, "--below", "0.99", "-n", "1").splitlines()[0].startswith("1. Jaccard 0.9")


def test_json_is_the_struct(output: Path) -> None:
    found = orjson.loads(printed(output, "--json"))
    assert (found["removals"], len(found["pairs"])) == (2, 2)
    assert found["pairs"][1]["jaccard"] == 1


def test_a_wrong_source_is_refused(output: Path) -> None:
    assert "there is no source 'web'" in printed(output, "--source", "web", code=2)
