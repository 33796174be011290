"""An invented language: 32,768 words made of syllables, ranked, with Zipf frequencies.

Real English function words hold the first ranks, so that sentences have English rhythm; all other words are
made of random syllables, shorter ones first; a few hundred ranks are numbers. A word's frequency is 1 / (rank
+ 1.7): the first word makes 6 % of a text, the hundredth 0.1 %. Drawing a word is one lookup in a table of
2^17 entries in which each word stands as often as it is frequent. Names for programs and inline formulas are
made beside them. About 0.1 s and 5 MB per process and seed. Rejected: a word list from anywhere (nothing is
to be copied), and a character-level Markov chain (ten times slower, and no Zipf law of words).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from slimpajama.sample.random_streams import RandomStream, derive_key

__all__ = ["DRAW_BITS", "FUNCTION_WORDS", "PADDING", "VOCABULARY", "Letters", "Lexicon", "Strings", "lexicon"]

Strings = NDArray[np.object_]
"""An array of ``str``: taking from it by an index array costs some 10 ns an entry."""

VOCABULARY = 1 << 15
DRAW_BITS = 17
PADDING = 64
_FLATTENING = 1.7
_NUMBERS_FROM = 250
_NUMBER_EVERY = 70
_NAMES = 4096


def _listed(text: str) -> list[str]:
    return text.split()


FUNCTION_WORDS = _listed(
    "the of and to in a is that for it as was with be by on not he his but at are this have from or had an they "
    "which you were all her she there would their we him been has when who will no more if out so up said what its "
    "about than into them can only other time new some could these two may first then do any like my now over such "
    "our man me even most made after also did many off before must well back through years where much your way down "
    "should because long each just state those people how too little good world make very still see own work men "
    "day get here between both life being under three never know same last another while us might great year since go"
)

_ONSETS = _listed(
    "b bl br c ch cl cr d dr f fl fr g gl gr h j k l m n p pl pr qu r s sc sh sk sl sm sn sp st str t th tr v w z"
)
_NUCLEI = _listed("a e i o u a e i o u ai ea ee oa oo ou ie io au ue")
_CODAS = ["", "", "", "", *_listed("n r l s t d m nd nt st ck ng rm x p th")]


@dataclass(frozen=True, slots=True)
class Letters:
    """ASCII texts end to end: text i is ``characters[starts[i]:starts[i + 1]]`` (``uint8[n]``, ``int32[texts
    + 1]``).

    ``PADDING`` spaces follow the last, so that a compiled loop may copy that many bytes from any start.
    """

    characters: NDArray[np.uint8]
    starts: NDArray[np.int32]

    @classmethod
    def of(cls, texts: list[str]) -> Letters:
        """The texts, which must be ASCII, in one array."""
        starts = np.cumsum([0] + [len(text) for text in texts], dtype=np.int32)
        joined = "".join(texts) + " " * PADDING
        return cls(np.frombuffer(joined.encode("ascii"), dtype=np.uint8), starts)


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The words of one seed, and what else texts are put together from.

    ``words``: the words by rank, ``VOCABULARY`` of them; ``letters``: the same for compiled code. ``draw``:
    ``uint16[2^DRAW_BITS]``, ranks. ``snake``, ``camel``, ``types``: ``str[4096]``, names for programs.
    ``formulas``: 4096 pieces of inline maths. ``invented``: the words that are neither function words nor
    numbers; ``names``: the same with a capital.
    """

    words: Strings
    letters: Letters
    draw: NDArray[np.uint16]
    snake: Strings
    camel: Strings
    types: Strings
    formulas: Letters
    invented: tuple[str, ...]
    names: tuple[str, ...]

    def word(self, stream: RandomStream) -> str:
        """One invented word (neither a function word nor a number), each equally often."""
        return stream.choice(self.invented)

    def phrase(self, stream: RandomStream, count: int) -> str:
        """``count`` invented words, each with a capital: a name or a heading."""
        return " ".join([stream.choice(self.names) for _ in range(count)])


