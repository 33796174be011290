"""Shared holdout: what each source has in validation and test, as sequences of one length, made once for all mixtures.

So each mixture is measured on each source, and two mixtures on the same sequences; the manifest of a mixture has the
weights for the mean of its losses. A source's stream is cut as it is for training; what does not fill a sequence is
left out. What is held out is kept globally, so it is the same in both scopes. Rejected: a validation split in each
mixture (its sources have too few sequences to be told apart, and each is written as often as there are recipes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from slimpajama.mixture.formats.base import MixtureFormat
from slimpajama.mixture.layout import HoldoutLayout
from slimpajama.mixture.sharing import share_out
from slimpajama.mixture.stages.build import BuildPayload, BuildResult, BuildStage, build_task
from slimpajama.stages.markers import Markers
from slimpajama.stages.stage import Scale, Stage, Task
from slimpajama.tokens.holdout import SPLITS
from slimpajama.tokens.selection import Selection
from slimpajama.tokens.store import TokenStore

__all__ = ["FILE_TOKENS", "HELD_OUT", "SharedHoldoutStage", "held_out_sequences"]

HELD_OUT = SPLITS[1:]

FILE_TOKENS = 1 << 26
"""Of a file, about; what is held out of a source is less, unless a published split is taken as it is."""

SEED = 1
"""Of the order within a file, which is the same for all recipes."""


def held_out_sequences(store: TokenStore, length: int) -> dict[str, dict[str, int]]:
    """By held-out split and source of the store, its sequences of so many tokens."""
    return {
        split: {source: store.stream(source, split, Selection("global")).tokens // length for source in store.sources}
        for split in HELD_OUT
    }


@dataclass(frozen=True)
class SharedHoldoutStage(Stage[BuildPayload, BuildResult]):
    """The held-out sequences of ``length`` tokens of all sources in one format."""

    store: TokenStore
    length: int
    layout: HoldoutLayout
    format: MixtureFormat

    name: ClassVar[str] = "holdout files"
    title: ClassVar[str] = "holdout files"
    version: ClassVar[int] = 2
    result_type = BuildResult
    kernels: ClassVar[tuple[str, ...]] = BuildStage.kernels
    scales_with: ClassVar[Scale] = "fixed"

    @property
    def label(self) -> str:
        """Each length of a run is a stage of its own."""
        return f"{self.title} {self.length}"

    @property
    def markers(self) -> Markers[BuildResult]:
        """The markers of the finished files."""
        return Markers(self.layout.done, self.layout.root, BuildResult)

    def tasks(self) -> Sequence[Task[BuildPayload]]:
        """One for each file; a split of a source is rarely more than one."""
        inputs = {"version": self.version}
        return [
            build_task(payload, self.store, inputs, self.layout.relative(payload.stem)) for payload in self.payloads()
        ]

    def payloads(self) -> list[BuildPayload]:
        """What each file holds, source by source."""
        counts = held_out_sequences(self.store, self.length)
        return [
            payload
            for source in self.store.sources
            for split in HELD_OUT
            for payload in self._files(source, split, counts[split][source])
        ]

    def _files(self, source: str, split: str, sequences: int) -> list[BuildPayload]:
        if not sequences:
            return []
        bounds = share_out([sequences], min(sequences, max(1, round(sequences * self.length / FILE_TOKENS))))[:, 0]
        files = bounds.size - 1
        return [
            BuildPayload(
                store=self.store.path,
                stem=self.layout.stem(source, split, str(self.length), number, files),
                split=split,
                scope="global",
                number=number,
                seed=SEED,
                length=self.length,
                sources=(source,),
                slices=((int(bounds[number]), int(bounds[number + 1])),),
                format=self.format,
            )
            for number in range(files)
        ]

    run = staticmethod(BuildStage.run)
