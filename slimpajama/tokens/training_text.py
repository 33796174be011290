"""What of the sampled texts the built-in tokenizer learns from: no name or blob of one document becomes a token.

The vocabulary is for the corpus, and merges are counted by how often a word comes. So one file that names a function
two hundred times, or one line of base64, would have entries. Three caps: a run of 64 or more letters, digits and marks
of base64 is left out; a word of eight letters or more counts twice in a document at most; and one of more than sixteen
only where three documents have it. Only ASCII letters are looked at: other scripts write sentences without a space.
Costs a second for 16 MB. Rejected: a cap on the length of tokens (long words that are common are worth an entry).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

__all__ = ["capped_texts"]

_BLOB = re.compile(r" ?[A-Za-z0-9+/=]{64,}")
_WORD = re.compile(r" ?[A-Za-z]{8,}")

MOST_IN_A_DOCUMENT = 2
LONG_LETTERS = 16
LEAST_DOCUMENTS = 3


def capped_texts(texts: Sequence[str]) -> list[str]:
    """The texts without what one of them would give too much of. A text is a document."""
    texts = [_BLOB.sub("", text) for text in texts]
    spread: Counter[str] = Counter()
    for text in texts:
        words = {match.lstrip(" ") for match in _WORD.findall(text)}
        spread.update(word for word in words if len(word) > LONG_LETTERS)
    return [_capped(text, spread) for text in texts]


def _capped(text: str, spread: Counter[str]) -> str:
    """One text, where ``spread`` has in how many texts each long word is."""
    seen: Counter[str] = Counter()

    def kept(match: re.Match[str]) -> str:
        word = match[0].lstrip(" ")
        seen[word] += 1
        rare = len(word) > LONG_LETTERS and spread[word] < LEAST_DOCUMENTS
        return "" if rare or seen[word] > MOST_IN_A_DOCUMENT else match[0]

    return _WORD.sub(kept, text)