def strings(values: list[str]) -> Strings:
    """The list as an array of ``str`` objects (numpy by itself would make fixed-width text)."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


@lru_cache(maxsize=2)
def lexicon(seed: int) -> Lexicon:
    """The lexicon of a seed; kept, because every shard of a sample needs the same one."""
    stream = RandomStream(derive_key(seed, 0x1E81C0))
    words = _ranked_words(stream)
    capital = strings([word.capitalize() for word in words])
    plain = strings(words)
    invented = [word for word in words[len(FUNCTION_WORDS) :] if not word.isdigit()]
    cumulated = np.cumsum(1.0 / (np.arange(VOCABULARY) + _FLATTENING))
    middles = (np.arange(1 << DRAW_BITS) + 0.5) * (cumulated[-1] / (1 << DRAW_BITS))
    return Lexicon(
        words=plain,
        letters=Letters.of(words),
        draw=np.searchsorted(cumulated, middles).astype(np.uint16),
        snake=_names(stream, plain, plain, "_"),
        camel=_names(stream, plain, capital, ""),
        types=_names(stream, capital, capital, ""),
        formulas=Letters.of(_formulas(stream)),
        invented=tuple(invented),
        names=tuple([word.capitalize() for word in invented]),
    )


def _ranked_words(stream: RandomStream) -> list[str]:
    size = VOCABULARY + VOCABULARY // 2
    rank = np.arange(size)
    # One to four syllables: how many grows with the rank, as it does in languages.
    chance = stream.places(size, 1000)
    syllables = 1 + (chance + rank // 12 > 420) + (chance + rank // 60 > 900) + (chance + rank // 90 > 1150)
    made = strings([""] * size)
    for number in range(4):
        # Inner syllables are open; only the last has a coda.
        syllable = (
            strings(_ONSETS)[stream.places(size, len(_ONSETS))] + strings(_NUCLEI)[stream.places(size, len(_NUCLEI))]
        )
        made = np.where(syllables > number, made + syllable, made)
    made = made + strings(_CODAS)[stream.places(size, len(_CODAS))]
    taken = set(FUNCTION_WORDS)
    invented = iter([word for word in dict.fromkeys(made.tolist()) if word not in taken])
    years = iter(dict.fromkeys((stream.places(2000, 9000) % (10 ** (1 + stream.places(2000, 4)))).tolist()))
    ranked = list(FUNCTION_WORDS)
    while len(ranked) < VOCABULARY:
        year = next(years, None) if len(ranked) > _NUMBERS_FROM and len(ranked) % _NUMBER_EVERY == 0 else None
        ranked.append(next(invented) if year is None else str(year))
    return ranked


def _pick(stream: RandomStream, words: Strings) -> Strings:
    picked: Strings = words[len(FUNCTION_WORDS) + stream.places(_NAMES, 6000)]
    return picked


def _names(stream: RandomStream, first: Strings, second: Strings, joint: str) -> Strings:
    """One invented word, or, twice as often, two."""
    heads, tails = _pick(stream, first), _pick(stream, second)
    return _without_leading_digit(np.where(stream.places(_NAMES, 3) > 0, heads + joint + tails, heads))


def _without_leading_digit(names: Strings) -> Strings:
    return strings([f"x{name}" if name[0].isdigit() else name for name in names.tolist()])


_LETTERS = _listed("x y z u v w a b c k m n p q r s t f g h i j")
_GREEK = _listed(r"\alpha \beta \gamma \delta \epsilon \lambda \mu \nu \pi \rho \sigma \tau \phi \psi \omega \theta")
_SPACES = _listed(
    r"\mathbb{R} \mathcal{F} \mathcal{H} \mathbb{Z} \mathfrak{g} \mathcal{O}_X \Omega L^2 \mathrm{Spec}(R)"
)
_RELATIONS = _listed(r"= \le \in \to \ne \subset \simeq \ll \otimes + -")
_FORMULAS = (
    *(
        "${a}$",
        "${a}_{{{n}}}$",
        "${a} {r} {b}$",
        "${g}_{{{a}}}$",
        "${g} {r} {s}$",
        r"$\{{{a}_{b}\}}_{{{c}}}$",
    ),
    *("${a}({b}) {r} {g}^{{{n}}}$", r"$\|{a} - {b}\|_{{{s}}}$", "${s}$", r"$\frac{{{a}}}{{{g}_{b}}}$"),
    *(r"\cite{{{k}}}", r"(\ref{{eq:{k}}})", r"\emph{{{k}}}"),
)


def _formulas(stream: RandomStream) -> list[str]:
    return [
        stream.choice(_FORMULAS).format(
            a=stream.choice(_LETTERS),
            b=stream.choice(_LETTERS),
            c=stream.choice(_LETTERS),
            g=stream.choice(_GREEK),
            s=stream.choice(_SPACES),
            r=stream.choice(_RELATIONS),
            n=stream.below(12),
            k=f"{stream.choice(_LETTERS)}{stream.choice(_ONSETS)}{stream.choice(_NUCLEI)}{stream.below(99)}",
        )
        for _ in range(_NAMES)
    ]
