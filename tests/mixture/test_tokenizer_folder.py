"""The tokenizer beside a mixture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from slimpajama.mixture.tokenizer_folder import tokenizer_files
from slimpajama.tokens.store import open_store
from tests.tokens.token_corpus import build, corpus, small_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build(tmp_path / "store", corpus(2, (20,)), small_tokenizer(tmp_path))
    (tmp_path / "store" / "tokenizer.json").write_bytes((tmp_path / "tokenizer.json").read_bytes())
    made = tmp_path / "tokenizer"
    made.mkdir()
    for name, content in tokenizer_files(open_store(tmp_path / "store"), 2048).items():
        (made / name).write_bytes(content)
    return made


def test_the_folder_names_the_tokens_that_a_trainer_asks_for(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["tokenizer.json", "tokenizer_config.json"]
    assert json.loads((folder / "tokenizer_config.json").read_bytes()) == {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
        "model_max_length": 2048,
        "clean_up_tokenization_spaces": False,
    }
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id("<|endoftext|>") == 0


def test_transformers_opens_it(folder: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    assert (tokenizer.eos_token, tokenizer.eos_token_id, tokenizer.bos_token) == ("<|endoftext|>", 0, "<|endoftext|>")
    text = "take mino  naïve 漢字 don't"
    expected = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text, add_special_tokens=False).ids
    assert tokenizer(text)["input_ids"] == expected
    assert tokenizer.decode(expected) == text
