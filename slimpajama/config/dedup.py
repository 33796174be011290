"""The settings of a deduplication; the descriptions of the fields are the documentation of the settings.

Everything is checked here, once; the rest of the program handles plain values. Unknown keys are errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from slimpajama.config.decontaminate import DecontaminateConfig
from slimpajama.config.dedup_presets import DEDUP_PRESETS, PRESET_THRESHOLD, DedupPreset, PresetName
from slimpajama.config.loading import assigned, checked, put_at, read_yaml
from slimpajama.config.preference import preference
from slimpajama.config.refusals import kind_of, shown
from slimpajama.config.shingle import ShingleConfig
from slimpajama.config.sizes import Bytes
from slimpajama.errors import ConfigError
from slimpajama.registry import KEY_METHODS, SHARD_FORMATS, Registry

__all__ = [
    "REDPAJAMA_SET_NAMES",
    "SIGNATURE_METHODS",
    "Config",
    "LayoutName",
    "Scope",
    "SourceConfig",
    "load_config",
    "without_preset",
]

Scope = Literal["both", "global", "local", "none"]
LayoutName = Literal["auto", "folders", "records"]

REDPAJAMA_SET_NAMES = {
    "wikipedia": "RedPajamaWikipedia",
    "books": "RedPajamaBook",
    "arxiv": "RedPajamaArXiv",
    "stackexchange": "RedPajamaStackExchange",
    "github": "RedPajamaGithub",
    "c4": "RedPajamaC4",
    "common_crawl": "RedPajamaCommonCrawl",
}
"""RedPajama's seven sources with the names SlimPajama writes into ``meta``, in the default order: of the copies of a
document, that of a curated source stays, and one that was cleaned before one that was not."""

SIGNATURE_METHODS = ("minhash", "one-permutation")
"""The methods whose keys are made from signatures, which removals can be checked by."""

FIELD_PATH = r"^[^.]+(\.[^.]+)*$"


def _known(registry: Registry[Any], name: str) -> str:
    """``name``, if the registry has it; nothing is imported for that."""
    if name not in registry.names:
        raise ValueError(
            f"there is no {registry.kind} {shown(name)}; the {registry.kind}s are {', '.join(registry.names)}"
        )
    return name


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
    """The settings of a deduplication run. Sizes accept ``8GiB``, ``500MB`` or a number of bytes.

    The fields hold what applies, that of the ``preset`` where nothing was given; ``model_fields_set`` are those given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: PresetName = Field(
        default="slimpajama",
        description="settings by one name: `slimpajama`, `verified`, `quick`, `fineweb`, `dolma3` or `nemo` sets "
        "shingle, bands, rows, num_perm, method and checked where they are not given",
    )
    sources: tuple[SourceConfig, ...] = Field(
        default=(),
        description="sources in order of precedence; empty: those that the layout shows, RedPajama's first "
        "(wikipedia, books, arxiv, stackexchange, github, c4, common_crawl), then others by name",
    )
    layout: LayoutName = Field(
        default="auto",
        description="what names the source of a record: `folders` (names in records are replaced), `records` (by "
        "meta.redpajama_set_name), or `auto`: what the first records say; they keep their names",
    )
    strict_input: bool = Field(
        default=False, description="files with an unknown ending, or outside every source, are an error, not a warning"
    )
    scope: Scope = Field(
        default="both",
        description="which deduplicated shards are written; both are always decided. `none`: decisions only, and `mix` "
        "takes the texts from the input",
    )

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
    cleaning: Literal["slimpajama", "unicode", "none"] = Field(
        default="slimpajama",
        description="form in which documents are measured and compared: lower case, without ASCII punctuation, single "
        "spaces (`slimpajama`); also without other punctuation of Unicode, such as full-width marks (`unicode`); or "
        "the text as it is stored (`none`)",
    )
    min_cleaned_characters: int = Field(
        default=200, ge=0, description="documents that are shorter once cleaned are dropped before LSH"
    )
    shingle: ShingleConfig = Field(
        default=DEDUP_PRESETS["slimpajama"].shingle,
        description="what documents are cut into: `{unit: character or word, length: 3 to 64}`; with `--set`, "
        "`shingle.unit=word` and `shingle.length=5`",
    )
    method: str = Field(
        default="minhash",
        description="how the keys of documents are made: from `num_perm` permutations (`minhash`), one permutation in "
        "`num_perm` bins (`one-permutation`, less than half the time), or by a method registered in Python",
    )
    num_perm: int = Field(default=128, ge=1, le=65_536, description="permutations of a signature, or its bins")
    seed: int = Field(default=1, ge=0, lt=1 << 32, description="seed of the permutations")
    bands: int | None = Field(default=None, ge=1, description="LSH bands; default: the preset's, 9 as published")
    rows: int | None = Field(
        default=None, ge=1, description="signature values per band; default: the preset's, 13 as published"
    )
    checked: bool = Field(
        default=False,
        description="remove a document only if one that stays has at least the Jaccard similarity `threshold` with it",
    )
    threshold: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Jaccard similarity: with `checked`, what removals are held to (default 0.8); without, instead of "
        "bands and rows, datasketch's optimum for it",
    )
    prefer: tuple[str, ...] = Field(
        default=("source",),
        min_length=1,
        description="which of several duplicates stays, by the first key that tells them apart, then by id: `source` "
        "(the order of sources), `longest`, `newest`, `oldest`, `newest:FIELD`, `oldest:FIELD`, or a field of the "
        "record, as meta.score (the larger first) or -meta.score (the smaller first)",
    )
    duplicate_counts: bool = Field(
        default=True, description="write into each shard's meta.duplicates how many duplicates a document stands for"
    )
    sampled_removals: int = Field(
        default=200,
        ge=0,
        le=100_000,
        description="removals of each source that are compared exactly with the document that stays, when all is "
        "decided; 0: none",
    )
    max_removed_fraction: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="stop before writing if more than this share of a source's documents would be removed, in a scope "
        "that is written (in either, where none is)",
    )

    max_document_bytes: Bytes = Field(default=64 << 20, ge=1 << 10, description="larger records are bad records")
    max_bad_fraction: float = Field(default=0.01, ge=0, le=1, description="more bad records in a shard stop the run")
    truncated: Literal["stop", "keep"] = Field(
        default="stop",
        description="a compressed shard that breaks off: stop, or keep the whole records before the fault",
    )
    piece_bytes: Bytes = Field(
        default=256 << 20,
        ge=1 << 16,
        description="uncompressed shards, and zstd files of many frames, are cut into such ranges",
    )
    shard_format: str = Field(
        default="jsonl.zst",
        description="how deduplicated shards are stored; a format registered in Python, or this one",
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
    decontaminate: DecontaminateConfig | None = Field(
        default=None,
        description="evaluation sets whose items are looked for in all documents, and what becomes of documents that "
        "hold them: see docs/decontamination.md",
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        description="worker processes; default: one per core, or as many as memory allows",
    )

    @field_validator("shard_format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        return _known(SHARD_FORMATS, value)

    @field_validator("method")
    @classmethod
    def _known_method(cls, value: str) -> str:
        return _known(KEY_METHODS, value)

    @field_validator("prefer")
    @classmethod
    def _known_keys(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        for key in keys:
            preference(key)
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"key {twice[0]!r} of prefer is named twice")
        return keys

    @model_validator(mode="before")
    @classmethod
    def _whole_shingle(cls, values: Any) -> Any:
        """A part of ``shingle`` that is not given is the preset's, unless its unit is another."""
        if not isinstance(values, Mapping) or not isinstance(values.get("shingle"), Mapping):
            return values
        name = values.get("preset", "slimpajama")
        known = next((preset for known, preset in DEDUP_PRESETS.items() if known == name), None)
        given = values["shingle"]
        if known is None or given.get("unit", known.shingle.unit) != known.shingle.unit:
            return values
        return {**values, "shingle": {**known.shingle.model_dump(), **given}}

    @model_validator(mode="after")
    def _filled_in(self) -> Config:
        """Check that the settings fit together, and set those that are not given to what applies."""
        preset = DEDUP_PRESETS[self.preset]
        filled = {
            name: getattr(preset, name)
            for name in ("shingle", "num_perm", "checked", "method")
            if name not in self.model_fields_set
        }
        for name, value in filled.items():
            object.__setattr__(self, name, value)  # leaves model_fields_set as it is, and the model frozen to others
        self._fill_in_bands(preset)
        if self.checked and self.method not in SIGNATURE_METHODS:
            raise ValueError(
                f"checked works with signatures, and method {self.method!r} has none: set checked to false, or method "
                f"to {' or '.join(SIGNATURE_METHODS)}"
            )
        names = [source.name for source in self.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"source {twice[0]!r} is named twice")
        return self

    def _fill_in_bands(self, preset: DedupPreset) -> None:
        if not self.checked and self.threshold is not None and (self.bands is not None or self.rows is not None):
            raise ValueError("give either threshold or bands and rows, not both")
        if (self.bands is None) != (self.rows is None):
            raise ValueError("bands and rows are given together, or neither")
        if self.checked and self.threshold is None:
            object.__setattr__(self, "threshold", PRESET_THRESHOLD)
        if self.bands is None and (self.checked or self.threshold is None):
            if preset.bands * preset.rows > self.num_perm:
                raise ValueError(
                    f"num_perm is {self.num_perm}, but the {preset.bands} bands of {preset.rows} rows of preset "
                    f"{self.preset} need {preset.bands * preset.rows}: give bands and rows, or raise num_perm"
                )
            object.__setattr__(self, "bands", preset.bands)
            object.__setattr__(self, "rows", preset.rows)
        if self.bands is not None and self.rows is not None and self.bands * self.rows > self.num_perm:
            raise ValueError(
                f"{self.bands} bands of {self.rows} rows need {self.bands * self.rows} permutations, "
                f"but num_perm is {self.num_perm}"
            )


def without_preset(values: Mapping[str, object]) -> dict[str, object]:
    """The settings of a whole config, without those that are as its preset has them, so that another can take over."""
    preset = Config.model_validate({"preset": values.get("preset", "slimpajama")}).model_dump(mode="json")
    filled = ("preset", "shingle", "bands", "rows", "num_perm", "method", "checked", "threshold")
    return {key: value for key, value in values.items() if key not in filled or value != preset[key]}


def load_config(file: Path | None = None, assignments: Sequence[str] = (), **flags: Any) -> Config:
    """Defaults, then the YAML ``file``, then ``key=value`` ``assignments``, then ``flags`` that are not ``None``.

    Values of assignments are YAML (``--set memory=8GiB --set sources=[wiki,web]``). Raises :class:`ConfigError`.
    """
    values: dict[str, object] = {}
    if file is not None:
        loaded = read_yaml(file, "config")
        # The file of a whole run holds these settings in a section of their own.
        section = (loaded["dedup"] or {}) if isinstance(loaded, dict) and "dedup" in loaded else loaded
        if not isinstance(section, dict):
            raise ConfigError(f"{file} holds {kind_of(section)}; it must be a mapping of settings to values")
        values.update(section)
    for key, value in map(assigned, assignments):
        put_at(values, key, value, f"--set {key}", "the settings")
    values.update({key: value for key, value in flags.items() if value is not None})
    origins = ([str(file)] if file is not None else []) + (["--set"] if assignments else [])
    return checked(Config, values, " and ".join(origins) or "settings")
