"""Every line of a shard is found once, at its offset, whatever is inside it and however the shard is stored."""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
import re
import tracemalloc
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.corpus.discovery import Piece, discover
from slimpajama.corpus.lines import LineReader
from slimpajama.errors import InputChanged, ShardUnreadable
from tests.corpus.shards import compressed, put

FIRST = 256
"""Bytes of a line that is too large which are kept."""

Found = list[tuple[int, bytes, int]]


def pieces(folder: Path, name: str, stored: bytes, piece_bytes: int = 1 << 40) -> tuple[Piece, ...]:
    path = folder / "c4" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(stored)
    return discover(folder, piece_bytes=piece_bytes).pieces


def found(reader: LineReader, of: Iterable[Piece]) -> Found:
    """Offset, bytes, and size if it is too large, of each line."""
    lines = []
    for piece in of:
        for block in reader.blocks(piece):
            assert len(block.starts) == len(block.stops)
            assert not block.too_large or len(block.starts) == 1
            for start, stop in zip(block.starts.tolist(), block.stops.tolist(), strict=True):
                lines.append((block.offset + start, bytes(block.data[start:stop]), block.too_large))
    return lines


def expected(data: bytes, largest: int = 1 << 40) -> Found:
    """The slow way: split, take off what frames, and count."""
    lines, offset = [], 0
    *parts, last = data.split(b"\n")
    if last.strip(b"\0"):
        parts.append(last if len(last) > largest else last.rstrip(b"\0"))
    for line in parts:
        if len(line) <= largest:
            framing = re.match(rb"(\xef\xbb\xbf|\x1e)*", line)
            assert framing is not None
            line = b" " * framing.end() + line[framing.end() :]
        lines.append((offset, line[:FIRST], len(line)) if len(line) > largest else (offset, line, 0))
        offset += len(line) + 1
    return lines


# Newlines are as likely as anything else, and so are lines beyond every block size used here.
CONTENT = st.lists(
    st.one_of(
        st.sampled_from([b"\n", b"\n\n", b"\r\n", b"\0", b" \n", b"{}\n", b"\xef\xbb\xbf", b"\x1e"]),
        st.binary(max_size=12),
        st.builds(lambda byte, size: byte * size, st.sampled_from([b"x", b"\xff", b"\n", b"\0"]), st.integers(1, 700)),
    ),
    max_size=12,
).map(b"".join)
BLOCKS = st.one_of(st.integers(1, 40), st.sampled_from([64, 255, 256, 257, 1000]))
LARGEST = st.one_of(st.integers(FIRST, 800), st.just(1 << 20))
PACKED = ["a.jsonl.zst", "a.jsonl.gz", "a.jsonl.bz2", "a.jsonl.xz", "a.jsonl.lz4"]
SUFFIXES = ["a.jsonl", *PACKED]


# ------------------------------------------------------------------------------------------------ whole shards


@pytest.mark.parametrize("name", SUFFIXES)
@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [(0, b"", 0)]),
        (b"a", [(0, b"a", 0)]),
        (b"a\n", [(0, b"a", 0)]),
        (b"a\nbc", [(0, b"a", 0), (2, b"bc", 0)]),
        (b"a\r\nb\r\n", [(0, b"a\r", 0), (3, b"b\r", 0)]),
        (b"\n\n a\n\n", [(0, b"", 0), (1, b"", 0), (2, b" a", 0), (5, b"", 0)]),
        (b"a\rb\x0bc\x85\xe2\x80\xa8d\n\1", [(0, b"a\rb\x0bc\x85\xe2\x80\xa8d", 0), (11, b"\1", 0)]),
    ],
)
def test_lines_end_at_line_feeds_and_nowhere_else(name: str, data: bytes, lines: Found, tmp_path: Path) -> None:
    assert found(LineReader(), pieces(tmp_path, name, compressed(name, data))) == lines


@pytest.mark.parametrize("name", SUFFIXES)
def test_a_file_of_no_bytes_has_no_lines(name: str, tmp_path: Path) -> None:
    assert found(LineReader(), pieces(tmp_path, name, b"")) == []


