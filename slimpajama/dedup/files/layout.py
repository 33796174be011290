"""Where every file of a deduplication lies: all paths below its output folder are made here and nowhere else.

``decisions/``, ``global/``, ``local/`` and ``quarantine/`` are for users, as is ``summary.json``; ``work/`` is what a
later run continues from, compares with or is verified by. Costs nothing; makes no folder and reads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slimpajama.config.dedup import Scope
from slimpajama.corpus.pieces import Bundle
from slimpajama.storage.file_list import FILE_LIST
from slimpajama.storage.file_names import SUMMARY_FILE
from slimpajama.storage.paths import relative_name

__all__ = ["BOTH", "OWNED_FOLDERS", "WORK", "DedupLayout", "OutputShard", "scopes_written"]

BOTH: tuple[Scope, ...] = ("global", "local")


WORK = "work"
"""The folder of what is between input and output."""

OWNED_FOLDERS = ("decisions", "global", "local", "quarantine", "decontamination", WORK)
"""Folders of an output that hold nothing but what runs wrote."""


def scopes_written(setting: Scope) -> tuple[Scope, ...]:
    """The scopes whose shards are written with this value of the setting ``scope``."""
    return {"both": BOTH, "none": ()}.get(setting, (setting,))


@dataclass(frozen=True, slots=True)
class OutputShard:
    """A deduplicated shard: its scope, the number of its source, and where it lies."""

    scope: Scope
    source: int
    path: Path


@dataclass(frozen=True, slots=True)
class DedupLayout:
    """The paths of the output ``root``. ``sources``: their names by number, and ``shard_ending``: of the
    shards, both for the files of bundles."""

    root: Path
    sources: tuple[str, ...] = ()
    shard_ending: str = ".jsonl.zst"

    @property
    def owned_folders(self) -> list[Path]:
        """The folders that hold nothing but what runs wrote."""
        return [self.root / name for name in OWNED_FOLDERS]

    @property
    def user_folders(self) -> tuple[str, ...]:
        """Names of the owned folders beside ``work``."""
        return OWNED_FOLDERS[:-1]

    @property
    def summary(self) -> Path:
        """The figures of the finished run."""
        return self.root / SUMMARY_FILE

    def card(self, scope: Scope) -> Path:
        """The dataset card of the shards of a scope."""
        return self.root / scope / "README.md"

    @property
    def work(self) -> Path:
        """The folder of what is between input and output."""
        return self.root / WORK

    @property
    def done(self) -> Path:
        """The folder of markers, with a folder for each stage."""
        return self.work / "done"

    @property
    def parts(self) -> Path:
        """The folder of what is put aside of shards that are read or written in parts."""
        return self.work / "parts"

    @property
    def rows(self) -> Path:
        """The folder of what the first stage found."""
        return self.work / "rows"

    @property
    def evaluation(self) -> Path:
        """The folder of the index of evaluation items."""
        return self.work / "evaluation"

    @property
    def matches(self) -> Path:
        """The table of documents that hold evaluation items."""
        return self.root / "decontamination" / "matches.parquet"

    @property
    def rows_list(self) -> Path:
        """The list of all rows files, an earlier run's among them."""
        return self.work / "rows.json"

    @property
    def clusters(self) -> Path:
        """The clusters of all linked documents."""
        return self.work / "clusters.arrow"

    @property
    def check(self) -> Path:
        """The folder of what rounds of checks put aside."""
        return self.work / "check"

    @property
    def look(self) -> Path:
        """The folder of what is put aside while removals are looked at."""
        return self.work / "look"

    @property
    def index(self) -> Path:
        """What later runs compare new documents with."""
        return self.work / "index.json"

    @property
    def manifest(self) -> Path:
        """The list of all decisions and shards, part by part."""
        return self.work / "pieces.json"

    @property
    def claims(self) -> Path:
        """The list of what runs wrote or meant to write."""
        return self.work / "outputs.json"

    @property
    def file_list(self) -> Path:
        """All files of the finished run with their digests."""
        return self.work / FILE_LIST

    def part_markers(self, stage: str, bundle: Bundle) -> Path:
        """The folder of the markers of a bundle's parts."""
        return self.parts / stage / bundle.name

    def rows_file(self, bundle: Bundle) -> Path:
        """What the first stage found in a bundle."""
        return self.rows / f"{bundle.name}.arrow"

    def matches_file(self, bundle: Bundle) -> Path:
        """Which documents of a bundle hold evaluation items, if any does."""
        return self.work / "matches" / f"{bundle.name}.arrow"

    def exact_links(self, number: int) -> Path:
        """The links between documents of equal text, of one range of the hashes."""
        return self.work / "exact" / f"links-{number}.arrow"

    def left_out(self, number: int) -> Path:
        """The copies that are left out of the bands, of one range of the hashes."""
        return self.work / "exact" / f"left-out-{number}.arrow"

    def links(self, band: int, number: int) -> Path:
        """The links of one range of the keys of a band."""
        return self.work / "links" / f"{band}-{number}.arrow"

    def groups(self, scope: Scope, number: int) -> Path:
        """Who survives, of one range of the clusters of a scope."""
        return self.work / "groups" / f"{scope}-{number}.arrow"

    def decisions(self, bundle: Bundle) -> Path:
        """The table of verdicts on a bundle."""
        folder = self.root / "decisions"
        if bundle.first.mixed:
            return folder / f"{bundle.name}.parquet"
        shard = bundle.first.shards[0]
        return folder / self.sources[shard.source] / f"{shard.stem}{bundle.suffix}.parquet"

    def quarantine(self, name: str) -> Path:
        """The broken records of the bundle of that name, if it has any."""
        return self.root / "quarantine" / f"{name}.jsonl"

    def shards(self, bundle: Bundle, parts: int, scopes: Sequence[Scope]) -> tuple[tuple[OutputShard, ...], ...]:
        """The shards of each part of a bundle."""
        found = []
        for part in range(parts):
            suffix = f"-{part:05d}-of-{parts:05d}" if parts > 1 else bundle.suffix
            found.append(
                tuple(
                    OutputShard(
                        scope,
                        shard.source,
                        self.root / scope / self.sources[shard.source] / f"{shard.stem}{suffix}{self.shard_ending}",
                    )
                    for scope in scopes
                    for shard in bundle.first.shards
                )
            )
        return tuple(found)

    def relative(self, path: Path | str) -> str:
        """A path below the root, with forward slashes."""
        return relative_name(path, self.root)
