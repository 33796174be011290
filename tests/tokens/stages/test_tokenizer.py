"""How much of a corpus the two tokenizers are compared on."""

from __future__ import annotations

import pytest

from slimpajama.tokens.stages.tokenizer import LEAST_CHECKED, MOST_CHECKED, bytes_to_check


@pytest.mark.parametrize(
    ("text_bytes", "checked"),
    [(0, LEAST_CHECKED), (400_000_000, LEAST_CHECKED), (1_000_000_000, 500_000), (10**12, MOST_CHECKED)],
)
def test_small_corpora_are_checked_on_less_text(text_bytes: int, checked: int) -> None:
    assert bytes_to_check(text_bytes) == checked
