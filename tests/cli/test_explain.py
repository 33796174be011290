"""What `slimpajama explain` prints of hostile documents, of a pair, and as JSON."""

from __future__ import annotations

import random
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

import slimpajama
from slimpajama.cli.main import app
from tests.corpus.shards import put

SOURCE = random.Random(5)
WORDS = ["".join(SOURCE.choices("abcdefghijklmnopqrst", k=7)) for _ in range(150)]
HOSTILE = "\x1b[31mred\x1b[0m \u202eevil\u202c zero\u200bwidth \U000e0041tag \ufeff\r\n\x07end"


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("explain")
    changed = [*WORDS[:70], HOSTILE, *WORDS[71:]]
    put(root / "in", {"c4/a.jsonl": [" ".join(WORDS), " ".join(changed)], "own/b.jsonl.gz": ["tiny"]})
    slimpajama.deduplicate(root / "in", root / "out", workers=1, threshold=0.5)
    return root / "out"


def printed(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["explain", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.stdout if not code else result.stderr


def test_a_pair_is_shown_with_its_figures_and_its_differences(output: Path) -> None:
    lines = printed(output, "c4/a.jsonl:2").splitlines()
    assert lines[0] == "0x4bb, c4/a.jsonl, byte 1,211"
    assert lines[1] == "a duplicate in both scopes"
    text = "\n".join(lines)
    assert "\n  both scopes  removed" in text
    assert "of c4 stays for it" in text
    assert "\n  Jaccard    0.9" in text
    assert "of this document's shingles are in the other" in text
    assert " agree: 1, " in text
    assert f"{{+{WORDS[70]}+}}" in text


def test_nothing_of_a_document_reaches_the_terminal_as_a_command_or_unseen(output: Path) -> None:
    text = printed(output, "c4/a.jsonl:2")
    assert set("\x1b\x07\r\u202e\u202c\u200b\ufeff\U000e0041") & set(text) == set()
    for shown in (
        "\\x1b[31mred\\x1b[0m",
        "\\u202eevil\\u202c",
        "zero\\u200bwidth",
        "\\U000e0041tag",
        "\\ufeff",
        "\\x07",
    ):
        assert shown in text


def test_json_is_the_struct(output: Path) -> None:
    found = orjson.loads(printed(output, "c4/a.jsonl:2", "--json"))
    assert found["document"]["status"] == "duplicate"
    assert found["pairs"][0]["survivor"]["id"] == found["survivor_global"]["id"]
    assert HOSTILE.split()[0] in found["pairs"][0]["document_text"]
    assert {"path", "members", "reason", "problem", "namesakes", "bands"} <= set(found)


def test_a_short_document_and_one_that_is_not_there(output: Path) -> None:
    assert "short: it has 4 cleaned characters, which is too few to take part" in printed(output, "own/b.jsonl.gz:1")
    assert "names no document of" in printed(output, "nothing", code=2)
