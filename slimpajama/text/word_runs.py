"""Runs of successive words as 64-bit hashes: what two texts share, whatever their punctuation, case and accents.

A word is a run of letters and digits: punctuation and white space part words, case does not count, accents and other
marks are left out (so a text and its decomposed form have the same words), and a character of a script without spaces
is a word by itself. A word's hash takes eight bytes of the word at a time. The hashes are added up into the prefixes
of one polynomial modulo 2^64, so that the hash of any run, of any length, is one multiplication and one subtraction.
ASCII is looked at 32 bytes at a time: about a nanosecond for a byte. Rejected: Unicode's word boundaries (they need a
dictionary), one byte at a time (a mispredicted branch at the end of each word: twice as slow), and a rolling hash
(a pass for each length).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimpajama.engine.kernels import kernel
from slimpajama.text.run_letters import (
    ALONE_BIT,
    LIMIT,
    SKIPPED,
    count_bits,
    eight_bytes,
    letter_mask,
    letters,
    lowest_bit,
)
from slimpajama.text.vector_bytes import WIDTH

__all__ = ["RUN_WORDS", "RunHashes", "WordScratch", "hash_words", "power", "run_hash", "run_hashes"]

RUN_WORDS = 13
"""Words of a run: as many as GPT-3's paper, PaLM's and decon look at."""

_SKIPPED, _ALONE_BIT = np.uint32(SKIPPED), np.uint32(ALONE_BIT)
_HAN_BEYOND, _HAN_END = np.uint32(LIMIT), np.uint32(0x40000)

_BASE = 0x9E3779B97F4A7C15
_WORD_BASE = np.uint64(_BASE)
_START = np.uint64(0xA0761D6478BD642F)
_FACTOR = np.uint64(0xD6E8FEB86659FD93)
_OTHER_FACTOR = np.uint64(0x94D049BB133111EB)
_HALF, _LAST = np.uint64(32), np.uint64(63)

_PIECE = 4096
"""Bytes whose words are looked for at a time: their places stay in the innermost cache."""

_ZERO, _ONE, _TWO, _THREE, _FOUR, _EIGHT, _SIXTEEN = map(np.uint64, (0, 1, 2, 3, 4, 8, 16))
_LOWER = np.uint64(0x2020202020202020)
_HIGH_BITS = np.uint64(0x8080808080808080)
_WIDTH = np.uint64(WIDTH)
_FIRST = np.array([(1 << (8 * min(length, 8))) - 1 for length in range(17)], dtype=np.uint64)
_SECOND = np.array([(1 << (8 * max(length - 8, 0))) - 1 for length in range(17)], dtype=np.uint64)
"""``uint64[17]``, by how many of sixteen bytes are a word's: the bits of these among the first and the second eight."""


@dataclass(frozen=True, slots=True)
class RunHashes:
    """The runs of d texts: those of number i are ``hashes[offsets[i]:offsets[i + 1]]``, in order, with repeats.

    ``hashes``: ``uint64[m]``; ``offsets``: ``int64[d + 1]``.
    """

    hashes: NDArray[np.uint64]
    offsets: NDArray[np.int64]


@kernel
def _mixed(word: np.uint64, first: np.uint64, second: np.uint64) -> np.uint64:
    """The hash of a word that goes on with sixteen bytes."""
    word = (word ^ first) * _FACTOR + second * _OTHER_FACTOR
    return word ^ (word >> _HALF)  # type: ignore[no-any-return]


@kernel
def run_hash(prefixes: NDArray[np.uint64], first: int, length: int, raised: np.uint64) -> np.uint64:
    """The hash of the ``length`` words from number ``first`` on; ``raised`` is :func:`power` of ``length``."""
    return prefixes[first + length] - prefixes[first] * raised  # type: ignore[no-any-return]


