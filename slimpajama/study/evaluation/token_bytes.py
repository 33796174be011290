"""How many bytes of text each token stands for, so that losses can be told a byte, whatever the tokenizer.

Byte-level tokens are written with one character a byte; other tokenizers mark a space as a low line (U+2581) and bytes
as ``<0x41>``. Special tokens stand for no text.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from slimpajama.errors import InputError

__all__ = ["token_bytes"]


class _Added(msgspec.Struct):
    id: int
    special: bool = False


class _Model(msgspec.Struct):
    vocab: dict[str, int]


class _TokenizerFile(msgspec.Struct):
    model: _Model
    added_tokens: list[_Added] = []
    pre_tokenizer: msgspec.Raw = msgspec.Raw(b"null")
    decoder: msgspec.Raw = msgspec.Raw(b"null")


def token_bytes(file: Path, vocabulary: int) -> NDArray[np.int64]:
    """``int64[vocabulary]``: the bytes of each token of a ``tokenizer.json``; 0 for ids that it does not know.

    Raises :class:`~slimpajama.InputError` where the file is missing or of another kind.
    """
    try:
        read = msgspec.json.decode(file.read_bytes(), type=_TokenizerFile)
    except (OSError, msgspec.MsgspecError) as fault:
        raise InputError(
            f"cannot read the tokenizer {file}: {fault}; bits a byte need the tokenizer.json of the mixtures"
        ) from fault
    byte_level = b'"ByteLevel"' in bytes(read.pre_tokenizer) + bytes(read.decoder)
    sizes = np.zeros(vocabulary, dtype=np.int64)
    for token, number in read.model.vocab.items():
        if number < vocabulary:
            if byte_level:
                sizes[number] = len(token)
            else:
                plain = "?" if re.fullmatch(r"<0x[0-9A-Fa-f]{2}>", token) else token.replace("\u2581", " ")
                sizes[number] = len(plain.encode())
    for added in read.added_tokens:
        if added.special and added.id < vocabulary:
            sizes[added.id] = 0
    return sizes
