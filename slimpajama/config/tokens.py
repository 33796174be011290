"""The settings of a token store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from slimpajama.config.column import MOST_COLUMNS, column, columns_of
from slimpajama.config.loading import assigned, checked, without_empty
from slimpajama.config.refusals import shown
from slimpajama.errors import ConfigError

__all__ = ["TokenConfig", "load_token_config"]


def _name_or_truth(value: object) -> object:
    if isinstance(value, bool | str):
        return value
    raise ValueError(f"must be true, false or the name of a token (given: {shown(value)})")


class TokenConfig(BaseModel):
    """How documents are split and tokenised; one token store comes of one of these."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokenizer: str | None = Field(
        default=None, description="tokenizer.json or hub name; default: a byte-level BPE trained on the corpus"
    )
    end_of_text: str | None = Field(
        default=None,
        description="special token after each document; default: the one that tokenizer_config.json, "
        "generation_config.json or config.json beside the tokenizer names, or the usual ones",
    )
    bos: Annotated[bool | str, BeforeValidator(_name_or_truth)] = Field(
        default=False,
        description="special token before each document: its name, or `true` for the usual ones, such as `<s>`",
    )
    post_processor: bool = Field(
        default=False, description="add to each document what the tokenizer's own post-processor adds"
    )
    vocabulary: int = Field(default=50_277, ge=512, description="size of a trained tokenizer, less for small corpora")
    holdout: float = Field(
        default=0.01, ge=0, le=0.1, description="share of a source's tokens for each of validation and test; 0: none"
    )
    holdout_least: int = Field(
        default=32_768,
        ge=1,
        lt=1 << 32,
        description="tokens of a source for each of the two, at least; fewer where the documents that give them would "
        "be more than a tenth of the source",
    )
    holdout_most: int = Field(
        default=524_288, ge=16, lt=1 << 32, description="tokens of a source for each of the two, at most"
    )
    holdout_seed: int = Field(default=1, ge=0, lt=1 << 32, description="seed of the draw of the holdout")
    holdout_from: str | None = Field(
        default=None, description="earlier output or token store whose holdout is taken over, instead of a draw"
    )
    published_split: bool = Field(
        default=True,
        description="shards in folders `validation` and `test` beside one called `train` are these splits, and nothing "
        "is drawn; false: they are documents like others",
    )
    holdout_overlap: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="a document is left out of train that shares this part of the 13-word runs of itself, or of a "
        "held-out text, with that text; 0: none is",
    )
    shuffle_seed: int = Field(default=1, ge=0, lt=1 << 32, description="seed of the order of the token store")
    piece_tokens: int = Field(
        default=2048,
        ge=16,
        le=1 << 20,
        description="longer documents are cut into pieces of so many tokens, each with its own place in the order; a "
        "multiple of the sequence length is best",
    )
    columns: tuple[str, ...] = Field(
        default=(),
        description="metadata that recipes can split sources by: paths of fields, such as meta.language, or "
        "github:meta.language for one source; what a recipe's `split_by` names is added",
    )

    @field_validator("columns")
    @classmethod
    def _names_columns(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        named = tuple(dict.fromkeys(str(column(value)) for value in values))
        for source in {column(name).source for name in named}:
            if len(columns_of(named, source)) > MOST_COLUMNS:
                of = f" of {source}" if source else ""
                raise ValueError(f"a source has {MOST_COLUMNS} columns at most; leave some{of} out")
        return named

    @model_serializer(mode="wrap")
    def _without_empty_columns(self, written: SerializerFunctionWrapHandler) -> dict[str, object]:
        """What is made without columns is written down as it was before there were any."""
        return without_empty(written(self), "columns")

    @model_validator(mode="before")
    @classmethod
    def _one_seed_became_two(cls, values: Any) -> Any:
        if isinstance(values, dict) and "seed" in values:
            raise ValueError(
                "there is no setting seed any more: give holdout_seed (which documents are held out) and shuffle_seed "
                "(the order of the store); a recipe has a seed of its own"
            )
        return values

    @model_validator(mode="after")
    def _least_is_at_most_most(self) -> TokenConfig:
        if self.holdout_least > self.holdout_most:
            raise ValueError(
                f"holdout_least is {self.holdout_least:,}, holdout_most {self.holdout_most:,}: the least cannot be "
                "above the most; lower the one or raise the other"
            )
        return self

    @model_validator(mode="after")
    def _begins_in_one_way(self) -> TokenConfig:
        if self.bos and self.post_processor:
            raise ValueError("bos and post_processor are both given; the post-processor says what begins a document")
        return self


def load_token_config(assignments: Sequence[str] = (), **flags: Any) -> TokenConfig:
    """Defaults, then ``tokens.key=value`` ``assignments``, then ``flags`` that are not ``None``.

    Raises :class:`ConfigError`.
    """
    values: dict[str, object] = {}
    for key, value in map(assigned, assignments):
        section, _, name = key.partition(".")
        if section != "tokens" or not name:
            raise ConfigError(
                f"--set {key}: here a setting is one of the section tokens, for example --set tokens.vocabulary=32000; "
                "the machine and the recipes have options of their own"
            )
        values[name] = value
    values.update({key: value for key, value in flags.items() if value is not None})
    return checked(TokenConfig, values, "--set and options" if assignments else "options")
