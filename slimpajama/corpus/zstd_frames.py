"""Zstandard: a frame is a header, blocks that tell their stored sizes, and maybe a checksum.

libzstd decodes one block of at most 128 KiB at a time, so a bomb takes no memory, and a fault costs no more than the
block before it; it checks windows, checksums and sizes itself. The headers, which are followed on the way, tell whether
a stream ends with a frame or breaks off. Takes three quarters of the time of Arrow's stream. Rejected: ``zstandard``'s
reader, which is 5 % faster but loses the last block of a stream that breaks off, without a word; libzstd by ctypes,
which is no faster.
"""

from __future__ import annotations

from typing import Any, BinaryIO, ClassVar

import zstandard

from slimpajama.corpus.codecs import CHUNK_BYTES, WINDOW_BYTES, ByteStream, Codec, Entry, WindowTooLarge

__all__ = ["FrameWalk", "ZstCodec", "ZstdStream"]

FRAME_MAGIC = 0xFD2FB528
SKIPPABLE_MAGIC = 0x184D2A50
"""Of frames that hold no data; the last four bits are free."""

FIRST_HEADER_BYTES = 5
"""Enough of a frame to know the size of its header."""

SKIPPABLE_HEADER_BYTES = 8
BLOCK_HEADER_BYTES = 3
REPEATED_BYTE = 1
"""The type of a block that is stored as one byte."""


class ZstCodec(Codec):
    """Zstandard."""

    name = "zst"
    endings: ClassVar[tuple[str, ...]] = (".zst", ".zstd")
    method = "a zstd"

    def decoded(self, raw: Any) -> ByteStream:
        """See :meth:`Codec.decoded`."""
        return ZstdStream(raw)

    def entries(self, raw: BinaryIO, size: int, apart: int) -> tuple[Entry, ...]:
        """See :meth:`Codec.entries`: where frames begin, of which the seekable format and ``cat`` leave many.

        There are none unless the file is whole, and each frame tells how much text it holds, which is ``apart`` bytes
        or less. Costs one small read for each block.
        """
        walk, at, position, last = FrameWalk(), 0, 0, 0
        found: list[Entry] = []
        while at < size:
            begins = not walk.inside
            header_bytes = _take_at(raw, at, walk)
            if not header_bytes:
                return ()
            if begins:
                if walk.content is None or walk.content > apart:
                    return ()
                if last < position and position + walk.content > last + apart:
                    found.append(Entry(at, position))
                    last = position
                position += walk.content
            at += header_bytes + walk.skip
        return tuple(found) if at == size and not walk.inside else ()

    def compressed(self, content: bytes) -> bytes:
        """See :meth:`Codec.compressed`."""
        return zstandard.ZstdCompressor(level=1).compress(content)


class FrameWalk:
    """Goes from header to header through the frames of a file.

    ``skip``: bytes to the next header; ``wanted``: how many bytes of it to give to :meth:`take`. ``inside``: whether
    that header belongs to a frame that has begun. ``content``: bytes of text in the latest frame, ``None`` where its
    header does not tell.
    """

    def __init__(self) -> None:
        self.skip = 0
        self.wanted = FIRST_HEADER_BYTES
        self.inside = False
        self.content: int | None = 0
        self._checksum_bytes = 0

    def take(self, header: bytes | bytearray) -> bool:
        """Go on behind ``header``; ``False`` where more of it is wanted first.

        What is no header is followed by nothing: :attr:`skip` then leads behind any end.
        """
        if self.inside:
            block = int.from_bytes(header, "little")
            self.skip = 1 if block >> 1 & 3 == REPEATED_BYTE else block >> 3
            if block & 1:
                self.skip += self._checksum_bytes
                self.inside = False
            self.wanted = BLOCK_HEADER_BYTES if self.inside else FIRST_HEADER_BYTES
            return True
        magic = int.from_bytes(header[:4], "little")
        if magic == FRAME_MAGIC:
            return self._begin_frame(header)
        if magic & ~15 != SKIPPABLE_MAGIC:
            self.skip, self.inside = 1 << 62, True
            return True
        if len(header) < SKIPPABLE_HEADER_BYTES:
            self.wanted = SKIPPABLE_HEADER_BYTES
            return False
        self.skip, self.wanted, self.content = int.from_bytes(header[4:8], "little"), FIRST_HEADER_BYTES, 0
        return True

    def _begin_frame(self, header: bytes | bytearray) -> bool:
        flags = header[4]
        one_segment = flags >> 5 & 1
        content_at = 5 + (1 - one_segment) + (0, 1, 2, 4)[flags & 3]
        content_bytes = (one_segment, 2, 4, 8)[flags >> 6]
        if len(header) < content_at + content_bytes:
            self.wanted = content_at + content_bytes
            return False
        self.content = None
        if content_bytes:
            self.content = int.from_bytes(header[content_at:], "little") + (256 if content_bytes == 2 else 0)
        self._checksum_bytes = 4 * (flags >> 2 & 1)
        self.skip, self.wanted, self.inside = 0, BLOCK_HEADER_BYTES, True
        return True


def _take_at(raw: BinaryIO, at: int, walk: FrameWalk) -> int:
    """Give ``walk`` the header at a byte of a file; returns its size, 0 where the file ends in it."""
    raw.seek(at)
    header = b""
    while True:
        header += raw.read(walk.wanted - len(header))
        if len(header) < walk.wanted:
            return 0
        if walk.take(header):
            return len(header)


class ZstdStream:
    """Decodes the frames of the file ``raw``, which follow each other, from where it stands to its end."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._walk = FrameWalk()
        self._header = bytearray()  # as much of the next header as was read
        self._data = memoryview(b"")  # read from the file, not yet decoded
        self._text = memoryview(b"")  # decoded, not yet given
        decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES)
        self._decoder = decompressor.decompressobj(read_across_frames=True)

    def readinto(self, target: memoryview) -> int:
        """See :class:`~slimpajama.corpus.codecs.ByteStream`."""
        while not self._text:
            self._data = self._data or memoryview(self._raw.read(CHUNK_BYTES))
            if not self._data:
                if self._walk.inside or self._walk.skip or self._header:
                    raise OSError("the compressed stream ends too early")
                return 0
            size = self._to_next_block()
            data, self._data = self._data[:size], self._data[size:]
            try:
                self._text = memoryview(self._decoder.decompress(data))
            except zstandard.ZstdError as fault:
                kind = WindowTooLarge if "too much memory" in str(fault) else OSError
                raise kind(str(fault).removeprefix("zstd decompressor error: ")) from fault
        read = min(len(target), len(self._text))
        target[:read] = self._text[:read]
        self._text = self._text[read:]
        return read

    def _to_next_block(self) -> int:
        """How many bytes there are up to the end of the next block that is not empty, or of what was read."""
        walk, header, data, at = self._walk, self._header, self._data, 0
        while True:
            if walk.skip:
                step = min(walk.skip, len(data) - at)
                walk.skip -= step
                return at + step
            more = data[at : at + walk.wanted - len(header)]
            at += len(more)
            header += more
            if len(header) < walk.wanted:
                return at
            if walk.take(header):
                header.clear()
