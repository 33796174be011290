"""The default tokenizer: a byte-level BPE learnt from a seeded sample of the corpus itself.

Pre-tokenized as GPT-2 and GPT-NeoX do, no normaliser (texts are normalised already), one special token. A run needs
no network and no choice of somebody else's vocabulary for it. 16 MB of text take about five seconds; the same
sample gives the same file. A cluster of duplicates gives one document, a source half of the text at most where there
are others, and :mod:`slimpajama.tokens.training_text` says what counts of a document. Rejected: training on everything
(merges hardly change after some tens of megabytes), and a whole book as one training text (its style would fill the
vocabulary, and one endless word its memory).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from slimpajama.errors import ConfigError
from slimpajama.storage.atomic import atomic_file
from slimpajama.tokens.documents import DocumentBatch
from slimpajama.tokens.seeded_order import seeded_hash
from slimpajama.tokens.tokenizer import END_OF_TEXT
from slimpajama.tokens.training_text import capped_texts

__all__ = ["TRAINING_BYTES", "VOCABULARY", "sample_documents", "train_tokenizer", "vocabulary_for"]

VOCABULARY = 50_277
"""The size of GPT-NeoX's vocabulary, which the published mixtures are counted in."""

TRAINING_BYTES = 16_000_000
"""How much text to sample for training: more makes it slower and hardly different."""

LONGEST_EXCERPT = 1 << 14
"""Characters of one document that are trained on."""

LONGEST_TOKEN = 32
"""Characters of the longest token: spaces and dashes come in runs of any length."""

_SMALLEST = 512
_BYTES_PER_ENTRY = 100


def vocabulary_for(training_bytes: int, vocabulary: int = VOCABULARY) -> int:
    """``vocabulary``, or less for a small sample: one entry per 100 bytes, but at least 512."""
    return min(vocabulary, max(_SMALLEST, training_bytes // _BYTES_PER_ENTRY))


def sample_documents(batches: Iterable[DocumentBatch], share: float, seed: int) -> Iterator[tuple[int, str]]:
    """Ids and excerpts (at most ``LONGEST_EXCERPT`` characters) of ``share`` of the documents, by seeded hash.

    Of each cluster, only the document that is kept globally can be among them. The same documents however the batches
    are cut; sort by id before training to be free of their order too. Raises :class:`ConfigError` for a share outside
    0 … 1.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"the share of documents to train the tokenizer on is {share}; it is above 0 and at most 1")
    limit = np.uint64(min(share * 2.0**64, 2.0**64 - 2048.0)) if share < 1 else np.uint64(2**64 - 1)
    for batch in batches:
        drawn = seeded_hash(batch.ids, seed, "tokenizer sample") <= limit
        chosen = np.flatnonzero(drawn & (batch.clusters == batch.ids))
        for number, text in zip(batch.ids[chosen].tolist(), batch.texts.chosen(chosen).decoded(), strict=True):
            yield number, text[:LONGEST_EXCERPT]


def train_tokenizer(texts: Iterable[str], path: Path, vocabulary: int = VOCABULARY) -> int:
    """Train on ``texts``, write ``path`` (a ``tokenizer.json``), return the size of the vocabulary.

    The size is :func:`vocabulary_for` the texts, or less where they run out of pairs that occur twice. Raises
    :class:`ConfigError` where ``vocabulary`` is too small for the 256 bytes and the end of text, or all texts are
    empty.
    """
    if vocabulary < 257:
        raise ConfigError(f"the tokenizer's vocabulary is {vocabulary}; it needs 256 bytes and one end-of-text token")
    excerpts = [text[:LONGEST_EXCERPT] for text in texts]
    size = sum(len(excerpt.encode()) for excerpt in excerpts)
    if size == 0:
        raise ConfigError("there is no text to train a tokenizer on; give the path of a tokenizer.json, or some input")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_for(size, vocabulary),
        min_frequency=2,
        special_tokens=[END_OF_TEXT[0]],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=LONGEST_TOKEN,
        show_progress=False,
    )
    tokenizer.train_from_iterator(capped_texts(excerpts), trainer)
    with atomic_file(path) as file:
        file.write(tokenizer.to_str(pretty=True).encode())
    return int(tokenizer.get_vocab_size())
