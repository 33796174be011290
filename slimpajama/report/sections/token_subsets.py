"""The six subsets of the vocabulary that SlimPajama-DC compares sources on.

The paper names them with examples and defines none, so the rules here are ours, on a token's text without the space
that begins it: ``letters`` are letters alone (of any script); ``numbers`` are digits and ``+ - * / = < > ^ %`` alone
(operators of one or two characters); ``space`` is whitespace alone; ``marks`` is all else without letters and digits.
``top`` is the union of every source's 1,000 most frequent tokens. A token that is a part of a character (bytes that are
no UTF-8) is in ``all`` and ``top`` only. Costs decoding each token once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimpajama.tokens.tokenizer_json import LoadedTokenizer

__all__ = ["SUBSETS", "Subset", "subset_masks", "token_texts"]

MOST_FREQUENT = 1000

LONGEST_OPERATOR = 2
"""``==`` is an operator, ``====`` is a rule across the page."""

_OPERATORS = frozenset("+-*/=<>^%")
_NUMBERS = _OPERATORS | frozenset("0123456789")


@dataclass(frozen=True, slots=True)
class Subset:
    """``name``: short, for files; ``title``: for people."""

    name: str
    title: str


SUBSETS = (
    Subset("all", "All tokens"),
    Subset("letters", "Tokens of letters alone"),
    Subset("top", "The 1,000 most frequent tokens of every source"),
    Subset("numbers", "Numbers and common operators"),
    Subset("space", "Whitespace tokens"),
    Subset("marks", "Tokens without letters, digits and whitespace"),
)
"""In the order of the paper."""


def token_texts(tokenizer: LoadedTokenizer, vocabulary: int) -> list[str]:
    """The text of each token; empty for a special token, and for an id that has none."""
    reference = tokenizer.reference
    texts = reference.decode_batch([[number] for number in range(vocabulary)], skip_special_tokens=True)
    for number, text in enumerate(texts):
        if not text:  # some decoders take the space away that begins a text
            token = reference.id_to_token(number) or ""
            texts[number] = " " * len(token) if token and not token.strip("▁") else ""
    return texts


def subset_masks(texts: Sequence[str], counts: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[np.bool_]]:
    """By name, ``bool[vocabulary]``: which tokens are in each subset. ``counts``: of each source."""
    kinds = np.array([_kind(text) for text in texts])
    top = np.zeros(len(texts), dtype=np.bool_)
    for own in counts.values():
        order = np.argsort(-own, kind="stable")[:MOST_FREQUENT]
        top[order[own[order] > 0]] = True
    masks = {one.name: kinds == one.name for one in SUBSETS}
    return {**masks, "all": np.ones(len(texts), dtype=np.bool_), "top": top}


def _kind(text: str) -> str:
    """The subset that a token is in by its text."""
    if not text or "\N{REPLACEMENT CHARACTER}" in text:
        return ""
    if text.isspace():
        return "space"
    word = text.removeprefix(" ")
    if word.isalpha():
        return "letters"
    if _NUMBERS.issuperset(word) and (len(word) <= LONGEST_OPERATOR or not _OPERATORS.issuperset(word)):
        return "numbers"
    return "" if any(character.isalnum() or character.isspace() for character in word) else "marks"
