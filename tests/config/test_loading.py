"""Setting a value at a dotted name."""

from __future__ import annotations

import pytest

from slimpajama import ConfigError
from slimpajama.config.loading import put_at


def test_a_dotted_key_makes_the_sections_that_are_missing_or_empty() -> None:
    values = {"dedup": {"seed": 1}, "tokens": None}
    put_at(values, "dedup.seed", 2, "--set dedup.seed", "run.yaml")
    put_at(values, "tokens.seed", 3, "--set tokens.seed", "run.yaml")
    put_at(values, "mixtures.more.seed", 4, "--set mixtures.more.seed", "run.yaml")
    put_at(values, "input", "in", "--set input", "run.yaml")
    assert values == {"dedup": {"seed": 2}, "tokens": {"seed": 3}, "mixtures": {"more": {"seed": 4}}, "input": "in"}


def test_a_value_that_is_no_section_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^--set input\.x: 'input' is not a section of run\.yaml$"):
        put_at({"input": "in"}, "input.x", 1, "--set input.x", "run.yaml")
