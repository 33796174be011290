"""A decoder on disk: ``configuration.json`` and ``model.safetensors`` in a folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import msgspec
import torch

from slimpajama.errors import InputError
from slimpajama.storage.atomic import atomic_file, write_json
from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.decoder import Decoder

__all__ = ["CONFIGURATION_FILE", "WEIGHTS_FILE", "load_decoder", "save_decoder"]

CONFIGURATION_FILE = "configuration.json"
WEIGHTS_FILE = "model.safetensors"


def save_decoder(model: Decoder, folder: Path) -> None:
    """Write ``model`` into ``folder``; the configuration last, so that a folder with one is whole."""
    from safetensors.torch import save

    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    with atomic_file(folder / WEIGHTS_FILE) as file:
        file.write(save(tensors))
    write_json(folder / CONFIGURATION_FILE, asdict(model.configuration))


def load_decoder(folder: Path | str, device: torch.device | str = "cpu") -> Decoder:
    """The decoder in ``folder``, ready to evaluate. Raises :class:`~slimpajama.InputError` where there is none."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    folder = Path(folder)
    try:
        written = (folder / CONFIGURATION_FILE).read_bytes()
        configuration = msgspec.json.decode(written, type=DecoderConfiguration)
        with torch.device("meta"):
            model = Decoder(configuration)
        model.to_empty(device=device)
        model.load_state_dict(load((folder / WEIGHTS_FILE).read_bytes()))
    except (OSError, msgspec.MsgspecError, SafetensorError, RuntimeError) as fault:
        raise InputError(
            f"there is no model of slimpajama study in {folder}: {fault}; give a folder below runs/ of a study"
        ) from fault
    model.restore_slopes()
    model.eval()
    return model
