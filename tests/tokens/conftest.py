"""A store that many tests read."""

from __future__ import annotations

import pytest

from slimpajama.tokens.store import open_store
from slimpajama.tokens.tokenizer import TokenizerFile
from tests.tokens.token_corpus import (
    SIZES,
    Built,
    build,
    corpus,
    small_tokenizer,
)


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> TokenizerFile:
    return small_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def built(tokenizer: TokenizerFile, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("store")
    made = corpus(1, SIZES)
    summary = build(folder / "tokens", made, tokenizer, drawn_to=folder / "drawn.npy")
    return open_store(folder / "tokens"), made, summary, folder / "drawn.npy"
