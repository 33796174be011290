"""What the stages of one round of checks share: how far it looks in a bucket, and where its files lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slimpajama.config.dedup import Config
from slimpajama.stages.markers import Markers
from slimpajama.stages.stage import Payload, ResultType, Stage
from slimpajama.storage.file_record import FileRecord

__all__ = ["CHECK", "GUESSES", "LOOK", "ROUNDS", "WIDEST", "CheckRound", "PairWork", "ReadingPass", "threshold_held"]

CHECK, LOOK = "check", "look"
"""What people see of all stages that check removals, and that look at a sample of them."""

GUESSES = 4
"""Rounds at most before texts are compared."""

ROUNDS = 6
"""Rounds at most after that. On real text the first finds nothing new."""

WIDEST = 64
"""Documents of a bucket that each later one is compared with at most: all but boilerplate has fewer that stay."""


@dataclass(frozen=True, slots=True)
class PairWork:
    """Pairs of documents that are compared together: where the files go, and what people see.

    ``name``: of all stages, as in ``check 1: read texts``. ``folder``: of the files; ``done``: of the markers, which
    remember files by their paths below ``root``.
    """

    name: str
    folder: Path
    done: Path
    root: Path

    @property
    def texts(self) -> Path:
        """The folder of the texts that are put aside for a while."""
        return self.folder / "texts"

    def markers(self, stage: Stage[Payload, ResultType]) -> Markers[ResultType]:
        """The markers of the finished tasks of a stage."""
        return Markers(self.done / stage.name, self.root, stage.result_type)

    def label(self, title: str) -> str:
        """What people see of one stage."""
        return f"{self.name}: {title}"


@dataclass(frozen=True, slots=True)
class CheckRound:
    """Round ``number``, from 1. ``tables``: of those that go, by the round before and by earlier runs."""

    number: int
    tables: tuple[FileRecord, ...]
    work: PairWork

    @property
    def window(self) -> int:
        """Documents of a bucket that stay and that each later one is compared with."""
        return int(min(8 ** (self.number - 1), WIDEST))

    @property
    def widest(self) -> bool:
        """Whether no later round looks further."""
        return self.window == WIDEST


def threshold_held(config: Config) -> float | None:
    """The similarity that each removal is held to, or ``None`` where removals are not checked."""
    return config.threshold if config.checked else None


@dataclass(frozen=True, slots=True)
class ReadingPass:
    """One of the passes in which the texts of a round are read: shares ``[first, last)`` of ``shares``.

    There are several where the texts put aside would take too much of the disk.
    """

    number: int
    first: int
    last: int
    shares: int

    def label(self, title: str) -> str:
        """What people see of a stage that runs in every pass."""
        return f"{title}, pass {self.number + 1}" if self.number else title