@given(data=CONTENT, block=BLOCKS, largest=LARGEST, name=st.sampled_from(SUFFIXES))
def test_any_bytes_are_split_as_the_slow_way_does_with_any_block_size(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, block: int, largest: int, name: str
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    reader = LineReader(max_line_bytes=largest, block_bytes=block)
    assert found(reader, pieces(folder, name, compressed(name, data))) == expected(data, largest)


# ---------------------------------------------------------------------------------------------------- pieces


@given(data=CONTENT.filter(len), block=BLOCKS, largest=LARGEST, size=st.integers(1, 500))
def test_every_line_is_in_exactly_one_piece_and_keeps_its_offset(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, block: int, largest: int, size: int
) -> None:
    parts = pieces(tmp_path_factory.mktemp("pieces"), "a.jsonl", data, piece_bytes=size)
    assert len(parts) == -(-len(data) // size)
    reader = LineReader(max_line_bytes=largest, block_bytes=block)
    by_piece = [found(reader, [part]) for part in parts]
    assert list(itertools.chain(*by_piece)) == expected(data, largest)
    for part, lines in zip(parts, by_piece, strict=True):
        stop = len(data) if part.stop is None else part.stop
        assert all(part.start <= offset < stop for offset, _, _ in lines), "a line belongs where it begins"


def test_cuts_before_on_and_after_a_newline_are_all_right(tmp_path: Path) -> None:
    lines = [(0, b"aa", 0), (3, b"bb", 0), (6, b"cc", 0)]
    for size in (2, 3, 4):
        parts = pieces(tmp_path, "a.jsonl", b"aa\nbb\ncc", piece_bytes=size)
        by_piece = [[offset for offset, _, _ in found(LineReader(), [part])] for part in parts]
        assert found(LineReader(), parts) == lines
        assert by_piece == {2: [[0], [3], [], [6]], 3: [[0], [3], [6]], 4: [[0, 3], [6]]}[size]


# ------------------------------------------------------------------------------------------------- large lines


def test_a_line_that_is_too_large_is_one_record_with_its_size_and_the_next_is_whole(tmp_path: Path) -> None:
    data = b"before\n" + b"0123456789" * 100 + b"\nafter\n"
    reader = LineReader(max_line_bytes=999, block_bytes=7)
    assert found(reader, pieces(tmp_path, "a.jsonl", data)) == [
        (0, b"before", 0),
        (7, (b"0123456789" * 100)[:FIRST], 1000),
        (1008, b"after", 0),
    ]


@pytest.mark.parametrize("ending", [b"\n", b"", b"\nnext"])
@pytest.mark.parametrize("size", [999, 1000, 1001])
@pytest.mark.parametrize("block", [64, 1000, 1001])
def test_the_limit_itself_is_allowed(tmp_path: Path, block: int, size: int, ending: bytes) -> None:
    data = b"x" * size + ending
    reader = LineReader(max_line_bytes=1000, block_bytes=block)
    assert found(reader, pieces(tmp_path, "a.jsonl", data)) == expected(data, 1000)
    assert [line[2] for line in expected(data, 1000)][:1] == [1001 if size == 1001 else 0]


@pytest.mark.parametrize("name", ["a.jsonl.zst", "a.jsonl.gz"])
def test_a_bomb_without_a_newline_becomes_one_large_line_in_bounded_memory(tmp_path: Path, name: str) -> None:
    size = 128 << 20
    if name.endswith(".zst"):
        packer = zstandard.ZstdCompressor(level=3).compressobj()
        packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(128)) + packer.compress(b"\nafter")
        packed += packer.flush()
    else:
        packed = gzip.compress(bytes(size) + b"\nafter", 1)
    assert len(packed) < size // 100
    parts = pieces(tmp_path, name, packed)
    tracemalloc.start()
    try:
        lines = found(LineReader(max_line_bytes=4 << 20, block_bytes=1 << 20), parts)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert lines == [(0, bytes(FIRST), size), (size + 1, b"after", 0)]
    assert peak < 16 << 20


# ------------------------------------------------------------------------------------------------ many small lines


def test_a_shard_of_line_ends_is_given_in_small_blocks_and_in_bounded_memory(tmp_path: Path) -> None:
    (part,) = pieces(tmp_path, "a.jsonl", b"\n" * (4 << 20) + b"last")
    tracemalloc.start()
    try:
        sizes = [block.starts.size for block in LineReader().blocks(part)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(sizes) == (4 << 20) + 1
    assert max(sizes) == 1 << 15
    assert peak < 32 << 20


@pytest.mark.parametrize("line", [b"", b"x", b"xy" * 9])
def test_lines_are_the_same_in_small_blocks(tmp_path: Path, line: bytes) -> None:
    data = (line + b"\n") * 40_000 + b"z" * 100_000 + b"\n" + (b"\n" + line) * 40_000
    assert found(LineReader(), pieces(tmp_path, "a.jsonl", data)) == expected(data)


# ------------------------------------------------------------------------------------------------- bytes that frame


@pytest.mark.parametrize("name", SUFFIXES)
@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"\xef\xbb\xbf", [(0, b"   ", 0)]),
        (b"\xef\xbb\xbfa\nb\n\xef\xbb\xbfc\n", [(0, b"   a", 0), (5, b"b", 0), (7, b"   c", 0)]),
        (b"\x1ea\n\x1eb\n", [(0, b" a", 0), (3, b" b", 0)]),
        (b"\xef\xbb\xbf\x1ea", [(0, b"    a", 0)]),
        (b"a\xef\xbb\xbf\n\xef\xbb", [(0, b"a\xef\xbb\xbf", 0), (5, b"\xef\xbb", 0)]),
        (b"a\n" + bytes(4096), [(0, b"a", 0)]),
        (b"a" + bytes(4096), [(0, b"a", 0)]),
        (bytes(4096), []),
        (b"\0\na", [(0, b"\0", 0), (2, b"a", 0)]),
    ],
)
def test_marks_before_records_and_nuls_behind_the_last_are_no_content(
    name: str, data: bytes, lines: Found, tmp_path: Path
) -> None:
    for block in (1, 1000, 8 << 20):
        reader = LineReader(max_line_bytes=5000, block_bytes=block)
        assert found(reader, pieces(tmp_path, name, compressed(name, data))) == lines


