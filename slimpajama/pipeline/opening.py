"""Opens finished results for a Python user: decisions, token stores and mixtures, each by its folder.

Only files that the manifest of the result lists are opened, so what an interrupted run left is not mistaken for a
result. Opening reads the manifest; the rest is read when it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from slimpajama.config.loading import checked
from slimpajama.config.recipe import Recipe
from slimpajama.dedup.files.manifest import read_manifest
from slimpajama.dedup.verdicts import VERDICTS
from slimpajama.errors import ConfigError, InputNotFound
from slimpajama.evidence.opened_output import Pair, finished_layout, open_evidence
from slimpajama.mixture.holdout_shape import HoldoutShape
from slimpajama.mixture.layout import HOLDOUT_FOLDER, HoldoutLayout, MixtureLayout
from slimpajama.mixture.manifest import MixtureManifest, read_holdout_manifest, read_mixture_manifest
from slimpajama.storage.parquet_dataset import parquet_dataset
from slimpajama.storage.paths import path_of
from slimpajama.tokens.holdout import SPLITS
from slimpajama.tokens.store import TokenStore
from slimpajama.tokens.store import open_store as open_token_store

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pads

__all__ = ["Decisions", "load_mixture", "open_decisions", "open_store"]

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class Decisions:
    """The verdicts of a deduplication: one row for each record of the input.

    ``dataset``: all rows, as a ``pyarrow.dataset.Dataset``. Columns: ``id``, ``shard``, ``position``, ``source``,
    ``status``, ``bytes``, ``cleaned_chars``, ``kept_global``, ``kept_local``, ``cluster_global``, ``cluster_local``,
    ``match_global``, ``match_local``, ``similarity_global``, ``similarity_local``, ``size_global``, ``size_local``,
    ``exact_copies``, ``cluster_sources`` and, with ``decontaminate``, ``evaluation_overlap``, with ``id_field``,
    ``document_id``. ``folder``: of the deduplication.
    """

    dataset: pads.Dataset
    folder: Path

    def kept(self, scope: Literal["global", "local"] = "global", columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of the documents that a scope keeps. Raises :class:`ConfigError` for a name that does not exist."""
        _expect("scope", [scope], ["global", "local"])
        _expect("column", columns or (), self.dataset.schema.names)
        return self.dataset.to_table(columns=columns and list(columns), filter=_field(f"kept_{scope}"))

    def with_status(
        self, status: Literal["kept", "duplicate", "short", "bad", "contaminated"], columns: Sequence[str] | None = None
    ) -> pa.Table:
        """The rows of a verdict. It is that of the global scope: a duplicate may be kept locally.

        Raises :class:`ConfigError` for a name that does not exist.
        """
        _expect("status", [status], VERDICTS)
        _expect("column", columns or (), self.dataset.schema.names)
        return self.dataset.to_table(columns=columns and list(columns), filter=_field("status") == status)

    def cluster(self, id: int, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of the documents in the global cluster with that ``id``, which is the survivor's."""
        _expect("column", columns or (), self.dataset.schema.names)
        return self.dataset.to_table(columns=columns and list(columns), filter=_field("cluster_global") == id)

    def pair(self, id: int, scope: Literal["global", "local"] = "global") -> Pair:
        """A removed document beside the one that stays for it, compared by their texts, which are read from the input.

        Raises :class:`ConfigError` where no document has this ``id``, or where it was not removed in that scope, and
        :class:`~slimpajama.InputError` where the input has gone or changed.
        """
        _expect("scope", [scope], ["global", "local"])
        return open_evidence(self.folder).pair(id, scope)


def open_decisions(output: str | Path) -> Decisions:
    """Open the decisions of the finished deduplication in ``output`` or ``output/dedup``.

    Raises :class:`~slimpajama.InputNotFound` where there is none.
    """
    layout = finished_layout(output)
    names = dict.fromkeys(part.decisions for part in read_manifest(layout).parts)
    return Decisions(parquet_dataset([layout.root / name for name in names]), layout.root)


def open_store(path: str | Path) -> TokenStore:
    """Open the token store in the folder ``path``, which :func:`mix` makes as ``tokens/`` in its output.

    Raises :class:`~slimpajama.InputError` where there is none, or not a finished one.
    """
    return open_token_store(path_of(path))


def load_mixture(path: str | Path, split: Split = "train") -> pads.Dataset:
    """Open one split of the mixture in the folder ``path`` as a ``pyarrow.dataset.Dataset``, in the order of its files.

    Validation and test are those of the shared holdout beside it, of all sources that the mixture has. Raises
    :class:`~slimpajama.InputError` where there is no finished mixture, and :class:`~slimpajama.ConfigError` for a split
    that does not exist or is empty, and for a mixture that is not Parquet.
    """
    if split not in SPLITS:
        raise ConfigError(f"there is no split {split!r}; the splits are {', '.join(SPLITS)}")
    folder = path_of(path)
    if not MixtureLayout(folder).manifest.exists():
        raise InputNotFound(f"{folder} is no finished mixture; give a folder named after a recipe in the output of mix")
    manifest = read_mixture_manifest(folder)
    if "parquet" not in manifest.formats:
        raise ConfigError(
            f"{folder} is a mixture in the format {' and '.join(manifest.formats)}, which its own readers open; make "
            "one with format='parquet' to load it here"
        )
    if split == "train":
        return parquet_dataset([folder / file.name for file in manifest.files if file.format == "parquet"])
    return parquet_dataset(_held_out(folder, manifest, split))


def _held_out(folder: Path, manifest: MixtureManifest, split: Split) -> list[Path]:
    """The Parquet files of the shared holdout that are of the sources of a mixture, in its order."""
    shared = HoldoutLayout(folder.parent / HOLDOUT_FOLDER)
    if not any(getattr(source, split) for source in manifest.holdout if source.weight):
        raise ConfigError(f"the split {split} of {folder} is empty; raise holdout and mix again to have one")
    shape = HoldoutShape.of(checked(Recipe, manifest.recipe, str(MixtureLayout(folder).manifest)))
    held_out = read_holdout_manifest(shared.root)
    files = [
        file
        for source in manifest.holdout
        if source.weight
        for file in held_out.files_of(source.source, split, shape, "parquet")
    ]
    if not files or held_out.store != manifest.store:
        raise ConfigError(
            f"{shared.root} is not what {folder} is measured by; run slimpajama mix with its recipe again to have both"
        )
    return [shared.root / file.name for file in files]


def _expect(kind: str, given: Sequence[str], known: Sequence[str]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ConfigError(f"there is no {kind} {unknown[0]!r} among the decisions; choose from {', '.join(known)}")


def _field(name: str) -> Any:
    import pyarrow.dataset as pads

    return pads.field(name)
