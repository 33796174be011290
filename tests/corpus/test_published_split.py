"""Folders of a published split."""

from __future__ import annotations

import pytest

from slimpajama.corpus.published_split import published_splits


@pytest.mark.parametrize(
    ("paths", "splits"),
    [
        (["train/a.jsonl", "validation/a.jsonl", "test/b.jsonl"], ["train", "validation", "test"]),
        (["train/chunk1/a.jsonl", "test/chunk1/a.jsonl", "web/a.jsonl"], ["train", "test", "train"]),
        (["c4/train/a.jsonl", "c4/validation/a.jsonl", "c4/test/b.jsonl"], ["train", "validation", "test"]),
        (["c4/train/chunk1/a.jsonl", "c4/test/chunk1/a.jsonl", "books/a.jsonl"], ["train", "test", "train"]),
        (["c4/a/train/x.jsonl", "c4/a/test/x.jsonl", "c4/b/test/x.jsonl"], ["train", "test", "train"]),
        (["c4/validation/a.jsonl", "c4/b.jsonl"], ["train", "train"]),
        (["c4/train.jsonl", "c4/test.jsonl", "validation.jsonl"], ["train", "train", "train"]),
        ([], []),
    ],
)
def test_a_split_stands_beside_train(paths: list[str], splits: list[str]) -> None:
    assert list(published_splits(paths)) == splits
