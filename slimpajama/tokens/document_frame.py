"""What stands around the tokens of a text in the store: by default nothing but the end-of-text token after it.

On request, the token that begins a text comes before it (``bos``), or what the tokenizer's own post-processor adds
(``post_processor``), found by encoding a text with and without it; the end-of-text token is still added where that does
not end with it, so that documents can be told apart. A few tokens a document, added once, when texts become tokens.
Rejected: adding them when sequences are cut, where a place in the stream would no longer be a place in the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson
import tokenizers

from slimpajama.errors import ConfigError
from slimpajama.tokens.tokenizer_json import LoadedTokenizer

__all__ = ["BEGIN_OF_TEXT", "before_and_after"]

BEGIN_OF_TEXT = (
    "<s>",  # Llama 1 and 2, Mistral
    "<|begin_of_text|>",  # Llama 3
    "<bos>",  # Gemma
    "<｜begin▁of▁sentence｜>",  # DeepSeek
    "<|startoftext|>",  # LFM
)
"""Special tokens that begin a text, in the order in which they are looked for."""

_PROBE = "a"


def before_and_after(
    path: Path, loaded: LoadedTokenizer, specials: Mapping[str, int], end: int, bos: bool | str, post_processor: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ids before and after each document. ``specials``: the special tokens of ``path``; ``end``: of text.

    Raises :class:`ConfigError` where the tokenizer has no such token, or no such post-processor.
    """
    if post_processor:
        before, after = _added(path, loaded)
        return before, after if after[-1:] == (end,) else (*after, end)
    if bos is False:
        return (), (end,)
    wanted = BEGIN_OF_TEXT if bos is True else (bos,)
    token = next((token for token in wanted if token in specials), None)
    if token is None:
        raise ConfigError(
            f"tokens.bos asks for a token that begins each document, and {path} has no special token "
            f"{' or '.join(wanted)}; name one of {', '.join(specials) or 'another tokenizer'}, or leave bos out"
        )
    if specials[token] == end:
        raise ConfigError(
            f"tokens.bos is {token!r}, which ends each document already; leave bos out, or name another token"
        )
    return (specials[token],), (end,)


def _added(path: Path, loaded: LoadedTokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What the file's post-processor puts before and after a text."""
    content = {**loaded.content, "post_processor": loaded.post_processor}
    tokenizer = tokenizers.Tokenizer.from_str(orjson.dumps(content).decode())
    plain = tuple(tokenizer.encode(_PROBE, add_special_tokens=False).ids)
    whole = tuple(tokenizer.encode(_PROBE, add_special_tokens=True).ids)
    places = [at for at in range(len(whole) - len(plain) + 1) if whole[at : at + len(plain)] == plain]
    if whole == plain or not places:
        raise ConfigError(
            f"tokens.post_processor is on, and that of {path} adds nothing to a text; leave it out, or give bos"
        )
    return whole[: places[0]], whole[places[0] + len(plain) :]
