"""Compressed lines in many frames are cut into pieces at the borders of frames, and read as if they were not."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Literal

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.corpus.discovery import discover
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.pieces import Piece
from slimpajama.errors import ShardUnreadable
from tests.corpus.shards import compressed

TEXT = b"".join(
    random.Random(number).randbytes(40).hex()[: number % 90].encode() + b" %d\n" % number for number in range(2000)
)


def framed(text: bytes, frame_bytes: int, *, sized: bool = True, checksum: bool = False) -> list[bytes]:
    """``text`` in frames of so many bytes."""
    compressor = zstandard.ZstdCompressor(write_content_size=sized, write_checksum=checksum)
    return [compressor.compress(text[at : at + frame_bytes]) for at in range(0, len(text), frame_bytes)]


def pieces_of(folder: Path, stored: bytes, piece_bytes: int, name: str = "a.jsonl.zst") -> tuple[Piece, ...]:
    path = folder / "c4" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(stored)
    return discover(folder, piece_bytes=piece_bytes).pieces


def lines_of(piece: Piece, truncated: Literal["stop", "keep"] = "stop", start: int = 0) -> list[tuple[int, bytes]]:
    """Offset and bytes of each line of a piece."""
    return [
        (block.offset + begin, bytes(block.data[begin:end]))
        for block in LineReader(truncated=truncated).blocks(piece, start)
        for begin, end in zip(block.starts.tolist(), block.stops.tolist(), strict=True)
    ]


@pytest.mark.parametrize("frame_bytes", [700, 5000, 9999, 10_000])
def test_a_file_of_many_frames_is_cut_where_frames_begin(tmp_path: Path, frame_bytes: int) -> None:
    each = 10_000 // frame_bytes * frame_bytes
    stored = b"".join(framed(TEXT[: 8 * each], frame_bytes, checksum=frame_bytes == 700))
    (whole,) = pieces_of(tmp_path, stored, 1 << 30)
    pieces = pieces_of(tmp_path, stored, 10_000)
    assert [piece.start for piece in pieces] == [0, *(number * each + 1 for number in range(1, 8))]
    assert [piece.stop for piece in pieces] == [*(piece.start for piece in pieces[1:]), None]
    assert sum(piece.input_bytes for piece in pieces) == len(stored)
    assert pieces[1].name == "c4/a-00001-of-00008"
    assert list(itertools.chain.from_iterable(map(lines_of, pieces))) == lines_of(whole)


@given(
    lines=st.lists(st.sampled_from([b"", b"a", b"some words", b"x" * 300]), min_size=1, max_size=40),
    frame_bytes=st.integers(1, 400),
    piece_bytes=st.integers(400, 800),
    note=st.sampled_from([b"", b"\x50\x2a\x4d\x18\x04\0\0\0note"]),
)
def test_every_line_is_in_the_piece_in_which_it_begins(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], frame_bytes: int, piece_bytes: int, note: bytes
) -> None:
    text = b"\n".join(lines) + b"\n"
    stored = note.join([b"", *framed(text, frame_bytes), b""])
    folder = tmp_path_factory.mktemp("frames")
    pieces = pieces_of(folder, stored, piece_bytes)
    (whole,) = pieces_of(folder, stored, 1 << 30)
    by_piece = [lines_of(piece) for piece in pieces]
    assert list(itertools.chain.from_iterable(by_piece)) == lines_of(whole)
    for piece, own in zip(pieces, by_piece, strict=True):
        assert all(piece.start <= offset < (piece.stop or len(text)) for offset, _ in own)


def test_a_piece_is_decoded_from_its_own_frame_on(tmp_path: Path) -> None:
    frames = framed(TEXT, 5000)
    pieces = pieces_of(tmp_path, b"".join(frames), 10_000)
    sound = [lines_of(piece) for piece in pieces]
    first = len(frames[0]) + len(frames[1])
    (tmp_path / "c4" / "a.jsonl.zst").write_bytes(bytes(first) + b"".join(frames[2:]))
    assert [lines_of(piece) for piece in pieces[1:]] == sound[1:]
    offset, line = sound[3][7]
    assert lines_of(pieces[3], start=offset)[0] == (offset, line)
    with pytest.raises(ShardUnreadable):
        lines_of(pieces[0])


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        (b"".join(framed(TEXT, 5000, sized=False)), "a.jsonl.zst"),
        (b"".join([*framed(TEXT[:50_000], 5000), *framed(TEXT[50_000:], 5000, sized=False)]), "a.jsonl.zst"),
        (b"".join(framed(TEXT, 10_001)), "a.jsonl.zst"),
        (b"".join(framed(TEXT, len(TEXT))), "a.jsonl.zst"),
        (b"".join(framed(TEXT, 5000))[:-1], "a.jsonl.zst"),
        (b"".join(framed(TEXT, 5000)) + b"\x28\xb5", "a.jsonl.zst"),
        (b"".join(framed(TEXT, 5000)) + b"something else", "a.jsonl.zst"),
        (b"no frame at all" * 300, "a.jsonl.zst"),
        (b"".join(framed(TEXT, 5000)), "a.json.zst"),
        (compressed(".gz", TEXT) * 3, "a.jsonl.gz"),
        (compressed(".lz4", TEXT), "a.jsonl.lz4"),
    ],
)
def test_a_file_whose_frames_tell_too_little_or_are_damaged_is_one_piece(
    tmp_path: Path, stored: bytes, name: str
) -> None:
    (piece,) = pieces_of(tmp_path, stored, 10_000, name)
    assert (piece.start, piece.stop, piece.file.entries) == (0, None, ())


def test_a_damaged_frame_costs_the_records_up_to_the_next_piece(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frames = framed(TEXT, 5000)
    damaged = bytearray(frames[3])
    damaged[7] |= 6  # the type of its block is one that does not exist
    pieces = pieces_of(tmp_path, b"".join([*frames[:3], damaged, *frames[4:]]), 10_000)
    (whole,) = pieces_of(tmp_path / "c4", b"".join(frames), 1 << 30)
    expected = lines_of(whole)
    with pytest.raises(ShardUnreadable, match="is corrupt or breaks off"):
        lines_of(pieces[1])
    kept = list(itertools.chain.from_iterable(lines_of(piece, "keep") for piece in pieces))
    assert [line for line in expected if line not in kept] == [line for line in expected if 14_900 < line[0] <= 20_000]
    assert "its records from byte 15,000 of text to byte 20,000 are not used" in caplog.text
