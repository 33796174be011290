"""ftfy's repairs are ftfy's, in a bounded number of rounds."""

from __future__ import annotations

import ftfy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.text.ftfy_repair import ROUNDS, fix_text, settled

CONFIG = ftfy.TextFixerConfig(normalization="NFC")
WORDS = (
    "&amp;lt;",
    "&lt",
    ";",
    "<b>",
    "\n",
    "âœ”",
    "Ã©",
    "Â©",
    "“it’s”",
    "\x85",
    "ﬁ",
    "\x1b[1m",
    "cafe\u0301",
    "ＡＢ",
    "\r\n",
)
PIECES = st.sampled_from([*WORDS, "\r\n", "a", " ", "\u0316", "\x07", "вЂ", "Ĺ‚"])


def layered(text: str, layers: int) -> str:
    """Decoded wrongly once for each layer."""
    for _ in range(layers):
        text = text.encode().decode("latin-1")
    return text


@given(st.lists(PIECES, max_size=12).map("".join) | st.builds(layered, st.text(max_size=8), st.integers(0, 3)))
def test_it_is_what_ftfy_does(text: str) -> None:
    assert fix_text(text) == ftfy.fix_text(text, CONFIG)


def test_a_text_is_taken_in_the_segments_of_ftfy() -> None:
    text = "“a” &amp; b" * 100_000 + "<\n&amp; c"
    assert fix_text(text) == ftfy.fix_text(text, CONFIG)


def test_changes_stop_when_nothing_changes_or_no_round_is_left() -> None:
    calls: list[str] = []

    def shorter(text: str) -> str:
        calls.append(text)
        return text[1:] or text

    assert settled("abc", shorter, 9) == ("c", 7)
    assert calls == ["abc", "bc", "c"]
    assert settled("abc", shorter, 1) == ("bc", 0)
    assert settled("abc", shorter, 0) == ("abc", 0)


@pytest.mark.parametrize("layers", [1, ROUNDS - 1, ROUNDS, 1000])
def test_layers_are_taken_off_one_a_round_and_no_more_than_there_are_rounds(layers: int) -> None:
    left = max(0, layers - ROUNDS)
    assert fix_text("&" + "amp;" * layers + " x") == "&" + "amp;" * left + " x"
