"""The settings of a token store: assignments, then flags, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from slimpajama import ConfigError
from slimpajama.config.tokens import load_token_config


def test_settings_of_tokens_are_assignments_then_flags() -> None:
    assert load_token_config().vocabulary == 50_277
    settings = load_token_config(
        ["tokens.vocabulary=600", "tokens.shuffle_seed=5", "tokens.end_of_text=</s>"], shuffle_seed=6, holdout=None
    )
    assert (settings.vocabulary, settings.shuffle_seed, settings.end_of_text, settings.holdout) == (
        600,
        6,
        "</s>",
        0.01,
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"seed": 2}, r"give holdout_seed \(which documents are held out\) and shuffle_seed"),
        ({"holdout": 0.2}, "holdout: must be at most 0.1"),
        ({"holdout_least": 600_000}, "holdout_least is 600,000, holdout_most 524,288: the least cannot be above the"),
        ({"piece_tokens": 8}, "piece_tokens: must be at least 16"),
    ],
)
def test_settings_of_tokens_that_cannot_be(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_token_config(**values)


@pytest.mark.parametrize("key", ["vocabulary", "dedup.seed", "tokens.", "tokens"])
def test_a_setting_of_another_section_is_refused_where_only_tokens_count(key: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_token_config([f"{key}=1"])
    assert str(refusal.value).startswith(
        f"--set {key}: here a setting is one of the section tokens, for example --set "
    )
