"""What is taken from a ``tokenizer.json``, so that a text always becomes the same tokens and never a special one.

Set aside, because they act on whole sequences or at random: truncation (it would cut documents), padding, the
post-processor (it adds tokens) and ``dropout`` of a BPE model (it draws merges by chance). Normaliser, pre-tokenizer
and ``fuse_unk`` stay: they say how this vocabulary is meant to be used, and what they lose is measured and told.

Special tokens must not come out of text. ``encode_special_tokens`` of the library keeps its search for added tokens
away from them. That is enough for BPE, whose model only says what its merges spell. A Unigram, WordPiece or WordLevel
model says any piece in its vocabulary, ``</s>`` too, which SentencePiece never does. So there the special pieces get
a name that begins with a space: the pre-tokenizer takes spaces out of the text, so no text reaches it, and every id
stays. Where a pre-tokenizer leaves spaces in, :func:`slimpajama.tokens.tokenizer.load_tokenizer` sees it and refuses.
Rejected: leaving special tokens out (the library numbers all later ids anew), and scores that no path takes (the
score of unknown characters follows the lowest one).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import orjson
import tokenizers

from slimpajama.errors import ConfigError

__all__ = ["TokenizerJson", "dropout_of", "plain_json", "reference", "special_ids", "unknown_token"]

TokenizerJson: TypeAlias = dict[str, Any]
"""The content of a ``tokenizer.json``, whose form the tokenizers library defines."""

_BY_PIECE = ("Unigram", "WordPiece", "WordLevel")
"""Models that look words up in their vocabulary; ``BPE`` only merges."""


def read_json(path: Path) -> TokenizerJson:
    """The parsed file as it stands. Raises :class:`ConfigError` where it cannot be read or is no tokenizer."""
    try:
        content = orjson.loads(path.read_bytes())
    except OSError as fault:
        raise ConfigError(f"cannot read the tokenizer {path}: {fault.strerror or fault}") from fault
    except orjson.JSONDecodeError as fault:
        raise ConfigError(f"the tokenizer {path} is not JSON: {fault}") from fault
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise ConfigError(f"{path} is not a tokenizer.json: it has no model")
    return content


def plain_json(path: Path) -> TokenizerJson:
    """The parsed file without what acts on whole sequences or at random. Raises :class:`ConfigError`."""
    content = read_json(path)
    model = content["model"]
    return {
        **content,
        "added_tokens": content.get("added_tokens") or [],
        "truncation": None,
        "padding": None,
        "post_processor": None,
        "model": {**model, "dropout": None} if "dropout" in model else model,
    }


def dropout_of(path: Path) -> float:
    """The share of merges that the file asks to leave out by chance; 0 where it asks for none."""
    value = read_json(path)["model"].get("dropout")
    return float(value) if isinstance(value, int | float) else 0.0


def reference(content: TokenizerJson) -> tokenizers.Tokenizer:
    """The tokenizer of ``content`` in the ``tokenizers`` library, taking special tokens in texts for text."""
    tokenizer = tokenizers.Tokenizer.from_str(orjson.dumps(_out_of_reach(content)).decode())
    tokenizer.encode_special_tokens = True
    return tokenizer


def special_ids(content: TokenizerJson) -> dict[str, int]:
    """The id of each special token, as the library numbers them.

    Not as the file does: where the file leaves gaps, the library numbers added tokens anew.
    """
    numbers = tokenizers.Tokenizer.from_str(orjson.dumps(content).decode()).get_vocab(with_added_tokens=True)
    return {str(token["content"]): numbers[token["content"]] for token in content["added_tokens"] if _special(token)}


def unknown_token(content: TokenizerJson) -> str | None:
    """The token that stands for what the vocabulary does not have, if the model has one."""
    model = content["model"]
    if model.get("type") == "Unigram":
        number = model.get("unk_id")
        return None if number is None else str(model["vocab"][number][0])
    token = model.get("unk_token")
    return None if token is None else str(token)


def _special(token: TokenizerJson) -> bool:
    return bool(token.get("special"))


def _out_of_reach(content: TokenizerJson) -> TokenizerJson:
    model = content["model"]
    if model.get("type") not in _BY_PIECE:
        return content
    unknown = unknown_token(content)
    hidden = {token["content"] for token in content["added_tokens"] if _special(token)} - {unknown}
    names = {name: f" {name}" for name in hidden}
    if model["type"] == "Unigram":
        vocabulary: Any = [[names.get(piece, piece), score] for piece, score in model["vocab"]]
    else:
        vocabulary = {names.get(piece, piece): number for piece, number in model["vocab"].items()}
    added = [{**token, "content": names.get(token["content"], token["content"])} for token in content["added_tokens"]]
    return {**content, "model": {**model, "vocab": vocabulary}, "added_tokens": added}
