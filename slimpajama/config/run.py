"""The settings of a whole run: the input or the built-in sample, then the settings of each part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from slimpajama.config.dedup import Config
from slimpajama.config.loading import assigned, checked, put_at, read_yaml
from slimpajama.config.recipe import Tokens
from slimpajama.config.refusals import kind_of, shown
from slimpajama.config.tokens import TokenConfig
from slimpajama.errors import ConfigError
from slimpajama.registry import MIXTURE_FORMATS

__all__ = ["MixtureConfig", "RunConfig", "SampleConfig", "load_run_config"]


class SampleConfig(BaseModel):
    """The built-in sample to make, instead of an input."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    docs: int = Field(default=5000, ge=50, description="documents in all, about 4 KB each")
    seed: int = Field(default=1, ge=0, description="another seed, other text")


class MixtureConfig(BaseModel):
    """The recipes to build, as paths relative to the config file, and what to override in all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipes: tuple[str, ...] = Field(default=(), description="YAML files, relative to the config file, or presets")
    tokens: Tokens | None = Field(default=None, description="budget instead of each recipe's")
    sequence_length: int | None = Field(default=None, ge=2, le=1 << 20, description="instead of each recipe's")
    scope: Literal["global", "local"] | None = Field(
        default=None, description="`global` or `local` instead of each recipe's"
    )
    seed: int | None = Field(default=None, ge=0, lt=1 << 32, description="instead of each recipe's")
    format: str = Field(default="parquet", description="`parquet`, `megatron`, `olmo`, `nanotron`, `nanogpt` or `mds`")

    @field_validator("format")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in MIXTURE_FORMATS.names:
            raise ValueError(f"there is no format {shown(value)}; the formats are {', '.join(MIXTURE_FORMATS.names)}")
        return value


class RunConfig(BaseModel):
    """Everything ``slimpajama run`` does: exactly one of ``input`` and ``sample``, then the settings of each part."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: str | None = None
    sample: SampleConfig | None = None
    dedup: Config = Field(default_factory=Config)
    tokens: TokenConfig = Field(default_factory=TokenConfig)
    mixtures: MixtureConfig = Field(default_factory=MixtureConfig)

    @model_validator(mode="after")
    def _one_origin(self) -> RunConfig:
        if (self.input is None) == (self.sample is None):
            raise ValueError("give either input, a folder of shards (--input), or sample, to make the built-in one")
        return self


def load_run_config(file: Path, assignments: Sequence[str] = (), **flags: Any) -> RunConfig:
    """The YAML ``file``, then ``section.key=value`` ``assignments``, then ``flags`` that are not ``None``.

    Raises :class:`ConfigError` naming the file, the key and the remedy.
    """
    values = read_yaml(file, "config")
    if not isinstance(values, dict):
        raise ConfigError(f"{file} holds {kind_of(values)}; it must be a mapping of settings to values")
    # A section with nothing in it is as good as none.
    values = {key: value for key, value in values.items() if value is not None}
    if flags.get("input") is not None:
        values.pop("sample", None)
    given = ((key, value) for key, value in flags.items() if value is not None)
    for key, value in (*map(assigned, assignments), *given):
        put_at(values, key, value, f"--set {key}", str(file))
    return checked(RunConfig, values, str(file))
