"""Where the files of a token store lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimpajama.tokens.layout import StoreLayout

LAYOUT = StoreLayout(Path("out/tokens"))


def test_every_path() -> None:
    paths = {
        "store.json": LAYOUT.index,
        "summary.json": LAYOUT.summary,
        "tokenizer.json": LAYOUT.tokenizer,
        "holdout.npy": LAYOUT.holdout,
        "files.json": LAYOUT.file_list,
        "done": LAYOUT.done,
        "sources": LAYOUT.sources,
        "runs/drawn.npy": LAYOUT.drawn,
        "runs/c4/part/a.candidates.npy": LAYOUT.candidates("c4", "part/a"),
        "runs/c4": LAYOUT.runs_of("c4"),
        "runs/c4/a.0001.tokens.npy": LAYOUT.run("c4", "a.0001").tokens,
        "runs/c4/a.0001.documents.npy": LAYOUT.run("c4", "a.0001").documents,
        "sources/c4/test/00012.tokens.npy": LAYOUT.bucket("c4", "test", 12).tokens,
        "sources/c4/test/00012.documents.npy": LAYOUT.bucket("c4", "test", 12).documents,
    }
    assert {LAYOUT.relative(path): path for path in paths.values()} == paths


@pytest.mark.parametrize(
    ("name", "whether"),
    [
        ("sources/c4/train/00000.tokens.npy", True),
        ("sources/c4/train/00000.documents.npy", True),
        ("sources/c4/train/x.tokens.npy", False),
        ("sources/c4/00000.tokens.npy", False),
        ("sources/c4/train/00000.tokens.npy.tmp", False),
        ("runs/c4/a.0000.tokens.npy", False),
    ],
)
def test_which_files_are_of_buckets(name: str, whether: bool) -> None:
    assert LAYOUT.is_bucket(name) is whether
