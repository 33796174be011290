"""Which sequences a reader gives: the same ones at each step, however many ranks and workers share them.

A step takes ``batch_size`` sequences for each rank, one rank's after the other's: step t of R ranks is the sequences
``t * R * batch_size`` and on. A rank's workers take its steps in turn, as PyTorch's loader asks them. So what a step
holds depends on ``R * batch_size`` alone. The sequences that do not fill a last step are left out. Pure arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

from slimpajama.errors import ConfigError

__all__ = ["Reader"]


@dataclass(frozen=True, slots=True)
class Reader:
    """Worker ``worker`` of ``workers`` of rank ``rank`` of ``ranks``, from sequence ``first`` of ``sequences`` on."""

    sequences: int
    first: int
    batch_size: int
    rank: int
    ranks: int
    worker: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"batch_size is {self.batch_size}; a batch has at least one sequence")
        if not 0 <= self.rank < self.ranks:
            raise ConfigError(f"rank is {self.rank} of {self.ranks} ranks; ranks are counted from 0")
        if not 0 <= self.first <= self.sequences:
            raise ConfigError(
                f"reading was to go on after {self.first:,} sequences, and there are {self.sequences:,}; "
                "give a state of this mixture"
            )

    @property
    def step_sequences(self) -> int:
        """Of all ranks in one step."""
        return self.ranks * self.batch_size

    @property
    def steps(self) -> int:
        """Of the rank, from ``first`` on."""
        return (self.sequences - self.first) // self.step_sequences

    @property
    def batches(self) -> int:
        """Of the worker, from ``first`` on."""
        return max(0, -(-(self.steps - self.worker) // self.workers))

    def begin(self, batch: int) -> int:
        """The first sequence of the worker's batch with that number."""
        step = batch * self.workers + self.worker
        return self.first + step * self.step_sequences + self.rank * self.batch_size
