"""The token store: every source as one long shuffled stream of tokens, read by position, as often as is liked.

::

    tokens/
      tokenizer.json                               what the ids mean
      store.json                                   the index: buckets, their documents and tokens per scope
      sources/<source>/<split>/00000.tokens.npy    uint16, or uint32 for a vocabulary above 65,536
      sources/<source>/<split>/00000.documents.npy one PIECE row per piece of a document, in the order of its tokens;
                                                   behind it the hashes of metadata, where columns are kept

Buckets follow each other in the order of the shuffle's hash, and so do the pieces in them. A stream without a seed
reads the files from front to back in epoch 0, and steps over what its selection leaves out. With the seed of a recipe,
and in every later epoch, the buckets and the pieces inside each come in another order, by hashes of the store's seed,
the recipe's and the epoch; which pieces share a bucket is itself chance, so that order too is a shuffle of the whole
source. So recipes of other seeds use other sequences, where they do not use all.

Files are memory-mapped. A position costs one search in the bucket list and, once per bucket and epoch, the order of
its pieces; the last two such orders are remembered, so reading in sequence is fastest. Memory: 42 bytes for each
piece of two buckets, and what a read returns. Rejected: a stream per scope (twice the disk), storing each order (a
recomputable sort), and Arrow files (as fast to map, but a run of one column of fixed width is what ``.npy`` is).
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from slimpajama.errors import ConfigError, InputError
from slimpajama.storage.atomic import read_json
from slimpajama.storage.npy import MappedArray, map_array
from slimpajama.tokens.holdout import SPLITS
from slimpajama.tokens.layout import StoreLayout
from slimpajama.tokens.piece_spans import PieceSpans
from slimpajama.tokens.pieces import begins, piece_keys
from slimpajama.tokens.reading_store import reading_store
from slimpajama.tokens.run_files import copy_documents
from slimpajama.tokens.seeded_order import seeded_hash
from slimpajama.tokens.selected_sizes import SelectedSizes, selected_sizes
from slimpajama.tokens.selection import SCOPES, Selection
from slimpajama.tokens.summary import PerScope

__all__ = [
    "STORE_VERSION",
    "BucketDigests",
    "BucketEntry",
    "StoreContent",
    "StoreIndex",
    "TokenStore",
    "TokenStream",
    "open_store",
]

STORE_VERSION = 3

_REMEMBERED = 2


class BucketDigests(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The blake2b of the two files of a bucket."""

    tokens: str
    documents: str


class BucketEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the index says of a bucket: documents that begin in it, and tokens, in each scope; digests of its files."""

    documents: PerScope
    tokens: PerScope
    digests: BucketDigests


class StoreContent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that tells one store from another. ``sources``: by source and split, the buckets in their order.
    ``columns``: by source, the metadata columns of its rows, where there are some."""

    version: int = STORE_VERSION
    shuffle_seed: int
    piece_tokens: int
    vocabulary: int
    end_of_text: int
    tokenizer: str
    sources: dict[str, dict[str, tuple[BucketEntry, ...]]]
    columns: Mapping[str, tuple[str, ...]] | msgspec.UnsetType = msgspec.UNSET


