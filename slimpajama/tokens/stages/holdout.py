"""Holdout: draw validation and test from the candidates of all shards, or take the splits that are there already.

One task, because what is drawn depends on all shards. Reads the candidates, a few megabytes for each source of a
thousand shards; how they are drawn is in :mod:`slimpajama.tokens.draw`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import content_digest, fingerprint
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.npy import map_array, write_array
from slimpajama.storage.paths import path_of
from slimpajama.tokens.draw import (
    CANDIDATE,
    HoldoutAccount,
    HoldoutRule,
    candidates,
    draw,
    published,
    taken_over,
)
from slimpajama.tokens.holdout import DRAWN, read_held_out
from slimpajama.tokens.stages.tokenize import TokenizeResult
from slimpajama.tokens.token_run import TokenRun

__all__ = ["HoldoutPayload", "HoldoutResult", "HoldoutStage", "SourceCandidates", "source_candidates"]


@dataclass(frozen=True, slots=True)
class SourceCandidates:
    """One source: ``tokens`` of its documents kept globally, the names of its shards, and each one's candidates."""

    source: str
    tokens: int
    shards: tuple[str, ...]
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class HoldoutPayload:
    """The candidates of each source, the rule of the draw, and where its rows go.

    ``published``: the input has a split of its own. ``earlier``: the ``holdout.npy`` to take over.
    """

    sources: tuple[SourceCandidates, ...]
    rule: HoldoutRule
    published: bool
    earlier: Path | None
    drawn_file: Path


class HoldoutResult(StageResult, frozen=True, kw_only=True):
    """How much was held out of each source. ``drawn``: the clusters that are not for train, as rows ``DRAWN``.

    ``shards``: by source, the names of the shards that held-out documents lie in.
    """

    account: HoldoutAccount
    shards: dict[str, tuple[str, ...]]
    drawn: FileRecord


@dataclass(frozen=True)
class HoldoutStage(Stage[HoldoutPayload, HoldoutResult]):
    """The draw from what was ``tokenized``, shard by shard."""

    tokens: TokenRun
    tokenized: Sequence[TokenizeResult]

    name: ClassVar[str] = "holdout"
    title: ClassVar[str] = "holdout"
    version: ClassVar[int] = 4
    result_type = HoldoutResult
    scales_with: ClassVar[Scale] = "documents"
    single: ClassVar[bool] = True

    def tasks(self) -> Sequence[Task[HoldoutPayload]]:
        """One."""
        config = self.tokens.config
        sources = source_candidates(self.tokens.documents.sources, self.tokenized)
        inputs = {
            "version": self.version,
            "settings": config.model_dump(include={"holdout", "holdout_least", "holdout_most", "holdout_seed"}),
            "earlier holdout": self.tokens.earlier_digest(),
            "candidates": fingerprint(
                [
                    [one.source, one.shard, one.tokens.global_, content_digest([one.candidates])]
                    for one in self.tokenized
                ]
            ),
        }
        payload = HoldoutPayload(
            sources,
            self.tokens.rule,
            any(self.tokens.published),
            self.tokens.earlier_file,
            self.tokens.layout.drawn,
        )
        return [Task("all", payload, inputs, 1, written_files(one.candidates for one in self.tokenized))]

    @staticmethod
    def run(payload: HoldoutPayload) -> HoldoutResult:
        """Draw the holdout and write it."""
        tokens = {one.source: one.tokens for one in payload.sources}
        drawing = payload.earlier is None and not payload.published
        found = {one.source: _joined(one, payload.rule if drawing else None) for one in payload.sources}
        if payload.earlier is not None:
            drawn = taken_over(found, tokens, read_held_out(payload.earlier))
        elif payload.published:
            drawn = published(found, tokens)
        else:
            drawn = draw(found, tokens, payload.rule)
        names = {one.source: one.shards for one in payload.sources}
        return HoldoutResult(
            account=drawn.account,
            shards={
                source: tuple(names[source][number] for number in numbers) for source, numbers in drawn.shards.items()
            },
            drawn=write_array(payload.drawn_file, DRAWN, drawn.rows.size, [drawn.rows]),
        )


def source_candidates(sources: Sequence[str], tokenized: Sequence[TokenizeResult]) -> tuple[SourceCandidates, ...]:
    """What was tokenised, by source, in their order."""
    own = {source: [one for one in tokenized if one.source == source] for source in sources}
    return tuple(
        SourceCandidates(
            source,
            sum(one.tokens.global_ for one in results),
            tuple(one.shard for one in results),
            tuple(path_of(one.candidates.path) for one in results),
        )
        for source, results in own.items()
    )


def _joined(source: SourceCandidates, rule: HoldoutRule | None) -> NDArray[np.void]:
    """The candidates of all shards of a source; where there is a ``rule``, only those that a draw can take."""
    joined, size = [np.zeros(0, dtype=CANDIDATE)], 0
    for number, file in enumerate(source.files):
        rows = np.array(map_array(file))
        rows["shard"] = number
        joined.append(rows)
        size += rows.size
        if rule is not None and size > 1 << 20:
            joined = [candidates(np.concatenate(joined), rule)]
            size = 0
    return np.concatenate(joined)
