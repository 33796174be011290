"""No document, source or line of base64 has more than its part in the built-in tokenizer."""

from __future__ import annotations

import base64
import random
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from slimpajama.tokens.excerpts import shared_out
from slimpajama.tokens.tokenizer_training import sample_documents, train_tokenizer
from slimpajama.tokens.training_text import capped_texts
from tests.tokens.token_corpus import Document, batch_of

LONG = "createStringObjectFromLongLong"


def prose(rng: random.Random, words: int) -> str:
    return " ".join(rng.choice(["the", "river", "of", "stone", "walks", "over", "nine", "hills"]) for _ in range(words))


def vocabulary(texts: list[str], folder: Path) -> set[str]:
    train_tokenizer(texts, folder / "tokenizer.json", 2000)
    return {token.replace("Ġ", " ") for token in Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()}


def test_capped_by_hand() -> None:
    assert capped_texts([f"a {LONG}(x); {LONG}", "b", "c"]) == ["a(x);", "b", "c"]
    assert capped_texts([f"a {LONG} {LONG} {LONG}."] * 3) == [f"a {LONG} {LONG}."] * 3
    assert capped_texts(["however however however, and however"]) == ["however however however, and however"]
    assert capped_texts(["elephant elephant elephant, and elephant"]) == ["elephant elephant, and"]
    assert capped_texts([f"see {'Ab1+' * 16}== end", f"see {'Ab1+' * 15} end"]) == ["see end", f"see {'Ab1+' * 15} end"]
    assert capped_texts(["我们今天去看一个很有意思的电影然后回家 " * 3]) == [
        "我们今天去看一个很有意思的电影然后回家 " * 3
    ]


@pytest.mark.parametrize("name", [LONG, "internationalisation", "aVeryOddIdentifier"])
def test_a_name_that_one_document_repeats_is_no_token(tmp_path: Path, name: str) -> None:
    rng = random.Random(1)
    texts = [prose(rng, 400) for _ in range(60)]
    repeated = [*texts, " ".join([f"{name}({number});" for number in range(300)])]
    found = vocabulary(repeated, tmp_path)
    assert not {token for token in found if len(token) > 7 and token.strip() in name}
    assert " river" in found
    common = vocabulary([text + f" {name}" for text in texts], tmp_path)
    assert f" {name}" in common, "a long word of many documents is worth a token"


def test_lines_of_base64_give_no_tokens(tmp_path: Path) -> None:
    rng = random.Random(2)
    texts = [prose(rng, 400) for _ in range(60)]
    line = base64.b64encode(bytes(90) + rng.randbytes(30)).decode()
    found = vocabulary([*texts, "\n".join([line] * 200)], tmp_path)
    assert found == vocabulary([*texts, "\n" * 199], tmp_path)


def test_a_corpus_of_base64_trains_a_tokenizer_of_bytes(tmp_path: Path) -> None:
    assert len(vocabulary([base64.b64encode(bytes(300)).decode()] * 20, tmp_path)) == 257


def test_a_cluster_gives_one_document() -> None:
    documents = [Document(number, f"text {number}", number % 3 == 0, number - number % 3) for number in range(30)]
    found = [number for number, _ in sample_documents([batch_of(documents)], 1.0, seed=1)]
    assert found == list(range(0, 30, 3))


@pytest.mark.parametrize(
    ("sizes", "shared"),
    [
        ({"a": 60, "b": 30, "c": 10}, [50, 37.5, 12.5]),
        ({"a": 50, "b": 30, "c": 20}, [50, 30, 20]),
        ({"a": 990, "b": 10, "c": 0}, [50, 50, 0]),
        ({"a": 7}, [100]),
        ({"a": 7, "b": 0}, [100, 0]),
        ({"a": 0}, [0]),
    ],
)
def test_a_source_gives_half_at_most(sizes: dict[str, int], shared: list[float]) -> None:
    assert np.allclose(list(shared_out(sizes, 100).values()), shared)
