"""Runs of words are those of the slow twin, and do not see case, accents, punctuation or the length of words."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.corpus.texts import Texts
from slimpajama.text.run_letters import letters
from slimpajama.text.word_runs import RunHashes, run_hashes
from tests.twins import run_hash_of, run_words

PARTS = st.sampled_from(
    [
        *("a", "Z", "9", "word", "A longer one", "x" * 7, "y" * 8, "z" * 9, "w" * 15, "w" * 16, "w" * 17, "v" * 33),
        *(" ", "\n", ".", "'", "’", "—", "_", "\u00a0", "\u00ad", "\u200b", "\u0301", "\x00"),
        *("é", "É", "e\u0301", "ß", "ẞ", "İ", "Σ", "ς", "ﬁ", "²", "½", "Ⅷ", "ａ", "한국", "हिन्दी", "ไทย"),
        *("中", "が", "文章", "\U00020bb7", "\U0001d518", "\U000e0041", "\U0010ffff"),
    ]
)
MIXED = st.lists(PARTS, max_size=60).map("".join) | st.text(max_size=60)


def runs_of(texts: list[str], length: int) -> RunHashes:
    encoded = Texts.of(texts)
    return run_hashes(encoded.data, encoded.starts, encoded.stops, length)


def runs(text: str, length: int) -> list[int]:
    found: list[int] = runs_of([text], length).hashes.tolist()
    return found


@given(st.lists(MIXED, max_size=5), st.integers(1, 14))
def test_runs_are_those_of_the_twin(texts: list[str], length: int) -> None:
    found = runs_of(texts, length)
    assert found.hashes.dtype == np.uint64
    expected = []
    for text in texts:
        words = run_words(text)
        expected.append([run_hash_of(words[at : at + length]) for at in range(len(words) - length + 1)])
    assert [found.hashes[begin:end].tolist() for begin, end in pairwise(found.offsets.tolist())] == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("... !", []),
        ("Don't stop—now", ["don", "t", "stop", "now"]),
        ("snake_case is 2 words, 1,000 too", ["snake", "case", "is", "2", "words", "1", "000", "too"]),
        ("CAFÉ Zürich naïve", ["cafe", "zurich", "naive"]),
        ("trans\u00adfer", ["transfer"]),
        ("中文 and Python3で", ["中", "文", "and", "python3", "て"]),
        ("x" * 40, ["x" * 40]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert run_words(text) == words
    assert runs(text, 1) == [run_hash_of([word]) for word in words]


def test_hashes_are_these_forever() -> None:
    words = ["the", "quick", "brown", "fox"]
    assert runs("The quick brown fox", 3) == [run_hash_of(words[:3]), run_hash_of(words[1:])]
    assert runs("The quick brown 狐", 4) == [12617044730461979680]


@given(st.lists(st.text("abcdefghijklmnopqrstuvwxyzé0123456789", min_size=1, max_size=20), max_size=30), st.data())
def test_case_accents_and_what_parts_words_do_not_count(words: list[str], data: st.DataObject) -> None:
    parting = st.sampled_from([" ", ", ", " - ", "\n\n", "_", "。", "“ "])
    one = " ".join(words)
    other = "".join(word.upper() + data.draw(parting) for word in words)
    assert runs(unicodedata.normalize("NFD", other), 2) == runs(one, 2)


@pytest.mark.parametrize("size", [31, 32, 33, 63, 64, 65, 4095, 4096, 4097, 8192, 12_345])
@pytest.mark.parametrize("word", ["ab ", "a", "é, ", "ab" * 20 + " "])
def test_words_across_the_ends_of_blocks_are_words_as_any_others(size: int, word: str) -> None:
    text = (word * size)[:size]
    assert runs(text, 1) == [run_hash_of([one]) for one in run_words(text)]


def test_every_letter_and_digit_counts_and_nothing_else() -> None:
    table = letters()
    for point in range(table.size):
        char = chr(point)
        assert (table[point] not in (0, 0xFFFFFFFF)) == char.isalnum(), hex(point)
    assert table[ord(" ")] == table[ord("_")] == 0
