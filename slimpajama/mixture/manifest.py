"""``manifest.json``: what a mixture was made of, how it was planned, and which files it consists of.

It is what ``slimpajama verify`` compares a mixture with, and all that is needed to make the plan anew. It is versioned,
so that a manifest of another version is named as such instead of being misread. A mixture may lie there in several
formats, and its manifest lists the files of all of them; what is held out is shared by all mixtures of an output and
has a manifest of its own. Costs about 300 bytes per file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from slimpajama.config.part import part_of
from slimpajama.errors import InputError
from slimpajama.mixture.holdout_shape import HoldoutShape
from slimpajama.mixture.layout import HoldoutLayout, MixtureLayout
from slimpajama.mixture.packing import Packing
from slimpajama.mixture.plan import Plan, SourcePlan
from slimpajama.mixture.plan_text import HeldOutCounts
from slimpajama.storage.atomic import read_json

__all__ = [
    "HOLDOUT_VERSION",
    "MIXTURE_VERSION",
    "HeldOutSource",
    "HoldoutFile",
    "HoldoutManifest",
    "MixtureFile",
    "MixtureManifest",
    "MixturePhase",
    "MixturePlan",
    "MixtureSource",
    "PackedDocuments",
    "StoreUsed",
    "held_out_sources",
    "read_holdout_manifest",
    "read_mixture_manifest",
]

MIXTURE_VERSION = 2
HOLDOUT_VERSION = 1


class MixtureSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One source's part of the plan; see :class:`slimpajama.mixture.plan.SourcePlan`."""

    source: str
    share: float
    first: int
    sequences: int
    tokens: int
    available: int
    distinct: int
    epochs: float
    unused: int

    @classmethod
    def of(cls, source: SourcePlan) -> MixtureSource:
        """As a manifest tells it."""
        return cls(
            source=source.name,
            share=float(source.share),
            first=source.first,
            sequences=source.sequences,
            tokens=source.tokens,
            available=source.available,
            distinct=source.distinct,
            epochs=source.epochs,
            unused=source.unused,
        )


class MixturePhase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One phase: the first ``files`` files that no earlier phase has are its own."""

    phase: str
    files: int
    sequences: int
    tokens: int
    sources: tuple[MixtureSource, ...]


class MixturePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What train holds: of each source in all, and in each of its ``phases``, if it has some."""

    sequences: int
    tokens: int
    sources: tuple[MixtureSource, ...]
    phases: tuple[MixturePhase, ...] = ()

    @classmethod
    def of(cls, plan: Plan) -> MixturePlan:
        """As a manifest tells it."""
        length = plan.sequence_length
        phases = tuple(
            MixturePhase(
                phase.name,
                phase.files,
                phase.sequences,
                phase.sequences * length,
                tuple(map(MixtureSource.of, phase.sources)),
            )
            for phase in plan.phases
            if phase.name
        )
        return cls(plan.sequences, plan.sequences * length, tuple(map(MixtureSource.of, plan.sources)), phases)


class HeldOutSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the shared holdout measures a mixture on a source: its ``weight`` in the mean of the losses, and how many
    sequences each split has. A source with weight 0 is measured all the same."""

    source: str
    weight: float
    validation: int
    test: int


def held_out_sources(plan: Plan, held_out: HeldOutCounts) -> tuple[HeldOutSource, ...]:
    """All sources of the shared holdout, weighed by what the plan takes of them."""
    weights: dict[str, float] = {}
    for one in plan.sources:
        source = part_of(one.name).source
        weights[source] = weights.get(source, 0.0) + one.sequences / plan.sequences
    validation, test = (held_out[split] for split in ("validation", "test"))
    return tuple(
        HeldOutSource(source, weights.get(source, 0.0), count, test[source]) for source, count in validation.items()
    )


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
    format: str
    sequences: dict[str, int]
    documents: int


class PackedDocuments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What packing did: ``documents`` that begin in train, those of them that are ``cut``, so not whole in one
    sequence, and tokens of ``padding``."""

    documents: int
    cut: int
    padding: int


class MixtureManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole mixture. ``recipe``: its fields, as in the YAML file; ``versions``: of programs, by name. ``formats``:
    that it is there in, the one of the last command first. ``holdout``: how the shared one measures it."""

    recipe: dict[str, object]
    plan: MixturePlan
    store: StoreUsed
    formats: tuple[str, ...]
    holdout: tuple[HeldOutSource, ...]
    packed: PackedDocuments
    warnings: tuple[str, ...]
    files: tuple[MixtureFile, ...]
    versions: dict[str, str]
    version: int = MIXTURE_VERSION

    @property
    def held_out(self) -> dict[str, int]:
        """By split, the sequences of the shared holdout that are of sources of this mixture."""
        return {
            split: sum(getattr(source, split) for source in self.holdout if source.weight)
            for split in ("validation", "test")
        }


class HoldoutFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One file of the shared holdout, by its path below the folder. ``length``: tokens of a sequence, with the extra
    one."""

    name: str
    bytes: int
    blake2b: str
    format: str
    source: str
    split: str
    length: int
    sequences: int
    documents: int
    extra_token: bool = False
    packing: Packing = "concat"

    @property
    def shape(self) -> HoldoutShape:
        """Of its sequences."""
        return HoldoutShape(self.length - self.extra_token, self.extra_token, self.packing)


class HoldoutManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The shared holdout, in every shape and format that mixtures of its output were asked for in."""

    store: StoreUsed
    files: tuple[HoldoutFile, ...]
    version: int = HOLDOUT_VERSION

    def files_of(self, source: str, split: str, shape: HoldoutShape, format: str) -> list[HoldoutFile]:
        """The files of a source's split, in order."""
        wanted = (source, split, shape, format)
        return [file for file in self.files if (file.source, file.split, file.shape, file.format) == wanted]


Manifest = TypeVar("Manifest", MixtureManifest, HoldoutManifest)


def read_mixture_manifest(folder: Path) -> MixtureManifest:
    """The manifest of the mixture in ``folder``. Raises :class:`InputError` where there is none of this version."""
    return _read(MixtureLayout(folder).manifest, MixtureManifest, MIXTURE_VERSION, "the same recipe")


def read_holdout_manifest(folder: Path) -> HoldoutManifest:
    """The manifest of the shared holdout in ``folder``. Raises :class:`InputError` where there is none of this
    version."""
    return _read(HoldoutLayout(folder).manifest, HoldoutManifest, HOLDOUT_VERSION, "any of the recipes")


def _read(path: Path, kind: type[Manifest], known: int, again: str) -> Manifest:
    content = read_json(path)
    version = content.get("version", 1) if isinstance(content, dict) else known
    if version != known:
        raise InputError(
            f"{path} is of version {version}, and this slimpajama reads version {known}; run slimpajama mix with "
            f"{again} again"
        )
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as fault:
        raise InputError(
            f"{path} is missing or broken; run slimpajama mix with {again} again: it is written anew"
        ) from fault
