"""Writes docs/settings.md from the models: ``python docs/render_settings.py``. A test holds the two together."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from slimpajama.config.decontaminate import DecontaminateConfig, EvaluationSet
from slimpajama.config.dedup import Config, SourceConfig
from slimpajama.config.recipe import Recipe, Repeat
from slimpajama.config.run import MixtureConfig, SampleConfig
from slimpajama.config.study import StudyConfig
from slimpajama.config.tokens import TokenConfig

HEAD = """# Settings

This page is made from the models in the code by `python docs/render_settings.py`.

The file of `slimpajama run` has the sections `input` (a folder) or `sample`, `dedup`, `tokens` and `mixtures`; `--set
section.key=value` overrides one setting. `slimpajama dedup --config` takes the same file, or just the settings of
`dedup`, which `--set key=value` overrides, and which are also the arguments of `slimpajama.deduplicate`. `slimpajama
mix` takes the settings of `tokens` by `--set tokens.key=value`. `slimpajama study` takes a file with the settings of a
study. Sizes are written like 8GiB or 500MB, tokens like 2M or 330B.
"""

PARTS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("dedup", Config),
    ("dedup, each of `sources`: a name, or", SourceConfig),
    ("dedup, `decontaminate`", DecontaminateConfig),
    ("dedup, each of `decontaminate.against`: a path, or", EvaluationSet),
    ("tokens", TokenConfig),
    ("mixtures", MixtureConfig),
    ("sample", SampleConfig),
    ("A recipe", Recipe),
    ("A recipe, `repeat`", Repeat),
    ("A study", StudyConfig),
)


def rendered() -> str:
    """The page as it should be."""
    lines = [HEAD]
    for title, model in PARTS:
        lines += [f"## {title}", "", "| setting | default | meaning |", "| --- | --- | --- |"]
        lines += [
            f"| `{name}` | {_default(field.default)} | {field.description or ''} |"
            for name, field in model.model_fields.items()
        ]
        lines.append("")
    return "\n".join(lines)


def _default(value: object) -> str:
    if value is None or value in ((), "", {}):
        return "–"
    if repr(value) == "PydanticUndefined":
        return "required"
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1 << 20:
        return f"`{value >> 20} Mi`"
    return f"`{value}`"


if __name__ == "__main__":
    Path(__file__).with_name("settings.md").write_text(rendered(), encoding="utf-8")
