"""The state of a training run in one file, so that a run that was killed goes on exactly where it was.

Parameters, the moments of the optimiser, and the losses so far; everything else (the order of windows, rates, decays)
follows from the settings and the number of the step. The file is replaced atomically and removed when the run is done.

A file that this run did not write is as good as none. Its keys and shapes are compared before anything is taken over,
as PyTorch would copy the parameters that fit before it refuses those that do not.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

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
        content = path.read_bytes()
    except FileNotFoundError:
        return 0
    except OSError as fault:
        raise cannot_read(path, fault) from fault
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception:  # a damaged file leads to an error of nearly any kind
        return 0
    if layout(state) != expected_layout(model, optimiser, losses):
        return 0
    step: int = state["step"]
    if state["made_of"] != made_of or not 0 < step <= len(losses):
        return 0
    model.load_state_dict(state["model"])
    groups = optimiser.state_dict()["param_groups"]  # they follow from the settings
    optimiser.load_state_dict({"state": state["optimiser"]["state"], "param_groups": groups})
    losses.copy_(state["losses"])
    return step


def layout(value: object) -> Any:
    """The keys, types and shapes of ``value``, without its numbers."""
    if isinstance(value, dict):
        return {name: layout(part) for name, part in value.items()}
    if isinstance(value, Tensor):
        return tuple(value.shape)
    return type(value)


def expected_layout(model: Decoder, optimiser: torch.optim.Optimizer, losses: Tensor) -> Any:
    """The layout of what :func:`save_checkpoint` writes after any step of AdamW."""
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    moments = {
        number: {"step": (), "exp_avg": tuple(weight.shape), "exp_avg_sq": tuple(weight.shape)}
        for number, weight in enumerate(weights)
    }
    return {
        "made_of": str,
        "step": int,
        "model": layout(model.state_dict()),
        "optimiser": {"state": moments, "param_groups": list},
        "losses": layout(losses),
    }
