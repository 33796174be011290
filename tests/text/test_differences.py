"""Where two texts differ is told exactly, and within a bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slimpajama.text.differences import Difference, differences


def test_worked_examples() -> None:
    found = differences("the quick brown fox jumps over the lazy dog", "the quick red fox jumps over a lazy dog", 10)
    assert found.places == (
        Difference(0, "the quick ", "brown", "red", " fox jumps"),
        Difference(0, " over ", "the", "a", " lazy dog"),
    )
    assert (found.alike, found.left_out) == (0, 0)
    assert differences("same", "same").places == ()
    assert differences("same", "same").alike == 4
    assert differences("", "new").places == (Difference(0, "", "", "new", ""),)
    assert differences("漢字仮名", "漢学仮名").places == (Difference(0, "漢", "字", "学", "仮名"),)


def test_what_is_alike_between_two_places_is_skipped_and_counted() -> None:
    middle = " ".join(map(str, range(100)))
    found = differences(f"a {middle} b", f"c {middle} d", 5)
    first, second = found.places
    assert (first.after, second.before) == (" 0 1 ", "8 99 ")
    assert second.skipped == len(f" {middle} ") - 10


def test_words_are_whole_also_where_their_beginnings_are_alike() -> None:
    assert differences("one prefix", "one prelude").places == (Difference(0, "one ", "prefix", "prelude", ""),)
    assert differences("farther away", "nearer away").places == (Difference(0, "", "farther", "nearer", " away"),)


@given(st.text("ab 漢\n", max_size=40), st.text("ab 漢\n", max_size=40))
def test_both_texts_can_be_put_together_again(first: str, second: str) -> None:
    found = differences(first, second, context=1000)
    ones = "".join(place.before + place.first + place.after for place in found.places)
    others = "".join(place.before + place.second + place.after for place in found.places)
    assert (ones, others) == ((first, second) if first != second else ("", ""))
    assert bool(found.places) == (first != second)


def test_long_texts_are_compared_up_to_a_bound() -> None:
    found = differences("start " + "a b c d " * 500, "start " + "d c b a " * 500, most_words=100)
    assert found.left_out > 7000
    assert found.places
    assert differences("x" * 3_000_000, "y" * 3_000_000, most_words=50).left_out > 0
