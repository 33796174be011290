"""Key methods: how the band keys of texts are made. One class each; documents that share a key are duplicates.

To add one, write a subclass of :class:`KeyMethod` in a module that workers can import, register an instance with
``KEY_METHODS.register``, and set ``method`` to its name. The settings of MinHash apply to it as far as it uses them;
``bands`` is the number of its keys. Texts that are equal as they are stored count as exact duplicates, since only the
method knows how it cleans them. One call is made for each batch of about 8 MiB, never one for a document.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import xxhash
from numpy.typing import NDArray

from slimpajama.corpus.texts import Texts
from slimpajama.dedup.params import MinHashParams
from slimpajama.dedup.sketcher import Sketcher, Sketches
from slimpajama.errors import ConfigError
from slimpajama.text.normalisation import normaliser

__all__ = ["KeyMethod", "MinHash", "OnePermutation", "TextSketcher"]


class TextSketcher(Protocol):
    """Sketches batches of texts."""

    def sketch(self, texts: Texts) -> Sketches:
        """Sketch ``texts``."""
        ...


class KeyMethod(ABC):
    """A way to make keys.

    ``name``: what the setting ``method`` calls it. ``version``: raise it when the keys of a text change, so that what
    was made before is not used again.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1

    @abstractmethod
    def keys(self, texts: Sequence[str], params: MinHashParams) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """The cleaned characters of each text, ``int64[n]``, and its keys, ``uint64[n, params.bands]``.

        ``texts`` are normalised. The keys of texts of fewer than ``params.min_cleaned_characters`` are not used.
        Arrays of another type or shape are refused with :class:`~slimpajama.errors.ConfigError`.
        """

    def sketcher(self, params: MinHashParams) -> TextSketcher:
        """What makes the keys of one task, for a method that normalises in a way of its own or keeps memory."""
        return _NormalisingSketcher(self, params)


class MinHash(KeyMethod):
    """Bands of MinHash signatures, as published."""

    name = "minhash"

    def keys(self, texts: Sequence[str], params: MinHashParams) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """See :meth:`KeyMethod.keys`."""
        found = Sketcher(params).sketch(Texts.of(texts))
        return found.cleaned, found.keys

    def sketcher(self, params: MinHashParams) -> TextSketcher:
        """See :meth:`KeyMethod.sketcher`."""
        return Sketcher(params)


class OnePermutation(MinHash):
    """Bands of signatures made by one permutation, in as many bins as ``num_perm``."""

    name = "one-permutation"


class _NormalisingSketcher:
    """Normalises texts, then asks the method for their keys."""

    def __init__(self, method: KeyMethod, params: MinHashParams) -> None:
        self._method = method
        self._params = params
        self._normalise = normaliser(params.normalisation)

    def sketch(self, texts: Texts) -> Sketches:
        given = texts.decoded()
        stored = [self._normalise(text) for text in given]
        cleaned, keys = self._method.keys(stored, self._params)
        count = len(texts)
        self._expect("cleaned characters", cleaned, np.dtype(np.int64), (count,))
        self._expect("keys", keys, np.dtype(np.uint64), (count, self._params.bands))
        encoded = [text.encode() for text in stored]
        sizes = np.fromiter(map(len, encoded), dtype=np.int64, count=count)
        digests = b"".join(xxhash.xxh3_128_digest(text) for text in encoded)
        hashes = np.frombuffer(digests, dtype=">u8").astype(np.uint64).reshape(count, 2)
        changed = (new != old for new, old in zip(stored, given, strict=True))
        return Sketches(sizes, cleaned, np.fromiter(changed, dtype=np.bool_, count=count), keys, hashes)

    def _expect(self, what: str, given: object, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        if not isinstance(given, np.ndarray) or given.dtype != dtype or given.shape != shape:
            found = f"{given.dtype}{list(given.shape)}" if isinstance(given, np.ndarray) else type(given).__name__
            raise ConfigError(
                f"the key method {self._method.name!r} gave {what} as {found}; they must be {dtype}{list(shape)}"
            )
