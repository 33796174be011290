"""``manifest.json``: what a mixture was made of, how it was planned, and which files it consists of.

It is what ``slimpajama verify`` compares a mixture with, and all that is needed to make the plan anew. It is versioned,
so that a manifest of another version is named as such instead of being misread; the first version has no number in the
file. Costs about 300 bytes per file of the mixture.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from slimpajama.errors import InputError
from slimpajama.mixture.layout import MixtureLayout
from slimpajama.mixture.plan import Plan
from slimpajama.storage.atomic import read_json

__all__ = [
    "MixtureFile",
    "MixtureManifest",
    "MixturePlan",
    "MixtureSource",
    "SequenceCounts",
    "StoreUsed",
    "read_mixture_manifest",
]

_VERSION = 1


class SequenceCounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sequences of each split."""

    train: int
    validation: int
    test: int

    @property
    def by_split(self) -> dict[str, int]:
        """The counts by the names of the splits."""
        return msgspec.structs.asdict(self)


class MixtureSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One source's part of the plan; see :class:`slimpajama.mixture.plan.SourcePlan`."""

    source: str
    share: float
    sequences: int
    tokens: int
    available: int
    epochs: float
    unused: int


class MixturePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What train holds."""

    sequences: int
    tokens: int
    sources: tuple[MixtureSource, ...]

    @classmethod
    def of(cls, plan: Plan) -> MixturePlan:
        """As a manifest tells it."""
        sources = tuple(
            MixtureSource(
                source=source.name,
                share=float(source.share),
                sequences=source.sequences,
                tokens=source.tokens,
                available=source.available,
                epochs=source.epochs,
                unused=source.unused,
            )
            for source in plan.sources
        )
        return cls(plan.sequences, plan.sequences * plan.sequence_length, sources)


class StoreUsed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The token store that a mixture was made of."""

    fingerprint: str
    vocabulary: int
    end_of_text: int


class MixtureFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file. ``sequences``: by source. ``documents``: that begin in it."""

    name: str
    bytes: int
    blake2b: str
    split: str
    sequences: dict[str, int]
    documents: int


class MixtureManifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A whole mixture. ``recipe``: its fields, as in the YAML file; ``versions``: of programs, by name."""

    recipe: dict[str, object]
    plan: MixturePlan
    store: StoreUsed
    format: str
    sequences: SequenceCounts
    warnings: tuple[str, ...]
    empty_splits: tuple[str, ...]
    files: tuple[MixtureFile, ...]
    versions: dict[str, str]
    version: int = _VERSION


def read_mixture_manifest(folder: Path) -> MixtureManifest:
    """The manifest of the mixture in ``folder``. Raises :class:`InputError` where there is none of this version."""
    path = MixtureLayout(folder).manifest
    content = read_json(path)
    version = content.get("version", _VERSION) if isinstance(content, dict) else _VERSION
    if version != _VERSION:
        raise InputError(
            f"{path} is of version {version}, and this slimpajama reads version {_VERSION}; run slimpajama mix with "
            "the same recipe again"
        )
    try:
        return msgspec.convert(content, MixtureManifest)
    except msgspec.ValidationError as fault:
        raise InputError(
            f"{path} is missing or broken; run slimpajama mix with the same recipe again: it is written anew"
        ) from fault
