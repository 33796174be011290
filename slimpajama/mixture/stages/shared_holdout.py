"""Shared holdout: what each source has in validation and test, as sequences of one shape, made once for all mixtures.

So each mixture is measured on each source, and two mixtures on the same sequences; the manifest of a mixture has the
weights for the mean of its losses. A source's stream is packed as it is for training; what does not fill a sequence is
left out, or padded under best-fit packing. What is held out is kept globally, so it is the same in both scopes.
Rejected: a validation split in each mixture (its sources have too few sequences to be told apart, and each is written
as often as there are recipes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from slimpajama.mixture.formats.base import MixtureFormat
from slimpajama.mixture.holdout_shape import HoldoutShape
from slimpajama.mixture.layout import HoldoutLayout
from slimpajama.mixture.packing import Windows
from slimpajama.mixture.packing_shares import WindowIndex
from slimpajama.mixture.sharing import share_out
from slimpajama.mixture.stages.build import BuildPayload, BuildResult, BuildStage, build_task
from slimpajama.stages.markers import Markers
from slimpajama.stages.stage import Scale, Stage, Task
from slimpajama.tokens.holdout import SPLITS
from slimpajama.tokens.selection import Selection
from slimpajama.tokens.store import TokenStore, open_store

__all__ = ["FILE_TOKENS", "HELD_OUT", "SharedHoldoutStage", "held_out_sequences"]

HELD_OUT = SPLITS[1:]

FILE_TOKENS = 1 << 26
"""Of a file, about; what is held out of a source is less, unless a published split is taken as it is."""

SEED = 1
"""Of the order within a file, which is the same for all recipes."""


def held_out_sequences(store: TokenStore, shape: HoldoutShape) -> dict[str, dict[str, int]]:
    """By held-out split and source of the store, its sequences of that shape."""
    return {split: {source: _sequences(store, source, split, shape) for source in store.sources} for split in HELD_OUT}


def _sequences(store: TokenStore, source: str, split: str, shape: HoldoutShape) -> int:
    if shape.packing == "concat":
        return store.stream(source, split, Selection("global")).tokens // shape.tokens
    return _index(store.path, store.fingerprint, source, split, shape.tokens).sequences(0)


@lru_cache(maxsize=512)
def _index(path: Path, fingerprint: str, source: str, split: str, length: int) -> WindowIndex:
    """Where the best-fit sequences of a source's split lie; found once for planning, building and checking."""
    return WindowIndex(Windows.of(open_store(path).stream(source, split, Selection("global")), length))


@dataclass(frozen=True)
class SharedHoldoutStage(Stage[BuildPayload, BuildResult]):
    """The held-out sequences of one ``shape`` of all sources in one format."""

    store: TokenStore
    shape: HoldoutShape
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
        """Each shape of a run is a stage of its own."""
        return f"{self.title} {self.shape.name}"

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
        counts = held_out_sequences(self.store, self.shape)
        return [
            payload
            for source in self.store.sources
            for split in HELD_OUT
            for payload in self._files(source, split, counts[split][source])
        ]

    def _files(self, source: str, split: str, sequences: int) -> list[BuildPayload]:
        if not sequences:
            return []
        shape = self.shape
        bounds = share_out([sequences], min(sequences, max(1, round(sequences * shape.tokens / FILE_TOKENS))))[:, 0]
        files = bounds.size - 1
        slices = [(int(bounds[number]), int(bounds[number + 1])) for number in range(files)]
        index = None
        if shape.packing != "concat":
            index = _index(self.store.path, self.store.fingerprint, source, split, shape.tokens)
        indexed = bool(self.format.folder_names)
        return [
            BuildPayload(
                store=self.store.path,
                stem=self.layout.stem(source, split, shape.name, number, files, indexed=indexed),
                split=split,
                scope="global",
                number=number,
                seed=SEED,
                length=shape.tokens,
                sources=(source,),
                slices=(part,),
                format=self.format,
                places=None if index is None else (index.places(*part),),
            )
            for number, part in enumerate(slices)
        ]

    run = staticmethod(BuildStage.run)
