"""Tensors for a model, against going through the tokens one by one. Needs PyTorch."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from slimpajama.training import MixtureDataset, block_mask, collate, document_mask  # noqa: E402
from slimpajama.training.collating import IGNORED  # noqa: E402
from slimpajama.training.sequence_files import SequenceBatch  # noqa: E402
from tests.training.mixture_folder import mixture  # noqa: E402

BATCH = SequenceBatch(
    np.array([[5, 6, 1, 7, 1], [8, 1, 9, 1, 1]], dtype=np.uint16), np.array([3, 5, 7]), np.array([5, 4])
)


def naive_mask(batch: SequenceBatch) -> list[list[list[bool]]]:
    """For each sequence, query and key: whether no document begins after the key and until the query."""
    rows, length = batch.tokens.shape
    starts = set(batch.starts.tolist())
    found = []
    for row in range(rows):
        full = length if batch.filled is None else int(batch.filled[row])
        begins = {at for at in range(length) if row * length + at in starts} | {full}
        found.append(
            [
                [
                    key <= query and not any(begin in begins for begin in range(key + 1, query + 1))
                    for key in range(length)
                ]
                for query in range(length)
            ]
        )
    return found


def test_collated_by_hand() -> None:
    made = collate(BATCH, positions=True, documents=True, lengths=True)
    assert made["input_ids"].tolist() == BATCH.tokens.tolist()
    assert made["input_ids"].dtype == torch.int64
    assert made["labels"].tolist() == [[5, 6, 1, 7, 1], [8, 1, 9, 1, IGNORED]]
    assert made["position_ids"].tolist() == [[0, 1, 2, 0, 1], [0, 1, 0, 1, 0]]
    assert made["document_ids"].tolist() == [[0, 0, 0, 1, 1], [0, 0, 1, 1, 2]]
    assert made["cu_seqlens"].tolist() == [0, 3, 5, 7, 9, 10]
    assert made["cu_seqlens"].dtype == torch.int32
    assert made["max_seqlen"].item() == 3


def test_shifted_inputs_and_labels() -> None:
    made = collate(BATCH, shift=True, positions=True)
    assert made["input_ids"].tolist() == [[5, 6, 1, 7], [8, 1, 9, 1]]
    assert made["labels"].tolist() == [[6, 1, 7, 1], [1, 9, 1, IGNORED]]
    assert made["position_ids"].tolist() == [[0, 1, 2, 0], [0, 1, 0, 1]]


def test_rows_of_datasets_are_collated_alike() -> None:
    rows = [
        {"input_ids": [5, 6, 1, 7, 1], "doc_starts": [3], "padding_start": 5, "source": "web"},
        {
            "input_ids": torch.tensor([8, 1, 9, 1, 1]),
            "doc_starts": torch.tensor([0, 2]),
            "padding_start": torch.tensor(4),
        },
    ]
    made, expected = (collate(one, positions=True, documents=True) for one in (rows, BATCH))
    assert {name: value.tolist() for name, value in made.items()} == {
        name: value.tolist() for name, value in expected.items()
    }


@pytest.mark.parametrize("padded", [False, True])
def test_masks_are_the_naive_mask(tmp_path: Path, padded: bool) -> None:
    mixture(tmp_path, 40, 12, formats=("parquet",), padded=padded)
    (batch,) = MixtureDataset(tmp_path, 40)
    numbers = collate(batch, documents=True)["document_ids"]
    expected = naive_mask(batch)
    assert block_mask(numbers)[:, 0].tolist() == expected
    mask = document_mask(numbers)
    places = torch.arange(12)
    by_function = [
        mask(torch.tensor(row), torch.tensor(0), places[:, None], places[None, :]).tolist() for row in range(40)
    ]
    assert by_function == expected


def test_attention_under_the_mask_is_attention_over_each_document(tmp_path: Path) -> None:
    mixture(tmp_path, 4, 12, formats=("olmo",))
    (batch,) = MixtureDataset(tmp_path, 4)
    made = collate(batch, documents=True, lengths=True)
    torch.manual_seed(0)
    vectors = torch.randn(4, 1, 12, 8)
    attend = torch.nn.functional.scaled_dot_product_attention
    masked = attend(vectors, vectors, vectors, attn_mask=block_mask(made["document_ids"])).reshape(48, 8)
    flat, ends = vectors.reshape(1, 1, 48, 8), made["cu_seqlens"].tolist()
    for begin, end in pairwise(ends):
        one = flat[:, :, begin:end]
        assert torch.allclose(attend(one, one, one, is_causal=True)[0, 0], masked[begin:end], atol=1e-5)
