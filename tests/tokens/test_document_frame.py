"""What stands around a document in the store: the end of text, and more on request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, processors

from slimpajama.config.tokens import TokenConfig
from slimpajama.errors import ConfigError
from slimpajama.tokens.encoding import Encoder
from slimpajama.tokens.tokenizer import load_tokenizer
from tests.tokens.token_corpus import small_tokenizer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A tokenizer with ``<s>``, ``</s>`` and ``<doc>``, and no post-processor that adds anything."""
    path = small_tokenizer(tmp_path).path
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.add_special_tokens(["<s>", "</s>", "<doc>"])
    tokenizer.save(str(path))
    return path


def processed(path: Path, single: str) -> Path:
    tokenizer = Tokenizer.from_file(str(path))
    names = [(name, tokenizer.token_to_id(name)) for name in ("<s>", "</s>", "<doc>")]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=names)
    tokenizer.save(str(path))
    return path


def encoded(path: Path, backend: Any, **asked: Any) -> list[list[int]]:
    tokens, lengths = Encoder(load_tokenizer(path, "</s>", **asked), backend).encode([b"take mino", b"", b"ra"])
    ends = lengths.cumsum().tolist()
    return [tokens[end - size : end].tolist() for end, size in zip(ends, lengths.tolist(), strict=True)]


@pytest.mark.parametrize("backend", ["gigatoken", "tokenizers"])
def test_documents_begin_with_the_token_that_is_asked_for(path: Path, backend: str) -> None:
    tokenizer = Tokenizer.from_file(str(path))
    texts = [tokenizer.encode(text, add_special_tokens=False).ids for text in ("take mino", "", "ra")]
    first, last, other = (tokenizer.token_to_id(name) for name in ("<s>", "</s>", "<doc>"))
    assert encoded(path, backend) == [[*ids, last] for ids in texts]
    assert encoded(path, backend, bos=True) == [[first, *ids, last] for ids in texts]
    assert encoded(path, backend, bos="<doc>") == [[other, *ids, last] for ids in texts]


@pytest.mark.parametrize(
    ("single", "before", "after"),
    [
        ("<s> $A", ["<s>"], ["</s>"]),
        ("<s> $A </s>", ["<s>"], ["</s>"]),
        ("<s> <doc> $A </s> <doc>", ["<s>", "<doc>"], ["</s>", "<doc>", "</s>"]),
        ("$A <doc>", [], ["<doc>", "</s>"]),
    ],
)
def test_the_post_processor_is_what_the_library_adds(
    path: Path, single: str, before: list[str], after: list[str]
) -> None:
    tokenizer = Tokenizer.from_file(str(processed(path, single)))
    texts = [tokenizer.encode(text, add_special_tokens=False).ids for text in ("take mino", "", "ra")]
    ids = [[tokenizer.token_to_id(name) for name in names] for names in (before, after)]
    assert encoded(path, "gigatoken", post_processor=True) == [[*ids[0], *text, *ids[1]] for text in texts]
    whole = tokenizer.encode("take mino").ids
    assert encoded(path, "gigatoken", post_processor=True)[0][: len(whole)] == whole


def test_what_a_tokenizer_does_not_have_is_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no special token <bos>; name one of .*<doc>"):
        load_tokenizer(path, "</s>", bos="<bos>")
    with pytest.raises(ConfigError, match=r"tokens\.bos is '</s>', which ends each document already"):
        load_tokenizer(path, "</s>", bos="</s>")
    with pytest.raises(ConfigError, match="adds nothing to a text; leave it out"):
        load_tokenizer(path, "</s>", post_processor=True)
    content = json.loads(path.read_bytes())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] == "</s>"]
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"has no special token <s> or <\|begin_of_text\|> or .*; name one of </s>"):
        load_tokenizer(path, "</s>", bos=True)


def test_bos_and_the_post_processor_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="bos and post_processor are both given"):
        TokenConfig(bos=True, post_processor=True)
