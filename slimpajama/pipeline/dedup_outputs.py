"""Where the outputs of a deduplication lie, and which of those that lie there are still somebody's.

``work/outputs.json`` lists what runs wrote or meant to write, with a digest of the decisions and texts behind each
file, so that a shard of a source that is gone, or one that a killed run left for decisions or texts that have changed
since, never stays to be taken for a result. Only files that a run listed are ever removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimpajama.config import Scope
from slimpajama.corpus.discovery import Corpus, Piece
from slimpajama.stage import Stages
from slimpajama.storage import place, relative_name
from slimpajama.workspace import read_json

__all__ = ["BOTH", "OWNED_FOLDERS", "PIECES", "Outputs", "owned_folders"]

LISTING = "outputs.json"

PIECES = "pieces.json"
"""In ``work/``: for each part of each piece its decisions and, by source and scope, its shards."""

BOTH: tuple[Scope, ...] = ("global", "local")


OWNED_FOLDERS = ("decisions", "global", "local", "quarantine", "work")


def owned_folders(root: Path) -> list[Path]:
    """The folders of an output that hold nothing but what runs wrote."""
    return [root / name for name in OWNED_FOLDERS]


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files of one run in the folder ``root``."""

    root: Path
    corpus: Corpus
    scope: Scope
    stages: Stages

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Scopes whose shards are written."""
        return BOTH if self.scope == "both" else (self.scope,)

    def decisions_file(self, piece: Piece) -> Path:
        """The table of verdicts on a piece."""
        if piece.mixed:
            return self.root / "decisions" / f"{piece.name}.parquet"
        source = self.corpus.sources[piece.shards[0].source].name
        return self.root / "decisions" / source / f"{piece.shards[0].stem}{piece.part_suffix}.parquet"

    def quarantine_file(self, piece: Piece) -> Path:
        """The broken records of a piece, if it has any."""
        return self.root / "quarantine" / f"{piece.name}.jsonl"

    def shard_files(
        self, piece: Piece, parts: int, scopes: tuple[Scope, ...] | None = None
    ) -> tuple[tuple[tuple[str, int, Path], ...], ...]:
        """For each part of a piece the (scope, source order, path) of its shards."""
        found = []
        for part in range(parts):
            suffix = f"-{part:05d}-of-{parts:05d}" if parts > 1 else piece.part_suffix
            found.append(
                tuple(
                    (
                        scope,
                        shard.source,
                        self.root / scope / self.corpus.sources[shard.source].name / f"{shard.stem}{suffix}.jsonl.zst",
                    )
                    for scope in scopes or self.scopes
                    for shard in piece.shards
                )
            )
        return tuple(found)

    def announce(self) -> None:
        """List the tables this run may write before it writes any, so that a later one knows whose they are."""
        listed = self._listed()
        for piece in self.corpus.pieces:
            for path in self._tables(piece):
                listed.setdefault(path, "")
        self._write_list(listed)

    def doubt_outdated(self, made_of: Sequence[str], parts: Sequence[int]) -> None:
        """List the shards this run will write, and strike out what was made of something else.

        Should this run be interrupted, the next one cannot take what lies there for the right thing. ``made_of``: a
        digest of the decisions on each piece and of its texts; ``parts``: how many parts it has.
        """
        listed = self._listed()
        for piece, value, count in zip(self.corpus.pieces, made_of, parts, strict=True):
            for path in (*self._tables(piece), *self._shards(piece, count)):
                listed[path] = value if listed.get(path) == value else ""
        self._write_list(listed)

    def finish(
        self,
        decided: Sequence[str],
        made_of: Sequence[str],
        parts: Sequence[Sequence[int]],
        written: Sequence[Mapping[str, Any]],
    ) -> set[str]:
        """Say where everything lies, and remove what an earlier run wrote and this one neither did nor would.

        Returns the paths of all outputs that are of these decisions and texts, relative to the root.

        Shards of a scope that was not asked for this time stay while their decisions and texts do. ``decided``: a
        digest of the decisions on each piece; ``made_of``: and of its texts; ``parts``: positions at which the parts
        of each piece begin; ``written``: results of the last stage.
        """
        earlier = self._listed()
        listed: dict[str, str] = {}
        places: list[dict[str, Any]] = []
        for piece, decision, value, starts, result in zip(
            self.corpus.pieces, decided, made_of, parts, written, strict=True
        ):
            digests = {self._relative(place(file["path"])): file["blake2b"] for file in result["files"]}
            tables, shards = self._tables(piece), self._shards(piece, len(starts))
            listed |= dict.fromkeys(tables, value)
            listed |= {path: value for path in shards if path in digests or earlier.get(path) == value}
            for number, outputs in enumerate(self.shard_files(piece, len(starts), BOTH)):
                by_source: dict[str, dict[str, str]] = {}
                for scope, source, path in outputs:
                    by_source.setdefault(self.corpus.sources[source].name, {})[scope] = self._relative(path)
                paths = [self._relative(path) for _, _, path in outputs]
                stop = starts[number + 1] if number + 1 < len(starts) else None
                places.append(
                    {
                        "decisions": tables[0],
                        "decided": decision,
                        "positions": [starts[number], stop],
                        "shards": by_source,
                        "digests": {path: digests[path] for path in paths if path in digests},
                    }
                )
        for outdated in sorted(set(earlier) - set(listed)):
            self.stages.remove(self.root / outdated)
        self.stages.write_json(self.root / "work" / PIECES, places)
        self._write_list(listed)
        return set(listed)

    def _tables(self, piece: Piece) -> list[str]:
        return [self._relative(path) for path in (self.decisions_file(piece), self.quarantine_file(piece))]

    def _shards(self, piece: Piece, parts: int) -> list[str]:
        """In both scopes."""
        files = self.shard_files(piece, parts, BOTH)
        return [self._relative(path) for part in files for _, _, path in part]

    def _relative(self, path: Path) -> str:
        return relative_name(path, self.root)

    def _listed(self) -> dict[str, str]:
        listed = read_json(self.root / "work" / LISTING)
        return listed if isinstance(listed, dict) else {}

    def _write_list(self, listed: Mapping[str, str]) -> None:
        self.stages.write_json(self.root / "work" / LISTING, listed)
