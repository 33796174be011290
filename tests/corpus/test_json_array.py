"""The elements of an array are found where a parser finds them, and what is no array is a fault of the file."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.corpus.discovery import POSITION_BITS, discover
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.records import read_records
from slimpajama.errors import ShardUnreadable
from tests.corpus.shards import put
from tests.corpus.test_lines import expected, found, pieces

TEXTS = st.text(st.sampled_from(["a", '"', "\\", "\n", "\r", "[", "]", "{", "}", ",", "é", "\x1e", "😀"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.integers(-9, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def elements(content: str) -> list[tuple[int, bytes]]:
    """The slow way: where Python's parser begins and ends each element, in bytes, and its text without line ends."""
    decoder, position = json.JSONDecoder(), content.index("[") + 1
    result: list[tuple[int, bytes]] = []
    while True:
        while content[position] in " \t\r\n":
            position += 1
        if content[position] == "]":
            return result
        _, stop = decoder.raw_decode(content, position)
        element = content[position:stop].replace("\n", " ").replace("\r", " ")
        result.append((len(content[:position].encode()), element.encode()))
        position = re.compile(r"[ \t\r\n]*,?").match(content, stop).end()  # type: ignore[union-attr]


def lines_of(folder: Path, content: bytes, name: str = "a.json", **reader: object) -> list[tuple[int, bytes]]:
    """Offset and bytes of each line that is not blank, without the spaces around it."""
    lines = found(LineReader(**reader), pieces(folder, name, content))  # type: ignore[arg-type]
    return [
        (offset + len(line) - len(line.lstrip()), line.strip()) for offset, line, _ in lines if line.strip(b" \t\r\0")
    ]


@given(
    st.lists(VALUES, max_size=6), st.sampled_from([None, 0, 1, "\t"]), st.booleans(), st.booleans(), st.integers(1, 40)
)
def test_elements_are_lines_at_their_offsets_however_they_are_printed(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[object],
    indent: int | str | None,
    ascii_only: bool,
    marked: bool,
    block: int,
) -> None:
    content = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
    content = ("\ufeff" if marked else "") + "\r\n " + content + "\n\n"
    lines = lines_of(tmp_path_factory.mktemp("array"), content.encode(), block_bytes=block)
    assert lines == elements(content)


@pytest.mark.parametrize("ending", ["json", "json.gz", "json.zst", "JSON"])
def test_records_of_an_array_are_read_and_can_be_read_from_any_of_them_on(tmp_path: Path, ending: str) -> None:
    content = json.dumps([{"text": f"number {n}\n", "meta": {"n": [n]}} for n in range(20)], indent=2).encode()
    (piece,) = discover(put(tmp_path, {f"c4/a.{ending}": content}), piece_bytes=10).pieces
    reader = LineReader(block_bytes=50)

    def read(start: int) -> tuple[list[int], list[str]]:
        batches = list(read_records(piece, reader, start))
        assert not any(batch.bad for batch in batches)
        return (
            [one & ((1 << POSITION_BITS) - 1) for batch in batches for one in batch.ids.tolist()],
            [text for batch in batches for text in batch.texts.decoded()],
        )

    positions, texts = read(0)
    assert texts == [f"number {n}\n" for n in range(20)]
    for number in range(1, 20):
        assert read(positions[number]) == (positions[number:], texts[number:])


def test_a_json_file_of_lines_is_read_as_lines(tmp_path: Path) -> None:
    content = b'\n{"text": "[a],\\n"}\n\n{"text": [1,2]}\n'
    assert found(LineReader(), pieces(tmp_path, "a.json", content)) == expected(content)


def test_an_array_under_another_name_is_not_taken_apart(tmp_path: Path) -> None:
    content = b'[{"text": "a"},{"text": "b"}]'
    assert lines_of(tmp_path, content, "a.jsonl") == [(0, content)]


def test_arrays_that_follow_each_other_are_read_and_padding_is_left_out(tmp_path: Path) -> None:
    content = b'[{"a": 1},2]\n\xef\xbb\xbf[3\n]' + bytes(5)
    assert lines_of(tmp_path, content) == [(1, b'{"a": 1}'), (10, b"2"), (17, b"3")]


def test_an_element_is_judged_alone(tmp_path: Path) -> None:
    content = b'[{"text": "a\nb"}, {"text" "b"}, {"text": "c"]\n, {"text": "d"},]'
    (piece,) = discover(put(tmp_path, {"c4/a.json": content})).pieces
    (batch,) = read_records(piece, LineReader())
    assert batch.texts.decoded() == ["d"]
    assert [bad.position for bad in batch.bad.values()] == [0, 17, 31], "behind the comma before"


@pytest.mark.parametrize(
    ("content", "reason", "kept"),
    [
        (b'[{"text": "a"},\n{"text": "b"}', "its JSON array is not closed", 1),
        (b'[{"text": "a"},\n{"text": "b', "its JSON array is not closed", 1),
        (b'[{"text": "a"}}, {"text": "b"}]', "its JSON array holds a } that nothing opened", 0),
        (b'[{"text": "a"}]\n{"text": "b"}\n', "its JSON array is followed by something else", 1),
    ],
)
def test_a_broken_array_is_a_fault_of_the_file(
    tmp_path: Path, content: bytes, reason: str, kept: int, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ShardUnreadable, match=re.escape(f"/c4/a.json is corrupt or breaks off ({reason}); replace it")):
        lines_of(tmp_path, content)
    with caplog.at_level(logging.WARNING, "slimpajama"):
        lines = lines_of(tmp_path, content, truncated="keep")
    assert [line for _, line in lines] == [b'{"text": "a"}', b'{"text": "b"}'][:kept]
    assert reason in caplog.text
