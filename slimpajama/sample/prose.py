"""Running text: sentences, capitals, commas, paragraphs and topics, some 300 MB/s.

A compiled loop writes word after word into a byte array. One 64-bit random number per word decides the word
and its form: 17 bits look up the rank, others turn it into one of the document's two dozen topic words (texts
repeat their subject), a name, or a word before a comma; a countdown ends the sentence. Rejected: numpy on
whole documents (forty calls at a microsecond each are more than a 2 KB document may take), and a grammar
(slow, and the statistics of shingles do not need one).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimpajama.engine.kernels import kernel
from slimpajama.sample.lexicon import DRAW_BITS, FUNCTION_WORDS, Lexicon
from slimpajama.sample.random_streams import RandomStream

__all__ = ["ARTICLE", "BOOK", "PAPER", "POST", "WEB", "Style", "prose"]

_TOPIC_WORDS = 24
_LEAST_WORDS = 4
_LONGEST_PIECE = 128
_LONGEST_WORD = 32
_SENTENCE_LENGTHS = np.array(
    [*(4, 5, 6, 7, 8, 8, 9, 10, 10, 11, 12, 12, 13, 14, 14, 15),
     *(16, 16, 17, 18, 18, 19, 20, 21, 22, 23, 24, 26, 28, 31, 35, 41)]
)  # fmt: skip
_FUNCTION_COUNT = len(FUNCTION_WORDS)

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_RANK_BITS = np.uint64((1 << DRAW_BITS) - 1)


@dataclass(frozen=True, slots=True)
class Style:
    """How a kind of text is laid out.

    ``gap``: newlines between paragraphs. ``per_paragraph``: mean number of sentences in one. ``columns``:
    where lines are broken (0: nowhere). ``formulas``: how many words in 256 are formulas instead.
    """

    gap: int = 1
    per_paragraph: int = 4
    columns: int = 0
    formulas: int = 0


WEB = Style()
ARTICLE = Style(per_paragraph=5)
POST = Style(gap=2, per_paragraph=3)
BOOK = Style(gap=2, per_paragraph=6, columns=68)
PAPER = Style(gap=2, per_paragraph=6, columns=78, formulas=26)


def prose(stream: RandomStream, lexicon: Lexicon, characters: int, style: Style) -> str:
    """ASCII sentences of ``characters`` characters, up to one word more; ends with a mark, not with white
    space."""
    text = np.empty(characters + _LEAST_WORDS * _LONGEST_PIECE, dtype=np.uint8)
    size = _write(
        np.uint64(stream.number()),
        characters,
        style.gap,
        style.per_paragraph,
        style.columns,
        style.formulas,
        lexicon.letters.characters,
        lexicon.letters.starts,
        lexicon.formulas.characters,
        lexicon.formulas.starts,
        lexicon.draw,
        np.empty(_TOPIC_WORDS, dtype=np.int64),
        text,
    )
    return text[:size].tobytes().decode("ascii")


@kernel
def _mix(value: Any) -> Any:
    """The same as in ``streams``, compiled."""
    value = (value ^ (value >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    return value ^ (value >> np.uint64(31))


@kernel
def _write(
    key: np.uint64,
    characters: int,
    gap: int,
    per_paragraph: int,
    columns: int,
    formulas: int,
    letters: NDArray[np.uint8],
    starts: NDArray[np.int32],
    formula_letters: NDArray[np.uint8],
    formula_starts: NDArray[np.int32],
    draw: NDArray[np.uint16],
    topic: NDArray[np.int64],
    text: NDArray[np.uint8],
) -> Any:
    """Fill ``text`` and return how much of it is used. Random numbers: one per word, and one per sentence.

    ``topic``: ``int64[_TOPIC_WORDS]``, scratch.
    """
    state = key
    for i in range(_TOPIC_WORDS):
        state += _GAMMA
        topic[i] = draw[_mix(state) & _RANK_BITS]
    size = 0
    words = 0
    line = 0
    left = 0
    sentence = np.uint64(0)
    while True:
        state += _GAMMA
        number = _mix(state)
        capital = left == 0
        if capital:
            state += _GAMMA
            sentence = _mix(state)
            left = _SENTENCE_LENGTHS[np.int64(sentence & np.uint64(31))]
        left -= 1
        words += 1
        done = size >= characters - 8 and words >= _LEAST_WORDS
        ends = left == 0 or done

        dice = np.int64((number >> np.uint64(24)) & np.uint64(255))
        if dice < formulas and not ends and not capital:
            which = np.int64((number >> np.uint64(40)) & np.uint64(4095))
            for i in range(formula_starts[which], formula_starts[which + 1]):
                text[size] = formula_letters[i]
                size += 1
            text[size] = 32
            size += 1
            continue
        rank = np.int64(draw[number & _RANK_BITS])
        if ((number >> np.uint64(32)) & np.uint64(255)) < np.uint64(56) and rank > _FUNCTION_COUNT:
            rank = topic[np.int64((number >> np.uint64(40)) & np.uint64(255)) % _TOPIC_WORDS]
        mark = np.int64((number >> np.uint64(48)) & np.uint64(255))
        first = size
        start = starts[rank]
        # Always the longest word's bytes: a loop of fixed length is three vector moves; what follows overwrites.
        source = letters[start : start + _LONGEST_WORD]
        target = text[size : size + _LONGEST_WORD]
        for i in range(_LONGEST_WORD):
            target[i] = source[i]
        size += starts[rank + 1] - start
        if (capital or 15 <= mark < 25) and text[first] >= 97:
            text[first] -= 32
        if not ends:
            if mark < 16:
                text[size] = 44  # ,
                size += 1
            elif mark == 255:
                text[size] = 59  # ;
                size += 1
            if columns > 0 and size - line >= columns:
                text[size] = 10
                line = size
            else:
                text[size] = 32
            size += 1
            continue
        text[size] = 63 if (sentence >> np.uint64(8)) & np.uint64(31) == np.uint64(0) else 46  # ? or .
        size += 1
        if done:
            return size
        if (sentence >> np.uint64(32)) % np.uint64(per_paragraph) == np.uint64(0):
            for _ in range(gap):
                text[size] = 10
                size += 1
            line = size
        else:
            text[size] = 32
            size += 1
