"""Batches of windows, drawn from the sequences of a mixture.

A sequence of a mixture may be longer than what a small model is trained on: it is cut into windows, and each token but
the first of its sequence is a label once. Neighbouring windows are of one document, so a batch of them would be of one
source; therefore windows are shuffled by the seed within blocks of sequences. A step holds the same windows on any
number of ranks: each reads the whole block and takes its part of the batch.
Rejected: training on each seed in the same order, which would leave the order out of the spread between seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from slimpajama.errors import ConfigError
from slimpajama.study.training.settings import TrainingSettings
from slimpajama.training.collating import IGNORED, collate
from slimpajama.training.dataset import MixtureDataset
from slimpajama.training.sequence_files import SequenceBatch

__all__ = ["TrainingWindows", "WindowBatch", "cut"]

BLOCK_TOKENS = 1 << 22


@dataclass(frozen=True, slots=True)
class WindowBatch:
    """n windows: ``tokens``, ``labels`` (-100 for none) and ``documents`` ``int64[n, window]``."""

    tokens: Tensor
    labels: Tensor
    documents: Tensor | None

    def rows(self, which: Tensor | slice) -> WindowBatch:
        """Some of the windows."""
        documents = None if self.documents is None else self.documents[which]
        return WindowBatch(self.tokens[which], self.labels[which], documents)

    def to(self, device: torch.device) -> WindowBatch:
        """The same on ``device``."""
        documents = None if self.documents is None else self.documents.to(device)
        return WindowBatch(self.tokens.to(device), self.labels.to(device), documents)


def cut(batch: SequenceBatch, window: int, documents: bool = False) -> WindowBatch:
    """The windows of whole sequences, in their order: ``length // window`` of each."""
    made = collate(batch, documents=documents)
    labels = torch.cat((made["labels"][:, 1:], torch.full_like(made["labels"][:, :1], IGNORED)), 1)
    length = made["input_ids"].shape[1] // window * window

    def windows(values: Tensor) -> Tensor:
        return values[:, :length].reshape(-1, window)

    ids = windows(made["document_ids"]) if documents else None
    return WindowBatch(windows(made["input_ids"]), windows(labels), ids)


class TrainingWindows:
    """The batches of a training run from the mixture in ``folder``, by the number of the step.

    ``rank`` of ``ranks`` takes its part of each batch. Raises :class:`~slimpajama.ConfigError` where the mixture is too
    small for ``settings``.
    """

    def __init__(self, folder: Path, settings: TrainingSettings, rank: int = 0, ranks: int = 1) -> None:
        self._folder = folder
        self._settings = settings
        self._rank, self._ranks = rank, ranks
        data = MixtureDataset(folder, 1, rank=0, ranks=1)
        if data.length < settings.window:
            raise ConfigError(
                f"the sequences of {folder} have {data.length:,} tokens, and windows are to have {settings.window:,}; "
                "make the window smaller or build the mixture with longer sequences"
            )
        if settings.batch_tokens // settings.window % ranks:
            raise ConfigError(
                f"{settings.batch_tokens // settings.window} windows of a batch cannot be shared out to {ranks} "
                "processes; give a multiple as batch_tokens"
            )
        blocks = -(-data.sequences * data.length // BLOCK_TOKENS)
        self._sequences = data.sequences // blocks
        self._batch = settings.batch_tokens // settings.window
        self._block_batches = self._sequences * (data.length // settings.window) // self._batch
        if blocks * self._block_batches < settings.steps:
            raise ConfigError(
                f"{settings.tokens:,} tokens are to be trained on, and the mixture in {folder} has "
                f"{blocks * self._block_batches * settings.batch_tokens:,} in whole batches; build a larger one or "
                "train on less"
            )
        self._block: tuple[int, WindowBatch] | None = None

    def batch(self, step: int) -> WindowBatch:
        """This rank's windows of ``step``."""
        number, place = divmod(step, self._block_batches)
        if self._block is None or self._block[0] != number:
            self._block = (number, self._read(number))
        share = self._batch // self._ranks
        begin = place * self._batch + self._rank * share
        return self._block[1].rows(slice(begin, begin + share))

    def _read(self, number: int) -> WindowBatch:
        data = MixtureDataset(self._folder, self._sequences, rank=0, ranks=1)
        data.load_state_dict(data.state_after(number))
        found = cut(next(iter(data)), self._settings.window, self._settings.documents)
        order = np.random.default_rng((self._settings.seed, number)).permutation(len(found.tokens))
        return found.rows(torch.from_numpy(order))
