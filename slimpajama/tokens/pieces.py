"""Pieces: a long document is cut, so that its parts have their own places in the shuffle.

A document of more than ``piece_tokens`` tokens becomes pieces of that many, and a last one of what is left. Where
whole documents are shuffled, 77 sequences in a row are one book; pieces mix as well as sequences do, and each is still
read in one go. A piece's place is a seeded hash of the document's text and the number of the piece, never of an id, as
ids change when a corpus grows. Rejected: cutting into sequences (their length belongs to the recipe, not to the store).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slimpajama.tokens.seeded_order import seeded_hash

__all__ = ["PIECE", "begins", "cut_into_pieces", "in_order", "piece_keys"]

PIECE = np.dtype(
    [
        ("text", "<u8", (2,)),
        ("id", "<u8"),
        ("cluster", "<u8"),
        ("duplicates_global", "<i8"),
        ("duplicates_local", "<i8"),
        ("tokens", "<u4"),
        ("piece", "<u4"),
        ("ends", "?"),
        ("kept_global", "?"),
        ("kept_local", "?"),
    ]
)
"""A row of the token store. ``text``: 128-bit hash of the whole document's normalised text, its content. ``id`` and
``cluster``: of the document and of the survivor of its global cluster. ``duplicates_global``, ``duplicates_local``:
documents in its cluster, itself among them, 0 where that scope does not keep it. ``tokens``: of this piece. ``piece``:
its number in the document, from 0. ``ends``: whether the document's end-of-text token is its last one."""

_STEP = np.uint64(0x9E3779B97F4A7C15)


def begins(rows: NDArray[np.void]) -> NDArray[np.bool_]:
    """``bool[n]``: the rows at which a document begins; documents are counted by them."""
    first: NDArray[np.bool_] = rows["piece"] == 0
    return first


def piece_keys(
    rows: NDArray[np.void], seed: int, purpose: str, copies: NDArray[np.int64] | None = None
) -> NDArray[np.uint64]:
    """``uint64[n]``: the place of each of n rows with ``text`` and ``piece`` in the order of ``purpose``.

    ``copies``: which time each row comes, from 0, where rows come several times; each time has a place of its own.
    """
    # Steps of one odd number apart: the pieces of a document never share a key.
    keys = seeded_hash(rows["text"][:, 0] + rows["piece"].astype(np.uint64) * _STEP, seed, purpose)
    if copies is None:
        return keys
    again = copies > 0
    keys[again] = seeded_hash(keys[again] + copies[again].astype(np.uint64) * _STEP, seed, f"copies, {purpose}")
    return keys


def in_order(rows: NDArray[np.void], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The order of n rows by their keys; documents of equal text by their ids."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    if (ordered[1:] == ordered[:-1]).any():  # rare, and three times as slow
        order = np.lexsort((rows["piece"], rows["id"], keys))
    return order


def cut_into_pieces(documents: NDArray[np.void], piece_tokens: int) -> NDArray[np.void]:
    """The rows of n documents, ``piece`` 0 each, as rows of their pieces, in the order of the tokens."""
    counts = -(-documents["tokens"].astype(np.int64) // piece_tokens)
    if not (counts > 1).any():
        return documents
    ends = np.cumsum(counts)
    pieces: NDArray[np.void] = np.repeat(documents, counts)
    number = np.arange(pieces.size, dtype=np.int64) - np.repeat(ends - counts, counts)
    pieces["piece"] = number
    pieces["tokens"] = np.minimum(pieces["tokens"] - number * piece_tokens, piece_tokens)
    pieces["ends"] = False
    pieces["ends"][ends - 1] = True
    return pieces
