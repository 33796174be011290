"""Training one decoder on one mixture: the loop, on a CPU, a GPU, or several processes of ``torchrun``.

A step of a rank is a forward and a backward pass over its windows. Several processes share a batch through PyTorch's
``DistributedDataParallel``; the first one saves. On a GPU, blocks compute in bfloat16 under ``autocast`` and are
compiled. On a CPU, compiling takes a minute of processor time and makes the smallest model a tenth faster, so it is
left to the settings, and a run is the same to the bit each time, also when it was killed and went on; a GPU does not
promise that. Losses stay on the device until the end or the next checkpoint, so that a GPU is not waited for at each
step.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from slimpajama.engine.heartbeat import beat
from slimpajama.storage.atomic import fingerprint
from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.decoder import Decoder
from slimpajama.study.training.checkpoint import CHECKPOINT_FILE, load_checkpoint, save_checkpoint
from slimpajama.study.training.optimiser import made_optimiser, set_step
from slimpajama.study.training.processes import launched, place
from slimpajama.study.training.settings import TrainingSettings
from slimpajama.study.training.token_losses import mean_loss
from slimpajama.study.training.windows import TrainingWindows, WindowBatch
from slimpajama.training.sequence_files import SequenceFiles

__all__ = ["LossOfWindows", "TrainedModel", "computing", "forget_checkpoint", "train", "training_step"]

VERSION = 2
"""Of what the same settings lead to; raised when results change."""


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A finished run: the model, the loss of each step, and how long the steps of this process took.

    ``cpu_seconds``: of this process; ``timed_tokens``: trained on by it since it began, or went on.
    """

    model: Decoder
    losses: NDArray[np.float32]
    seconds: float
    cpu_seconds: float
    timed_tokens: int


class LossOfWindows(nn.Module):
    """A decoder and its loss as one module, as ``DistributedDataParallel`` needs it. ``compiled``: whether its parts
    are compiled; only parts are, so that a batch of another size costs little."""

    def __init__(self, model: Decoder, compiled: bool = False) -> None:
        super().__init__()
        self.model = model
        self.compiled = compiled
        if compiled:
            model.compile_blocks()

    def forward(self, tokens: Tensor, labels: Tensor, documents: Tensor | None) -> Tensor:
        """The mean loss of all labels."""
        hidden = self.model.hidden(tokens, documents).flatten(0, 1)
        if hidden.is_cuda:
            hidden = hidden.to(torch.bfloat16)
        scale = self.model.configuration.output_scale
        return mean_loss(hidden, self.model.embedding.weight, labels.flatten(), scale, compiled=self.compiled)


@contextlib.contextmanager
def computing(device: torch.device) -> Iterator[None]:
    """In bfloat16 on a GPU, in single precision on a CPU."""
    with torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else contextlib.nullcontext():
        yield


def train(
    configuration: DecoderConfiguration,
    settings: TrainingSettings,
    mixture: Path,
    folder: Path,
    device: torch.device | str = "cpu",
    *,
    after_step: Callable[[int, float], None] | None = None,
) -> TrainedModel:
    """Train a new decoder on the mixture in the folder ``mixture``, or go on from the checkpoint in ``folder``.

    ``after_step``: called with the number of steps done and the seconds since the loop began. Raises
    :class:`~slimpajama.ConfigError` where the mixture does not fit ``settings``.
    """
    device = torch.device(device)
    rank, ranks = place()
    windows = TrainingWindows(mixture, settings, rank, ranks)
    model = Decoder(configuration, settings.seed).to(device)
    optimiser = made_optimiser(model)
    losses = torch.zeros(settings.steps, device=device)
    made_of = fingerprint(VERSION, asdict(configuration), asdict(settings), SequenceFiles(mixture).fingerprint)
    first = load_checkpoint(folder, made_of, model, optimiser, losses)
    compiled = settings.compile if settings.compile is not None else device.type == "cuda"
    module: nn.Module = LossOfWindows(model, compiled)
    if ranks > 1:
        module = nn.parallel.DistributedDataParallel(module)
    began, began_cpu = time.perf_counter(), time.process_time()
    for step in range(first, settings.steps):
        losses[step] = training_step(module, model, optimiser, settings, windows.batch(step), step, device)
        done = step + 1
        beat()
        if rank == 0 and done % settings.checkpoint_steps == 0 and done < settings.steps:
            save_checkpoint(folder, made_of, done, model, optimiser, losses)
        if after_step is not None:
            after_step(done, time.perf_counter() - began)
    found = losses.cpu().numpy()
    return TrainedModel(
        model=model.eval(),
        losses=found,
        seconds=time.perf_counter() - began,
        cpu_seconds=time.process_time() - began_cpu,
        timed_tokens=(settings.steps - first) * settings.batch_tokens // ranks,
    )


def forget_checkpoint(folder: Path) -> None:
    """Remove the state of a run that is done."""
    (folder / CHECKPOINT_FILE).unlink(missing_ok=True)


def training_step(
    module: nn.Module,
    model: Decoder,
    optimiser: torch.optim.AdamW,
    settings: TrainingSettings,
    batch: WindowBatch,
    step: int,
    device: torch.device,
) -> Tensor:
    """One step; the loss before it, averaged over all ranks."""
    batch = batch.to(device)
    set_step(optimiser, settings, step)
    optimiser.zero_grad(set_to_none=True)
    with computing(device):
        loss: Tensor = module(batch.tokens, batch.labels, batch.documents)
    loss.backward()  # type: ignore[no-untyped-call, unused-ignore]
    nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
    optimiser.step()
    loss = loss.detach()
    if launched():
        torch.distributed.all_reduce(loss)
        loss /= torch.distributed.get_world_size()
    return loss
