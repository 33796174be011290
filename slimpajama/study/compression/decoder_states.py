"""The hidden states of a decoder of the study; see :mod:`.hidden_states`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from slimpajama.errors import ConfigError
from slimpajama.study.model.decoder import Decoder
from slimpajama.tokens.tokenizer_json import load_json

__all__ = ["DecoderStates"]


class DecoderStates:
    """A decoder of the study. ``tokenizer``: of texts; a checkpoint does not bring one."""

    def __init__(self, model: Decoder, device: torch.device, dtype: torch.dtype, tokenizer: Path | None) -> None:
        self._model = model.to(device=device, dtype=dtype).eval()
        self._device, self._dtype = device, dtype
        self.tokenizer = tokenizer
        self.layers = model.configuration.layers
        self.width = model.configuration.width
        self.vocabulary = model.configuration.vocabulary
        self.most_tokens: int | None = None  # ALiBi sets no limit

    def encoded(self, text: str) -> list[int]:
        """See :class:`~.hidden_states.StatesModel`."""
        if self.tokenizer is None:
            raise ConfigError(
                "a model of the study brings no tokenizer; give --tokenizer with the one of its token store, or "
                "measure it on the token store"
            )
        ids: list[int] = load_json(self.tokenizer).reference.encode(text, add_special_tokens=False).ids
        return ids

    def reads_ids_of(self, tokenizer: Path) -> bool:
        """See :class:`~.hidden_states.StatesModel`. Without a tokenizer, ids are what it was trained on."""
        return self.tokenizer is None or load_json(self.tokenizer).digest == load_json(tokenizer).digest

    def states(self, tokens: Tensor, lengths: Sequence[int]) -> tuple[Tensor, ...]:
        """See :class:`~.hidden_states.StatesModel`."""
        with torch.inference_mode():
            found: tuple[Tensor, ...] = self._model.hidden_states(tokens.to(self._device))
        return found

    def untrained(self, seed: int) -> DecoderStates:
        """See :class:`~.hidden_states.StatesModel`."""
        return DecoderStates(Decoder(self._model.configuration, seed), self._device, self._dtype, self.tokenizer)
