"""One validated model of a deduplication run; its field descriptions are the documentation of the settings.

A run is configured by defaults, then a YAML file, then ``key=value`` words, then command-line flags, each over the
one before. Everything is checked here, once; the rest of the program handles plain values. Unknown keys are errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from slimpajama.errors import ConfigError
from slimpajama.refusals import kind_of, reason, shown, truth_for_number

__all__ = [
    "REDPAJAMA_SET_NAMES",
    "Config",
    "LayoutName",
    "Scope",
    "SourceConfig",
    "TokenConfig",
    "assigned",
    "checked",
    "load_config",
    "load_token_config",
    "parse_bytes",
    "read_yaml",
    "size_in_bytes",
]

Scope = Literal["both", "global", "local"]
LayoutName = Literal["auto", "folders", "records"]

WORKER_BYTES = 512 << 20
"""What a worker takes at most beside what ``memory`` is shared out for: interpreter, kernels and one batch of text."""

OTHERS_BYTES = 384 << 20
"""What the process that plans takes, and the one that workers are forked from; one worker alone is the former."""

REDPAJAMA_SET_NAMES = {
    "common_crawl": "RedPajamaCommonCrawl",
    "c4": "RedPajamaC4",
    "github": "RedPajamaGithub",
    "books": "RedPajamaBook",
    "arxiv": "RedPajamaArXiv",
    "wikipedia": "RedPajamaWikipedia",
    "stackexchange": "RedPajamaStackExchange",
}
"""RedPajama's seven sources in the published order, with the names SlimPajama writes into ``meta``."""

_UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}


def parse_bytes(value: object) -> object:
    """``"8GiB"``, ``"250 MB"`` or a number as a number of bytes; anything else is returned for pydantic to refuse."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d{1,24}(?:\.\d{1,24})?)\s*([kmgt]?i?)b?\s*", value.lower())
        if match and match[2] in _UNITS:
            return int(Fraction(match[1]) * _UNITS[match[2]])
        raise ValueError(f"{shown(value)} is not a size; write for example 8GiB, 500MB or a number of bytes")
    return value


def size_in_bytes(text: str, origin: str) -> int:
    """:func:`parse_bytes` of a text that is no field. Raises :class:`ConfigError` naming ``origin``."""
    try:
        return int(parse_bytes(text))  # type: ignore[call-overload, no-any-return]
    except ValueError as fault:
        raise ConfigError(f"{origin}: {fault}") from fault


FIELD_PATH = r"^[^.]+(\.[^.]+)*$"

Bytes = Annotated[int, BeforeValidator(parse_bytes)]


class SourceConfig(BaseModel):
    """One named source; the order of the sources is the order in which they win against each other."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="folder name in the output")
    paths: tuple[str, ...] = Field(
        default=(),
        description="glob patterns below the input; default: everything in the folder of that name",
    )
    set_name: str = Field(
        default="",
        description="value of meta.redpajama_set_name; default: RedPajama's, or the name; "
        "another one replaces what records say",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"name": value}
        if isinstance(value, Mapping) and isinstance(value.get("name"), str):
            name = value["name"]
            folders = ("books", "book") if name == "books" else (name,)
            return {
                "paths": tuple(f"{folder}/**" for folder in folders),
                "set_name": REDPAJAMA_SET_NAMES.get(name, name),
                **value,
            }
        return value


