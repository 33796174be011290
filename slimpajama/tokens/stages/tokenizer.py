"""The tokenizer of a store: trained on excerpts of the corpus or fetched, then tried on them in both libraries.

One work item, because all else waits for it. Excerpts come from each source by its size, out of the beginnings of some
shards, so that a few times what is trained on is read however large the corpus is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from slimpajama.engine.heartbeat import beat
from slimpajama.errors import ConfigError
from slimpajama.storage.atomic import file_record, fingerprint
from slimpajama.storage.paths import place
from slimpajama.tokens.dedup_reader import KeptShard
from slimpajama.tokens.encoding import agreeing_backend
from slimpajama.tokens.seeded_order import seeded_hash
from slimpajama.tokens.stages.survey import SampleItem, excerpts
from slimpajama.tokens.tokenizer import TokenizerFile, fetch_tokenizer, load_tokenizer
from slimpajama.tokens.tokenizer_json import dropout_of, plain_json, reference, unknown_token
from slimpajama.tokens.tokenizer_training import TRAINING_BYTES, train_tokenizer

__all__ = ["VERSION", "TokenizerItem", "choose_tokenizer", "samples_for_tokenizer", "tokenizer_of"]

VERSION = 2

CHECKED_BYTES = 1_000_000
"""Text on which the fast tokenizer is compared with the reference before it is used: half a second."""

SAMPLED_SHARDS = 16
"""Shards of a source that excerpts are taken from, at most."""

READ_PER_EXCERPT = 4
"""Bytes read for each byte of excerpts: long documents give only their beginning."""


@dataclass(frozen=True, slots=True)
class TokenizerItem:
    """Where the excerpts come from; ``name`` of a tokenizer, or ``None`` to train one; where it goes."""

    samples: tuple[SampleItem, ...]
    name: str | None
    end_of_text: str | None
    vocabulary: int
    path: Path


def choose_tokenizer(item: TokenizerItem) -> dict[str, Any]:
    """Write the tokenizer; returns the fields of :class:`TokenizerFile` but its path, ``backend``, the library to run
    it with, ``warnings`` for the user, and ``files``."""
    found: list[tuple[int, str]] = []
    for sample in item.samples:
        beat()
        found += excerpts(sample)
    texts = [text for _, text in sorted(found)]
    if item.name is None:
        if not texts:
            raise ConfigError("there is no document to train a tokenizer on; give --tokenizer, or some input")
        train_tokenizer(texts, item.path, item.vocabulary)
        declared = None
    else:
        declared = fetch_tokenizer(item.name, item.path)
    tokenizer = load_tokenizer(item.path, item.end_of_text, declared)
    checked: list[str] = []
    size = 0
    # Taken evenly, for the sample is in the order of sources.
    for text in sorted(texts, key=lambda text: fingerprint(text[:200])):
        if size >= CHECKED_BYTES:
            break
        checked.append(text)
        size += len(text.encode())
    backend, warning = agreeing_backend(tokenizer, checked)
    warnings = [warning]
    if item.name is not None:
        warnings += [dropout_warning(item.name, item.path), loss_warning(item.name, tokenizer, checked)]
    return {
        "digest": tokenizer.digest,
        "vocabulary": tokenizer.vocabulary,
        "end_of_text": tokenizer.end_of_text,
        "specials": list(tokenizer.specials),
        "backend": backend,
        "warnings": [warning for warning in warnings if warning],
        "files": [file_record(item.path)],
    }


def dropout_warning(name: str, path: Path) -> str | None:
    """What to say of a tokenizer that would leave out merges by chance; it is used without that."""
    share = dropout_of(path)
    if not share:
        return None
    return (
        f"the tokenizer {name} asks for a dropout of {share:g}, which makes the tokens of a text differ from one time "
        "to the next: it is used without dropout"
    )


def loss_warning(name: str, tokenizer: TokenizerFile, texts: Sequence[str]) -> str | None:
    """What to say where texts do not come back from their tokens: a normaliser, or a character that is unknown.

    A file without a decoder cannot give texts back, so there only unknown tokens are counted.
    """
    content = plain_json(tokenizer.path)
    model = reference(content)
    unknown = model.token_to_id(unknown_token(content) or "")
    decodes = bool(content.get("decoder"))
    different, tokens, unknowns, example = 0, 0, 0, ""
    for text in texts:
        ids = model.encode(text, add_special_tokens=False).ids
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


def tokenizer_of(result: Mapping[str, Any]) -> TokenizerFile:
    """The tokenizer that :func:`choose_tokenizer` wrote."""
    return TokenizerFile(
        place(result["files"][0].path),
        result["digest"],
        result["vocabulary"],
        result["end_of_text"],
        tuple(result["specials"]),
    )


def samples_for_tokenizer(
    shards: Sequence[KeptShard], text_bytes: Sequence[int], *, training: bool, seed: int
) -> list[SampleItem]:
    """Which shards to take excerpts from, given how much text each has; more of it for training than for checking."""
    target = TRAINING_BYTES if training else 2 * CHECKED_BYTES
    items: list[SampleItem] = []
    total = max(1, sum(text_bytes))
    for source in dict.fromkeys(shard.source for shard in shards):
        own = [at for at, shard in enumerate(shards) if shard.source == source and text_bytes[at]]
        order = np.argsort(seeded_hash(np.arange(len(own), dtype=np.uint64), seed, "shards for the tokenizer"))
        chosen = [own[at] for at in sorted(order[:SAMPLED_SHARDS].tolist())]
        wanted = target * sum(text_bytes[at] for at in own) / total
        limit = int(READ_PER_EXCERPT * wanted) // max(1, len(chosen)) + 1
        available = sum(min(text_bytes[at], limit) for at in chosen)
        share = min(1.0, wanted / max(1, available))
        items += [SampleItem(shards[at], share, seed, limit) for at in chosen]
    return items
