"""Batches as a model takes them: inputs, labels, position ids, and masks that keep documents apart.

A batch of :class:`~slimpajama.training.MixtureDataset`, or the rows of a Parquet mixture as ``datasets`` gives them, go
in; tensors come out. What costs memory is made only where it is asked for: a dense mask takes ``length`` bytes a token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from slimpajama.training.places import cumulative_lengths, document_numbers, position_ids, stretch_begins
from slimpajama.training.sequence_files import SequenceBatch

__all__ = ["IGNORED", "batch_of_rows", "block_mask", "collate", "document_mask"]

IGNORED = -100
"""The label that losses leave out, as ``torch.nn.functional.cross_entropy`` does."""


def batch_of_rows(rows: Sequence[Mapping[str, Any]]) -> SequenceBatch:
    """The rows of a Parquet mixture: ``input_ids``, ``doc_starts`` and, where there is padding, ``padding_start``."""
    tokens = np.stack([np.asarray(row["input_ids"]) for row in rows])
    length = tokens.shape[1]
    starts = [np.asarray(row["doc_starts"], dtype=np.int64) + at * length for at, row in enumerate(rows)]
    padded = "padding_start" in rows[0]
    filled = np.array([int(row["padding_start"]) for row in rows], dtype=np.int64) if padded else None
    return SequenceBatch(tokens, np.concatenate(starts), filled)


def collate(
    batch: SequenceBatch | Sequence[Mapping[str, Any]],
    *,
    shift: bool = False,
    positions: bool = False,
    documents: bool = False,
    lengths: bool = False,
) -> dict[str, torch.Tensor]:
    """``input_ids`` and ``labels`` ``int64[n, length]``, and on request what tells documents apart.

    Padding has the label -100. ``shift``: inputs are all tokens but the last and labels all but the first, for a model
    that does not shift labels itself; sequences are then one token shorter. ``positions``: ``position_ids``, from 0 in
    each document. ``documents``: ``document_ids``, the number of the document in its sequence; see :func:`block_mask`
    and :func:`document_mask`. ``lengths``: ``cu_seqlens``, where documents begin in all sequences one after the other,
    and ``max_seqlen``, for attention over variable lengths.
    """
    found = batch if isinstance(batch, SequenceBatch) else batch_of_rows(batch)
    tokens = torch.from_numpy(found.tokens.astype(np.int64))
    labels = tokens
    if found.filled is not None:
        padding = np.arange(tokens.shape[1]) >= found.filled[:, None]
        labels = tokens.masked_fill(torch.from_numpy(padding), IGNORED)
    sequences, length = tokens.shape
    starts, filled = found.starts, found.filled
    if shift:
        inputs, labels = tokens[:, :-1], labels[:, 1:]
        sequence, inside = np.divmod(starts, length)
        length -= 1
        starts = (sequence * length + inside)[inside < length]
        filled = None if filled is None else np.minimum(filled, length)
    else:
        inputs = tokens
    made = {"input_ids": inputs, "labels": labels}
    if positions or documents or lengths:
        begins = stretch_begins(starts, filled, sequences, length)
        if positions:
            made["position_ids"] = torch.from_numpy(position_ids(begins, sequences, length))
        if documents:
            made["document_ids"] = torch.from_numpy(document_numbers(begins, sequences, length))
        if lengths:
            ends = cumulative_lengths(begins, sequences, length)
            made["cu_seqlens"] = torch.from_numpy(ends)
            made["max_seqlen"] = torch.tensor(int(np.diff(ends).max()))
    return made


def block_mask(document_ids: torch.Tensor) -> torch.Tensor:
    """``bool[n, 1, length, length]``: whether a token (row) may attend to another (column), the same or an earlier one
    of its document; as ``scaled_dot_product_attention`` takes it."""
    same = document_ids[:, :, None] == document_ids[:, None, :]
    return torch.tril(same)[:, None]


def document_mask(document_ids: torch.Tensor) -> Callable[..., torch.Tensor]:
    """The same as a function of batch, head, query and key, for ``create_block_mask`` of FlexAttention."""

    def mask(batch: torch.Tensor, head: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        return (query >= key) & (document_ids[batch, query] == document_ids[batch, key])

    return mask
