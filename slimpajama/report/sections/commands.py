"""The commands that make an output again, from what its ``request.json`` says.

Only settings that differ from what the command has without them are given. Recipes are not kept as files: one that is
a preset is given by name, another as ``NAME.yaml``, and many as ``--ratios ratios.csv``, a table of them. Rejected:
the words that were typed, which are not kept and mean something else in another folder.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import yaml

from slimpajama.config.dedup import Config, without_preset
from slimpajama.config.loading import checked
from slimpajama.config.presets import presets
from slimpajama.config.run import RunConfig
from slimpajama.config.tokens import TokenConfig
from slimpajama.evidence.request import DedupRequest, MixRequest, Request, RunRequest
from slimpajama.mixture.ratios import RATIOS_FILE

__all__ = ["command_words", "flat_settings", "value_text"]

MOST_RECIPES = 8
"""That are named one by one."""


def command_words(request: Request, output: Path) -> str:
    """The command that makes ``output`` again."""
    match request:
        case DedupRequest():
            words = ["dedup", "--input", request.input, "--output", str(output), *_dedup_words(request.settings)]
        case MixRequest():
            words = ["mix", "--input", request.input, "--output", str(output), *_mix_words(request)]
        case RunRequest():
            words = _run_words(request, output)
    return shlex.join(["slimpajama", *words])


def flat_settings(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings with dotted names: sections of settings are opened, lists are not."""
    return dict(_flat(settings, prefix))


def value_text(value: object) -> str:
    """A value as YAML reads it back, on one line: JSON, but plain words without quotes."""
    if isinstance(value, str) and yaml.safe_load(value or '""') == value and value.isprintable() and value:
        return value
    return orjson.dumps(value).decode()


def _flat(settings: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _dedup_words(settings: Mapping[str, Any]) -> list[str]:
    preset = settings.get("preset", "slimpajama")
    standard = Config.model_validate({"preset": preset}).model_dump(mode="json")
    words = ["--preset", str(preset)] if preset != "slimpajama" else []
    return words + _set_words(without_preset(settings), standard)


def _mix_words(request: MixRequest) -> list[str]:
    recipes = {one.name: yaml.safe_load(one.content) for one in presets() if one.kind == "recipe"}
    words: list[str] = []
    many = len(request.recipes) > MOST_RECIPES
    for recipe in () if many else request.recipes:
        name = str(recipe["name"])
        known = recipes.get(name, {}).get("weights") == recipe.get("weights")
        words += ["--recipe", name if known else f"{name}.yaml"]
    if many:
        words += ["--ratios", RATIOS_FILE]
    budgets = {one["tokens"] for one in request.recipes}
    lengths = {one["sequence_length"] for one in request.recipes}
    if len(budgets) == 1 and None not in budgets:
        words += ["--tokens", str(*budgets)]
    if len(lengths) == 1:
        words += ["--seq-len", str(*lengths)]
    if request.format != "parquet":
        words += ["--format", request.format]
    standard = {"tokens": TokenConfig().model_dump(mode="json")}
    return words + _set_words({"tokens": request.settings} if request.settings else {}, standard)


def _run_words(request: RunRequest, output: Path) -> list[str]:
    """By the preset that is nearest, and what differs from it."""
    config = dict(request.config)
    folder = Path(request.folder)
    given = config["input"]
    candidates = []
    for one in presets():
        if one.kind == "config":
            base = yaml.safe_load(one.content)
            base = {key: value for key, value in base.items() if value is not None and key != "description"}
            if given is not None:
                base = {**{key: value for key, value in base.items() if key != "sample"}, "input": given}
            if "sample" in base or given is not None:
                standard = checked(RunConfig, base, one.name).model_dump(mode="json")
                candidates.append((_set_words(config, standard), one.name))
    words, name = min(candidates, key=lambda found: (len(found[0]), found[1]))
    input_words = []
    if given is not None:
        below = "://" not in str(given) and (folder / str(given)).exists()
        input_words = ["--input", str(folder / str(given)) if below else str(given)]
    return ["run", name, "--output", str(output), *input_words, *words]


def _set_words(settings: Mapping[str, Any], standard: Mapping[str, Any]) -> list[str]:
    own, usual = flat_settings(settings), flat_settings(standard)
    differ = {name: value for name, value in own.items() if name not in usual or usual[name] != value}
    return [word for name, value in differ.items() for word in ("--set", f"{name}={value_text(value)}")]
