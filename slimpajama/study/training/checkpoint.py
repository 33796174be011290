"""The state of a training run in one file, so that a run that was killed goes on exactly where it was.

Parameters, the moments of the optimiser, and the losses so far; everything else (the order of windows, rates, decays)
follows from the settings and the number of the step. The file is replaced atomically and removed when the run is done.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import torch
from torch import Tensor

from slimpajama.storage.atomic import atomic_file, cannot_read
from slimpajama.study.model.decoder import Decoder

__all__ = ["CHECKPOINT_FILE", "load_checkpoint", "save_checkpoint"]

CHECKPOINT_FILE = "checkpoint.pt"


def save_checkpoint(
    folder: Path, made_of: str, step: int, model: Decoder, optimiser: torch.optim.Optimizer, losses: Tensor
) -> None:
    """Write the state after ``step`` steps. ``made_of``: a fingerprint of all that the run depends on."""
    state = {
        "made_of": made_of,
        "step": step,
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "losses": losses,
    }
    content = io.BytesIO()
    torch.save(state, content)
    with atomic_file(folder / CHECKPOINT_FILE) as file:
        file.write(content.getbuffer())


def load_checkpoint(
    folder: Path, made_of: str, model: Decoder, optimiser: torch.optim.Optimizer, losses: Tensor
) -> int:
    """Take over the state in ``folder``, if it is of this run; returns the steps that are done, 0 if there is none."""
    path = folder / CHECKPOINT_FILE
    try:
        state = torch.load(path, map_location=losses.device, weights_only=True)
    except FileNotFoundError:
        return 0
    except OSError as fault:
        raise cannot_read(path, fault) from fault
    except (RuntimeError, EOFError, pickle.UnpicklingError):  # not a file that this program finished
        return 0
    if state["made_of"] != made_of:
        return 0
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    losses.copy_(state["losses"])
    step: int = state["step"]
    return step
