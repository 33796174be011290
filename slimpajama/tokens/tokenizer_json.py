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

from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import orjson
import tokenizers

from slimpajama.errors import ConfigError
from slimpajama.storage.atomic import fingerprint

__all__ = ["LoadedTokenizer", "TokenizerJson", "forget_json", "load_json", "unknown_token"]

TokenizerJson: TypeAlias = dict[str, Any]
"""The content of a ``tokenizer.json``, whose form the tokenizers library defines."""

_BY_PIECE = ("Unigram", "WordPiece", "WordLevel")
"""Models that look words up in their vocabulary; ``BPE`` only merges."""


class LoadedTokenizer:
    """The ``content`` of a file without what acts on whole sequences or at random, and what is made of it.

    ``dropout``: the share of merges that the file asks to leave out by chance; 0 where it asks for none.
    ``post_processor``: of the file, for who asks for what it adds.
    """

    def __init__(self, parsed: TokenizerJson) -> None:
        model = parsed["model"]
        asked = model.get("dropout")
        self.dropout = float(asked) if isinstance(asked, int | float) else 0.0
        self.post_processor: object = parsed.get("post_processor")
        self.content: TokenizerJson = {
            **parsed,
            "added_tokens": parsed.get("added_tokens") or [],
            "truncation": None,
            "padding": None,
            "post_processor": None,
            "model": {**model, "dropout": None} if "dropout" in model else model,
        }

    @cached_property
    def digest(self) -> str:
        """Of the content."""
        return fingerprint(self.content)

    @cached_property
    def reference(self) -> tokenizers.Tokenizer:
        """The tokenizer in the ``tokenizers`` library, taking special tokens in texts for text."""
        tokenizer = tokenizers.Tokenizer.from_str(orjson.dumps(_out_of_reach(self.content)).decode())
        tokenizer.encode_special_tokens = True
        return tokenizer

    def special_ids(self) -> dict[str, int]:
        """The id of each special token."""
        numbers = self._added_ids()
        return {token: numbers[token] for token in _special_tokens(self.content)}

    def vocabulary(self) -> int:
        """One more than the largest id."""
        pieces = self.content["model"].get("vocab") or {}
        own = max(pieces.values()) if isinstance(pieces, dict) and pieces else len(pieces) - 1
        return 1 + max([own, *self._added_ids().values()])

    def _added_ids(self) -> dict[str, int]:
        """The id of each added token, as the library numbers them.

        Not as the file does: where the file leaves gaps, the library numbers added tokens anew.
        """
        names = _hidden_names(self.content)
        tokens = [str(token["content"]) for token in self.content["added_tokens"]]
        numbers = {token: self.reference.token_to_id(names.get(token, token)) for token in tokens}
        return {token: number for token, number in numbers.items() if number is not None}


def load_json(path: Path) -> LoadedTokenizer:
    """The tokenizer at ``path``. The last one is remembered: it is asked for by several, and takes half a second.

    Raises :class:`ConfigError` where the file cannot be read or is no tokenizer.
    """
    try:
        loaded = _loaded(path.read_bytes())
    except OSError as fault:
        raise ConfigError(f"cannot read the tokenizer {path}: {fault.strerror or fault}") from fault
    except orjson.JSONDecodeError as fault:
        raise ConfigError(f"the tokenizer {path} is not JSON: {fault}") from fault
    if loaded is None:
        raise ConfigError(f"{path} is not a tokenizer.json: it has no model")
    return loaded


def forget_json() -> None:
    """Give back the memory of the tokenizer that is remembered: it has been checked, and is encoded with elsewhere."""
    _loaded.cache_clear()


@lru_cache(maxsize=1)
def _loaded(file: bytes) -> LoadedTokenizer | None:
    content = orjson.loads(file)
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        return None
    return LoadedTokenizer(content)


def unknown_token(content: TokenizerJson) -> str | None:
    """The token that stands for what the vocabulary does not have, if the model has one."""
    model = content["model"]
    if model.get("type") == "Unigram":
        number = model.get("unk_id")
        return None if number is None else str(model["vocab"][number][0])
    token = model.get("unk_token")
    return None if token is None else str(token)


def _special_tokens(content: TokenizerJson) -> list[str]:
    return [str(token["content"]) for token in content["added_tokens"] if token.get("special")]


def _hidden_names(content: TokenizerJson) -> dict[str, str]:
    """The name by which each special token goes in the library, where that is another."""
    if content["model"].get("type") not in _BY_PIECE:
        return {}
    unknown = unknown_token(content)
    return {name: f" {name}" for name in _special_tokens(content) if name != unknown}


def _out_of_reach(content: TokenizerJson) -> TokenizerJson:
    model = content["model"]
    names = _hidden_names(content)
    if not names:
        return content
    if model["type"] == "Unigram":
        vocabulary: Any = [[names.get(piece, piece), score] for piece, score in model["vocab"]]
    else:
        vocabulary = {names.get(piece, piece): number for piece, number in model["vocab"].items()}
    added = [{**token, "content": names.get(token["content"], token["content"])} for token in content["added_tokens"]]
    return {**content, "model": {**model, "vocab": vocabulary}, "added_tokens": added}
