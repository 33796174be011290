"""The parts that texts are made of: numbers, words, oddities, copies, similarity."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

import numpy as np
import pytest

from slimpajama.sample import pages, papers, programs
from slimpajama.sample.jaccard import cleaned, jaccard
from slimpajama.sample.lexicon import VOCABULARY, lexicon
from slimpajama.sample.mutation import near_copy
from slimpajama.sample.oddities import make_odd
from slimpajama.sample.prose import BOOK, PAPER, POST, WEB, prose
from slimpajama.sample.random_streams import RandomStream, derive_key, numbers_at
from tests.sample.sample_reading import WrittenSample, jaccard_of_sets

WORDS = lexicon(1)


def test_a_stream_gives_the_same_numbers_singly_in_arrays_and_by_place() -> None:
    for count in (5, 20_000):
        singly, at_once = RandomStream(42), RandomStream(42)
        numbers = [singly.number() for _ in range(count)]
        assert at_once.numbers(count).tolist() == numbers
        assert at_once.number() == singly.number()
        assert numbers_at(42, np.arange(count, dtype=np.uint64)).tolist() == numbers
    # The published test values of SplitMix64 from state 0.
    assert RandomStream(0).number() == 0xE220A8397B1DCDAF


def test_keys_depend_on_every_part_and_on_the_order() -> None:
    assert len({derive_key(*parts) for parts in [(1, 2), (2, 1), (1, 2, 0), (0, 1, 2), (3,), ()]}) == 6


def test_words_are_different_and_their_frequencies_follow_zipf(sample: WrittenSample) -> None:
    assert len(set(WORDS.words.tolist())) == VOCABULARY
    counts = Counter(re.findall(r"[a-z]+", " ".join(sample.texts("c4")).lower()))
    ranked = [count for _, count in counts.most_common(1000)]
    ranks = np.arange(10, 1000)
    slope = np.polyfit(np.log(ranks + 1.7), np.log(ranked[10:1000]), 1)[0]
    assert -1.25 < slope < -0.8
    assert counts.most_common(1)[0][0] == "the"
    assert 0.04 < ranked[0] / sum(counts.values()) < 0.08


@pytest.mark.parametrize("style", [WEB, POST, BOOK, PAPER])
@pytest.mark.parametrize("characters", [1, 60, 2000, 70_000])
def test_prose_is_as_long_as_asked(style: object, characters: int) -> None:
    text = prose(RandomStream(7), WORDS, characters, style)  # type: ignore[arg-type]
    assert characters - 10 <= len(text) <= characters + 200
    assert text[-1] in ".?"
    assert text[0].isupper() or text[0].isdigit()


def test_lines_of_books_are_broken_and_paragraphs_are_apart() -> None:
    text = prose(RandomStream(7), WORDS, 20_000, BOOK)
    assert max(map(len, text.split("\n"))) < 100
    assert "\n\n" in text


def test_mean_lengths_are_those_of_their_kind(sample: WrittenSample) -> None:
    for source, low, high in [("common_crawl", 4200, 6000), ("c4", 1600, 2400), ("github", 5000, 12_000)]:
        lengths = [len(text) for text in sample.texts(source)]
        assert low < sum(lengths) / len(lengths) < high
    lengths = [len(text) for text in sample.texts("c4") if len(text) > 250]
    assert 0.6 < np.std(np.log(lengths)) < 1.0


def test_texts_look_like_their_kind() -> None:
    assert pages.thread(RandomStream(1), WORDS, 2000).startswith("Q: ")
    assert "\n\nA: " in pages.thread(RandomStream(1), WORDS, 2000)
    assert "\\section{" in papers.paper(RandomStream(1), WORDS, 9000)
    assert "\\begin{" in papers.paper(RandomStream(1), WORDS, 9000)
    assert "CHAPTER 2" in pages.book(RandomStream(1), WORDS, 40_000)
    assert "\nCategory:" in pages.encyclopaedia_entry(RandomStream(1), WORDS, 3000)
    for language in programs.LANGUAGES:
        text = programs.program(RandomStream(3), WORDS, 4000, language)
        assert 2000 < len(text) < 8000
        assert not re.search(r"\{[vftnw]\}", text)


def test_short_and_odd_documents_occur_where_they_should(sample: WrittenSample) -> None:
    lengths = [len(cleaned(text)) for text in sample.texts("c4")]
    assert 0.025 < sum(length < 200 for length in lengths) / len(lengths) < 0.08
    assert 0 in lengths
    assert any(0 < length < 13 for length in lengths)
    counted = sum(source["short"] for source in sample.truth["sources"].values())
    every = [len(cleaned(text)) for source in sample.truth["sources"] for text in sample.texts(source)]
    assert counted == sum(length < 200 for length in every)
    odd = sum(source["odd_unicode"] for source in sample.truth["sources"].values())
    assert 5 <= odd <= 40


def test_odd_texts_show_every_trouble() -> None:
    text = prose(RandomStream(1), WORDS, 600, WEB)
    odd = [make_odd(RandomStream(key), text) for key in range(200)]
    every = "".join(odd)
    for trouble in ("\x00", "\u0130", "\u03a3", "\U0001f600", "\u00a0", "\u2028", "\r\n", "\u05dc", "e\u0301"):
        assert trouble in every
    assert any(unicodedata.normalize("NFC", one) != one for one in odd)


@pytest.mark.parametrize("target", [0.3, 0.5, 0.7, 0.8, 0.9, 0.98, 1.0])
def test_near_copies_come_close_to_their_target(target: float) -> None:
    for key in range(12):
        text = pages.web_page(RandomStream(key), WORDS, 6000)
        copy = near_copy(RandomStream(key + 100), WORDS, text, target)
        assert copy != text
        assert abs(jaccard(text, copy) - target) < 0.06


ODD_PAIRS = [
    ("", ""),
    ("", "x"),
    ("short one", "Short, one!"),
    ("\u0130stanbul \u039f\u0394\u039f\u03a3 and more words", "i\u0307stanbul \u039f\u0394\u039f\u03c3 and more words"),
    ("e\u0301te\u0301 e\u0301te\u0301 e\u0301te\u0301", "\u00e9t\u00e9 \u00e9t\u00e9 \u00e9t\u00e9"),
    ("a\u00a0b\u2003c\x1cd\x85e" * 5, "a b c d e" * 5),
    ("\U0001f600" * 30, "\U0001f600" * 20 + "\U0001f601" * 20),
    ("aaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"),
    ("nul\x00nul\x00nul\x00nul\x00", "nul nul nul nul nul"),
]


@pytest.mark.parametrize(("first", "second"), ODD_PAIRS)
def test_jaccard_is_that_of_sets_of_strings(first: str, second: str) -> None:
    if len(cleaned(first)) < 13 and len(cleaned(second)) < 13:
        assert jaccard(first, second) == float(cleaned(first) == cleaned(second))
    else:
        assert jaccard(first, second) == jaccard_of_sets(first, second)
