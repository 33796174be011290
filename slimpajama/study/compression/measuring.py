"""All measures of a model, for each layer and each source: ``slimpajama measure``.

Texts become ids of the model: by its own tokenizer, or as they are where a token store has the same tokenizer, or where
the model is one of the study. They are cut to a number of tokens, since all these measures depend on the length of a
text; sequences of a token store are formed at that number, so that no part of it is read in vain. A source's
Matrix Nuclear-Norm, nuclear norm and entropy are means over its texts; its effective rank is e to the mean entropy, as
published, and Diff-eRank is the difference of two of those. Costs one forward pass of each text, and for each layer an
eigenvalue decomposition of a square matrix of min(tokens, width).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from slimpajama.errors import ConfigError, InputError
from slimpajama.study.compression.batches import NoDirection
from slimpajama.study.compression.hidden_states import StatesModel, open_model
from slimpajama.study.compression.measured_texts import MeasuredData, SourceTexts, open_data, read_data
from slimpajama.study.compression.torch_measures import TextMeasures, all_measures
from slimpajama.tokens.tokenizer_json import load_json

__all__ = ["LayerMeasures", "MeasureRequest", "ModelMeasures", "measure_model"]


@dataclass(frozen=True, slots=True)
class MeasureRequest:
    """What to measure. ``texts``: of each source at most; ``max_tokens``: of each text; ``batch_tokens``: of a forward
    pass, about; ``layers``: some of them, negative ones from the end, or ``None`` for all; ``untrained_seed``: draws
    the model that Diff-eRank compares with, ``None`` for no Diff-eRank."""

    model: Path
    data: tuple[str, ...]
    field: str = "text"
    split: str = "validation"
    texts: int = 64
    max_tokens: int = 2048
    batch_tokens: int = 4096
    layers: tuple[int, ...] | None = None
    device: str = "cpu"
    dtype: str = "float32"
    tokenizer: Path | None = None
    untrained_seed: int | None = None


@dataclass(frozen=True, slots=True)
class LayerMeasures:
    """One layer on one source. ``texts``: that were measured; ``tokens``: of them all; ``nuclear_norm``: divided by the
    tokens of each text, as the Matrix Nuclear-Norm is."""

    source: str
    layer: int
    texts: int
    tokens: int
    matrix_nuclear_norm: float
    nuclear_norm: float
    matrix_entropy: float
    effective_rank: float
    diff_effective_rank: float | None


@dataclass(frozen=True, slots=True)
class ModelMeasures:
    """All layers on all sources. ``layers``: of the model; layer 0 is what its embeddings give. ``max_tokens``: of a
    text, the lower of what was asked for and what the model takes (``model_max_tokens``, ``None`` for any number)."""

    model: str
    layers: int
    width: int
    max_tokens: int
    model_max_tokens: int | None
    rows: tuple[LayerMeasures, ...]


@dataclass(slots=True)
class _Sums:
    """Of the texts of one source in one layer."""

    texts: int = 0
    tokens: int = 0
    left_out: int = 0
    mnn: float = 0.0
    nuclear_norm: float = 0.0
    entropy: float = 0.0
    nats: float = 0.0

    def add(self, found: TextMeasures, lengths: Sequence[int]) -> None:
        self.texts += len(lengths)
        self.tokens += sum(lengths)
        self.mnn += float(found.matrix_nuclear_norm.sum())
        self.nuclear_norm += float(found.nuclear_norm.sum())
        self.entropy += float(found.matrix_entropy.sum())
        self.nats += float(found.entropy_nats.sum())

    @property
    def rank(self) -> float:
        return math.exp(self.nats / self.texts)


def measure_model(request: MeasureRequest) -> ModelMeasures:
    """Measure. Raises :class:`ConfigError` and :class:`InputError` for what cannot be."""
    _check(request)
    opened = open_data(request.data, field=request.field, texts=request.texts)
    model = open_model(request.model, torch.device(request.device), getattr(torch, request.dtype), request.tokenizer)
    layers = _chosen_layers(request.layers, model.layers)
    most = min(request.max_tokens, model.most_tokens or request.max_tokens)
    data = read_data(opened, split=request.split, texts=request.texts, length=most)
    encoded = {one.source: _ids(one, model, most) for one in data}
    trained = {source: _sums(model, texts, layers, request.batch_tokens) for source, texts in encoded.items()}
    _tell_left_out(trained)
    untrained: dict[str, dict[int, _Sums]] = {}
    if request.untrained_seed is not None:
        model = model.untrained(request.untrained_seed)
        untrained = {source: _sums(model, texts, layers, request.batch_tokens) for source, texts in encoded.items()}
    rows = tuple(
        _row(source, layer, sums, untrained[source][layer] if untrained else None)
        for source, found in trained.items()
        for layer, sums in found.items()
        if sums.texts
    )
    if not rows:
        raise InputError(
            f"no text of {', '.join(encoded)} could be measured in these layers, as in each a token has the mean state "
            "of its text; give other texts, or --layers without 0"
        )
    return ModelMeasures(str(request.model), model.layers, model.width, most, model.most_tokens, rows)


def _check(request: MeasureRequest) -> None:
    if request.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("PyTorch finds no GPU here; give --device cpu")


def _chosen_layers(wanted: Sequence[int] | None, layers: int) -> list[int]:
    if wanted is None:
        return list(range(layers + 1))
    for layer in wanted:
        if not -layers - 1 <= layer <= layers:
            raise ConfigError(f"there is no layer {layer}; the model has layers 0, its embeddings, to {layers}")
    return sorted({layer % (layers + 1) for layer in wanted})


def _ids(data: MeasuredData, model: StatesModel, most: int) -> list[list[int]]:
    """The texts of a source as ids of ``model``, cut; those of fewer than two tokens are left out, with a warning."""
    if isinstance(data, SourceTexts):
        found = [model.encoded(text)[:most] for text in data.texts]
    elif model.reads_ids_of(data.tokenizer):
        if data.vocabulary > model.vocabulary:
            raise ConfigError(
                f"the token store has a vocabulary of {data.vocabulary:,} and the model one of {model.vocabulary:,}; "
                "measure the model on texts, or on the store it was trained on"
            )
        found = [sequence.tolist() for sequence in data.sequences]
    else:
        reference = load_json(data.tokenizer).reference
        found = []
        for sequence in data.sequences:
            documents = np.split(sequence, np.flatnonzero(sequence == data.end_of_text) + 1)
            texts = [reference.decode(ids.tolist(), skip_special_tokens=True) for ids in documents]
            found.append(model.encoded("\n\n".join(text for text in texts if text))[:most])
    kept = [ids for ids in found if len(ids) >= 2]
    if len(kept) < len(found):
        logging.getLogger("slimpajama").warning(
            "%s: %s of fewer than two tokens left out", data.source, _texts(len(found) - len(kept))
        )
    if not kept:
        raise InputError(f"no text of {data.source} has two tokens; give longer ones")
    if max(map(max, kept)) >= model.vocabulary:
        raise ConfigError(
            f"the tokenizer gives the id {max(map(max, kept)):,}, and the model has a vocabulary of "
            f"{model.vocabulary:,}; give the tokenizer of the model by --tokenizer"
        )
    return kept


def _batches(texts: Sequence[list[int]], batch_tokens: int) -> Iterator[tuple[torch.Tensor, list[int]]]:
    """Padded batches of about so many tokens, one text at least, in the given order."""
    batch: list[list[int]] = []
    for text in texts:
        if batch and max(len(text), *map(len, batch)) * (len(batch) + 1) > batch_tokens:
            yield _padded(batch)
            batch = []
        batch.append(text)
    if batch:
        yield _padded(batch)


def _padded(batch: list[list[int]]) -> tuple[torch.Tensor, list[int]]:
    lengths = [len(text) for text in batch]
    tokens = torch.zeros((len(batch), max(lengths)), dtype=torch.int64)
    for row, text in enumerate(batch):
        tokens[row, : len(text)] = torch.tensor(text)
    return tokens, lengths


def _sums(model: StatesModel, texts: Sequence[list[int]], layers: Sequence[int], batch_tokens: int) -> dict[int, _Sums]:
    found = {layer: _Sums() for layer in layers}
    for tokens, lengths in _batches(texts, batch_tokens):
        states = model.states(tokens, lengths)
        for layer, sums in found.items():
            try:
                sums.add(all_measures(states[layer], lengths), lengths)
            except NoDirection:
                _add_one_by_one(states[layer], lengths, sums)
    return found


def _add_one_by_one(states: torch.Tensor, lengths: Sequence[int], sums: _Sums) -> None:
    for row, length in enumerate(lengths):
        try:
            sums.add(all_measures(states[row, :length]), [length])
        except NoDirection:
            sums.left_out += 1


def _tell_left_out(found: dict[str, dict[int, _Sums]]) -> None:
    for source, layers in found.items():
        for layer, sums in layers.items():
            if sums.left_out:
                logging.getLogger("slimpajama").warning(
                    "%s, layer %d: %s left out, in which a token has the mean state of its text",
                    *(source, layer, _texts(sums.left_out)),
                )


def _texts(count: int) -> str:
    return f"{count:,} text{'' if count == 1 else 's'}"


def _row(source: str, layer: int, sums: _Sums, untrained: _Sums | None) -> LayerMeasures:
    difference = untrained.rank - sums.rank if untrained is not None and untrained.texts else None
    return LayerMeasures(
        source=source,
        layer=layer,
        texts=sums.texts,
        tokens=sums.tokens,
        matrix_nuclear_norm=sums.mnn / sums.texts,
        nuclear_norm=sums.nuclear_norm / sums.texts,
        matrix_entropy=sums.entropy / sums.texts,
        effective_rank=sums.rank,
        diff_effective_rank=difference,
    )
