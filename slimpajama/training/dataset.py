"""A mixture as an ``IterableDataset`` of PyTorch: batches in the mixture's order, for any number of ranks, resumable.

It gives whole batches, so that no Python object is made for a sequence: use it with ``DataLoader(data,
batch_size=None, collate_fn=collate)``. Which sequences a step holds depends on ``ranks * batch_size`` alone
(:mod:`slimpajama.training.order`). Its state says how many sequences of the mixture have been given; the state after a
step, ``state_after``, is good for any number of ranks and workers with the same sequences a step, or others. Reads
3 GB/s of tokens a core from mapped files and 300 MB/s from Parquet, which each process has to unpack.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch.utils.data import IterableDataset, get_worker_info

from slimpajama.errors import ConfigError
from slimpajama.training.listed_files import Split
from slimpajama.training.order import Reader
from slimpajama.training.sequence_files import SequenceBatch, SequenceFiles

__all__ = ["MixtureDataset"]


class MixtureDataset(IterableDataset[SequenceBatch]):
    """Batches of ``batch_size`` sequences of a ``split`` of the mixture in ``folder``.

    ``rank`` and ``ranks``: by default those of ``torch.distributed``, or one rank. ``format``: the one to read where
    the mixture lies there in several; by default the fastest. ``split``: ``"train"``, or ``"validation"`` or ``"test"``
    of the shared holdout beside the mixture, of the ``sources`` that are given, one after the other; by default of
    those of the mixture. Raises :class:`~slimpajama.InputError` where there is no finished mixture,
    :class:`~slimpajama.ConfigError` for a rank, format, split or source that there is not.
    """

    def __init__(
        self,
        folder: str | Path,
        batch_size: int = 1,
        *,
        rank: int | None = None,
        ranks: int | None = None,
        format: str | None = None,
        split: Split = "train",
        sources: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        if (rank is None) != (ranks is None):
            raise ConfigError("rank and ranks belong together; give both or neither")
        self._files = SequenceFiles(Path(folder), format, split, sources)
        self._batch_size = batch_size
        self._rank, self._ranks = (rank, ranks) if rank is not None and ranks is not None else _distributed()
        self._first = 0
        self._given = 0
        self._workers: int | None = None
        self._reader()

    @property
    def length(self) -> int:
        """Tokens of a sequence."""
        return self._files.length

    @property
    def sequences(self) -> int:
        """Of the whole split."""
        return self._files.sequences

    def __len__(self) -> int:
        """Steps that are left of this rank."""
        return self._reader().steps

    def _reader(self, worker: int = 0, workers: int = 1) -> Reader:
        return Reader(self._files.sequences, self._first, self._batch_size, self._rank, self._ranks, worker, workers)

    def __iter__(self) -> Iterator[SequenceBatch]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info is not None else (0, 1)
        self._take_workers(workers)
        reader = self._reader(worker, workers)
        while self._given < reader.batches:
            begin = reader.begin(self._given)
            self._given += 1
            yield self._files.read(begin, begin + self._batch_size)
        self._first, self._given = 0, 0

    def _take_workers(self, workers: int) -> None:
        """The batches that were given count for this many workers."""
        if self._workers not in (None, workers) and self._given:
            if self._workers != 1:
                raise ConfigError(
                    f"the state is of one of {self._workers} workers and there are {workers}; load state_after(steps), "
                    "which is good for any number"
                )
            self._first += self._given * self._reader().step_sequences
            self._given = 0
        self._workers = workers

    def state_after(self, steps: int) -> dict[str, object]:
        """The state of any rank when each has made ``steps`` steps since this data set was made or its state loaded."""
        done = self._first + steps * self._reader().step_sequences
        return {"mixture": self._files.fingerprint, "first": done, "given": 0, "workers": None}

    def state_dict(self) -> dict[str, object]:
        """Where this reader is: in a worker of a ``StatefulDataLoader``, where that worker is."""
        return {
            "mixture": self._files.fingerprint,
            "first": self._first,
            "given": self._given,
            "workers": self._workers,
        }

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on where ``state`` was taken. Raises :class:`~slimpajama.ConfigError` for that of another mixture."""
        if state.get("mixture") != self._files.fingerprint:
            raise ConfigError(
                "the state is of another mixture, or of this one in other files; give the folder that it was taken of"
            )
        first, given, workers = state.get("first"), state.get("given"), state.get("workers")
        if not isinstance(first, int) or not isinstance(given, int) or not isinstance(workers, int | None):
            raise ConfigError(f"{dict(state)!r} is not a state of a mixture; give what state_dict returned")
        self._first, self._given, self._workers = first, given, workers
        self._reader()


def _distributed() -> tuple[int, int]:
    """This process's rank, and how many there are."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1
