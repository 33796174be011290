"""Which files hold the sequences of a split: those of the mixture for train, of the shared holdout for the others.

Reads the manifests alone. A mixture is measured on the sequences of its own length and packing, of the sources that it
has, in their order; or of the sources that are asked for, whether it has them or not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from slimpajama.errors import ConfigError, InputError

__all__ = ["ListedFiles", "Split", "SplitFile", "listed_files"]

Split = Literal["train", "validation", "test"]

HOLDOUT_FOLDER = "holdout"
"""Of the output that a mixture lies in."""


class ListedStore(msgspec.Struct, frozen=True):
    """The token store that files were made of."""

    fingerprint: str
    vocabulary: int
    end_of_text: int


@dataclass(frozen=True, slots=True)
class SplitFile:
    """A file and how many sequences it holds."""

    path: Path
    format: str
    sequences: int


@dataclass(frozen=True, slots=True)
class ListedFiles:
    """The ``files`` of a split in every format that it lies there in, and what all their sequences share: ``length`` in
    tokens, and whether they are ``padded``. ``fingerprint``: of the sequences and their order, in whatever format."""

    files: tuple[SplitFile, ...]
    store: ListedStore
    length: int
    padded: bool
    fingerprint: str

    @property
    def formats(self) -> tuple[str, ...]:
        """That there are."""
        return tuple(dict.fromkeys(file.format for file in self.files))


class _Size(msgspec.Struct):
    sequences: int
    tokens: int


class _TrainFile(msgspec.Struct):
    name: str
    sequences: dict[str, int]
    format: str = ""
    split: str = "train"


class _Measure(msgspec.Struct):
    source: str
    weight: float


class _Mixture(msgspec.Struct):
    """What is needed of a mixture's ``manifest.json``."""

    plan: _Size
    store: ListedStore
    files: list[_TrainFile]
    recipe: dict[str, object]
    format: str = ""
    holdout: list[_Measure] = msgspec.field(default_factory=list)

    @property
    def length(self) -> int:
        return self.plan.tokens // self.plan.sequences

    @property
    def packing(self) -> object:
        return self.recipe.get("packing", "concat")

    def listed(self, files: Sequence[SplitFile], *more: object) -> ListedFiles:
        """Such files; ``more``: what says which sequences they are, beside store and recipe."""
        made_of = msgspec.json.encode([self.store.fingerprint, self.recipe, *more], order="deterministic")
        fingerprint = hashlib.blake2b(made_of, digest_size=16).hexdigest()
        return ListedFiles(tuple(files), self.store, self.length, self.packing != "concat", fingerprint)


class _HeldOutFile(msgspec.Struct):
    name: str
    format: str
    source: str
    split: str
    length: int
    sequences: int
    extra_token: bool = False
    packing: str = "concat"


class _Holdout(msgspec.Struct):
    """What is needed of the ``manifest.json`` of the shared holdout."""

    store: ListedStore
    files: list[_HeldOutFile]


Manifest = TypeVar("Manifest", _Mixture, _Holdout)


def listed_files(folder: Path, split: Split = "train", sources: Sequence[str] | None = None) -> ListedFiles:
    """The files of a split of the mixture in ``folder``; ``sources``: of which sequences are held out, in their order.

    Raises :class:`InputError` where there is no finished mixture or no holdout of it, and :class:`ConfigError` for a
    split or a source that there is not.
    """
    mixture = _read(folder, _Mixture, "finished mixture")
    if split == "train":
        if sources is not None:
            raise ConfigError(
                f"sources is {list(sources)}, but train is read as the mixture has it; leave sources out, or give "
                "split='validation' or split='test'"
            )
        own = [file for file in mixture.files if file.split == "train"]
        # An older manifest says the format once, for all files.
        return mixture.listed(
            [SplitFile(folder / file.name, file.format or mixture.format, sum(file.sequences.values())) for file in own]
        )
    if split not in ("validation", "test"):
        raise ConfigError(f"there is no split {split!r}; the splits are train, validation, test")
    root = folder.parent / HOLDOUT_FOLDER
    holdout = _read(root, _Holdout, "shared holdout")
    if holdout.store != mixture.store:
        raise InputError(f"{root} is not what {folder} is measured by; run slimpajama mix with its recipe again")
    shape = (split, mixture.length, bool(mixture.recipe.get("extra_token", False)), mixture.packing)
    there = [file for file in holdout.files if (file.split, file.length, file.extra_token, file.packing) == shape]
    has = list(dict.fromkeys(file.source for file in there))
    wanted = [one.source for one in mixture.holdout if one.weight and one.source in has]
    chosen = wanted if sources is None else list(dict.fromkeys(sources))
    missing = [source for source in chosen if source not in has]
    if missing or not chosen:
        lacks = f"source {missing[0]!r}" if missing else "any source of the mixture"
        raise ConfigError(
            f"{root} has no {split} sequence of {mixture.length:,} tokens from {lacks}; it has some from "
            f"{', '.join(has) or 'no source'}"
        )
    files = [
        SplitFile(root / file.name, file.format, file.sequences)
        for source in chosen
        for file in there
        if file.source == source
    ]
    return mixture.listed(files, split, chosen)


def _read(folder: Path, kind: type[Manifest], called: str) -> Manifest:
    path = folder / "manifest.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError) as fault:
        raise InputError(f"there is no {called} in {folder}: cannot read {path.name} ({fault})") from fault
