"""No word of pydantic or Python reaches a user: every setting of every model, with values of every type."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
from pydantic import BaseModel

from slimpajama.config.decontaminate import DecontaminateConfig, EvaluationSet
from slimpajama.config.dedup import Config, SourceConfig
from slimpajama.config.loading import checked
from slimpajama.config.recipe import Recipe
from slimpajama.config.refusals import kind_of, shown
from slimpajama.config.run import MixtureConfig, RunConfig, SampleConfig
from slimpajama.config.tokens import TokenConfig
from slimpajama.errors import ConfigError

MODELS: tuple[type[BaseModel], ...] = (
    Config,
    SourceConfig,
    DecontaminateConfig,
    EvaluationSet,
    TokenConfig,
    RunConfig,
    MixtureConfig,
    SampleConfig,
    Recipe,
)

VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    "words",
    "",
    "9" * 5000,
    -1,
    0,
    10**30,
    1.5,
    float("nan"),
    float("inf"),
    [],
    [1],
    [None],
    [[None]],
    {},
    {"a": None},
    {"name": 1},
    {1: 2},
    b"bytes",
    {1, 2},
    datetime.date(2020, 1, 2),
    datetime.datetime(2020, 1, 2, 3, 4, tzinfo=datetime.timezone.utc),
)

FOREIGN = re.compile(
    r"Input should|String should|Dictionary|dictionary|Field required|Value error|Extra inputs|unable to parse"
    r"|instance of|valid (integer|string|number|tuple|list)|validation|tuple|NoneType|datetime"
    r"|\b(None|True|False|str|dict|int|float|bool|object)\b"
)

GOOD: dict[type[BaseModel], dict[str, Any]] = {
    SourceConfig: {"name": "web"},
    DecontaminateConfig: {"against": ["mmlu"]},
    EvaluationSet: {"path": "mmlu"},
    RunConfig: {"input": "in"},
    Recipe: {"name": "mine", "weights": {"web": 100}, "tokens": "1M"},
}


@pytest.mark.parametrize("model", MODELS)
def test_no_foreign_word_in_any_message(model: type[BaseModel]) -> None:
    refused = 0
    for field in model.model_fields:
        for value in VALUES:
            try:
                checked(model, {**GOOD.get(model, {}), field: value}, "FILE")
            except ConfigError as error:
                message = str(error)
                refused += 1
                assert message.startswith("FILE: "), message
                assert not FOREIGN.search(message), message
                assert "\n" not in message
                assert len(message) < 1000
    assert refused > 10 * len(model.model_fields)


@pytest.mark.parametrize("model", MODELS)
def test_what_is_missing_or_unknown_or_no_mapping_is_plain_too(model: type[BaseModel]) -> None:
    wrong: tuple[object, ...] = ({"nonsense": 1}, [], None, "words", 3, True)
    for values in wrong:
        with pytest.raises(ConfigError) as refusal:
            checked(model, values, "FILE")
        assert not FOREIGN.search(str(refusal.value)), str(refusal.value)


@pytest.mark.parametrize(
    ("model", "values", "message"),
    [
        (Config, {"sources": 5}, "FILE: sources: must be a list, such as [one, two] (given: 5)"),
        (Config, {"scope": None}, "FILE: scope: must be 'both', 'global', 'local' or 'none' (given: nothing)"),
        (Config, {"seed": None}, "FILE: seed: must be a whole number (given: nothing)"),
        (Config, {"seed": "x"}, "FILE: seed: must be a whole number (given: 'x')"),
        (Config, {"seed": 1.5}, "FILE: seed: must be a whole number (given: 1.5)"),
        (Config, {"memory": "63MiB"}, "FILE: memory: must be at least 268,435,456 (given: '63MiB')"),
        (Config, {"max_bad_fraction": "few"}, "FILE: max_bad_fraction: must be a number (given: 'few')"),
        (Config, {"sources": [{"name": 5}]}, "FILE: sources.0.name: must be a text (given: 5)"),
        (RunConfig, {"dedup": 5, "input": "a"}, "FILE: dedup: must be a mapping of settings to values (given: 5)"),
        (RunConfig, {"input": datetime.date(2020, 1, 2)}, "FILE: input: must be a text (given: 2020-01-02)"),
        (
            Recipe,
            {"name": "r", "tokens": 1, "weights": [1]},
            "FILE: weights: must be a mapping, such as {name: value} ",
        ),
        (MixtureConfig, {"scope": "both"}, "FILE: scope: must be 'global' or 'local' (given: 'both')"),
        (MixtureConfig, {"sequence_length": 1}, "FILE: sequence_length: must be at least 2 (given: 1)"),
    ],
)
def test_a_message_has_the_key_what_is_allowed_and_what_was_given(
    model: type[BaseModel], values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        checked(model, values, "FILE")
    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize(
    ("model", "values", "key"),
    [
        (Config, {"workers": True}, "workers"),
        (Config, {"memory": False}, "memory"),
        (Config, {"max_bad_fraction": True}, "max_bad_fraction"),
        (RunConfig, {"input": "a", "dedup": {"seed": True}}, "dedup.seed"),
        (RunConfig, {"sample": {"docs": True}}, "sample.docs"),
        (Recipe, {"name": "r", "tokens": True, "weights": {"web": 100}}, "tokens"),
        (Recipe, {"name": "r", "tokens": "1M", "weights": {"web": True}}, "weights.web"),
    ],
)
def test_true_is_no_number(model: type[BaseModel], values: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^FILE: {key}: must be a number \(given: (true|false)\)$"):
        checked(model, values, "FILE")


def test_values_are_shown_as_they_are_written() -> None:
    values: tuple[object, ...] = (None, True, 1.5, "a", [1], {}, b"")
    assert [kind_of(value) for value in values] == [
        "nothing",
        "the word true",
        "a number",
        "a text",
        "a list",
        "a mapping",
        "something else",
    ]
    assert shown([None, True, "a", {"b": None}]) == "[nothing, true, 'a', {'b': nothing}]"
    endless: list[Any] = ["x"]
    for _ in range(40):
        endless = [endless] * 9
    assert len(shown(endless)) < 1000


@pytest.mark.parametrize("value", [float("nan"), "NaN"])
def test_what_is_not_a_number_is_called_so_whatever_the_bounds(value: object) -> None:
    for model, name in ((DecontaminateConfig, "overlap"), (TokenConfig, "holdout"), (TokenConfig, "holdout_overlap")):
        with pytest.raises(ConfigError, match=f"{name}: must be a number .given: '?[nN]a[nN]'?.$"):
            checked(model, {**GOOD.get(model, {}), name: value}, "FILE")