class Config(BaseModel):
    """The settings of a deduplication run. Sizes accept ``8GiB``, ``500MB`` or a number of bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: tuple[SourceConfig, ...] = Field(
        default=(),
        description="sources in order of precedence; empty: those that the layout shows, RedPajama's first, in the "
        "published order, then others by name",
    )
    layout: LayoutName = Field(
        default="auto",
        description="what names the source of a record: `folders` (names in records are replaced), `records` (by "
        "meta.redpajama_set_name), or `auto`: what the first records say; they keep their names",
    )
    strict_input: bool = Field(
        default=False, description="files with an unknown ending, or outside every source, are an error, not a warning"
    )
    scope: Scope = Field(default="both", description="which deduplicated shards are written; both are always decided")

    text_field: str = Field(
        default="text",
        pattern=FIELD_PATH,
        description="field or column that holds the text; a dot leads into an object, as in document.text",
    )
    id_field: str | None = Field(
        default=None,
        pattern=FIELD_PATH,
        description="field or column that names a document to people; decisions/ then has it as document_id",
    )

    normalisation: Literal["nfc", "ftfy", "none"] = Field(default="nfc", description="Unicode form of the stored text")
    min_cleaned_characters: int = Field(default=200, ge=0, description="shorter documents are dropped before LSH")
    num_perm: int = Field(default=128, ge=1, le=65_536, description="permutations of a signature")
    seed: int = Field(default=1, ge=0, lt=1 << 32, description="seed of the permutations")
    bands: int | None = Field(default=None, ge=1, description="LSH bands (default 9, the published value)")
    rows: int | None = Field(default=None, ge=1, description="signature values per band (default 13)")
    threshold: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="instead of bands and rows: datasketch's optimum for this Jaccard",
    )

    max_document_bytes: Bytes = Field(default=64 << 20, ge=1 << 10, description="larger records are bad records")
    max_bad_fraction: float = Field(default=0.01, ge=0, le=1, description="more bad records in a shard stop the run")
    truncated: Literal["stop", "keep"] = Field(
        default="stop",
        description="a compressed shard that breaks off: stop, or keep the whole records before the fault",
    )
    piece_bytes: Bytes = Field(
        default=256 << 20, ge=1 << 16, description="uncompressed shards are cut into such ranges"
    )
    compression_level: int = Field(default=1, ge=-7, le=19, description="zstd level of the shards written")

    part_bytes: Bytes = Field(
        default=4 << 30,
        ge=1 << 16,
        description="compressed and Parquet shards are remembered after so much text, and their outputs cut there",
    )

    memory: Bytes | None = Field(
        default=None, ge=256 << 20, description="bound for the whole run; default: half of what may be used"
    )
    against: str | None = Field(
        default=None, description="output of an earlier deduplication; what is there is not kept again"
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        description="worker processes; default: one per core, or as many as memory allows",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        if self.threshold is not None and (self.bands is not None or self.rows is not None):
            raise ValueError("give either threshold or bands and rows, not both")
        if (self.bands is None) != (self.rows is None):
            raise ValueError("bands and rows are given together, or neither")
        if self.bands is not None and self.rows is not None and self.bands * self.rows > self.num_perm:
            raise ValueError(
                f"{self.bands} bands of {self.rows} rows need {self.bands * self.rows} permutations, "
                f"but num_perm is {self.num_perm}"
            )
        if self.threshold is None and self.bands is None and self.num_perm < 117:
            raise ValueError(
                f"num_perm is {self.num_perm}, but the default 9 bands of 13 rows need 117: give bands and rows, "
                "or a threshold"
            )
        names = [source.name for source in self.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"source {twice[0]!r} is named twice")
        return self

    def worker_count(self, cores: int | None = None) -> int:
        """Worker processes: the setting, or one for each core this process may use, if the memory is enough.

        ``cores``: of another machine. Raises :class:`ConfigError` where both are set and contradict each other.
        """
        from slimpajama.machine import processors

        # A quarter is left for what grows with the corpus, see item_bytes.
        most = max(1, (self.memory_bytes() * 3 // 4 - OTHERS_BYTES) // WORKER_BYTES)
        if self.workers is None:
            return min(cores or processors(), most)
        if self.memory is not None and self.workers > most:
            needed, given = self.workers * WORKER_BYTES + OTHERS_BYTES, self.memory * 3 // 4
            raise ConfigError(
                f"{self.workers} workers need {needed >> 20} MiB, but three quarters of the setting memory "
                f"({self.memory >> 20} MiB) are {given >> 20} MiB: raise memory, or set at most {most} worker(s)"
            )
        return self.workers

    def memory_bytes(self) -> int:
        """Bytes that the run may use, all workers together: the setting, or half of what this process may."""
        if self.memory is not None:
            return self.memory
        from slimpajama.machine import available_memory

        return available_memory() // 2

    def item_bytes(self, cores: int | None = None) -> int:
        """Bytes that one work item may hold of what grows with the corpus: its part of what the processes leave."""
        memory, workers = self.memory_bytes(), self.worker_count(cores)
        return max(memory - OTHERS_BYTES - workers * WORKER_BYTES, memory // 4) // workers

    def lone_item_bytes(self, cores: int | None = None) -> int:
        """Bytes that the item of a stage with no other may hold: a half of what all have, as it maps files besides."""
        return self.item_bytes(cores) * self.worker_count(cores) // 2


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
    vocabulary: int = Field(default=50_277, ge=512, description="size of a trained tokenizer, less for small corpora")
    holdout: float = Field(default=0.0017, ge=0, le=0.5, description="share of each source for validation and test")
    seed: int = Field(default=1, ge=0, lt=1 << 32, description="seed of the holdout and the shuffle")


Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], values: object, origin: str) -> Model:
    """``values`` as ``model``; the first fault becomes a :class:`ConfigError` naming ``origin``, key and remedy."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{origin} holds {kind_of(values)}; it must be a mapping of settings to values")
    truth = truth_for_number(model, values)
    if truth is not None:
        raise ConfigError(f"{origin}: {truth[0]}: must be a number (given: {shown(truth[1])})")
    try:
        return model.model_validate(values)
    except ValidationError as fault:
        first = fault.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "settings"
        if first["type"] == "extra_forbidden":
            known = ", ".join(_model_at(model, first["loc"]).model_fields)
            raise ConfigError(f"{origin}: there is no setting {key!r}; the settings are {known}") from fault
        raise ConfigError(f"{origin}: {key}: {reason(first)}") from fault


