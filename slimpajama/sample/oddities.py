"""Odd Unicode for one document in a hundred: what normalisation, cleaning and readers get wrong.

Fragments are put between words: combining marks outside NFC, final sigma and U+0130 (letters whose lower case
needs context or two code points), astral characters, white space beyond ASCII, NUL, right-to-left script, and
a CRLF layout. Cost: one split and join of that document. Rejected: random code points (mostly unassigned, and
none of them is what real text goes wrong on).
"""

from __future__ import annotations

from slimpajama.sample.random_streams import RandomStream

__all__ = ["make_odd"]

_FRAGMENTS: tuple[tuple[str, ...], ...] = (
    # not in NFC: marks to be composed, marks in the wrong order, a compatibility letter
    ("e\u0301te\u0301", "o\u0308a\u030a", "\u1100\u1161\u11a8", "q\u0307\u0323", "A\u030angstro\u0308m", "\u212b"),
    # lower case needs context, or becomes two code points
    ("\u039f\u0394\u039f\u03a3", "\u03a3\u039f\u03a6\u039f\u03a3.", "\u0130stanbul", "D\u0130YARBAKIR", "Stra\u00dfe"),
    # beyond the basic plane
    ("\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U00020000\U0002a6d6", "\U0001d4d0"),
    # white space that is not ASCII, and what only looks like it
    ("a\u00a0b", "\u2003", "\u3000", "x\u0085y", "l\u2028m", "p\u2029q", "\u202f", "s\x1ct", "\u1680", "\ufeff"),
    # controls
    ("\x00", "nul\x00nul", "\x07bell", "\x7f", "\x1b[0m"),
    # right to left
    ("\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631\u062d\u0628\u0627", "\u202babc\u202c", "\u05d0\u05b8\u05d1"),
    # other scripts, and compatibility characters
    ("\u6771\u4eac", "\u304b\u3099", "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0e2a\u0e27\u0e31", "\ufb01n", "\uff21"),
    # everyday typography
    ("na\u00efve", "caf\u00e9", "\u201cquoted\u201d", "don\u2019t", "\u2014", "\u00abmot\u00bb", "\u0141\u00f3d\u017a"),
)  # fmt: skip
_WORDS_BETWEEN = 40


def make_odd(stream: RandomStream, text: str) -> str:
    """``text`` with fragments of one kind (or two) put between its words; one in eight gets CRLF instead."""
    kind = stream.below(len(_FRAGMENTS) + 1)
    if kind == len(_FRAGMENTS):
        return text.replace("\r\n", "\n").replace("\n", "\r\n") + "\r\n"
    fragments = _FRAGMENTS[kind]
    if stream.below(3) == 0:
        fragments += stream.choice(_FRAGMENTS)
    words = text.split(" ")
    for place in stream.places(3 + len(words) // _WORDS_BETWEEN, len(words)).tolist():
        words[place] += " " + stream.choice(fragments)
    return " ".join(words)
