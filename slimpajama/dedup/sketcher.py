"""Texts to band keys: the one pass over the text, a batch of documents at a time.

A batch of about 8 MiB of UTF-8 is handed to one compiled call that cleans, hashes the cleaned text to 128 bits,
shingles, takes minima and hashes bands; Python sees no document by itself. Only the bands x rows
permutations that bands use are computed (the published script computes 128 and uses 117). The kernel also tests for NFC
on the way; the few documents it is unsure of, and those with a letter it leaves to Python, are normalised and
lower-cased by Python and done again. Rejected: one call per document (costs as much as the sketch of a 400-byte
article), and normalising every text first (a tenth of the time of all).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimpajama.corpus.texts import Texts
from slimpajama.dedup.band_keys import band_keys
from slimpajama.dedup.minhash import minhash, permutations
from slimpajama.dedup.one_permutation import one_permutation
from slimpajama.dedup.params import MinHashParams
from slimpajama.engine.kernels import kernel
from slimpajama.text.cleaning import fold_utf8, folding_of
from slimpajama.text.normalisation import normaliser
from slimpajama.text.shingles import BLOCK, shingle_scratch
from slimpajama.text.text_hash import KEYS, hash_text
from slimpajama.text.unicode_tables import nfc_classes
from slimpajama.text.words import WORD_CLASSES, words_as_units

__all__ = ["Sketcher", "Sketches", "joined_sketches"]


@dataclass(frozen=True, slots=True)
class Sketches:
    """What is known of n documents after the pass over their text.

    ``sizes`` ``int64[n]``: bytes of the stored (normalised) text. ``cleaned`` ``int64[n]``: cleaned characters.
    ``rewritten`` ``bool[n]``: normalisation changed the text. ``keys`` ``uint64[n, bands]``: band keys, zero where
    the document is too short for LSH. ``hashes`` ``uint64[n, 2]``: 128 bits of the cleaned text. ``minima``
    ``uint8[n, values]``: the low byte of each value of the signature, only where removals are checked.
    """

    sizes: NDArray[np.int64]
    cleaned: NDArray[np.int64]
    rewritten: NDArray[np.bool_]
    keys: NDArray[np.uint64]
    hashes: NDArray[np.uint64]
    minima: NDArray[np.uint8] | None = None

    @property
    def made(self) -> list[NDArray[Any]]:
        """The arrays that the kernel fills."""
        return [self.cleaned, self.keys, self.hashes, *([self.minima] if self.minima is not None else [])]


def joined_sketches(parts: Sequence[Sketches]) -> Sketches:
    """The sketches of several batches as one; there is at least one batch."""
    minima = [part.minima for part in parts if part.minima is not None]
    return Sketches(
        np.concatenate([part.sizes for part in parts]),
        np.concatenate([part.cleaned for part in parts]),
        np.concatenate([part.rewritten for part in parts]),
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.hashes for part in parts]),
        np.concatenate(minima) if minima else None,
    )


_LOW_BYTE = np.uint32(0xFF)


@kernel
def _sketch_batch(
    utf8: NDArray[np.uint8],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    check_nfc: bool,
    shortest: int,
    of_words: bool,
    length: int,
    rows: int,
    fold: NDArray[np.uint32],
    space: np.uint32,
    word_classes: NDArray[np.uint8],
    nfc: NDArray[np.uint8],
    multipliers: NDArray[np.uint32],
    addends: NDArray[np.uint32],
    points: NDArray[np.uint32],
    scratch: NDArray[np.uint64],
    mixed: NDArray[np.uint32],
    least: NDArray[np.uint32],
    cleaned: NDArray[np.int64],
    keys: NDArray[np.uint64],
    hashes: NDArray[np.uint64],
    hash_keys: NDArray[np.uint32],
    minima: NDArray[np.uint8],
    in_bins: bool,
    empty: NDArray[np.int64],
) -> None:
    for document in range(stops.shape[0]):
        count = fold_utf8(utf8[starts[document] : stops[document]], points, fold, nfc, check_nfc, space)
        cleaned[document] = count
        if count >= 0:
            hash_text(points[:count], hash_keys, hashes[document])
        if count >= shortest:
            units = points[:count]
            if of_words:
                units = units[: words_as_units(units, word_classes)]
            if units.shape[0] < length:
                continue
            if in_bins:
                one_permutation(units, length, multipliers, addends, scratch, mixed, empty, least)
            else:
                minhash(units, length, multipliers, addends, scratch, mixed, least)
            band_keys(least, rows, keys[document])
            kept = minima[document]
            for i in range(kept.shape[0]):
                kept[i] = np.uint8(least[i] & _LOW_BYTE)


class Sketcher:
    """Sketches batches of texts with one set of parameters, reusing its scratch memory.

    A document without a shingle gets no keys.
    """

    def __init__(self, params: MinHashParams) -> None:
        bands, rows, normalisation = params.bands, params.rows, params.normalisation
        multipliers, addends = permutations(params.num_perm, params.seed)
        self._multipliers = multipliers[: params.values].copy()
        self._addends = addends[: params.values].copy()
        self._bands = bands
        self._rows = rows
        self._lowers = params.cleaning != "none"
        self._keep_minima = params.checked
        self._shortest = params.min_cleaned_characters
        self._of_words = params.shingle_unit == "word"
        self._length = params.shingle_length
        self._normalise: Callable[[str], str] = normaliser(normalisation)
        self._kernel_checks_nfc = normalisation == "nfc"
        self._normalise_first = normalisation == "ftfy"
        self._folding = folding_of(params.cleaning)
        self._nfc = nfc_classes()
        self._points = np.empty(1 << 20, dtype=np.uint32)
        self._scratch = shingle_scratch()
        self._mixed = np.empty(BLOCK, dtype=np.uint32)
        self._least = np.empty(params.values, dtype=np.uint32)
        self._in_bins = params.in_bins
        self._empty = np.empty(params.values, dtype=np.int64)

    def sketch(self, texts: Texts) -> Sketches:
        """Sketch ``texts``."""
        rewritten = np.zeros(len(texts), dtype=np.bool_)
        if self._normalise_first:
            given = texts.decoded()
            normalised = [self._normalise(text) for text in given]
            rewritten[:] = [new != old for new, old in zip(normalised, given, strict=True)]
            texts = Texts.of(normalised)
        sketches = self._run(texts, rewritten, self._kernel_checks_nfc)
        unsure = np.flatnonzero(sketches.cleaned < 0)
        if unsure.size:
            doubtful = texts.chosen(unsure).decoded()
            stored = [self._normalise(text) for text in doubtful] if self._kernel_checks_nfc else doubtful
            rewritten[unsure] |= [new != old for new, old in zip(stored, doubtful, strict=True)]
            sketches.sizes[unsure] = [len(text.encode()) for text in stored]
            # Lower-cased by Python, a text holds no letter that the table cannot fold.
            lowered = Texts.of([text.lower() if self._lowers else text for text in stored])
            again = self._run(lowered, rewritten[unsure], False)
            for old, new in zip(sketches.made, again.made, strict=True):
                old[unsure] = new
        return sketches

    def _run(self, texts: Texts, rewritten: NDArray[np.bool_], check_nfc: bool) -> Sketches:
        """What the kernel makes of texts; ``cleaned`` is negative where it leaves a text to Python."""
        count, sizes = len(texts), texts.sizes
        longest = int(sizes.max(initial=0))
        if longest >= self._points.size:
            self._points = np.empty(longest + 1, dtype=np.uint32)
        cleaned = np.empty(count, dtype=np.int64)
        keys = np.zeros((count, self._bands), dtype=np.uint64)
        hashes = np.zeros((count, 2), dtype=np.uint64)
        minima = np.zeros((count, self._least.size if self._keep_minima else 0), dtype=np.uint8)
        _sketch_batch(
            texts.data,
            texts.starts,
            texts.stops,
            check_nfc,
            self._shortest,
            self._of_words,
            self._length,
            self._rows,
            self._folding.table,
            self._folding.space,
            WORD_CLASSES,
            self._nfc,
            self._multipliers,
            self._addends,
            self._points,
            self._scratch,
            self._mixed,
            self._least,
            cleaned,
            keys,
            hashes,
            KEYS,
            minima,
            self._in_bins,
            self._empty,
        )
        return Sketches(sizes, cleaned, rewritten, keys, hashes, minima if self._keep_minima else None)