@kernel
def _hash_mixed_region(
    padded: NDArray[np.uint8],
    begin: np.uint64,
    end: np.uint64,
    table: NDArray[np.uint32],
    prefixes: NDArray[np.uint64],
    begins: NDArray[np.uint64],
    count: np.uint64,
) -> np.uint64:
    """The words of bytes that are letters, digits or not ASCII, of which some are not; returns the count of words."""
    word, first, second, filled = _START, _ZERO, _ZERO, _ZERO
    inside = ends = False
    word_begin = begin
    at = begin
    while at <= end:  # the byte after the last parts words
        here = at
        byte = padded[at]
        if byte < 0x80:
            point = np.uint32(byte)
            at += _ONE
        elif byte < 0xE0:
            point = (np.uint32(byte & 0x1F) << 6) | np.uint32(padded[at + _ONE] & 0x3F)
            at += _TWO
        elif byte < 0xF0:
            point = (
                (np.uint32(byte & 0x0F) << 12)
                | (np.uint32(padded[at + _ONE] & 0x3F) << 6)
                | np.uint32(padded[at + _TWO] & 0x3F)
            )
            at += _THREE
        else:
            point = (
                (np.uint32(byte & 0x07) << 18)
                | (np.uint32(padded[at + _ONE] & 0x3F) << 12)
                | (np.uint32(padded[at + _TWO] & 0x3F) << 6)
                | np.uint32(padded[at + _THREE] & 0x3F)
            )
            at += _FOUR
        letter = np.uint32(0)
        if point < _HAN_BEYOND:
            letter = table[point]
        elif point < _HAN_END:
            letter = np.uint32(point | _ALONE_BIT)
        if letter == _SKIPPED:
            continue
        alone = letter & _ALONE_BIT != 0
        if inside and (letter == 0 or alone or ends):
            if filled > 0:
                word = _mixed(word, first, second)
            prefixes[count + _ONE] = prefixes[count] * _WORD_BASE + word
            begins[count] = word_begin
            count += _ONE
            inside = False
        if letter == 0:
            continue
        if not inside:
            word, first, second, filled = _START, _ZERO, _ZERO, _ZERO
            word_begin = here
            inside = True
        letter &= ~_ALONE_BIT
        # A point beyond ASCII is three bytes of seven bits each, with the highest bit set.
        for part in range(1 if letter < 0x80 else 3):
            value = np.uint64(letter) if letter < 0x80 else np.uint64(0x80 | ((letter >> (7 * part)) & 0x7F))
            if filled < _EIGHT:
                first |= value << (filled * _EIGHT)
            else:
                second |= value << ((filled - _EIGHT) * _EIGHT)
            filled += _ONE
            if filled == _SIXTEEN:
                word = _mixed(word, first, second)
                first, second, filled = _ZERO, _ZERO, _ZERO
        ends = alone
    return count


@kernel
def hash_words(
    text: NDArray[np.uint8],
    table: NDArray[np.uint32],
    padded: NDArray[np.uint8],
    edges: NDArray[np.uint64],
    prefixes: NDArray[np.uint64],
    begins: NDArray[np.uint64],
) -> int:
    """Count the words of a text in UTF-8, and fill ``prefixes[:count + 1]`` and ``begins[:count]``, where each begins.

    ``table`` is :func:`letters`; the others are of a :class:`WordScratch` made ready for a text of this size.
    """
    size = np.uint64(text.shape[0])
    for i in range(text.shape[0]):
        padded[i] = text[i]
    for i in range(text.shape[0], text.shape[0] + 4 * WIDTH):
        padded[i] = 0  # which parts words
    prefixes[0] = 0
    total = _ZERO  # the last of the prefixes
    count = _ZERO
    found = _ZERO
    carry = _ZERO
    place = _ZERO
    while place <= size:
        stop = place + np.uint64(_PIECE)
        while place < stop and place <= size:
            mask = np.uint64(letter_mask(padded, place)) | (np.uint64(letter_mask(padded, place + _WIDTH)) << _HALF)
            changes = mask ^ ((mask << _ONE) | carry)
            carry = mask >> _LAST
            # Four are always written, and those that are none overwritten: so the end of the loop is seldom a surprise.
            at = found
            found += count_bits(changes)
            while at < found:
                for _ in range(4):
                    edges[at] = place + lowest_bit(changes)
                    at += _ONE
                    changes &= changes - _ONE
            place += _TWO * _WIDTH
        pair = _ZERO
        while pair + _ONE < found:
            begin = edges[pair]
            end = edges[pair + _ONE]
            pair += _TWO
            length = end - begin
            word = _START
            not_ascii = _ZERO
            at = begin
            while length > _SIXTEEN:
                first, second = eight_bytes(padded, at), eight_bytes(padded, at + _EIGHT)
                not_ascii |= first | second
                word = _mixed(word, first | _LOWER, second | _LOWER)
                length -= _SIXTEEN
                at += _SIXTEEN
            first = eight_bytes(padded, at) & _FIRST[length]
            second = eight_bytes(padded, at + _EIGHT) & _SECOND[length]
            not_ascii |= first | second
            if not_ascii & _HIGH_BITS == 0:
                word = _mixed(word, first | (_LOWER & _FIRST[length]), second | (_LOWER & _SECOND[length]))
                total = total * _WORD_BASE + word
                begins[count] = begin
                count += _ONE
                prefixes[count] = total
            else:
                count = _hash_mixed_region(padded, begin, end, table, prefixes, begins, count)
                total = prefixes[count]
        if found & _ONE:  # a word that goes on
            edges[0] = edges[found - _ONE]
            found = _ONE
        else:
            found = _ZERO
    return np.int64(count)  # type: ignore[no-any-return]


