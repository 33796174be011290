"""``ftfy.fix_text(text, normalization="NFC")``, with bounded work.

ftfy repeats its repairs until none changes anything, and each may undo one layer: ``&amp;amp;amp;`` takes three rounds,
and a line of nested entities or of nested mojibake a round for every few characters, so time grows with the square of
the line. Real text needs a handful of rounds. Here a line gets at most :data:`ROUNDS`; then it is kept as repaired so
far. NFC is that of :mod:`slimpajama.text.nfc`. Everything else is ftfy's: the same repairs in the same order, on the
same segments. Costs what ftfy costs, about a hundred times plain NFC. Rejected: a limit of seconds (the same input
would give other output on a busy machine), and shorter segments (ftfy looks for mojibake in a segment as a whole).
"""

from __future__ import annotations

from collections.abc import Callable

import ftfy

from slimpajama.text.nfc import nfc

__all__ = ["ROUNDS", "fix_text", "settled"]

ROUNDS = 16
"""Changes to one segment after which it is left as it is."""

_CONFIG = ftfy.TextFixerConfig(explain=False)
_UNESCAPE: Callable[[str], str] = ftfy.FIXERS["unescape_html"]
_FIXERS: tuple[Callable[[str], str], ...] = (
    *(
        ftfy.FIXERS[name]
        for name in (
            "fix_c1_controls",
            "fix_latin_ligatures",
            "fix_character_width",
            "uncurl_quotes",
            "fix_line_breaks",
            "fix_surrogates",
            "remove_terminal_escapes",
            "remove_control_chars",
        )
    ),
    nfc,
)


def fix_text(text: str) -> str:
    """``text`` with ftfy's repairs, in NFC."""
    fixed = []
    position, unescaping = 0, True
    while position < len(text):
        stop = text.find("\n", position) + 1 or len(text)
        stop = min(stop, position + _CONFIG.max_decode_length)
        segment = text[position:stop]
        # Once a text has shown a tag, ftfy takes the rest of it for HTML and leaves entities alone.
        unescaping = unescaping and "<" not in segment
        fixed.append(_fixed_segment(segment, unescaping))
        position = stop
    return "".join(fixed)


def _fixed_segment(segment: str, unescaping: bool) -> str:
    rounds = ROUNDS
    while rounds > 0:
        before = segment
        if unescaping:
            segment = _UNESCAPE(segment)
        segment, rounds = settled(segment, _decoded_once, rounds)
        for fixer in _FIXERS:
            segment = fixer(segment)
        if segment == before:
            break
        rounds -= 1
    return segment


def settled(text: str, change: Callable[[str], str], rounds: int) -> tuple[str, int]:
    """``text``, changed until it stays the same or no rounds are left; and the rounds that are left."""
    while rounds > 0 and (changed := change(text)) != text:
        text, rounds = changed, rounds - 1
    return text, rounds


def _decoded_once(text: str) -> str:
    fixed: str = ftfy._fix_encoding_one_step_and_explain(text, _CONFIG).text
    return fixed