def _model_at(model: type[BaseModel], place: Sequence[int | str]) -> type[BaseModel]:
    """The model whose key the last part of ``place`` is."""
    for part in place[:-1]:
        field = model.model_fields.get(str(part))
        inner = (field.annotation, *get_args(field.annotation)) if field else ()
        model = next((one for one in inner if isinstance(one, type) and issubclass(one, BaseModel)), model)
    return model


def read_yaml(file: Path, kind: str) -> object:
    """What the YAML ``file`` holds, ``{}`` if nothing; plain values only. Raises :class:`ConfigError`."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as fault:
        raise ConfigError(f"cannot read the {kind} {file}: {fault.strerror}") from fault
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        raise ConfigError(f"{file} is not YAML: {' '.join(str(fault).split())}") from fault
    return {} if content is None else content


def assigned(assignment: str) -> tuple[str, object]:
    """Key and value of a ``key=value`` word; the value is YAML. Raises :class:`ConfigError`."""
    key, equals, text = assignment.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {assignment}: write it as key=value, for example --set memory=8GiB")
    try:
        return key.strip(), yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        raise ConfigError(f"--set {assignment}: {text!r} is not a YAML value") from fault


def load_config(file: Path | None = None, assignments: Sequence[str] = (), **flags: Any) -> Config:
    """Defaults, then the YAML ``file``, then ``key=value`` ``assignments``, then ``flags`` that are not ``None``.

    Values of assignments are YAML (``--set memory=8GiB --set sources=[wiki,web]``). Raises :class:`ConfigError`.
    """
    values: dict[str, Any] = {}
    if file is not None:
        loaded = read_yaml(file, "config")
        # The file of a whole run holds these settings in a section of their own.
        section = (loaded["dedup"] or {}) if isinstance(loaded, dict) and "dedup" in loaded else loaded
        if not isinstance(section, dict):
            raise ConfigError(f"{file} holds {kind_of(section)}; it must be a mapping of settings to values")
        values.update(section)
    values.update(map(assigned, assignments))
    values.update({key: value for key, value in flags.items() if value is not None})
    origins = ([str(file)] if file is not None else []) + (["--set"] if assignments else [])
    return checked(Config, values, " and ".join(origins) or "settings")


def load_token_config(assignments: Sequence[str] = (), **flags: Any) -> TokenConfig:
    """Defaults, then ``tokens.key=value`` ``assignments``, then ``flags`` that are not ``None``.

    Raises :class:`ConfigError`.
    """
    values: dict[str, Any] = {}
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
