"""The digest of what was read does not depend on how it was cut, and tells any other content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.corpus.content import ContentDigest, PartsCheck
from slimpajama.corpus.discovery import Piece, discover
from slimpajama.corpus.lines import LineBlock, LineReader
from slimpajama.corpus.records import read_records
from slimpajama.corpus.shard_writer import kept_lines
from slimpajama.errors import InputChanged
from tests.corpus.shards import put

LINES = st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), min_size=1, max_size=30)


def piece_of(folder: Path, content: bytes) -> Piece:
    return discover(put(folder, {"c4/a.jsonl": content})).pieces[0]


def digest_of(piece: Piece, block_bytes: int, largest: int, start: int = 0) -> str:
    digest = ContentDigest()
    for block in LineReader(max_line_bytes=largest, block_bytes=block_bytes).blocks(piece, start):
        digest.add_lines(block)
    return digest.take()


@given(LINES, st.integers(1, 64), st.integers(1, 64), st.sampled_from([10, 1 << 20]))
def test_blocks_of_any_size_give_one_digest(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], one: int, other: int, largest: int
) -> None:
    piece = piece_of(tmp_path_factory.mktemp("lines"), b"".join(line + b"\n" for line in lines) + b"{}\n")
    assert digest_of(piece, one, largest) == digest_of(piece, other, largest)


@given(LINES, st.data())
def test_any_other_line_gives_another_digest(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    before = digest_of(piece_of(folder, b"".join(line + b"\n" for line in lines) + b"{}\n"), 64, 1 << 20)
    at = data.draw(st.integers(0, len(lines) - 1))
    changed = [*lines[:at], data.draw(st.sampled_from([lines[at] + b"x", b"", lines[at] * 2])), *lines[at + 1 :]]
    after = digest_of(piece_of(folder, b"".join(line + b"\n" for line in changed) + b"{}\n"), 64, 1 << 20)
    assert (before == after) == (lines == changed)


TEXTS = st.lists(st.none() | st.text(max_size=8), max_size=20)


@given(TEXTS, st.integers(0, 20), st.sampled_from(["", "large_", "view"]))
def test_texts_cut_anywhere_and_of_any_type_give_one_digest(texts: list[str | None], cut: int, kind: str) -> None:
    types = {"": pa.string(), "large_": pa.large_string(), "view": pa.string_view()}
    whole, parts = ContentDigest(), ContentDigest()
    whole.add_texts(pa.array(texts, pa.string()))
    column = pa.array(texts, types[kind])
    parts.add_texts(column.slice(0, cut))
    parts.add_texts(column.slice(cut))
    assert whole.take() == parts.take()


def test_texts_are_told_apart_by_content_bounds_and_nulls() -> None:
    digests = set()
    for texts in (["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""], ["abc", None], [None, "abc"], ["abd"], []):
        digest = ContentDigest()
        digest.add_texts(pa.array(texts, pa.string()))
        digests.add(digest.take())
    assert len(digests) == 8


PARTS = [b'{"text": "%d"}\n' % number * 20 for number in range(3)]


def parts_of(piece: Piece) -> tuple[list[int], list[str]]:
    starts = [0, len(PARTS[0]), len(PARTS[0] + PARTS[1])]
    digests = []
    for part in PARTS:
        digest = ContentDigest()
        for block in LineReader().blocks(piece_of(Path(piece.file.path).parents[2] / "part", part)):
            digest.add_lines(block)
        digests.append(digest.take())
    return starts, digests


@pytest.mark.parametrize("block_bytes", [16, 100, 1 << 20])
@pytest.mark.parametrize("changed", [None, 0, 1, 2])
def test_each_part_is_compared_once_something_behind_it_is_read(
    tmp_path: Path, block_bytes: int, changed: int | None
) -> None:
    piece = piece_of(tmp_path / "whole", b"".join(PARTS))
    starts, digests = parts_of(piece)
    if changed is not None:
        digests[changed] = digests[changed - 1]
    check = PartsCheck(piece, starts, digests)
    read: list[int] = []

    def go_through() -> None:
        for block in LineReader(block_bytes=block_bytes).blocks(piece):
            check.add_lines(block)
            read.append(block.offset + int(block.stops[-1]))
        check.end()

    if changed is None:
        go_through()
        return
    with pytest.raises(InputChanged, match=f"somewhere from byte {starts[changed]} on; run the same command again"):
        go_through()
    assert changed == 2 or read[-1:] <= [starts[changed + 1]]


def test_a_shard_that_ends_early_is_another(tmp_path: Path) -> None:
    piece = piece_of(tmp_path / "whole", b"".join(PARTS[:2]))
    starts, digests = parts_of(piece)
    check = PartsCheck(piece, starts, digests)
    for block in LineReader().blocks(piece):
        check.add_lines(block)
    with pytest.raises(InputChanged):
        check.end()


def test_the_last_part_is_left_out_where_it_cannot_be_compared(tmp_path: Path) -> None:
    piece = piece_of(tmp_path / "whole", b"".join(PARTS))
    starts, digests = parts_of(piece)
    check = PartsCheck(piece, starts, [*digests[:2], ""], compare_last=False)
    for block in LineReader().blocks(piece):
        check.add_lines(block)
    check.end()


@pytest.mark.parametrize("block_bytes", [16, 100, 1 << 20])
@pytest.mark.parametrize("kept", [[0, 1, 2], [0, 2], [1], [2], []])
def test_an_empty_line_follows_each_part_once_it_is_compared(tmp_path: Path, kept: list[int], block_bytes: int) -> None:
    """Of each part in ``kept``, the first record is."""
    piece = piece_of(tmp_path / "whole", b"".join(PARTS))
    starts, digests = parts_of(piece)
    positions = np.array([starts[part] for part in kept], dtype=np.int64)
    lines = kept_lines(
        piece,
        LineReader(block_bytes=block_bytes),
        positions,
        np.zeros(positions.size, dtype=np.int64),
        np.zeros(positions.size, dtype=np.bool_),
        str,
        check=PartsCheck(piece, starts, digests),
    )
    texts = [orjson.loads(line)["text"] if line else "" for line in lines]
    assert texts == [text for part in range(3) for text in ([str(part)] if part in kept else []) + [""]]


def test_a_batch_is_taken_in_when_the_next_is_asked_for(tmp_path: Path) -> None:
    piece = piece_of(tmp_path, b"".join(PARTS))
    content = ContentDigest()
    batches = read_records(piece, LineReader(block_bytes=len(PARTS[0])), content=content)
    first = next(batches)
    empty = content.take()
    assert (first.start, empty) == (0, ContentDigest().take())
    second = next(batches)
    assert content.take() == digest_of(piece_of(tmp_path / "first", PARTS[0]), 64, 1 << 20)
    assert second.start == len(PARTS[0])


def test_lines_with_something_between_them_are_told_by_themselves() -> None:
    digests = []
    for text, starts, stops in ((b"a\nb\n", [0, 2], [1, 3]), (b"a, b", [0, 3], [1, 4])):
        digest = ContentDigest()
        digest.add_lines(LineBlock(memoryview(text), np.array(starts), np.array(stops), 0))
        digests.append(digest.take())
    assert digests[0] == digests[1]
