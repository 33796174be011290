"""Any text as HTML that shows it and does nothing.

Documents and names of files come from strangers. What could be markup is escaped; what is invisible or turns the
direction of writing is shown as a small box with its code point, ``U+202E``. Line ends and tabs stay, so texts keep
their shape. Costs one pass over the text. Rejected: dropping such characters, because two texts that differ in nothing
else would look the same.
"""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from slimpajama.printable import printable_text

__all__ = ["finalized", "fitted", "plain", "visible"]

_ODD = re.compile(r"[^\n\t\x20-\x7e]")


def visible(text: str) -> Markup:
    """``text`` as HTML in which every character can be seen."""
    html = str(escape(text.replace("\r\n", "\n")))
    if printable_text(html, keep="\n\t") != html:
        html = _ODD.sub(_box, html)
    return Markup(html)  # noqa: S704 - escaped


def plain(text: str) -> Markup:
    """As :func:`visible` without boxes, for attributes, titles and the like, which hold no elements."""
    return escape(printable_text(text))


def finalized(value: object) -> object:
    """What a template is about to show: strings that are not HTML already are made visible."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def fitted(text: str, most: int) -> tuple[Markup, int, int]:
    """The beginning of ``text`` that takes at most ``most`` bytes as HTML; its bytes, and how many characters are left
    out."""
    html = visible(text)
    size = len(html.encode())
    if size <= most:
        return html, size, 0
    low, high = 0, len(text)
    while low < high:  # the size grows with the text
        middle = (low + high + 1) // 2
        if len(visible(text[:middle]).encode()) <= most:
            low = middle
        else:
            high = middle - 1
    html = visible(text[:low])
    return html, len(html.encode()), len(text) - low


def _box(found: re.Match[str]) -> str:
    return found[0] if printable_text(found[0]) == found[0] else _code_point(ord(found[0]))


def _code_point(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file's name that is not UTF-8
        return f'<span class="cp">byte {code - 0xDC00:02X}</span>'
    return f'<span class="cp">U+{code:04X}</span>'
