"""Text that a terminal shows as it is: what could steer the terminal is written out.

Names of files come from strangers and may hold escape sequences, which move the cursor, change colours or hide text.
Control characters become ``\\x1b`` and the like, as do the marks that turn the direction of writing and bytes that are
not UTF-8. Texts of documents are hostile in one more way: characters without width make different words look the same,
so :func:`printable_text` writes these out, too. Names of files keep them, as they join emoji and letters of some
scripts. Costs one pass over the text.
"""

from __future__ import annotations

import re

__all__ = ["printable", "printable_text"]

_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def printable(text: str, keep: str = "") -> str:
    """``text`` with every character that steers a terminal written out, but for those in ``keep``."""
    return _STEERING.sub(lambda found: found[0] if found[0] in keep else _written(found[0]), text)


def printable_text(text: str, keep: str = "") -> str:
    """As :func:`printable`, and with characters that have no width written out as well."""
    return _INVISIBLE.sub(lambda found: _written(found[0]), printable(text, keep))


def _written(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file's name that is not UTF-8
        code -= 0xDC00
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
