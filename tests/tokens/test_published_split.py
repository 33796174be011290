"""Folders of a published split."""

from __future__ import annotations

import pytest

from slimpajama.tokens.published_split import published_splits


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["c4/train/a.jsonl", "c4/validation/a.jsonl", "c4/test/b.jsonl"], (0, 1, 2)),
        (["c4/train/chunk1/a.jsonl", "c4/test/chunk1/a.jsonl", "books/a.jsonl"], (0, 2, 0)),
        (["c4/a/train/x.jsonl", "c4/a/test/x.jsonl", "c4/b/test/x.jsonl"], (0, 2, 0)),
        (["c4/validation/a.jsonl", "c4/b.jsonl"], (0, 0)),
        (["c4/train.jsonl", "c4/test.jsonl", "validation.jsonl"], (0, 0, 0)),
        ([], ()),
    ],
)
def test_a_split_stands_beside_train(names: list[str], splits: tuple[int, ...]) -> None:
    assert published_splits(names) == splits
