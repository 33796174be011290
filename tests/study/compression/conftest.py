"""A token store whose sources have held-out sequences, but for the last."""

from __future__ import annotations

import pytest

from slimpajama.tokens.store import TokenStore, open_store
from tests.tokens.token_corpus import build, corpus, small_tokenizer


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    """``s2`` has so few documents that nothing of it is held out."""
    folder, tokenizer = tmp_path_factory.mktemp("output"), tmp_path_factory.mktemp("tokenizer")
    build(folder / "tokens", corpus(4, (60, 40, 1)), small_tokenizer(tokenizer))
    (folder / "tokens" / "tokenizer.json").write_bytes((tokenizer / "tokenizer.json").read_bytes())
    return open_store(folder / "tokens")
