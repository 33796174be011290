"""The seven sources: how many documents, how long, how many copies of what, in which files.

Shares by document are RedPajama's as SlimPajama counted them; lengths are lognormal around RedPajama's means.
A small sample has at least four documents of each source, and its books and papers are shortened so that they
stay some 6 % and 8 % of the bytes: a sample of 1 MB is possible. Pure arithmetic, microseconds. Rejected:
exact shares at any size (no book below three thousand documents).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DUMPS", "FEWEST_DOCUMENTS", "KINDS", "Kind", "document_counts", "mean_lengths"]

DUMPS = ("2019-30", "2020-05", "2021-04", "2022-05", "2023-06")
FEWEST_DOCUMENTS = 50
_LEAST_PER_SOURCE = 4


@dataclass(frozen=True, slots=True)
class Kind:
    """One source. ``share``: of the documents; ``length``: mean, in characters; ``spread``: sigma of the
    logarithm; ``longest``: in characters; ``copied``, ``short``: parts of its documents that are planted
    copies, or shorter than the length filter; ``originals``: how often a copy's original is of which source;
    ``files``: at least so many shards; ``overhead``: bytes of a record besides the text; ``ascii_json``:
    non-ASCII is escaped in its JSON.
    """

    name: str
    share: float
    length: int
    spread: float
    longest: int
    copied: float
    short: float
    originals: dict[str, float]
    files: int
    overhead: int
    ascii_json: bool
    limited_to: float = 1.0


KINDS = (
    Kind(
        "common_crawl", 0.316, 5000, 0.9, 100_000, 0.14, 0.002,
        {"common_crawl": 0.70, "c4": 0.13, "wikipedia": 0.10, "github": 0.04, "stackexchange": 0.02, "arxiv": 0.01},
        5, 145, False,
    ),
    Kind(
        "c4", 0.549, 2000, 0.8, 60_000, 0.13, 0.047,
        {"c4": 0.72, "common_crawl": 0.26, "wikipedia": 0.02}, 2, 165, True,
    ),
    Kind("github", 0.036, 8000, 1.0, 150_000, 0.15, 0.0, {"github": 0.92, "stackexchange": 0.08}, 2, 720, True),
    Kind("books", 0.0003, 400_000, 0.5, 1_500_000, 0.12, 0.0, {"books": 1.0}, 2, 110, False, limited_to=0.06),
    Kind(
        "arxiv", 0.0026, 50_000, 0.6, 400_000, 0.12, 0.02, {"arxiv": 0.7, "common_crawl": 0.3}, 2, 145, True,
        limited_to=0.08,
    ),
    Kind("wikipedia", 0.046, 3000, 1.0, 80_000, 0.12, 0.004, {"wikipedia": 0.75, "common_crawl": 0.25}, 2, 135, False),
    Kind(
        "stackexchange", 0.050, 2600, 0.7, 40_000, 0.13, 0.02,
        {"stackexchange": 0.75, "github": 0.15, "common_crawl": 0.10}, 2, 170, True,
    ),
)  # fmt: skip
"""In RedPajama's order. Books are copied from books only: nothing else is of similar length."""


def document_counts(docs: int) -> tuple[int, ...]:
    """Documents of each kind, in the order of ``KINDS``; they sum to ``docs`` (at least
    ``FEWEST_DOCUMENTS``)."""
    whole = sum(kind.share for kind in KINDS)
    counts = [max(_LEAST_PER_SOURCE, int(docs * kind.share / whole)) for kind in KINDS]
    # C4, by far the largest, takes what rounding and the minimum leave or want.
    counts[1] += docs - sum(counts)
    return tuple(counts)


def mean_lengths(counts: tuple[int, ...]) -> tuple[int, ...]:
    """Mean length in characters of each kind's documents, for these counts."""
    free = sum(count * kind.length for count, kind in zip(counts, KINDS, strict=True) if kind.limited_to == 1.0)
    return tuple(
        kind.length if kind.limited_to == 1.0 else min(kind.length, int(kind.limited_to * free / count))
        for count, kind in zip(counts, KINDS, strict=True)
    )
