"""Where tokenizers come from, and that no text can say a special token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tokenizers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from slimpajama.errors import ConfigError
from slimpajama.mixture.tokenizer import fetch_tokenizer, load_tokenizer
from slimpajama.mixture.tokenizer_training import train_tokenizer, vocabulary_for
from tests.mixture.token_corpus import small_tokenizer


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    small_tokenizer(tmp_path)
    return tmp_path / "tokenizer.json"


def neox_like(path: Path) -> None:
    """A special token outside of the model's vocabulary, then runs of spaces; NFC; a post-processor."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.add_special_tokens(["<|padding|>"])
    tokenizer.add_tokens([AddedToken(" " * length, normalized=True) for length in range(24, 1, -1)])
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=True)
    tokenizer.enable_truncation(16)
    tokenizer.save(str(path))


def test_a_file_a_folder_and_a_hub_name(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch_tokenizer(str(trained), tmp_path / "1" / "tokenizer.json")
    fetch_tokenizer(str(trained.parent), tmp_path / "2" / "tokenizer.json")

    class Hub:
        @staticmethod
        def from_pretrained(name: str) -> Tokenizer:
            assert name == "EleutherAI/gpt-neox-20b"
            return Tokenizer.from_file(str(trained))

    monkeypatch.setattr(tokenizers, "Tokenizer", Hub)
    fetch_tokenizer("EleutherAI/gpt-neox-20b", tmp_path / "3" / "tokenizer.json")
    content = [(tmp_path / str(number) / "tokenizer.json").read_bytes() for number in (1, 2, 3)]
    assert content[0] == content[1] == trained.read_bytes()
    assert json.loads(content[2]) == json.loads(content[0])


def test_a_hub_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=r"'EleutherAI/gpt-neox-20b' from the Hugging Face hub: .*tokenizer\.json"):
        fetch_tokenizer("EleutherAI/gpt-neox-20b", tmp_path / "tokenizer.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["absent.json", "/absent/folder", "./absent", "a/b/c", ""])
def test_a_path_that_is_not_there_is_never_asked_of_the_hub(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no tokenizer at"):
        fetch_tokenizer(name, tmp_path / "tokenizer.json")


def test_ids_of_a_neox_like_file(trained: Path) -> None:
    before = load_tokenizer(trained)
    neox_like(trained)
    loaded = load_tokenizer(trained)
    assert loaded.end_of_text == 0
    assert loaded.vocabulary == before.vocabulary + 24
    assert loaded.specials == ("<|endoftext|>", "<|padding|>")
    assert loaded.digest != before.digest


def test_the_end_of_text_is_found_or_named(trained: Path) -> None:
    tokenizer = Tokenizer.from_file(str(trained))
    tokenizer.add_special_tokens(["<stop>", "</s>"])
    tokenizer.save(str(trained))
    assert load_tokenizer(trained).end_of_text == 0
    assert load_tokenizer(trained, "</s>").end_of_text == tokenizer.token_to_id("</s>")
    assert load_tokenizer(trained, "<stop>").end_of_text == tokenizer.token_to_id("<stop>")
    with pytest.raises(ConfigError, match=r"no special token <end>; .*<\|endoftext\|>, <stop>, </s>"):
        load_tokenizer(trained, "<end>")
    content = json.loads(trained.read_bytes())
    trained.write_text(json.dumps({**content, "added_tokens": []}))
    with pytest.raises(ConfigError, match="no special tokens at all"):
        load_tokenizer(trained)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": {}}', '{"model": {"type": "BPE"}}', "\x00"])
def test_what_is_not_a_tokenizer(content: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"tokenizer\.json"):
        load_tokenizer(path)
    with pytest.raises(ConfigError, match="cannot read"):
        load_tokenizer(tmp_path / "absent.json")


def test_merges_that_spell_a_special_token_are_refused(tmp_path: Path) -> None:
    vocabulary = {"<": 0, "s": 1, ">": 2, "<s": 3, "<s>": 4}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("<", "s"), ("<s", ">")]))
    tokenizer.add_special_tokens(["<s>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ConfigError, match=r"the text '<s>' would become the special token 4"):
        load_tokenizer(tmp_path / "tokenizer.json", "<s>")


def test_training_is_repeatable_and_bounded(tmp_path: Path) -> None:
    texts = ["the quick brown fox <|endoftext|> " * 30, "-" * 500_000, "x" * 100_000, " y" * 50_000]
    sizes = [train_tokenizer(texts, tmp_path / name, 400) for name in ("1.json", "2.json")]
    assert sizes[0] == sizes[1] <= 400
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    loaded = load_tokenizer(tmp_path / "1.json")
    assert (loaded.end_of_text, loaded.vocabulary) == (0, sizes[0])
    longest = max(json.loads((tmp_path / "1.json").read_bytes())["model"]["vocab"], key=len)
    assert len(longest) <= 32
    with pytest.raises(ConfigError, match="256 bytes"):
        train_tokenizer(texts, tmp_path / "3.json", 256)
    with pytest.raises(ConfigError, match="no text"):
        train_tokenizer(["", ""], tmp_path / "3.json")


def test_vocabulary_of_small_samples() -> None:
    assert vocabulary_for(10) == 512
    assert vocabulary_for(1_000_000) == 10_000
    assert vocabulary_for(16_000_000) == 50_277
    assert vocabulary_for(16_000_000, 32_000) == 32_000
    assert vocabulary_for(10, 300) == 300


def test_pre_tokenizer_is_that_of_gpt_neox(trained: Path) -> None:
    content = json.loads(trained.read_bytes())["pre_tokenizer"]
    expected = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert Tokenizer.from_file(str(trained)).pre_tokenizer.__getstate__() == expected.__getstate__()
    assert content["type"] == "ByteLevel"