class StoreIndex(StoreContent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``store.json``. ``fingerprint``: of the content. ``order``: of the sources, which JSON does not keep."""

    fingerprint: str
    order: tuple[str, ...]

    @classmethod
    def of(cls, content: StoreContent, fingerprint: str, order: tuple[str, ...]) -> StoreIndex:
        """The index of ``content``."""
        return cls(**msgspec.structs.asdict(content), fingerprint=fingerprint, order=order)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Pieces of one bucket in reading order: where each starts in the file, and where it ends in the bucket."""

    tokens: MappedArray
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    ends: NDArray[np.int64]
    spans: PieceSpans


class TokenStream:
    """One source's chosen pieces in one split, as tokens; each epoch is another order of the same pieces.

    ``tokens``: of all pieces, with the end-of-text token after each document. ``documents``: how many. A stream keeps
    files open and remembers where it was: one per process, not shared between threads.
    """

    def __init__(
        self,
        store: TokenStore,
        source: str,
        split: str,
        selection: Selection,
        seed: int | None,
        sizes: SelectedSizes,
    ) -> None:
        self.documents, self.distinct = sizes.documents, sizes.distinct
        self._sizes = np.array(sizes.tokens, dtype=np.int64)
        self.tokens = int(self._sizes.sum())
        self._files = store.layout
        self._where = (source, split)
        self._selection = selection
        self._shuffle_seed, self._seed = store.shuffle_seed, seed
        self._layouts: OrderedDict[tuple[int, int], _Layout] = OrderedDict()
        self._order: tuple[int, NDArray[np.int64], NDArray[np.int64]] | None = None

    def read(self, start: int, stop: int, epoch: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Tokens ``start`` to ``stop`` of an epoch: ``uint32[stop - start]``, and where pieces begin among them.

        The second array is ``int64``, ascending, relative to ``start``. Raises :class:`ConfigError` for a range that
        is not within the stream or a negative epoch.
        """
        if not 0 <= start <= stop <= self.tokens or epoch < 0:
            raise ConfigError(
                f"tokens {start} to {stop} of epoch {epoch} were asked of {self._files.root}/{'/'.join(self._where)}, "
                f"which has {self.tokens} in each epoch from 0 on"
            )
        out = np.empty(stop - start, dtype=np.uint32)
        begins: list[NDArray[np.int64]] = []
        order, ends = self._bucket_order(epoch)
        place = int(np.searchsorted(ends, start, side="right"))
        position = start
        while position < stop:
            bucket = int(order[place])
            bucket_begin = int(ends[place] - self._sizes[bucket])
            until = min(stop, int(ends[place]))
            if until > position:
                part = self._layout(bucket, epoch)
                heads = _copy(part, position - bucket_begin, until - bucket_begin, out[position - start :])
                begins.append(heads + (bucket_begin - start))
            position = until
            place += 1
        return out, np.concatenate(begins) if begins else np.zeros(0, dtype=np.int64)

    def pieces(self, start: int, stop: int, epoch: int) -> PieceSpans:
        """The pieces of which tokens ``start`` to ``stop`` of an epoch are, whole ones, in their order."""
        order, ends = self._bucket_order(epoch)
        place = int(np.searchsorted(ends, start, side="right"))
        found: list[PieceSpans] = []
        while place < order.size and int(ends[place] - self._sizes[order[place]]) < stop:
            begin = int(ends[place] - self._sizes[order[place]])
            part = self._layout(int(order[place]), epoch)
            first = int(np.searchsorted(part.ends, start - begin, side="right"))
            last = int(np.searchsorted(part.ends, stop - begin, side="left")) + 1
            found.append(part.spans.part(first, last, begin))
            place += 1
        return PieceSpans.joined(found)

    def buckets_between(self, start: int, stop: int) -> list[int]:
        """The buckets that tokens ``start`` to ``stop`` lie in, where the epochs of the stream follow each other."""
        if not self.tokens or stop <= start:
            return []
        if stop - start >= 2 * self.tokens:  # a whole epoch at least
            return [int(number) for number in np.flatnonzero(self._sizes)]
        found: set[int] = set()
        for epoch in range(start // self.tokens, (stop - 1) // self.tokens + 1):
            order, ends = self._bucket_order(epoch)
            low, high = max(0, start - epoch * self.tokens), min(self.tokens, stop - epoch * self.tokens)
            first, last = np.searchsorted(ends, (low, high - 1), side="right")
            found.update(order[first : last + 1].tolist())
        return sorted(found)

    def _bucket_order(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self._order is None or self._order[0] != epoch:
            numbers = np.arange(self._sizes.size, dtype=np.int64)
            if not self._is_as_written(epoch):
                keys = seeded_hash(numbers.astype(np.uint64), self._shuffle_seed, self._purpose("buckets", epoch))
                numbers = np.argsort(keys)
            self._order = (epoch, numbers, np.cumsum(self._sizes[numbers]))
        return self._order[1:]

    def _is_as_written(self, epoch: int) -> bool:
        return epoch == 0 and self._seed is None and not self._selection.repeats

    def _purpose(self, what: str, epoch: int) -> str:
        return f"{what} of epoch {epoch}" + ("" if self._seed is None else f" of seed {self._seed}")

    def _layout(self, bucket: int, epoch: int) -> _Layout:
        layout = self._layouts.get((bucket, epoch))
        if layout is not None:
            self._layouts.move_to_end((bucket, epoch))
            return layout
        while len(self._layouts) >= _REMEMBERED:
            self._layouts.popitem(last=False)
        files = self._files.bucket(*self._where, bucket)
        with reading_store():
            pieces, tokens = map_array(files.documents), MappedArray(files.tokens)
        lengths = pieces["tokens"].astype(np.int64)
        starts = np.cumsum(lengths) - lengths
        selected = self._selection.chosen(pieces)
        chosen = selected.places
        if not self._is_as_written(epoch):
            # Pieces of one key have one text, so that it does not matter in which order they come.
            keys = piece_keys(pieces[chosen], self._shuffle_seed, self._purpose("pieces", epoch), selected.copies)
            chosen = chosen[np.argsort(keys)]
        lengths = lengths[chosen]
        ends = np.cumsum(lengths)
        spans = PieceSpans(
            ends - lengths, lengths, pieces["id"][chosen], begins(pieces)[chosen], pieces["ends"][chosen]
        )
        layout = _Layout(tokens, starts[chosen], lengths, ends, spans)
        self._layouts[bucket, epoch] = layout
        return layout


@dataclass(frozen=True, slots=True)
class TokenStore:
    """A finished store in the folder ``path``."""

    path: Path
    index: StoreIndex

    @property
    def layout(self) -> StoreLayout:
        """Where its files lie."""
        return StoreLayout(self.path)

    @property
    def sources(self) -> tuple[str, ...]:
        """In the order of the run."""
        return self.index.order

    @property
    def vocabulary(self) -> int:
        """One more than the largest id."""
        return self.index.vocabulary

    @property
    def end_of_text(self) -> int:
        """The id after each document."""
        return self.index.end_of_text

    @property
    def shuffle_seed(self) -> int:
        """Of the order of the store."""
        return self.index.shuffle_seed

    @property
    def piece_tokens(self) -> int:
        """Tokens of a piece of a long document."""
        return self.index.piece_tokens

    def columns(self, source: str) -> tuple[str, ...]:
        """The metadata columns that it keeps of a source."""
        return self.index.columns.get(source, ()) if self.index.columns else ()

    @property
    def fingerprint(self) -> str:
        """Equal for equal content."""
        return self.index.fingerprint

    def buckets(self, source: str, split: str) -> tuple[BucketEntry, ...]:
        """What the index says of the buckets of a source's split, in their order."""
        return self.index.sources[source][split]

    def stream(
        self,
        source: str,
        split: str,
        selection: Selection,
        seed: int | None = None,
        sizes: SelectedSizes | None = None,
    ) -> TokenStream:
        """The stream of the pieces of a source's split that are chosen by ``selection``.

        ``seed``: of a recipe, which says in what order they come; ``None``: as they lie in the files. ``sizes``: what
        :meth:`sizes` says, if that is known. Raises :class:`ConfigError` where there is no such source, split or scope.
        """
        return TokenStream(self, source, split, selection, seed, sizes or self.sizes(source, split, selection))

    def sizes(self, source: str, split: str, selection: Selection) -> SelectedSizes:
        """What ``selection`` takes of a source's split; counted from its rows where the index does not say it.

        Raises :class:`ConfigError` where there is no such source, split, scope or column.
        """
        for value, known, what in (
            (source, self.sources, "source"),
            (split, SPLITS, "split"),
            (selection.scope, SCOPES, "scope"),
        ):
            if value not in known:
                raise ConfigError(f"there is no {what} {value!r} in {self.path}; it has {', '.join(known)}")
        column = selection.where.column if selection.where else None
        if column is not None and column not in self.columns(source):
            raise ConfigError(
                f"the token store {self.path} keeps no {column} of source {source!r}; run slimpajama mix again with "
                f"--column {source}:{column}, or with a recipe that splits the source by it: it makes the store anew"
            )
        buckets = self.buckets(source, split)
        if not selection.is_whole:
            return selected_sizes(self.layout, self.fingerprint, source, split, len(buckets), selection)
        tokens = tuple(bucket.tokens.of(selection.scope) for bucket in buckets)
        return SelectedSizes(tokens, sum(bucket.documents.of(selection.scope) for bucket in buckets), sum(tokens))


def open_store(path: Path) -> TokenStore:
    """Open the store in the folder ``path``. Raises :class:`InputError` where there is none, or not a finished one."""
    layout = StoreLayout(path)
    content = read_json(layout.index)
    state = "is missing or not readable"
    if isinstance(content, dict) and content.get("version") != STORE_VERSION:
        state = "is of another version"
    else:
        with contextlib.suppress(msgspec.ValidationError):
            return TokenStore(path, msgspec.convert(content, StoreIndex))
    raise InputError(
        f"there is no token store in {path}: {layout.index.name} {state}; run the command that makes it again"
    )


def _copy(layout: _Layout, start: int, stop: int, out: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Copy tokens ``start`` to ``stop`` of the bucket to the front of ``out``.

    Returns the heads (in the bucket) of the pieces that begin there.
    """
    first = int(np.searchsorted(layout.ends, start, side="right"))
    last = int(np.searchsorted(layout.ends, stop, side="left")) + 1
    ends = layout.ends[first:last]
    heads = ends - layout.lengths[first:last]
    cut = np.maximum(start - heads, 0)
    lengths = np.minimum(ends, stop) - heads - cut
    copy_documents(layout.tokens.array, layout.starts[first:last] + cut, lengths, out)
    layout.tokens.release()
    begins: NDArray[np.int64] = heads[cut == 0]
    return begins
