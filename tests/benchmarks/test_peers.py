"""The table of tools, with those that could not be run, and the input that all of them read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest

from benchmarks.outcomes import Row
from benchmarks.peer_programs.shards import Request, documents, finish, published_cleaning, shingles, word_set
from benchmarks.peers import HEADING, PEERS, Measured, cells, first_line, make_input, selected
from tests import twins
from tests.corpus.shards import put

ROW = Row(
    removed=3234,
    bytes=34_706_432,
    below=None,
    far_below=None,
    lowest=None,
    lost=281,
    left=92,
    found=0.98,
    together=None,
    similarities=np.empty(0),
)


def test_a_line_of_the_table() -> None:
    line = cells("tool", "its defaults", Measured("1.2", cpu=250.0, peak=300 << 20), ROW, 190_000_000)
    assert dict(zip(HEADING, line, strict=True)) == {
        "tool": "tool",
        "version": "1.2",
        "settings": "its defaults",
        "CPU s": "250",
        "MB/s": "0.76",
        "peak MiB": "300",
        "removed": "3,234",
        "MB": "34.7",
        "J < 0.8 with the survivor": "–",
        "nothing left at J ≥ 0.8": "281",
        "left with a twin ≥ 0.8": "92",
    }


def test_a_tool_that_could_not_be_run_says_why() -> None:
    line = cells("tool", "its defaults", Measured("", failure="not installed: no such package"), None, 190_000_000)
    assert line == ["tool", "–", "its defaults", "not installed: no such package", *["–"] * 7]
    assert len(line) == len(HEADING)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("note\nERROR: No matching distribution found for x\nERROR: more\n", "No matching distribution found for x"),
        ("Traceback\n  File x\nValueError: a | b\n\n", "ValueError: a / b"),
        ("", "it ended without a word"),
    ],
)
def test_the_reason_is_one_line(output: str, reason: str) -> None:
    assert first_line(output) == reason


def test_an_unknown_tool_is_refused() -> None:
    assert selected(["daft", "verified"]) == {"daft", "verified"}
    with pytest.raises(SystemExit, match="there is no tool 'dfat'; choose from"):
        selected(["dfat"])


def test_every_tool_has_a_program_and_a_name_of_its_own() -> None:
    folder = Path(__file__).parents[2] / "benchmarks" / "peer_programs"
    assert all((folder / f"{peer.program}.py").exists() for peer in PEERS)
    assert len({peer.name for peer in PEERS}) == len(PEERS)


def test_all_tools_read_the_documents_that_are_long_enough(tmp_path: Path) -> None:
    long = "Every word of this text counts. " * 20
    shards = {
        "c4/a.jsonl.zst": ["short", long],
        "books/b.jsonl.zst": [long + "And more."],
    }
    put(tmp_path / "in", shards)
    make_input(tmp_path / "in", tmp_path / "input")
    assert list(documents(tmp_path / "input")) == [
        ("books/b.jsonl.zst:0", long + "And more."),
        ("c4/a.jsonl.zst:17", long),
    ]


def test_what_a_program_keeps_is_written_down(tmp_path: Path) -> None:
    request = Request(tmp_path, tmp_path / "result.json", tmp_path, "words")
    finish(request, iter(["a", "c"]), {"b": "a"})
    assert orjson.loads(request.result.read_bytes()) == {"kept": ["a", "c"], "survivors": {"b": "a"}}


def test_the_sets_of_the_programs_are_those_of_the_published_code() -> None:
    text = "The Quick, brown fox!\n jumps  over the lazy dog"
    assert published_cleaning(text) == twins.published_clean(text)
    assert sorted(shingles(text)) == sorted(set(twins.shingles(text)))
    assert word_set("b A a\nb") == ["a", "b"]
