"""Text from blocks with slots: how programs, markup and LaTeX get their shape, some 100 MB/s.

A block is a few lines such as ``def {f}({v}, {v}={n}):``, kept in a file under ``templates``. A document
draws its own few dozen names per kind of slot, as a source file does, then blocks until it is long enough,
and fills all their slots with one ``%`` over the joined text. Names come out unevenly: the first of the kind
are used most. Rejected: a formatting call per line (five times slower), and a real grammar per language
(nothing here is to be compiled).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from slimpajama.sample.lexicon import DRAW_BITS, Lexicon, Strings
from slimpajama.sample.random_streams import RandomStream

__all__ = ["Blocks", "SlotNames", "template"]

_SLOT = re.compile(r"\{([a-z])\}")
_KINDS = {"v": 56, "f": 32, "t": 20, "n": 48, "w": 160}
"""Slot letters and how many different fillings a document has: variable, function, type, number, word."""
_FIRST = dict(zip(_KINDS, np.cumsum([0, *_KINDS.values()]).tolist(), strict=False))
_TYPICAL_SLOT = 7


@dataclass(frozen=True, slots=True)
class SlotNames:
    """What fills the slots of one document: ``str[316]``, all kinds end to end in the order of the slot
    letters."""

    names: Strings

    @classmethod
    def draw(cls, stream: RandomStream, lexicon: Lexicon, *, camel: bool) -> SlotNames:
        """Names for one document, in camelCase or snake_case."""
        variables = lexicon.camel if camel else lexicon.snake
        functions = lexicon.camel if camel else lexicon.snake
        numbers = stream.numbers(sum(_KINDS.values()))
        places = (numbers >> np.uint64(52)).astype(np.int64)
        names = np.empty(places.size, dtype=object)
        for kind, table in (("v", variables), ("f", functions), ("t", lexicon.types)):
            part = slice(_FIRST[kind], _FIRST[kind] + _KINDS[kind])
            names[part] = table[places[part]]
        part = slice(_FIRST["n"], _FIRST["n"] + _KINDS["n"])
        names[part] = [str(number % 10 ** (1 + number % 4)) for number in places[part].tolist()]
        part = slice(_FIRST["w"], _FIRST["w"] + _KINDS["w"])
        names[part] = lexicon.words[lexicon.draw[numbers[part] & np.uint64((1 << DRAW_BITS) - 1)]]
        return cls(names)

    def word(self, which: int) -> str:
        """One of the document's function names."""
        name: str = self.names[_FIRST["f"] + which % _KINDS["f"]]
        return name


def template(name: str) -> list[list[str]]:
    """The sections of ``templates/<name>.txt`` (divided by ``====``), each a list of blocks (by ``----``)."""
    path = resources.files("slimpajama.sample") / "templates" / f"{name}.txt"
    text = path.read_text(encoding="utf-8").removesuffix("\n")
    return [section.split("\n----\n") for section in text.split("\n====\n")]


class Blocks:
    """The blocks of one language, parsed once."""

    def __init__(self, texts: list[str]) -> None:
        self._forms = [_SLOT.sub("%s", text.replace("%", "%%")) for text in texts]
        letters = [_SLOT.findall(text) for text in texts]
        self._first = [np.array([_FIRST[letter] for letter in found], dtype=np.int64) for found in letters]
        self._width = [np.array([_KINDS[letter] for letter in found], dtype=np.int64) for found in letters]
        self._size = [len(form) + _TYPICAL_SLOT * len(found) for form, found in zip(self._forms, letters, strict=True)]

    def fill(self, stream: RandomStream, names: SlotNames, characters: int) -> str:
        """Blocks one after another until there are about ``characters`` characters; at least one block."""
        count = len(self._forms)
        average = sum(self._size) / count
        chosen = stream.places(max(1, round(characters / average)), count).tolist()
        first = np.concatenate([self._first[block] for block in chosen])
        width = np.concatenate([self._width[block] for block in chosen])
        which = _skewed(stream, width)
        fillings = names.names[first + which].tolist()
        return "\n".join([self._forms[block] for block in chosen]) % tuple(fillings)


def _skewed(stream: RandomStream, width: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers below ``width``, the small ones more often: the product of two even draws."""
    numbers = stream.numbers(width.size)
    product = ((numbers >> np.uint64(32)) * (numbers & np.uint64(0xFFFFFFFF))) >> np.uint64(32)
    which: NDArray[np.int64] = ((product * width.astype(np.uint64)) >> np.uint64(32)).astype(np.int64)
    return which
