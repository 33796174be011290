"""Packed sequences as Megatron-LM's indexed dataset: ``<name>.bin`` of token ids, ``<name>.idx`` of where they lie.

Version 1 of the index: magic, version, code of the token type, numbers of sequences and document bounds, then the
length of each sequence (int32), its byte offset (int64), and the document bounds (int64). Here each packed sequence is
one document, so ``--data-path`` takes the files as they are and keeps their order.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from slimpajama.mixture.formats.base import MixtureFormat, SequenceGroup, SequenceShape, SequenceWriter
from slimpajama.storage.paths import opened

__all__ = ["MegatronFormat", "token_dtype", "write_bin", "write_idx"]

_PART_TOKENS = 1 << 22
_MAGIC = b"MMIDIDX\x00\x00"
_CODES = {np.dtype(np.uint16): 8, np.dtype(np.int32): 4}


def token_dtype(vocabulary: int) -> np.dtype[np.uint16] | np.dtype[np.int32]:
    """As Megatron-LM chooses it: uint16 below 65,500 ids, else int32."""
    return np.dtype(np.uint16) if vocabulary < 65_500 else np.dtype(np.int32)


def write_bin(file: BinaryIO, tokens: NDArray[np.uint32], vocabulary: int) -> None:
    """Append ``tokens`` ``uint32[n, L]``."""
    step = max(1, _PART_TOKENS // max(1, tokens.shape[1]))
    for first in range(0, tokens.shape[0], step):
        file.write(tokens[first : first + step].astype(token_dtype(vocabulary)).tobytes())


def write_idx(file: BinaryIO, sequences: int, length: int, vocabulary: int) -> None:
    """Write the index of ``sequences`` sequences of ``length`` tokens each."""
    kind = token_dtype(vocabulary)
    file.write(_MAGIC + struct.pack("<QBQQ", 1, _CODES[kind], sequences, sequences + 1))
    file.write(np.full(sequences, length, dtype=np.int32).tobytes())
    file.write((np.arange(sequences, dtype=np.int64) * (length * kind.itemsize)).tobytes())
    file.write(np.arange(sequences + 1, dtype=np.int64).tobytes())


class _BinWriter:
    def __init__(self, file: BinaryIO, vocabulary: int) -> None:
        self.sequences = 0
        self._file = file
        self._vocabulary = vocabulary

    def write(self, group: SequenceGroup) -> None:
        write_bin(self._file, group.tokens, self._vocabulary)
        self.sequences += group.tokens.shape[0]


class MegatronFormat(MixtureFormat):
    """``<stem>.bin`` and ``<stem>.idx``."""

    name = "megatron"
    endings = (".bin", ".idx")
    contents = (
        "Each `.bin` and `.idx` pair is an indexed dataset of Megatron-LM; each sequence is one document of it.",
    )

    @contextlib.contextmanager
    def writer(self, files: Sequence[BinaryIO], shape: SequenceShape) -> Iterator[SequenceWriter]:
        """See :meth:`MixtureFormat.writer`."""
        tokens, index = files
        writer = _BinWriter(tokens, shape.vocabulary)
        yield writer
        write_idx(index, writer.sequences, shape.length, shape.vocabulary)

    def differences(self, path: Path, shape: SequenceShape, groups: Iterator[SequenceGroup]) -> Iterator[str]:
        """See :meth:`MixtureFormat.differences`; stops at the first group that differs."""
        if path.suffix == ".idx":  # says where sequences of one length lie; its digest shows that it is as written
            return
        kind = token_dtype(shape.vocabulary)
        row = 0
        with opened(path) as file:
            for group in groups:
                tokens = np.frombuffer(file.read(group.tokens.size * kind.itemsize), dtype=kind)
                if not np.array_equal(tokens, group.tokens.ravel()):
                    yield f"differs from plan and store after sequence {row:,}"
                    return
                row += group.tokens.shape[0]
            if file.read(1):
                yield f"holds more than the {row:,} planned sequences"
