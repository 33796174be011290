"""A source by its other names: ``RedPajamaCommonCrawl``, ``CommonCrawl`` and ``common-crawl`` are ``common_crawl``.

Two names are the same if they are without case, punctuation and the ``RedPajama`` in front. A name that is there as it
is written comes first, and one that would be two sources is none of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

__all__ = ["source_named"]

_SHORT = {"book": "books", "cc": "commoncrawl"}


def source_named(given: str, sources: Sequence[str], set_names: Mapping[str, str] | None = None) -> str | None:
    """The one of ``sources`` that ``given`` names, or ``None``.

    ``set_names``: what records call a source, by its name, where that is not what RedPajama calls it.
    """
    if given in sources:
        return given
    wanted = _plain(given)
    found = [source for source in sources if wanted in (_plain(source), _plain((set_names or {}).get(source, source)))]
    return found[0] if len(found) == 1 else None


def _plain(name: str) -> str:
    letters = re.sub(r"[^a-z0-9]", "", name.lower()).removeprefix("redpajama")
    return _SHORT.get(letters, letters)
