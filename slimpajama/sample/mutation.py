"""Near-copies of a text with a wanted Jaccard similarity, by edits that real near-copies show.

Three ways: words replaced at random places, one to three passages rewritten, and new text put before or
after. With n shingles, k of them lost and as many new, the similarity is (n - k) / (n + k), so the wanted
value gives k; a replaced word of length L costs about L + 13. What comes out is near the target and is
measured afterwards, never assumed. A target of 1.0 changes only what cleaning takes away: case, white space,
punctuation. Cost: one split and join. Rejected: searching for the exact target (each step measures; the
spread is wanted anyway).
"""

from __future__ import annotations

import math

from slimpajama.sample.lexicon import FUNCTION_WORDS, VOCABULARY, Lexicon
from slimpajama.sample.prose import WEB, prose
from slimpajama.sample.random_streams import RandomStream

__all__ = ["near_copy"]

_WORDS, _PASSAGES = 6, 8
"""Of ten near-copies, six have words replaced, two have passages rewritten, two have text added."""
_SHINGLE = 13


def near_copy(stream: RandomStream, lexicon: Lexicon, text: str, target: float) -> str:
    """A copy of ``text`` whose similarity to it is about ``target`` (0 < target <= 1)."""
    if target >= 1.0:
        return _other_layout(stream, text)
    way = stream.below(10)
    if way < _WORDS:
        return _replace_words(stream, lexicon, text, target)
    if way < _PASSAGES:
        return _rewrite_passages(stream, lexicon, text, target)
    return _add_text(stream, lexicon, text, target)


def _other_layout(stream: RandomStream, text: str) -> str:
    way = stream.below(4)
    if way == 0:
        return text.upper()
    if way == 1:
        return text.replace(" ", "  ").replace("\n", "\r\n")
    if way == 2:
        return text.replace(", ", " ").replace(". ", "! ")
    return f"  *** {text} ***\n"


def _replace_words(stream: RandomStream, lexicon: Lexicon, text: str, target: float) -> str:
    words = text.split(" ")
    lost = (1 - target) / (1 + target)
    reach = len(text) / len(words) + _SHINGLE - 1
    # Places are drawn with repeats and their reaches overlap: the share lost is 1 - exp(-edits * reach / size).
    edits = max(1, round(-math.log1p(-lost) * len(text) / reach))
    places = stream.places(edits, len(words)).tolist()
    ranks = len(FUNCTION_WORDS) + stream.places(edits, VOCABULARY - len(FUNCTION_WORDS))
    for place, word in zip(places, lexicon.words[ranks].tolist(), strict=True):
        # An item with a line break is the end of one line and the start of the next: the layout is kept.
        head, newline, _ = words[place].rpartition("\n")
        words[place] = head + newline + word
    return " ".join(words)


def _rewrite_passages(stream: RandomStream, lexicon: Lexicon, text: str, target: float) -> str:
    passages = 1 + stream.below(3)
    lost = (1 - target) / (1 + target)
    size = max(1, int(lost * len(text) / passages) - _SHINGLE)
    room = len(text) // passages
    parts = []
    for number in range(passages):
        start = number * room
        cut = start + stream.below(max(1, room - size))
        parts += [text[start:cut], prose(stream, lexicon, size, WEB) if size > 24 else lexicon.word(stream)]
        parts.append(text[cut + size : start + room if number < passages - 1 else len(text)])
    return "".join(parts)


def _add_text(stream: RandomStream, lexicon: Lexicon, text: str, target: float) -> str:
    size = int(len(text) * (1 - target) / target)
    added = prose(stream, lexicon, size, WEB) if size > 40 else lexicon.word(stream)
    return f"{added}\n{text}" if stream.below(2) else f"{text}\n{added}"
