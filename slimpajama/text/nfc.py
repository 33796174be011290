"""NFC in time linear in the text, whatever the text.

``unicodedata.normalize`` puts a run of combining marks in order by insertion, so its time grows with the square of the
run: half an hour for 2 MB of stacked accents, during which nothing interrupts it. A long run is put in order first,
by a radix sort; what is in order already takes linear time there. Canonical order is what NFC asks for, so the result
is exactly that of ``unicodedata.normalize``. Costs one search of the text, for texts that are not ASCII.
Rejected: the Stream-Safe Text Process of Unicode (inserts characters into the text), quarantine (the text is sound),
and Unicode of another library (it would differ from the Unicode version of the running Python).
"""

from __future__ import annotations

import functools
import unicodedata

import numpy as np

from slimpajama.text.unicode_tables import combining_classes, non_starters

__all__ = ["in_order_where_long", "nfc"]

LONG_RUN = 64
"""Successive marks that are sorted here. Below it, insertion is faster."""


def nfc(text: str) -> str:
    """``unicodedata.normalize("NFC", text)``."""
    if text.isascii():
        return text
    if len(text) >= LONG_RUN:
        text = in_order_where_long(text)
    return unicodedata.normalize("NFC", text)


def in_order_where_long(text: str) -> str:
    """``text`` with each run of ``LONG_RUN`` marks or more decomposed and in canonical order."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    moves = non_starters().take(points, mode="clip")
    if np.count_nonzero(moves) < LONG_RUN:
        return text
    edges = np.flatnonzero(np.diff(moves, prepend=False, append=False)).reshape(-1, 2)
    pieces, done = [], 0
    for start, stop in edges[edges[:, 1] - edges[:, 0] >= LONG_RUN].tolist():
        pieces += [text[done:start], _in_order(text[start:stop])]
        done = stop
    return "".join((*pieces, text[done:]))


def _in_order(marks: str) -> str:
    points = np.frombuffer(marks.translate(_decompositions()).encode("utf-32-le"), dtype=np.uint32)
    order = np.argsort(combining_classes()[points], kind="stable")
    return points[order].tobytes().decode("utf-32-le")


@functools.cache
def _decompositions() -> dict[int, str]:
    """Of each mark that stands for several, these."""
    parts = {point: unicodedata.normalize("NFD", chr(point)) for point in np.flatnonzero(non_starters()).tolist()}
    return {point: decomposed for point, decomposed in parts.items() if decomposed != chr(point)}
