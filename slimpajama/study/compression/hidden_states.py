"""The hidden states of a model, layer by layer: of a decoder of the study, or of any model that Transformers opens.

Layer 0 is what the embeddings give, layer i the output of block i, and the last layer comes after the final norm: the
states that arXiv 2410.10672 measures. Texts of a batch are padded at the end. No token of a decoder sees what follows
it, and other models are told by the attention mask, so a text has the same states in any batch, up to rounding.

A model of Transformers is opened from a local folder, runs no code of that folder, and has to bring all its weights:
those that are missing would be drawn by chance, and measured. Rejected: hooks on modules, which every architecture
names in its own way, where all of them give ``output_hidden_states``.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from torch import Tensor

from slimpajama.errors import ConfigError, InputError
from slimpajama.study.compression.decoder_states import DecoderStates
from slimpajama.study.model.files import CONFIGURATION_FILE, load_decoder
from slimpajama.tokens.tokenizer_json import load_json

__all__ = ["StatesModel", "TransformersStates", "open_model"]

TOKENIZER_FILE = "tokenizer.json"
UNUSED_WEIGHTS = ("pooler.",)
"""Weights that no hidden state depends on, and that saved models often lack."""

_BROKEN_FILES = (SafetensorError, pickle.UnpicklingError, EOFError)
"""What readers of weights raise for files that are cut off or of another kind."""


class StatesModel(Protocol):
    """A model that is measured. ``most_tokens``: that it can take, or ``None``. ``tokenizer``: its ``tokenizer.json``,
    if it has one."""

    layers: int
    width: int
    vocabulary: int
    most_tokens: int | None
    tokenizer: Path | None

    def encoded(self, text: str) -> list[int]:
        """The ids of a text, as the model is used to them. Raises :class:`ConfigError` without a tokenizer."""

    def reads_ids_of(self, tokenizer: Path) -> bool:
        """Whether ids that this ``tokenizer.json`` made mean the same to the model."""

    def states(self, tokens: Tensor, lengths: Sequence[int]) -> tuple[Tensor, ...]:
        """``layers + 1`` states ``[texts, tokens, width]`` of padded ``tokens`` ``[texts, tokens]``."""

    def untrained(self, seed: int) -> StatesModel:
        """The same model with parameters drawn by ``seed``, as before training."""


class TransformersStates:
    """A model of Transformers."""

    def __init__(self, model: Any, device: torch.device, dtype: torch.dtype, tokenizer: Path | None, encoder: Any):
        self._model = model.to(device=device, dtype=dtype).eval()
        self._device, self._dtype, self._encoder = device, dtype, encoder
        self.tokenizer = tokenizer
        configuration = model.config
        self.layers = int(configuration.num_hidden_layers)
        self.width = int(configuration.hidden_size)
        self.vocabulary = int(configuration.vocab_size)
        most = getattr(configuration, "max_position_embeddings", None)
        self.most_tokens: int | None = int(most) if most else None

    def encoded(self, text: str) -> list[int]:
        """See :class:`StatesModel`."""
        if self._encoder is None:
            raise ConfigError(
                f"{self._model.config.name_or_path} has no tokenizer that Transformers opens, so nothing tells which "
                "ids a text has; give --tokenizer"
            )
        ids: list[int] = self._encoder(text)["input_ids"]
        return ids

    def reads_ids_of(self, tokenizer: Path) -> bool:
        """See :class:`StatesModel`. Without a ``tokenizer.json``, nothing tells that they do."""
        return self.tokenizer is not None and load_json(self.tokenizer).digest == load_json(tokenizer).digest

    def states(self, tokens: Tensor, lengths: Sequence[int]) -> tuple[Tensor, ...]:
        """See :class:`StatesModel`."""
        tokens = tokens.to(self._device)
        counts = torch.tensor(lengths, device=self._device)
        mask = torch.arange(tokens.shape[1], device=self._device) < counts[:, None]
        with torch.inference_mode():
            made = self._model(input_ids=tokens, attention_mask=mask.long(), output_hidden_states=True, use_cache=False)
        states: tuple[Tensor, ...] = (*made.hidden_states[:-1], made.last_hidden_state)
        return states

    def untrained(self, seed: int) -> TransformersStates:
        """See :class:`StatesModel`."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = type(self._model)(self._model.config)
        return TransformersStates(model, self._device, self._dtype, self.tokenizer, self._encoder)


def open_model(folder: Path, device: torch.device, dtype: torch.dtype, tokenizer: Path | None = None) -> StatesModel:
    """The model in ``folder``. ``tokenizer``: a ``tokenizer.json``, or a folder that holds one, over the model's own.

    Raises :class:`ConfigError` or :class:`InputError` where there is no model that can be measured.
    """
    chosen = tokenizer / TOKENIZER_FILE if tokenizer is not None and tokenizer.is_dir() else tokenizer
    if chosen is not None:
        load_json(chosen)
    if (folder / CONFIGURATION_FILE).exists():
        return DecoderStates(load_decoder(folder), device, dtype, chosen)
    if not (folder / "config.json").is_file():
        state = "holds no model" if folder.is_dir() else "is no folder" if folder.exists() else "does not exist"
        raise InputError(
            f"{folder} {state}; give a folder below runs/ of a study, or one that save_pretrained of Transformers "
            "wrote (models are not fetched)"
        )
    return _transformers_model(folder, device, dtype, chosen)


def _transformers_model(
    folder: Path, device: torch.device, dtype: torch.dtype, tokenizer: Path | None
) -> TransformersStates:
    try:
        import transformers
    except ImportError as fault:
        raise ConfigError(
            "a model of Transformers needs that package; install slimpajama[study], which has it"
        ) from fault
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        configuration = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        if configuration.is_encoder_decoder:
            raise ConfigError(f"{folder} holds a model of an encoder and a decoder; give one of a single stack")
        model, loaded = transformers.AutoModel.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, *_BROKEN_FILES) as fault:
        reason = " ".join(str(fault).split())[:300].rstrip(".")
        raise InputError(f"Transformers cannot open the model in {folder}: {reason}; save it again there") from fault
    missing = sorted(name for name in loaded["missing_keys"] if not name.startswith(UNUSED_WEIGHTS))
    if missing:
        raise InputError(
            f"{folder} lacks {len(missing)} weight(s) of its model, {missing[0]} for one, which would be drawn by "
            "chance; save the whole model there"
        )
    if tokenizer is not None:
        encoder = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tokenizer))
        return TransformersStates(model, device, dtype, tokenizer, encoder)
    try:
        encoder = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError):
        encoder = None
    if encoder is not None and not _is_whole(encoder, folder):
        encoder = None
    own = folder / TOKENIZER_FILE
    return TransformersStates(model, device, dtype, own if own.is_file() else None, encoder)


def _is_whole(encoder: Any, folder: Path) -> bool:
    """Whether a tokenizer was in ``folder``: without one, Transformers makes an empty one for some models."""
    files = {TOKENIZER_FILE, "tokenizer_config.json", *encoder.vocab_files_names.values()}
    if not any((folder / name).is_file() for name in files):
        return False
    return not set(encoder("A text with 7 words, or more.")["input_ids"]) <= set(encoder.all_special_ids)
