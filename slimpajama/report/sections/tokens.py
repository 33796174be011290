"""Token statistics: tokens and document lengths by source, and how far the sources' token distributions differ."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from slimpajama.report.figures.mixtures import LengthBin, SourceTokens, TokenSection, TokenSubset
from slimpajama.report.opened_output import OpenedMixtures
from slimpajama.report.sections.divergence import SMOOTHING, divergence
from slimpajama.report.sections.token_counts import MOST_TOKENS, count_tokens, document_lengths
from slimpajama.report.sections.token_subsets import SUBSETS, Subset, subset_masks, token_texts
from slimpajama.tokens.summary import SourceAccount
from slimpajama.tokens.tokenizer_json import load_json

__all__ = ["tokens"]

MOST_COMPARED = 32
"""Sources in the matrices, those with most tokens."""


def tokens(mixtures: OpenedMixtures, most_tokens: int = MOST_TOKENS) -> TokenSection:
    """The statistics of a token store; ``most_tokens`` of each source are counted."""
    store, summary = mixtures.store, mixtures.summary
    by_size = sorted(store.sources, key=lambda name: -summary.sources[name].global_.tokens.train)
    compared = tuple(name for name in store.sources if name in by_size[:MOST_COMPARED])
    tokenizer = load_json(store.layout.tokenizer)
    counts = count_tokens(store, compared, tokenizer.special_ids().values(), most_tokens)
    whole = {name: own.sum(axis=0) for name, own in counts.halves.items()}
    masks = subset_masks(token_texts(tokenizer, store.vocabulary), whole)
    return TokenSection(
        vocabulary=store.vocabulary,
        tokenizer=summary.tokenizer.name,
        sources=tuple(_source(name, summary.sources[name]) for name in store.sources),
        lengths=tuple(one for name in store.sources for one in _lengths(name, document_lengths(store, name))),
        smoothing=SMOOTHING,
        counted_tokens=counts.counted,
        compared=compared,
        subsets=tuple(_subset(one, masks[one.name], counts.halves) for one in SUBSETS),
    )


def _source(name: str, account: SourceAccount) -> SourceTokens:
    everything = account.local.tokens.in_  # the local scope keeps all that the global one does
    return SourceTokens(
        source=name,
        global_tokens=account.global_.tokens.train,
        global_documents=account.global_.documents.train,
        local_tokens=account.local.tokens.train,
        local_documents=account.local.documents.train,
        bytes_per_token=account.text_bytes / everything if everything else 0.0,
    )


def _lengths(source: str, lengths: NDArray[np.int64]) -> list[LengthBin]:
    """Documents by powers of two of their tokens."""
    found = []
    for power in range(int(lengths.max()).bit_length() if lengths.size else 0):
        least, most = 1 << power, (2 << power) - 1
        own = lengths[(lengths >= least) & (lengths <= most)]
        if own.size:
            found.append(
                LengthBin(source=source, least=least, most=most, documents=int(own.size), tokens=int(own.sum()))
            )
    return found


def _subset(subset: Subset, mask: NDArray[np.bool_], halves: Mapping[str, NDArray[np.int64]]) -> TokenSubset:
    own = np.array([counts[:, mask] for counts in halves.values()]).reshape(len(halves), 2, -1)
    found = divergence(own)
    totals = [int(counts.sum()) for counts in halves.values()]
    inside = own.sum(axis=(1, 2)).tolist()
    return TokenSubset(
        name=subset.name,
        title=subset.title,
        types=int(mask.sum()),
        kl=found.kl,
        js=found.js,
        shares=tuple(part / total if total else 0.0 for part, total in zip(inside, totals, strict=True)),
        floor=found.floor,
    )
