"""Where every file of a token store lies: all paths below its folder are made here and nowhere else.

``store.json``, ``summary.json``, ``tokenizer.json``, ``holdout.npy`` and ``sources/`` are the finished store; ``done/``
holds the markers; ``runs/`` is removed when the store is finished. Costs nothing; makes no folder and reads nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from slimpajama.storage.file_list import FILE_LIST
from slimpajama.storage.file_names import SUMMARY_FILE
from slimpajama.storage.paths import relative_name

__all__ = ["TOKENS_FOLDER", "StoreLayout", "TokenFiles", "token_files"]

TOKENS_FOLDER = "tokens"
"""The folder of the token store in an output of mixtures."""

_BUCKET = re.compile(r"sources/[^/]+/[^/]+/\d+\.(documents|tokens)\.npy")


class TokenFiles(NamedTuple):
    """The two files of a bucket or a sorted run."""

    documents: Path
    tokens: Path


def token_files(folder: Path, name: str) -> TokenFiles:
    """The files of the bucket or sorted run called ``name``."""
    return TokenFiles(folder / f"{name}.documents.npy", folder / f"{name}.tokens.npy")


@dataclass(frozen=True, slots=True)
class StoreLayout:
    """The paths of the token store in the folder ``root``."""

    root: Path

    @property
    def index(self) -> Path:
        """The buckets of the finished store."""
        return self.root / "store.json"

    @property
    def summary(self) -> Path:
        """The figures of the finished store."""
        return self.root / SUMMARY_FILE

    @property
    def tokenizer(self) -> Path:
        """What the ids mean."""
        return self.root / "tokenizer.json"

    @property
    def holdout(self) -> Path:
        """The held-out contents, with their splits."""
        return self.root / "holdout.npy"

    @property
    def file_list(self) -> Path:
        """All files of the store and of the mixtures beside it, with their digests."""
        return self.root / FILE_LIST

    @property
    def done(self) -> Path:
        """The folder of markers, with a folder for each stage."""
        return self.root / "done"

    @property
    def runs(self) -> Path:
        """The folder of sorted runs."""
        return self.root / "runs"

    @property
    def drawn(self) -> Path:
        """The clusters that are not for train, while the store is made."""
        return self.runs / "drawn.npy"

    @property
    def near_held_out(self) -> Path:
        """The contents that share much with a held-out text, while the store is made."""
        return self.runs / "near_held_out.npy"

    @property
    def sources(self) -> Path:
        """The folder of buckets."""
        return self.root / "sources"

    def candidates(self, source: str, shard: str) -> Path:
        """The documents of a shard that the draw can hold out."""
        return self.runs / source / f"{shard}.candidates.npy"

    def values(self, source: str, shard: str) -> Path:
        """The values of the metadata columns of a shard."""
        return self.runs / source / f"{shard}.values.json"

    def held_out_runs(self, source: str, shard: str) -> Path:
        """The runs of words of the held-out texts of a shard."""
        return self.runs / source / f"{shard}.held_out.npy"

    def sharing(self, source: str, shard: str) -> tuple[Path, Path]:
        """The documents of a shard that share runs of words with held-out texts, and those runs."""
        folder = self.runs / source
        return folder / f"{shard}.sharing.npy", folder / f"{shard}.shared_runs.npy"

    def runs_of(self, source: str) -> Path:
        """The folder of the sorted runs of a source."""
        return self.runs / source

    def run(self, source: str, name: str) -> TokenFiles:
        """The files of a sorted run."""
        return token_files(self.runs_of(source), name)

    def bucket(self, source: str, split: str, number: int) -> TokenFiles:
        """The files of a bucket."""
        return token_files(self.sources / source / split, f"{number:05d}")

    def is_bucket(self, relative: str) -> bool:
        """Whether a path below the root is that of a file of a bucket."""
        return _BUCKET.fullmatch(relative) is not None

    def relative(self, path: Path | str) -> str:
        """A path below the root, with forward slashes."""
        return relative_name(path, self.root)