def test_padding_larger_than_a_record_may_be_is_left_out(tmp_path: Path) -> None:
    reader = LineReader(max_line_bytes=1000, block_bytes=64)
    assert found(reader, pieces(tmp_path, "a.jsonl", b"a\n" + bytes(5000))) == [(0, b"a", 0)]
    assert found(reader, pieces(tmp_path, "a.jsonl", b"a\n" + bytes(5000) + b"b")) == [
        (0, b"a", 0),
        (2, bytes(FIRST), 5001),
    ]


# --------------------------------------------------------------------------------------- compressed in many ways


@pytest.mark.parametrize("name", PACKED)
def test_frames_and_members_that_follow_each_other_are_one_stream(name: str, tmp_path: Path) -> None:
    parts = [b"a\nb", b"", b"c\n\nd\n", b"e" * 5000, b"\nf"]
    stored = b"".join(compressed(name, part) for part in parts)
    assert found(LineReader(block_bytes=7), pieces(tmp_path, name, stored)) == expected(b"".join(parts))


def test_a_zstd_frame_that_is_to_be_skipped_is_skipped(tmp_path: Path) -> None:
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"note"
    stored = skippable + compressed(".zst", b"a\n") + skippable + compressed(".zst", b"b\n")
    assert found(LineReader(), pieces(tmp_path, "a.jsonl.zst", stored)) == expected(b"a\nb\n")


def test_a_window_of_more_than_128_mib_is_refused_with_the_reason_even_when_keeping(tmp_path: Path) -> None:
    # A frame header that asks for a window of 2 GiB: 0xA8 is an exponent of 21 over 1 KiB.
    stored = b"\x28\xb5\x2f\xfd\x00\xa8" + b"\x01\x00\x00"
    (part,) = pieces(tmp_path, "a.jsonl.zst", stored)
    for truncated in ("stop", "keep"):
        with pytest.raises(ShardUnreadable) as caught:
            found(LineReader(truncated=truncated), [part])
        message = str(caught.value)
        assert message.startswith(f"{part.file.path} needs a zstd window of more than 128 MiB (")
        assert message.endswith("); compress it again without --long or --ultra")
        assert "\n" not in message


