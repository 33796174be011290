"""Text that a terminal shows as it is: what could steer the terminal is written out.

Names of files come from strangers and may hold escape sequences, which move the cursor, change colours or hide text.
Control characters become ``\\x1b`` and the like, as do the marks that turn the direction of writing and bytes that are
not UTF-8. Costs one pass over the text.
"""

from __future__ import annotations

import re

__all__ = ["printable"]

_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str, keep: str = "") -> str:
    """``text`` with every character that steers a terminal written out, but for those in ``keep``."""
    return _STEERING.sub(lambda found: found[0] if found[0] in keep else _written(found[0]), text)


def _written(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file's name that is not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
