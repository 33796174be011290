"""Texts in one buffer: some of them, as bytes and as strings."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.corpus.texts import Texts


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"])), max_size=6), st.data())
def test_what_goes_in_comes_out(strings: list[str], data: st.DataObject) -> None:
    texts = Texts.of(strings)
    assert texts.decoded() == strings
    assert texts.encoded() == [string.encode() for string in strings]
    assert texts.sizes.tolist() == [len(string.encode()) for string in strings]
    chosen = data.draw(st.lists(st.sampled_from(range(len(strings))), max_size=6)) if strings else []
    assert texts.chosen(np.array(chosen, dtype=np.int64)).encoded() == [strings[index].encode() for index in chosen]
