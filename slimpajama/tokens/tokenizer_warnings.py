"""What a user should know of a tokenizer before a corpus is tokenised with it: that it loses text, or drops out merges.

Both are found on the excerpts on which the tokenizer is tried anyway; costs decoding their ids once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slimpajama.tokens.encoding import Encoder
from slimpajama.tokens.tokenizer import TokenizerFile
from slimpajama.tokens.tokenizer_json import load_json, unknown_token

__all__ = ["dropout_warning", "loss_warning"]


def dropout_warning(name: str, path: Path) -> str | None:
    """What to say of a tokenizer that would leave out merges by chance; it is used without that."""
    share = load_json(path).dropout
    if not share:
        return None
    return (
        f"the tokenizer {name} asks for a dropout of {share:g}, which makes the tokens of a text differ from one time "
        "to the next: it is used without dropout"
    )


def loss_warning(
    name: str,
    tokenizer: TokenizerFile,
    texts: Sequence[str],
    reference_ids: Callable[[str], NDArray[np.uint32]] | None = None,
) -> str | None:
    """What to say where texts do not come back from their tokens: a normaliser, or a character that is unknown.

    A file without a decoder cannot give texts back, so there only unknown tokens are counted. ``reference_ids``: gives
    the ids of a text by ``tokenizers``; by default, it is made here.
    """
    loaded = load_json(tokenizer.path)
    model = loaded.reference
    ids_of = reference_ids or Encoder(tokenizer, "tokenizers").reference_ids
    unknown = model.token_to_id(unknown_token(loaded.content) or "")
    decodes = bool(loaded.content.get("decoder"))
    different, tokens, unknowns, example = 0, 0, 0, ""
    for text in texts:
        ids = ids_of(text).tolist()
        back = model.decode(ids, skip_special_tokens=False).strip()
        tokens += len(ids)
        unknowns += ids.count(unknown) if unknown is not None else 0
        wanted = text.strip()
        if back == wanted or not decodes:
            continue
        different += 1
        if not example:
            least = min(len(wanted), len(back))
            at = next((place for place in range(least) if wanted[place] != back[place]), least)
            example = f"{wanted[at : at + 20]!r} becomes {back[at : at + 20]!r}"
    if not decodes and unknowns:
        return (
            f"the tokenizer {name} loses text: {unknowns:,} of the {tokens:,} tokens of {len(texts):,} documents that "
            "were tried are the unknown token; if that is not meant, give a byte-level tokenizer"
        )
    if not different:
        return None
    return (
        f"the tokenizer {name} loses text: {different:,} of {len(texts):,} documents that were tried differ once they "
        f"are decoded (e.g. {example}), and {unknowns:,} of their {tokens:,} tokens are the unknown token; if that is "
        "not meant, give a byte-level tokenizer"
    )
