"""Losses of a model on what is held out of each source, in nats a token and bits a byte.

The sequences are those of the shared holdout, which all mixtures of an output have in common, cut into windows as in
training. A byte is counted with the token that it is in; the loss of end-of-text tokens counts, though they have no
bytes. So two models are compared on the same bytes even where their tokenizers differ.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from slimpajama.engine.heartbeat import beat
from slimpajama.errors import ConfigError, InputError
from slimpajama.mixture.manifest import HoldoutManifest, read_holdout_manifest
from slimpajama.storage.atomic import fingerprint
from slimpajama.study.evaluation.token_bytes import token_bytes
from slimpajama.study.model.decoder import Decoder
from slimpajama.study.training.token_losses import token_losses
from slimpajama.study.training.trainer import computing
from slimpajama.study.training.windows import WindowBatch, cut
from slimpajama.training.collating import batch_of_rows

__all__ = ["HeldOutLoss", "HeldOutText", "held_out_fingerprint", "held_out_losses", "read_held_out"]

BATCH_TOKENS = 1 << 13


@dataclass(frozen=True, slots=True)
class HeldOutText:
    """What is held out of ``source``; ``bytes`` of all tokens that are labels."""

    source: str
    windows: WindowBatch
    bytes: int


@dataclass(frozen=True, slots=True)
class HeldOutLoss:
    """The summed loss of ``tokens`` labels with ``bytes`` bytes of a source."""

    source: str
    tokens: Annotated[int, msgspec.Meta(ge=1)]
    bytes: Annotated[int, msgspec.Meta(ge=1)]
    nats: float

    @property
    def nats_per_token(self) -> float:
        """Mean loss of a token."""
        return self.nats / self.tokens

    @property
    def bits_per_byte(self) -> float:
        """Loss in bits over bytes of text."""
        return self.nats / math.log(2) / self.bytes


def read_held_out(
    folder: Path, tokenizer: Path, *, split: str, window: int, most_tokens: int
) -> tuple[HeldOutText, ...]:
    """Of each source that has some, at most about ``most_tokens`` tokens, the first ones.

    ``folder``: of the shared holdout. Raises :class:`~slimpajama.InputError` where there is none, or none that this can
    read.
    """
    manifest = read_holdout_manifest(folder)
    sizes = token_bytes(tokenizer, manifest.store.vocabulary)
    found = []
    for source in dict.fromkeys(file.source for file in manifest.files):
        windows = _windows(folder, manifest, source, split, window, most_tokens)
        if windows is not None:
            labels = windows.labels.numpy()
            text_bytes = int(sizes[labels[labels >= 0]].sum())
            if not text_bytes:
                raise InputError(
                    f"the {split} split of {source} in {folder} stands for no bytes of text; hold out more (--holdout)"
                )
            found.append(HeldOutText(source, windows, text_bytes))
    if not found:
        lengths = [file.length for file in manifest.files if file.split == split and file.format == "parquet"]
        if lengths:
            raise ConfigError(
                f"the held-out sequences in {folder} have at most {max(lengths):,} tokens, and windows are to have "
                f"{window:,}; make the window smaller or build the mixtures with longer sequences"
            )
        raise InputError(
            f"{folder} holds no Parquet file of {split}; build the mixtures in Parquet with larger holdout (--holdout)"
        )
    return tuple(found)


def _windows(
    folder: Path, manifest: HoldoutManifest, source: str, split: str, window: int, most_tokens: int
) -> WindowBatch | None:
    import pyarrow.parquet as pq

    files = [file for file in manifest.files if file.source == source and file.split == split]
    files = [file for file in files if file.format == "parquet" and file.length >= window and file.sequences]
    if not files:
        return None
    # A holdout may be there in several lengths and packings; one of them is read.
    shape = Path(files[0].name).name.rsplit("-", 3)[0]
    rows: list[dict[str, object]] = []
    for file in files:
        if Path(file.name).name.rsplit("-", 3)[0] == shape:
            try:
                table = pq.read_table(folder / file.name)
            except (OSError, ValueError) as fault:
                raise InputError(f"cannot read {folder / file.name}: {fault}; run slimpajama verify") from fault
            rows += table.to_pylist()
    wanted = max(1, most_tokens // len(_tokens(rows[0])))
    return cut(batch_of_rows([{**row, "input_ids": _tokens(row)} for row in rows[:wanted]]), window)


def _tokens(row: dict[str, object]) -> NDArray[np.int64]:
    return np.asarray(row["input_ids"], dtype=np.int64)


def held_out_fingerprint(texts: Sequence[HeldOutText]) -> str:
    """Changes with any token that is measured, and with what it stands for."""
    found = []
    for text in texts:
        digest = hashlib.blake2b(digest_size=16)
        digest.update(text.windows.tokens.numpy().tobytes())
        digest.update(text.windows.labels.numpy().tobytes())
        found.append([text.source, list(text.windows.tokens.shape), text.bytes, digest.hexdigest()])
    return fingerprint(found)


def held_out_losses(
    model: Decoder, texts: tuple[HeldOutText, ...], device: torch.device | str = "cpu"
) -> tuple[HeldOutLoss, ...]:
    """The losses of ``model`` on each of ``texts``."""
    device = torch.device(device)
    found = []
    with torch.no_grad(), computing(device):
        for text in texts:
            nats, tokens = 0.0, 0
            count, window = text.windows.tokens.shape
            size = max(1, BATCH_TOKENS // window)
            for begin in range(0, count, size):
                batch = text.windows.rows(slice(begin, begin + size)).to(device)
                hidden = model.hidden(batch.tokens).flatten(0, 1)
                weight = model.embedding.weight.to(hidden.dtype)
                labels = batch.labels.flatten()
                losses = token_losses(hidden, weight, labels, model.configuration.output_scale)
                nats += float(losses.double().sum())
                tokens += int((labels >= 0).sum())
                beat()
            found.append(HeldOutLoss(text.source, tokens, text.bytes, nats))
    return tuple(found)