@functools.cache
def power(length: int) -> np.uint64:
    """What the prefix before a run of ``length`` words is multiplied by."""
    raised: np.uint64 = np.uint64(pow(_BASE, length, 1 << 64))
    return raised


class WordScratch:
    """Room for :func:`hash_words`, reused for one text after another."""

    def __init__(self) -> None:
        self.size = 0
        self.edges = np.empty(_PIECE + 4 * WIDTH, dtype=np.uint64)
        self.make_ready(1 << 20)

    def make_ready(self, size: int) -> None:
        """Make room for a text of ``size`` bytes."""
        if size > self.size:
            self.size = size
            self.padded = np.empty(size + 4 * WIDTH, dtype=np.uint8)
            self.prefixes = np.empty(size // 2 + 3, dtype=np.uint64)
            self.begins = np.empty(size // 2 + 3, dtype=np.uint64)


@kernel
def _hash_all_runs(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    table: NDArray[np.uint32],
    padded: NDArray[np.uint8],
    edges: NDArray[np.uint64],
    prefixes: NDArray[np.uint64],
    begins: NDArray[np.uint64],
    length: int,
    raised: np.uint64,
    offsets: NDArray[np.int64],
    hashes: NDArray[np.uint64],
) -> None:
    """Fill ``offsets`` and as many ``hashes`` as there is room for."""
    for i in range(starts.shape[0]):
        count = hash_words(data[starts[i] : stops[i]], table, padded, edges, prefixes, begins)
        runs = max(0, count - length + 1)
        offsets[i + 1] = offsets[i] + runs
        if offsets[i + 1] <= hashes.shape[0]:
            for first in range(runs):
                hashes[offsets[i] + first] = run_hash(prefixes, first, length, raised)


def run_hashes(
    data: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64], length: int = RUN_WORDS
) -> RunHashes:
    """The hashes of all runs of ``length`` words of each text; none where a text has fewer words.

    The arguments are the arrays of :class:`~slimpajama.corpus.texts.Texts`.
    """
    sizes = stops - starts
    scratch = WordScratch()
    scratch.make_ready(int(sizes.max(initial=0)))
    offsets = np.zeros(sizes.size + 1, dtype=np.int64)
    room = int(sizes.sum()) // 4
    while True:
        hashes = np.empty(room, dtype=np.uint64)
        _hash_all_runs(
            data,
            starts,
            stops,
            letters(),
            scratch.padded,
            scratch.edges,
            scratch.prefixes,
            scratch.begins,
            length,
            power(length),
            offsets,
            hashes,
        )
        room = int(offsets[-1])
        if room <= hashes.size:
            return RunHashes(hashes[:room].copy(), offsets)
