"""Bundles: what one task reads, which is one piece, or many small shards of one source and one published split.

A shard of three documents costs a few milliseconds to start with and a handful of files, however little it holds. So
where a source has many shards that are each small, successive ones are taken together: they leave one file where each
would have left its own, in the output too. Ids stay what they are, as each names its shard. All else stays one piece a
task. Where bundles are cut follows from sizes that are rounded up, and anew every so many shards, so that a shard that
grew or was added moves few of them. Costs a pass over the pieces. Rejected: joining shards across sources (an output
holds one source), and one file for several bundles (who wrote it last would be anybody's guess).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slimpajama.corpus.pieces import Bundle, Piece
from slimpajama.corpus.published_split import published_splits

__all__ = ["USUAL_LIMITS", "BundleLimits", "bundled"]

LABEL = "-and-more"
"""Follows the name of the first shard of several in the names of what they leave."""


@dataclass(frozen=True, slots=True)
class BundleLimits:
    """Which shards are bundled, and how many at a time.

    Only those that hold less than ``small_bytes`` of text, as far as their sizes tell, of a source that has more than
    ``fewest`` of them. A bundle holds up to ``most_shards`` and about ``most_bytes`` of text.
    """

    fewest: int = 256
    small_bytes: int = 256 << 10
    most_shards: int = 1024
    most_bytes: int = 32 << 20

    def rounded(self, size: int) -> int:
        """What a shard of ``size`` bytes of text counts for: a power of two, so that it stays when the size changes a
        little, and at least its share of a full bundle."""
        return max(self.most_bytes // self.most_shards, 1 << max(size - 1, 0).bit_length())


USUAL_LIMITS = BundleLimits()


def bundled(pieces: Sequence[Piece], limits: BundleLimits) -> tuple[Bundle, ...]:
    """All ``pieces`` in bundles, in the order of the first piece of each."""
    splits = published_splits([piece.file.relative for piece in pieces])
    by_source: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    for number, (piece, split) in enumerate(zip(pieces, splits, strict=True)):
        if piece.parts == 1 and _text_bytes(piece) < limits.small_bytes:
            by_source.setdefault((split, tuple(shard.source for shard in piece.shards)), []).append(number)
    found = {number: [number] for number in range(len(pieces))}
    for small in by_source.values():
        if len(small) > limits.fewest:
            for group in _groups(pieces, small, limits):
                for number in group:
                    del found[number]
                found[group[0]] = group
    taken = _names_of(pieces)
    return tuple(_bundle([pieces[number] for number in found[first]], taken) for first in sorted(found))


def _text_bytes(piece: Piece) -> int:
    return piece.file.format.text_bytes(piece.file)


def _groups(pieces: Sequence[Piece], small: Sequence[int], limits: BundleLimits) -> Iterator[list[int]]:
    """The numbers of ``small`` pieces of one source, bundle by bundle."""
    ordered = sorted(small, key=lambda number: pieces[number].shards[0].index)
    begin = pieces[ordered[0]].shards[0].index
    group: list[int] = []
    size = last = 0
    for number in ordered:
        index, own = pieces[number].shards[0].index, limits.rounded(_text_bytes(pieces[number]))
        follows = index == last + 1 and (index - begin) % limits.most_shards
        if group and not (follows and size + own <= limits.most_bytes):
            yield group
            group, size = [], 0
        group.append(number)
        size, last = size + own, index
    yield group


def _names_of(pieces: Sequence[Piece], label: str = "") -> set[tuple[int, str]]:
    """What files of ``pieces`` may be called, below each source (by its number) and beside sources (-1)."""
    return {(-1, piece.name + label) for piece in pieces} | {
        (shard.source, shard.stem + piece.part_suffix + label) for piece in pieces for shard in piece.shards
    }


def _bundle(pieces: Sequence[Piece], taken: set[tuple[int, str]]) -> Bundle:
    """A bundle that is called like nothing else; its names are ``taken`` then."""
    if len(pieces) == 1:
        return Bundle(tuple(pieces))
    label = LABEL
    while not taken.isdisjoint(_names_of(pieces[:1], label)):
        label += LABEL
    taken |= _names_of(pieces[:1], label)
    return Bundle(tuple(pieces), label)
