"""What a report tells of the token store and the mixtures."""

from __future__ import annotations

from slimpajama.report.figures.base import Figures

__all__ = [
    "HeldOut",
    "LengthBin",
    "MixtureRow",
    "MixtureSection",
    "MixtureSourceRow",
    "SourceTokens",
    "TokenSection",
    "TokenSubset",
]


# 7. Token statistics


class LengthBin(Figures, frozen=True, kw_only=True):
    """Documents of a source with ``least`` to ``most`` tokens."""

    source: str
    least: int
    most: int
    documents: int
    tokens: int


class SourceTokens(Figures, frozen=True, kw_only=True):
    """One source in the store: train tokens and documents in each scope, UTF-8 bytes a token."""

    source: str
    global_tokens: int
    global_documents: int
    local_tokens: int
    local_documents: int
    bytes_per_token: float


class TokenSubset(Figures, frozen=True, kw_only=True):
    """The divergence of token distributions over one subset of the vocabulary (SlimPajama-DC: six of them).

    ``kl[i][j]``: D(compared[i] || compared[j]) in nats; ``js``: Jensen-Shannon, in nats. ``shares``: of each source's
    tokens that are in the subset, before it is renormalised. ``floor``: of each source, the divergence of two halves of
    itself, so what chance makes of half its tokens. ``None`` in a matrix where a source has no token of the subset.
    ``types``: tokens of the vocabulary in it.
    """

    name: str
    title: str
    types: int
    kl: tuple[tuple[float | None, ...], ...]
    js: tuple[tuple[float | None, ...], ...]
    shares: tuple[float, ...]
    floor: tuple[float | None, ...]


class TokenSection(Figures, frozen=True, kw_only=True):
    """Tokens by source. ``smoothing``: the share of the mean of all sources in each distribution (0.01).
    ``counted_tokens``: that the distributions are of, special tokens left out. ``compared``: the sources of the
    matrices in ``subsets``, those with most tokens."""

    vocabulary: int
    tokenizer: str
    sources: tuple[SourceTokens, ...]
    lengths: tuple[LengthBin, ...]
    smoothing: float
    counted_tokens: int
    compared: tuple[str, ...]
    subsets: tuple[TokenSubset, ...]


# 8. Mixtures


class MixtureSourceRow(Figures, frozen=True, kw_only=True):
    """A source in a mixture. ``asked``, ``got``: percent of the mixture's tokens. ``epochs``: how often its text is
    repeated; ``unused``: train tokens of the source that the mixture leaves."""

    source: str
    asked: float
    got: float
    tokens: int
    available: int
    epochs: float
    unused: int


class MixtureRow(Figures, frozen=True, kw_only=True):
    """One mixture. ``scope``: of the deduplication it takes. ``cut_documents``: not whole in one sequence;
    ``padding``: tokens. ``repeats``: tokens by how often a document was found, as ``(bucket, tokens)`` in order, where
    the recipe repeats by duplicates: those of an epoch, times the epochs that are taken."""

    name: str
    title: str
    scope: str
    sequences: int
    sequence_length: int
    tokens: int
    documents: int
    cut_documents: int
    padding: int
    packing: str
    formats: tuple[str, ...]
    sources: tuple[MixtureSourceRow, ...]
    repeats: tuple[tuple[str, int], ...]
    warnings: tuple[str, ...]


class HeldOut(Figures, frozen=True, kw_only=True):
    """What is held out of a source for each split."""

    source: str
    validation_documents: int
    validation_tokens: int
    test_documents: int
    test_tokens: int
    near_held_out_documents: int
    excluded_documents: int


class MixtureSection(Figures, frozen=True, kw_only=True):
    """All mixtures of the output, and the holdout they share."""

    mixtures: tuple[MixtureRow, ...]
    holdout: tuple[HeldOut, ...]
