"""Where tokenizers come from, and that no text can say a special token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from slimpajama.errors import ConfigError
from slimpajama.tokens.encoding import Encoder
from slimpajama.tokens.tokenizer import TokenizerFile, fetch_tokenizer, load_tokenizer
from slimpajama.tokens.tokenizer_json import load_json
from slimpajama.tokens.tokenizer_training import train_tokenizer, vocabulary_for
from slimpajama.tokens.tokenizer_warnings import dropout_warning, loss_warning
from tests.tokens.token_corpus import small_tokenizer

UNKNOWN, END = "[UNK]", "</s>"


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


def test_a_file_a_folder_and_a_hub_name(trained: Path, tmp_path: Path) -> None:
    asked = []

    def hub(name: str, file: str) -> Path | None:
        asked.append((name, file))
        return trained if file == "tokenizer.json" else None

    assert fetch_tokenizer(str(trained), tmp_path / "1" / "tokenizer.json", hub) is None
    assert fetch_tokenizer(str(trained.parent), tmp_path / "2" / "tokenizer.json", hub) is None
    assert asked == []
    assert fetch_tokenizer("EleutherAI/gpt-neox-20b", tmp_path / "3" / "tokenizer.json", hub) is None
    assert asked == [("EleutherAI/gpt-neox-20b", file) for file in ("tokenizer.json", "tokenizer_config.json")]
    for number in (1, 2, 3):
        assert (tmp_path / str(number) / "tokenizer.json").read_bytes() == trained.read_bytes()


def test_a_repository_without_a_tokenizer_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'someone/model' on the Hugging Face hub has no tokenizer\.json"):
        fetch_tokenizer("someone/model", tmp_path / "tokenizer.json", lambda name, file: None)


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
    with pytest.raises(
        ConfigError, match=r"no special token <end>; name .*--end-of-text .*<\|endoftext\|>, <stop>, </s>"
    ):
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
    with pytest.raises(ConfigError, match=r"the text '<s>' would become the special token <s> \(4\)"):
        load_tokenizer(tmp_path / "tokenizer.json", "<s>")


# ---------------------------------------------------------------------------------------------- the end of a text


def with_specials(path: Path, *specials: str, ordinary: tuple[str, ...] = ()) -> Path:
    """A BPE of bytes, after whose vocabulary come these added tokens."""
    letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(letters, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(specials))
    tokenizer.add_tokens(list(ordinary))
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))
    return path


@pytest.mark.parametrize(
    ("specials", "ordinary", "end"),
    [
        (("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"), (), "<｜end▁of▁sentence｜>"),
        (("<|endoftext|>", "<|im_start|>", "<|im_end|>"), ("<tool_call>",), "<|endoftext|>"),
        (("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"), (), "<|end_of_text|>"),
        (("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>"), ("<s>", "</s>"), "<eos>"),
        (("<unk>", "<s>", "</s>", "[INST]"), (), "</s>"),
    ],
    ids=["DeepSeek", "Qwen", "Llama 3", "Gemma", "Mistral"],
)
def test_the_end_of_text_of_known_models_is_found(
    specials: tuple[str, ...], ordinary: tuple[str, ...], end: str, tmp_path: Path
) -> None:
    loaded = load_tokenizer(with_specials(tmp_path / "tokenizer.json", *specials, ordinary=ordinary))
    assert loaded.end_of_text == 256 + specials.index(end)
    document = " ".join(specials) + "".join(specials)
    ids, _ = Encoder(loaded, "tokenizers").encode([document.encode()])
    assert ids.tolist() == [*(ids[:-1].tolist()), loaded.end_of_text]
    assert max(ids[:-1].tolist()) < 256


@pytest.mark.parametrize(
    ("beside", "end"),
    [
        ({"tokenizer_config.json": {"eos_token": "<|im_end|>"}}, "<|im_end|>"),
        ({"tokenizer_config.json": {"eos_token": {"__type": "AddedToken", "content": "<|im_end|>"}}}, "<|im_end|>"),
        ({"generation_config.json": {"eos_token_id": 257}}, "<|im_end|>"),
        ({"generation_config.json": {"eos_token_id": [258, 257]}}, "<|stop|>"),
        ({"config.json": {"eos_token_id": 258}}, "<|stop|>"),
        ({"tokenizer_config.json": {"eos_token": None}, "config.json": {"eos_token_id": 257}}, "<|im_end|>"),
        ({"tokenizer_config.json": {"eos_token": "<|stop|>"}, "config.json": {"eos_token_id": 257}}, "<|stop|>"),
        ({"config.json": {"eos_token_id": 7}}, "<|endoftext|>"),
        ({"config.json": {}, "tokenizer_config.json": []}, "<|endoftext|>"),
    ],
)
def test_the_end_of_text_is_the_one_that_is_declared_beside(
    beside: dict[str, object], end: str, tmp_path: Path
) -> None:
    specials = ("<|endoftext|>", "<|im_end|>", "<|stop|>")
    path = with_specials(tmp_path / "model" / "tokenizer.json", *specials)
    for name, content in beside.items():
        path.with_name(name).write_text(json.dumps(content))
    for given in (path, path.parent):
        declared = fetch_tokenizer(str(given), tmp_path / "copy.json")
        assert load_tokenizer(tmp_path / "copy.json", declared=declared).end_of_text == 256 + specials.index(end)
    # What is asked for counts more.
    assert load_tokenizer(tmp_path / "copy.json", "<|endoftext|>", "<|im_end|>").end_of_text == 256


def test_a_declared_end_that_the_tokenizer_does_not_have_is_told(tmp_path: Path) -> None:
    path = with_specials(tmp_path / "tokenizer.json", "<|endoftext|>")
    path.with_name("tokenizer_config.json").write_text('{"eos_token": "<end>"}')
    declared = fetch_tokenizer(str(path), tmp_path / "copy.json")
    with pytest.raises(ConfigError, match=r"no special token <end>, the end-of-text token that is declared beside it"):
        load_tokenizer(tmp_path / "copy.json", declared=declared)
    path.with_name("tokenizer_config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"cannot read .*tokenizer_config\.json beside the tokenizer"):
        fetch_tokenizer(str(path), tmp_path / "copy.json")


# ---------------------------------------------------------------------------------------------- models of pieces


def unigram(path: Path) -> Path:
    """As T5's: the unknown token and the ends are pieces of the vocabulary."""
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *((letter, -2.0) for letter in "</s>ab\u2581")]
    tokenizer = Tokenizer(models.Unigram(pieces, 0, False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.save(str(path))
    return path


def wordpiece(path: Path, split: pre_tokenizers.PreTokenizer) -> Path:
    """As BERT's: what is not in the vocabulary becomes one unknown token."""
    words = {"[UNK]": 0, "[EOS]": 1, "a": 2, "##b": 3, "[": 4, "]": 5}
    tokenizer = Tokenizer(models.WordPiece(words, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = split
    tokenizer.add_special_tokens(["[UNK]", "[EOS]"])
    tokenizer.save(str(path))
    return path


def ids_of(loaded: TokenizerFile, text: str) -> list[int]:
    return [int(number) for number in Encoder(loaded, "tokenizers").encode([text.encode()])[0]]


def test_a_unigram_model_takes_its_end_in_a_text_for_text(tmp_path: Path) -> None:
    loaded = load_tokenizer(unigram(tmp_path / "tokenizer.json"))
    assert (loaded.end_of_text, loaded.vocabulary) == (2, 10)
    assert ids_of(loaded, "ab</s>a") == [9, 7, 8, 3, 4, 5, 6, 7, 2]
    assert ids_of(loaded, "</s> </s>") == [9, 3, 4, 5, 6, 9, 3, 4, 5, 6, 2]
    assert ids_of(loaded, "a\u00e9") == [9, 7, 0, 2]
    assert ids_of(loaded, "<unk>")[-1] == 2


@pytest.mark.parametrize("split", [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.WhitespaceSplit()])
def test_a_wordpiece_model_takes_its_end_in_a_text_for_text(split: pre_tokenizers.PreTokenizer, tmp_path: Path) -> None:
    loaded = load_tokenizer(wordpiece(tmp_path / "tokenizer.json", split), "[EOS]")
    assert loaded.end_of_text == 1
    assert ids_of(loaded, "ab [EOS] ab")[:2] == [2, 3]
    assert ids_of(loaded, "ab [EOS] ab").count(1) == 1
    assert ids_of(loaded, "a q [UNK]")[:2] == [2, 0]


def test_a_model_whose_words_hold_spaces_is_refused_if_it_says_its_end(tmp_path: Path) -> None:
    pieces = [("<unk>", 0.0), ("</s>", 0.0), ("a", -2.0), (" ", -2.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, 0, False))
    tokenizer.add_special_tokens(["</s>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ConfigError, match=r"would become the special token </s> \(1\), so a document could end itself"):
        load_tokenizer(tmp_path / "tokenizer.json")


def test_an_end_that_stands_for_unknown_characters_is_refused(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({END: 0, "a": 1}, unk_token=END))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["</s>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ConfigError, match=r"'</s>' stands for unknown characters too"):
        load_tokenizer(tmp_path / "tokenizer.json")


# ---------------------------------------------------------------------------------------------- what else a file says


def test_dropout_is_set_aside_and_told(trained: Path) -> None:
    plain = load_tokenizer(trained)
    content = json.loads(trained.read_bytes())
    content["model"]["dropout"] = 0.9
    trained.write_text(json.dumps(content))
    loaded = load_tokenizer(trained)
    text = "the quick brown fox jumps over the lazy dog " * 20
    assert {tuple(ids_of(loaded, text)) for _ in range(5)} == {tuple(ids_of(plain, text))}
    warning = dropout_warning("mine", trained)
    assert warning is not None
    assert "dropout of 0.9" in warning
    content["model"]["dropout"] = None
    trained.write_text(json.dumps(content))
    assert dropout_warning("mine", trained) is None


def test_nothing_in_the_file_cuts_pads_or_frames_a_document(trained: Path) -> None:
    plain = load_tokenizer(trained)
    tokenizer = Tokenizer.from_file(str(trained))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=64)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A <|endoftext|>", special_tokens=[("<|endoftext|>", 0)]
    )
    tokenizer.save(str(trained))
    for text in ("a b c d e f g h", "a"):
        assert ids_of(load_tokenizer(trained), text) == ids_of(plain, text)


def test_a_tokenizer_that_loses_text_is_told(trained: Path, tmp_path: Path) -> None:
    assert loss_warning("mine", load_tokenizer(trained), ["Some text, \u00e9 and \u6f22.", " two "]) is None
    loaded = load_tokenizer(unigram(tmp_path / "unigram.json"))
    assert loss_warning("mine", loaded, ["ab ba", "</s>"]) is None
    assert loss_warning("mine", loaded, ["ab", "a\u00e9b"]) == (
        "the tokenizer mine loses text: 1 of 2 documents that were tried differ once they are decoded "
        "(e.g. '\u00e9b' becomes '<unk>b'), and 1 of their 7 tokens are the unknown token; if that is not meant, "
        "give a byte-level tokenizer"
    )
    without = Tokenizer.from_file(str(tmp_path / "unigram.json"))
    without.decoder = None
    without.save(str(tmp_path / "unigram.json"))
    loaded = load_tokenizer(tmp_path / "unigram.json")
    assert loss_warning("mine", loaded, ["ab ba"]) is None
    assert loss_warning("mine", loaded, ["ab", "a\u00e9b"]) == (
        "the tokenizer mine loses text: 1 of the 7 tokens of 2 documents that were tried are the unknown token; if "
        "that is not meant, give a byte-level tokenizer"
    )
    lowering = Tokenizer.from_file(str(trained))
    lowering.normalizer = normalizers.Lowercase()
    lowering.save(str(trained))
    warning = loss_warning("mine", load_tokenizer(trained), ["Two Words"])
    assert warning is not None
    assert "'Two Words' becomes 'two words'" in warning


def test_ids_and_vocabulary_are_those_of_the_library(trained: Path, tmp_path: Path) -> None:
    content = json.loads(trained.read_bytes())
    added = content["added_tokens"][0]
    content["added_tokens"] += [
        {**added, "content": "<far>", "id": 9_000},  # the library closes the gap
        {**added, "content": "   ", "id": 9_001, "special": False},
    ]
    trained.write_text(json.dumps(content))
    split = pre_tokenizers.WhitespaceSplit()
    for path in (trained, unigram(tmp_path / "1.json"), wordpiece(tmp_path / "2.json", split)):
        numbers = Tokenizer.from_file(str(path)).get_vocab(with_added_tokens=True)
        loaded = load_json(path)
        assert loaded.vocabulary() == 1 + max(numbers.values())
        special = [token["content"] for token in json.loads(path.read_bytes())["added_tokens"] if token["special"]]
        assert loaded.special_ids() == {token: numbers[token] for token in special}


def test_a_file_that_changed_is_loaded_again(trained: Path) -> None:
    before = load_json(trained)
    assert load_json(trained) is before
    trained.write_bytes(trained.read_bytes().replace(b"<|endoftext|>", b"<|end_of_text|>"))
    assert "<|end_of_text|>" in load_json(trained).special_ids()


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
