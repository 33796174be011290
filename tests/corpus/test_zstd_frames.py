"""Zstd streams give the bytes that Arrow's stream gives, and end or fail where it does."""

from __future__ import annotations

import io
import random
import tracemalloc
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.corpus.codecs import ByteStream, WindowTooLarge
from slimpajama.corpus.zstd_frames import ZstdStream

Outcome = tuple[bytes, str]


class Slow(io.BytesIO):
    """Gives a byte at a time."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(1)


def by_arrow(stored: bytes) -> ByteStream:
    """Gets a byte at a time, for of a call that fails it gives nothing."""
    stream: Any = pa.CompressedInputStream(pa.PythonFile(Slow(stored), mode="r"), "zstd")
    return stream  # type: ignore[no-any-return]


def by_us(stored: bytes) -> ByteStream:
    return ZstdStream(io.BytesIO(stored))


def outcome(stream: ByteStream, request: int) -> Outcome:
    """All bytes before the end or the fault, and whether it is one."""
    found = bytearray()
    target = memoryview(bytearray(request))
    try:
        while read := stream.readinto(target):
            found += target[:read]
    except OSError as fault:
        return bytes(found), "fault" if fault.errno is None else "cannot read"
    return bytes(found), "end"


def frame(content: bytes, level: int = 1, checksum: bool = False, sized: bool = True, flushed: int = 0) -> bytes:
    """One frame; ``flushed``: bytes after which blocks end."""
    packer = zstandard.ZstdCompressor(level=level, write_checksum=checksum, write_content_size=sized).compressobj(
        size=len(content) if sized else -1
    )
    if not flushed:
        return packer.compress(content) + packer.flush()
    parts = []
    for start in range(0, len(content), flushed):
        parts.append(packer.compress(content[start : start + flushed]))
        parts.append(packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
    return b"".join(parts) + packer.flush()


CONTENT = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda byte, size: byte * size, st.sampled_from([b"x", b"ab\n"]), st.integers(1, 3000)),
    st.builds(lambda seed, size: random.Random(seed).randbytes(size), st.integers(0, 9), st.integers(1, 3000)),
)
FRAMES = st.lists(
    st.one_of(
        st.builds(frame, CONTENT, st.sampled_from([-5, 1, 3]), st.booleans(), st.booleans(), st.sampled_from([0, 97])),
        st.builds(
            lambda mark, note: (0x184D2A50 + mark).to_bytes(4, "little") + len(note).to_bytes(4, "little") + note,
            st.integers(0, 15),
            st.binary(max_size=20),
        ),
    ),
    max_size=4,
).map(b"".join)


@given(stored=FRAMES, data=st.data())
def test_whole_cut_and_damaged_streams_give_what_arrow_gives(stored: bytes, data: st.DataObject) -> None:
    damage = data.draw(st.sampled_from(["none", "cut", "changed", "added"]))
    if damage == "cut":
        stored = stored[: data.draw(st.integers(0, len(stored)))]
    elif damage == "added":
        stored += data.draw(st.binary(min_size=1, max_size=9))
    elif damage == "changed" and stored:
        at = data.draw(st.integers(0, len(stored) - 1))
        stored = stored[:at] + data.draw(st.binary(min_size=1, max_size=1)) + stored[at + 1 :]
    text, end = outcome(by_arrow(stored), 1)
    assert outcome(ZstdStream(Slow(stored)), 1) == (text, end)
    for request in (1, 1 << 20):
        some, same = outcome(by_us(stored), request)
        assert same == end
        assert some == text if end == "end" else text.startswith(some)


@pytest.mark.parametrize("size", [0, 1, 7, 131_072, 131_073, 1 << 20])
def test_text_of_any_size_is_given_whole(size: int) -> None:
    content = random.Random(size).randbytes(size // 2) + b"y" * (size - size // 2)
    for sized in (False, True):
        stored = frame(content, checksum=True, sized=sized)
        assert outcome(by_us(stored * 2), 100_000) == (content * 2, "end")
        assert outcome(by_us(stored * 2 + stored[:-1]), 100_000)[1] == "fault"


def test_all_blocks_before_a_fault_are_given_before_it() -> None:
    content = random.Random(1).randbytes(5 << 17)
    stored = bytearray(frame(content, checksum=True, flushed=1 << 17))
    assert outcome(by_us(bytes(stored[:-1])), 1 << 20) == (content, "fault")
    assert outcome(by_us(bytes(stored[:-4]) + bytes(4)), 1 << 20) == (content, "fault")
    unpackable = (131_071 << 3 | 2 << 1).to_bytes(3, "little") + bytes(131_071)
    assert outcome(by_us(bytes(stored[:-7]) + unpackable), 1 << 20) == (content, "fault")


def test_a_call_decodes_no_more_than_a_block() -> None:
    """4 bytes of this bomb are 128 KiB of zeros, and 3 are none."""
    zeros = (131_072 << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    stored = b"\x28\xb5\x2f\xfd\x00\x38" + zeros * 50_000 + (1).to_bytes(3, "little")
    tracemalloc.start()
    try:
        stream, target = by_us(stored), memoryview(bytearray(1 << 20))
        assert [stream.readinto(target) for _ in range(100)] == [1 << 17] * 100
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    nothing = b"\x28\xb5\x2f\xfd\x00\x38" + bytes(300_000) + (1).to_bytes(3, "little")
    assert by_us(nothing + frame(b"text")).readinto(target) == 4


@pytest.mark.parametrize("exponent", [17, 18])
def test_a_window_above_128_mib_is_a_fault_of_its_own(exponent: int) -> None:
    stored = b"\x28\xb5\x2f\xfd\x00" + bytes([exponent << 3]) + b"\x01\x00\x00"
    if exponent == 17:
        assert outcome(by_us(stored), 9) == (b"", "end")
    else:
        with pytest.raises(WindowTooLarge):
            by_us(stored).readinto(memoryview(bytearray(9)))
