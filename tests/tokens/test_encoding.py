"""Ids of both libraries, their shared trap (special tokens in texts), and texts that break tokenizers."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers

from slimpajama.tokens.documents import DocumentBatch
from slimpajama.tokens.encoding import Encoder, agreeing_backend, divisible, fragments_of
from slimpajama.tokens.tokenizer import TokenizerFile, load_tokenizer
from slimpajama.tokens.tokenizer_json import load_json
from slimpajama.tokens.tokenizer_training import sample_documents, train_tokenizer
from tests.tokens.test_tokenizer import neox_like
from tests.tokens.token_corpus import Document, batch_of, small_tokenizer, text_of

HOSTILE = [
    "",
    "<|endoftext|>",
    "a <|endoftext|> b<|endoftext|>",
    "<|padding|>  <|padding|>",
    "x    y   \n\n\t  z" + " " * 60,
    "e\u0301 \u1e9b\u0323 \ufb01 \u0915\u094d\u0937",
    "\x00\x01\ufffe\U0010ffff",
    "don't DON'T I'll 've",
    "\u2028\u00a0\u3000 \u200b",
]


@pytest.fixture(scope="module", params=["trained", "neox-like"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TokenizerFile:
    folder = tmp_path_factory.mktemp("tokenizer")
    loaded = small_tokenizer(folder)
    if request.param == "neox-like":
        neox_like(loaded.path)
        loaded = load_tokenizer(loaded.path)
    return loaded


def plain_ids(tokenizer: TokenizerFile, text: str) -> list[int]:
    return list(load_json(tokenizer.path).reference.encode(text, add_special_tokens=False).ids)


def test_a_batch_is_its_documents_one_after_the_other(tokenizer: TokenizerFile) -> None:
    texts = HOSTILE * 2
    for backend in ("gigatoken", "tokenizers"):
        tokens, lengths = Encoder(tokenizer, backend).encode([text.encode() for text in texts])
        assert tokens.dtype == np.uint16
        expected = [[*plain_ids(tokenizer, text), tokenizer.end_of_text] for text in texts]
        assert tokens.tolist() == [token for document in expected for token in document]
        assert lengths.tolist() == list(map(len, expected))
        assert [array.size for array in Encoder(tokenizer, backend).encode([])] == [0, 0]


def test_special_tokens_in_texts_are_text(tokenizer: TokenizerFile) -> None:
    document = "".join(f"{special} and {special}" for special in tokenizer.specials)
    for backend in ("gigatoken", "tokenizers"):
        tokens, _ = Encoder(tokenizer, backend).encode([document.encode()])
        assert np.flatnonzero(tokens == tokenizer.end_of_text).tolist() == [tokens.size - 1]
        assert max(tokens.tolist()) < tokenizer.vocabulary


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text() | st.text(alphabet="ab <|endoftxpdig>\n'1é漢\u0301", max_size=80))
def test_any_text_has_the_ids_of_the_reference(tokenizer: TokenizerFile, text: str) -> None:
    tokens, _ = _shared(tokenizer).encode([text.encode()])
    expected = plain_ids_cached(tokenizer, text)
    if "\u0301" in text or not text.isascii():
        # Combining marks are where the two are known to differ: then a run must notice, not agree.
        backend, _ = agreeing_backend(tokenizer, [text])
        assert (backend == "gigatoken") == (tokens[:-1].tolist() == expected)
    else:
        assert tokens[:-1].tolist() == expected


_ENCODERS: dict[str, Any] = {}


def _shared(tokenizer: TokenizerFile) -> Encoder:
    encoder = _ENCODERS.setdefault(tokenizer.digest, Encoder(tokenizer, "gigatoken"))
    assert isinstance(encoder, Encoder)
    return encoder


def plain_ids_cached(tokenizer: TokenizerFile, text: str) -> list[int]:
    made = _ENCODERS.setdefault("plain" + tokenizer.digest, load_json(tokenizer.path).reference)
    return list(made.encode(text, add_special_tokens=False).ids)


def test_a_vocabulary_above_65536_takes_32_bits(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    loaded = small_tokenizer(tmp_path)
    content = json.loads(path.read_bytes())
    content["model"]["vocab"] |= {f"never {number}": number for number in range(loaded.vocabulary, 65_536)}
    content["added_tokens"].append({**content["added_tokens"][0], "content": "</s>", "id": 65_536})
    path.write_text(json.dumps(content))
    loaded = load_tokenizer(path, "</s>")
    assert loaded.vocabulary == 65_537
    for backend in ("gigatoken", "tokenizers"):
        tokens, _ = Encoder(loaded, backend).encode([b"a b"])
        assert tokens.dtype == np.uint32
        assert tokens[-1] == 65_536


@pytest.mark.parametrize(
    "document",
    [b"a" * 200_000, b" " * 200_000, b"\n" * 200_000, "漢".encode() * 50_000, "😀".encode() * 50_000],
    ids=["letters", "spaces", "newlines", "cjk", "emoji"],
)
def test_runs_of_one_character(tokenizer: TokenizerFile, document: bytes) -> None:
    whole, _ = _shared(tokenizer).encode([document])
    assert whole[:-1].tolist() == plain_ids(tokenizer, document.decode())


def test_one_endless_word(tokenizer: TokenizerFile) -> None:
    word = "".join(random.Random(5).choices("abcdefghij", k=300_000))
    whole, _ = _shared(tokenizer).encode([word.encode()])
    assert whole[:-1].tolist() == plain_ids(tokenizer, word)


def test_a_document_in_fragments_has_the_ids_of_the_whole(tokenizer: TokenizerFile) -> None:
    rng = random.Random(3)
    text = " ".join(text_of(rng, 30) + rng.choice(["", " the end of it", "  ab cd", "\n e f"]) for _ in range(40))
    fragments = list(fragments_of(text, 50))
    assert len(fragments) > 20
    assert "".join(fragments) == text
    assert divisible(load_json(tokenizer.path).content)
    tokens, _ = Encoder(tokenizer, "tokenizers", fragment=50).encode([text.encode()])
    assert tokens[:-1].tolist() == plain_ids(tokenizer, text)


def test_text_without_a_place_to_cut_stays_whole() -> None:
    assert list(fragments_of("a  b 1 c\nd é f", 4)) == ["a  b 1 c\nd é f"]
    assert list(fragments_of("ab cd ef gh ij", 4)) == ["ab cd", " ef gh", " ij"]
    assert list(fragments_of("", 4)) == [""]


def test_what_may_not_be_cut(tokenizer: TokenizerFile) -> None:
    content = load_json(tokenizer.path).content
    token = {"content": "of the", "special": False, "rstrip": False}
    for other in (
        {"pre_tokenizer": None},
        {"pre_tokenizer": {"type": "Metaspace"}},
        {"pre_tokenizer": {"type": "ByteLevel", "use_regex": False}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}},
        {"normalizer": {"type": "Lowercase"}},
        {"added_tokens": [token]},
        {"added_tokens": [{**token, "content": "x", "rstrip": True}]},
    ):
        assert not divisible({**content, **other})


def test_what_the_encoder_remembers_is_bounded(tokenizer: TokenizerFile) -> None:
    encoder = Encoder(tokenizer, "gigatoken", cache_bytes=1 << 20)
    fresh = Encoder(tokenizer, "gigatoken")
    rng = random.Random(9)
    for _ in range(6):
        words = " ".join("".join(rng.choices("abcdefghij", k=9)) for _ in range(40_000)).encode()
        assert np.array_equal(encoder.encode([words])[0], fresh.encode([words])[0])
    assert encoder.reloads >= 1
    assert fresh.reloads == 0


def test_agreement_and_disagreement(tokenizer: TokenizerFile) -> None:
    assert agreeing_backend(tokenizer, ["one", "two three"]) == ("gigatoken", None)
    honest = Encoder(tokenizer, "gigatoken").fast

    class Wrong:
        @staticmethod
        def encode(document: bytes) -> NDArray[np.uint32]:
            ids: NDArray[np.uint32] = honest.encode(document)
            return ids[:-1] if document == b"two three" else ids

    backend, warning = agreeing_backend(tokenizer, ["one", "two three", "four"], Wrong)
    assert backend == "tokenizers"
    assert warning is not None
    assert "'two three'" in warning
    assert f"after {1 + len(tokenizer.specials)} equal ones" in warning


def test_a_model_that_only_the_reference_knows(tmp_path: Path) -> None:
    unknown = "[UNK]"
    tokenizer = Tokenizer(models.WordLevel({unknown: 0, "a": 1, "b": 2}, unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["</s>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    loaded = load_tokenizer(tmp_path / "tokenizer.json")
    backend, warning = agreeing_backend(loaded, ["a b"])
    assert backend == "tokenizers"
    assert warning is not None
    assert Encoder(loaded, backend).encode([b"a b c"])[0].tolist() == [1, 2, 0, loaded.end_of_text]


def test_the_training_sample_does_not_depend_on_batches() -> None:
    ids = range(5_000)

    def cut(size: int) -> list[DocumentBatch]:
        return [
            batch_of([Document(number, str(number) * 3, True, number) for number in ids[begin : begin + size]])
            for begin in range(0, len(ids), size)
        ]

    small, large = (list(sample_documents(cut(size), 0.1, 4)) for size in (7, 5_000))
    assert small == large
    assert 400 < len(small) < 600
    assert len(list(sample_documents(cut(100), 1, 4))) == 5_000


def test_ids_of_real_text(real_texts: list[str], tmp_path: Path) -> None:
    texts = [text[:8_000] for text in real_texts[:400]]
    train_tokenizer(texts[::4], tmp_path / "tokenizer.json", 4_000)
    assert agreeing_backend(load_tokenizer(tmp_path / "tokenizer.json"), texts) == ("gigatoken", None)