def test_a_dictionary_that_is_not_there_is_named(tmp_path: Path) -> None:
    lines = [b'{"text": "%d and more of it"}\n' % number for number in range(1000)]
    dictionary = zstandard.train_dictionary(1 << 10, [*lines])
    (piece,) = discover(put(tmp_path, {"c4/a.jsonl.zst": b""})).pieces
    stored = zstandard.ZstdCompressor(dict_data=dictionary).compress(b"".join(lines))
    Path(piece.file.path).write_bytes(stored)
    with pytest.raises(ShardUnreadable, match="compressed with a dictionary, which is not in the file"):
        list(LineReader(truncated="keep").blocks(piece))


def test_a_window_of_128_mib_is_read(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = b"line\n" * 1000
    (part,) = pieces(tmp_path, "a.jsonl.zst", packer.compress(data) + packer.flush())
    assert found(LineReader(), [part]) == expected(data)


# ------------------------------------------------------------------------------------------------ broken shards

LINES = b"".join(b'{"text": "number %d"}\n' % number for number in range(40_000))


def refusal(part: Piece, truncated: str = "stop") -> str:
    with pytest.raises(ShardUnreadable) as caught:
        found(LineReader(truncated=truncated), [part])  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize("name", PACKED)
def test_a_shard_cut_at_any_byte_is_noticed(name: str, tmp_path: Path) -> None:
    stored = compressed(name, b"some words and some words\n" * 2 + b"end")
    for size in range(1, len(stored)):
        (part,) = pieces(tmp_path, name, stored[:size])
        message = refusal(part)
        assert message.startswith(f"{part.file.path} is corrupt or breaks off (")
        assert message.endswith(
            "); replace it, remove it, or set truncated=keep to use the whole records before the fault"
        )


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("name", PACKED[:-1])
def test_keeping_a_shard_that_breaks_off_gives_every_whole_line_before_the_fault(
    name: str, share: float, tmp_path: Path
) -> None:
    stored = compressed(name, LINES)
    stored = stored[: int(len(stored) * share)]
    (part,) = pieces(tmp_path, name, stored)
    whole = LINES[: len(_decodable(name, stored))].rpartition(b"\n")[0]
    for block in (5_000, 8 << 20):
        lines = found(LineReader(truncated="keep", block_bytes=block), [part])
        assert lines == expected(whole + b"\n" * bool(whole))


def _decodable(name: str, stored: bytes) -> bytes:
    """All that comes out of ``stored``, a byte at a time."""
    decoders: dict[str, Any] = {
        "zst": zstandard.ZstdDecompressor().decompressobj(),
        "bz2": bz2.BZ2Decompressor(),
        "jsonl.xz": lzma.LZMADecompressor(),
        "gz": zlib.decompressobj(31),
    }
    decoder = next(decoder for ending, decoder in decoders.items() if name.endswith(ending))
    return b"".join(decoder.decompress(stored[at : at + 1]) for at in range(len(stored)))


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("behind", [b"garbage that follows", bytes(3) + b"garbage"])
def test_garbage_is_refused_and_all_text_before_it_can_be_kept(
    name: str, behind: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (part,) = pieces(tmp_path, name, b"this is no compressed stream at all")
    assert "is corrupt or breaks off (" in refusal(part)
    assert found(LineReader(truncated="keep"), [part]) == []
    assert caplog.messages[-1].endswith("; nothing of it is used")
    (part,) = pieces(tmp_path, name, compressed(name, LINES) + behind)
    assert "is corrupt or breaks off (" in refusal(part)
    caplog.clear()
    assert found(LineReader(truncated="keep"), [part]) == expected(LINES)
    assert caplog.text.count(f"only its whole records in the first {len(LINES):,} bytes of text are used") == 1


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.bz2", "a.jsonl.xz"])
@pytest.mark.parametrize("zeros", [1, 512, 200_000])
def test_zeros_behind_a_member_are_padding(name: str, zeros: int, tmp_path: Path) -> None:
    member = compressed(name, b"a\nb\n")
    for stored in (member + bytes(zeros), member + bytes(zeros) + member + bytes(zeros)):
        (part,) = pieces(tmp_path, name, stored)
        assert found(LineReader(), [part]) == expected(b"a\nb\n" * stored.count(member))


def test_zeros_before_the_first_member_and_behind_a_zstd_frame_are_no_padding(tmp_path: Path) -> None:
    for name, stored in (
        ("a.jsonl.gz", bytes(9) + compressed(".gz", b"a\n")),
        ("a.jsonl.zst", compressed(".zst", b"a\n") + bytes(9)),
    ):
        (part,) = pieces(tmp_path / name, name, stored)
        assert "is corrupt or breaks off (" in refusal(part)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.jsonl.gz", compressed(".zst", b"{}\n"), "it seems to be zstd-compressed data"),
        ("a.jsonl.zst", gzip.compress(b"{}\n", mtime=0), "it seems to be gzip-compressed data"),
        ("a.jsonl.xz", b'{"text": "a"}\n', "it seems to be JSON that is not compressed"),
        ("a.json.bz2", b"PAR1....", "it seems to be a Parquet file"),
    ],
)
def test_another_kind_of_file_is_named(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    (part,) = pieces(tmp_path, name, content)
    assert refusal(part).startswith(f"{part.file.path} is corrupt or breaks off ({reason}); ")


def test_an_xz_window_of_more_than_128_mib_is_refused(tmp_path: Path) -> None:
    stored = bytearray(lzma.compress(b"a\n"))
    header = slice(12, 12 + 4 * (stored[12] + 1))
    stored[16] = 32  # a dictionary of 256 MiB
    stored[header.stop - 4 : header.stop] = zlib.crc32(stored[12 : header.stop - 4]).to_bytes(4, "little")
    (part,) = pieces(tmp_path, "a.jsonl.xz", bytes(stored))
    for truncated in ("stop", "keep"):
        message = refusal(part, truncated)
        assert message.startswith(f"{part.file.path} needs an xz window of more than 128 MiB (")
        assert message.endswith("; compress it again with -9 or less")


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    stored = bytearray(gzip.compress(LINES))
    stored[len(stored) // 2] ^= 0x10
    (part,) = pieces(tmp_path, "a.jsonl.gz", bytes(stored))
    assert "is corrupt or breaks off (" in refusal(part)


def test_a_file_that_has_gone_is_said_to_have_gone(tmp_path: Path) -> None:
    (part,) = pieces(tmp_path, "a.jsonl", b"a\n")
    (tmp_path / "c4" / "a.jsonl").unlink()
    with pytest.raises(InputChanged) as caught:
        found(LineReader(), [part])
    assert str(caught.value) == (f"{part.file.path} has gone since the run began; put it back, or run again without it")


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    put(tmp_path, {"c4/a.jsonl": b"a\n"})
    (part,) = discover(tmp_path).pieces
    (tmp_path / "c4" / "a.jsonl").unlink()
    (tmp_path / "c4" / "a.jsonl").mkdir()
    message = refusal(part)
    assert message.startswith(f"cannot open {part.file.path}: ")
    assert message.endswith("; mend its permissions or remove it")


@pytest.mark.parametrize("name", ["c4/a.jsonl", "c4/a.jsonl.gz"])
def test_a_block_is_as_large_as_asked_for_whatever_the_size_of_the_file_tells(tmp_path: Path, name: str) -> None:
    """The first buffer is as large as the text is expected to be, and a few bytes of gzip may hold far more."""
    content = b"a" * 99 + b"\n"
    (piece,) = discover(put(tmp_path, {name: content * 5000})).pieces
    for block_bytes in (1 << 14, 300_000, 1 << 20):
        blocks = [len(block.starts) for block in LineReader(block_bytes=block_bytes).blocks(piece)]
        assert sum(blocks) == 5000
        assert blocks[0] == min(5000, block_bytes // 100)
        assert len(blocks) == -(-500_000 // block_bytes)
