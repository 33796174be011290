"""The setting ``decontaminate``: which evaluation sets documents are compared with, and what follows on a match.

A set is a file of JSON lines or a folder of them. Which fields of its records are the item is asked for by ``fields``,
of one set or of all; for well-known sets they are known here by the name of the file or folder. Rejected: shipping the
sets themselves (their licences differ, and a copy here would be out of date).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from slimpajama.config.refusals import shown

__all__ = ["KNOWN_FIELDS", "SHORTEST_ITEM", "DecontaminateConfig", "EvaluationSet", "known_fields"]

SHORTEST_ITEM = 5
"""Words of the shortest item that is looked for; what is shorter is found everywhere."""

KNOWN_FIELDS: Mapping[str, tuple[str, ...]] = {
    "agieval": ("passage", "question"),
    "arc": ("question",),
    "boolq": ("question",),
    "commonsenseqa": ("question",),
    "drop": ("question",),
    "gpqa": ("Question",),
    "gsm8k": ("question",),
    "hellaswag": ("ctx",),
    "humaneval": ("prompt",),
    "lambada": ("text",),
    "math": ("problem",),
    "mbpp": ("text",),
    "mmlu": ("question",),
    "naturalquestions": ("question",),
    "openbookqa": ("question_stem",),
    "piqa": ("goal",),
    "race": ("question",),
    "socialiqa": ("context",),
    "squad": ("question",),
    "triviaqa": ("question",),
    "truthfulqa": ("question",),
    "winogrande": ("sentence",),
}
"""Fields of the items of well-known sets, as their usual exports name them."""


def known_fields(name: str) -> tuple[str, ...]:
    """The fields of the set whose file or folder has this ``name``, such as ``mmlu`` or ``arc_easy``; or none."""
    squeezed = re.sub(r"[^a-z0-9]", "", name.lower())
    fitting = [known for known in KNOWN_FIELDS if squeezed.startswith(known)]
    return KNOWN_FIELDS[max(fitting, key=len)] if fitting else ()


class EvaluationSet(BaseModel):
    """One set: a path alone, or a mapping."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(min_length=1, description="a file of JSON lines, plain or compressed, or a folder of such files")
    fields: tuple[str, ...] = Field(
        default=(), description="fields that make up an item, joined; a dot leads into an object, as in choices.text"
    )
    name: str = Field(default="", description="what reports call it; default: the name of its file or folder")

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"path": value}
        if isinstance(value, Mapping) and isinstance(value.get("path"), str) and not value.get("name"):
            return {**value, "name": value["path"].rstrip("/").rpartition("/")[2].partition(".")[0]}
        return value


class DecontaminateConfig(BaseModel):
    """What makes a document contaminated: it holds at least ``overlap`` of the runs of words of an item."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    against: tuple[EvaluationSet, ...] = Field(
        min_length=1,
        description="evaluation sets: paths, or mappings of path, fields and name. The fields of well-known sets "
        "(mmlu, hellaswag, arc, gsm8k and others, see docs/decontamination.md) are known by the name of the file or "
        "folder",
    )
    fields: tuple[str, ...] = Field(default=(), description="the fields of all sets that do not name their own")
    ngram: int = Field(
        default=13,
        ge=SHORTEST_ITEM,
        le=100,
        description="words of a run; an item of fewer words, but at least 5, is one run as a whole",
    )
    overlap: float = Field(
        default=0.8, gt=0, le=1, description="share of an item's runs that a document must hold to match"
    )
    action: Literal["remove", "mark"] = Field(
        default="remove",
        description="`remove`: documents that match take no part and are not written; `mark`: they stay, and "
        "decontamination/matches.parquet names them",
    )

    @field_validator("against", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _complete(self) -> DecontaminateConfig:
        names = [one.name for one in self.against]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two evaluation sets are called {shown(twice[0])}; give one of them another name")
        for one in self.against:
            if not self.fields_of(one):
                known = ", ".join(KNOWN_FIELDS)
                raise ValueError(
                    f"the fields of the items of {shown(one.path)} are not known: give fields; of these sets they are: "
                    f"{known}"
                )
        return self

    def fields_of(self, one: EvaluationSet) -> tuple[str, ...]:
        """Which fields make up an item of a set."""
        return one.fields or self.fields or known_fields(one.name)
