"""Texts to ids: ``gigatoken`` where it agrees with ``tokenizers``, else ``tokenizers``.

``gigatoken`` reads bytes at 150 to 400 MB/s on one core and takes a document of any size as it is: a million equal
characters or one word of five megabytes cost linear time. It remembers every word it has met and never forgets, so
the encoder loads itself afresh when that memory has grown past a bound. Its special tokens are left out of the file
it gets (it keeps the ids of the rest).

``tokenizers`` is the reference and the fallback, at a hundredth of the speed and some 300 bytes per token while a
document is encoded. So there a long document is cut where no token can reach across: before a space between two
ASCII letters, under the byte-level pre-tokenizer, where the space always begins a word. Other pre-tokenizers give
no such promise; documents go in whole then, and their size is bounded by the largest document the run admits.
Rejected: ``encode_batch`` of either (as fast, but it needs a second array library or a thread pool per worker).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal, Protocol

import gigatoken.gigatoken_rs
import numpy as np
import orjson
import psutil
from numpy.typing import NDArray

from slimpajama.tokens.tokenizer import TokenizerFile
from slimpajama.tokens.tokenizer_json import TokenizerJson, load_json

__all__ = ["Backend", "Encoder", "FastModel", "agreeing_backend", "shared_encoder"]

Backend = Literal["gigatoken", "tokenizers"]

FRAGMENT = 1 << 18
"""Characters after which ``tokenizers`` looks for a place to cut a document."""

_CUT = re.compile(r"(?<=[A-Za-z]) (?=[A-Za-z])")


class FastModel(Protocol):
    """A tokenizer in ``gigatoken``."""

    def encode(self, document: bytes) -> NDArray[np.uint32]:
        """The ids of a UTF-8 document."""


class Encoder:
    """Encodes documents, each with the tokens that stand before and after it. Not for sharing between threads.

    ``cache_bytes`` bounds what the backend remembers of the words it met. It does not say how much that is, so the
    bound is on what the process has grown by since the encoder was loaded, whatever has grown; it is checked before
    each batch, so a batch may exceed it. ``fragment``: characters of a long document that are encoded at a time.
    """

    def __init__(
        self, tokenizer: TokenizerFile, backend: Backend, cache_bytes: int = 256 << 20, fragment: int = FRAGMENT
    ) -> None:
        self.dtype = np.dtype(np.uint16 if tokenizer.vocabulary <= 1 << 16 else np.uint32)
        self.reloads = 0
        self._before = np.array(tokenizer.before, dtype=self.dtype)
        self._after = np.array(tokenizer.after, dtype=self.dtype)
        loaded = load_json(tokenizer.path)
        self._cache_bytes = cache_bytes
        self._fragment = fragment
        self._process = psutil.Process()
        self._fast: Any = None
        if backend == "gigatoken":
            self._json = gigatoken_json(loaded.content)
            self._fast = gigatoken.gigatoken_rs.load_hf_json(self._json)
            self._least = self._memory()
        else:
            self._reference = loaded.reference
            self._divisible = divisible(loaded.content)

    @property
    def fast(self) -> FastModel:
        """What the backend ``gigatoken`` encodes with now."""
        model: FastModel = self._fast
        return model

    def encode(self, documents: Sequence[bytes]) -> tuple[NDArray[np.unsignedinteger[Any]], NDArray[np.int64]]:
        """Tokens of n UTF-8 documents, one after the other (``uint16`` or ``uint32``), and ``int64[n]`` lengths.

        Every length counts the tokens before and after the document, too.
        """
        pieces = self._encode_fast(documents) if self._fast is not None else [*map(self._encode_slow, documents)]
        before, after = self._before.size, self._after.size
        lengths = np.fromiter((piece.size + before + after for piece in pieces), dtype=np.int64, count=len(pieces))
        tokens = np.empty(int(lengths.sum()), dtype=self.dtype)
        begin = 0
        for piece in pieces:
            if before:
                tokens[begin : begin + before] = self._before
                begin += before
            end = begin + piece.size
            tokens[begin:end] = piece
            begin = end + after
            tokens[end:begin] = self._after
        return tokens, lengths

    def _encode_fast(self, documents: Sequence[bytes]) -> list[NDArray[np.uint32]]:
        memory = self._memory()
        self._least = min(self._least, memory)
        if memory - self._least > self._cache_bytes:
            self._fast = None  # the old one's memory goes before the new one is made
            self._fast = gigatoken.gigatoken_rs.load_hf_json(self._json)
            # Measured anew: where something else has grown, this one is not to be loaded for every batch.
            self._least = self._memory()
            self.reloads += 1
        return list(map(self._fast.encode, documents))

    def _memory(self) -> int:
        return int(self._process.memory_info().rss)

    def _encode_slow(self, document: bytes) -> NDArray[np.uint32]:
        return self.reference_ids(document.decode())

    def reference_ids(self, text: str) -> NDArray[np.uint32]:
        """The ids of ``text`` by the backend ``tokenizers``."""
        fragments = fragments_of(text, self._fragment) if self._divisible else [text]
        return np.concatenate(
            [
                np.asarray(self._reference.encode(fragment, add_special_tokens=False).ids, dtype=np.uint32)
                for fragment in fragments
            ]
        )


@lru_cache(maxsize=1)
def shared_encoder(tokenizer: TokenizerFile, backend: Backend, memory_bytes: int) -> Encoder:
    """The encoder of this process, which may hold ``memory_bytes`` in all.

    Loading one takes longer than a small shard does, and what it has learnt of the corpus serves the next shard.
    """
    return Encoder(tokenizer, backend, memory_bytes * 3 // 8)


def gigatoken_json(content: TokenizerJson) -> bytes:
    """The file that ``gigatoken`` gets: without special tokens, so that no text becomes one."""
    ordinary = [token for token in content["added_tokens"] if not token.get("special")]
    return orjson.dumps({**content, "added_tokens": ordinary})


def agreeing_backend(
    tokenizer: TokenizerFile,
    texts: Iterable[str],
    load: Callable[[], FastModel] | None = None,
    reference_ids: Callable[[str], NDArray[np.uint32]] | None = None,
) -> tuple[Backend, str | None]:
    """The backend to use for documents like ``texts``, and a warning where it is not the fast one.

    Every text is encoded by both libraries, and so is every special token; ``tokenizers`` is right by definition.
    Takes about a second per 1.5 MB of text. ``load`` gives the fast model, ``reference_ids`` the ids of a text by
    ``tokenizers``; by default, both are made here.
    """
    try:
        fast = load() if load is not None else Encoder(tokenizer, "gigatoken").fast
    except Exception as fault:  # whatever it cannot load is a reason to fall back, not to stop
        reason = str(fault).splitlines()[0]
        return (
            "tokenizers",
            f"gigatoken cannot load {tokenizer.path} ({reason}): using tokenizers, about 100 times slower",
        )
    expected_ids = reference_ids or Encoder(tokenizer, "tokenizers").reference_ids
    for checked, text in enumerate((*tokenizer.specials, *texts)):
        expected, ids = expected_ids(text), fast.encode(text.encode())
        if not np.array_equal(ids, expected):
            least = min(ids.size, expected.size)
            place = int(np.argmin(np.append(ids[:least] == expected[:least], False)))
            return "tokenizers", (
                f"gigatoken and tokenizers differ from token {place} of a document that begins {text[:60]!r} "
                f"(after {checked} equal ones): using tokenizers, about 100 times slower"
            )
    return "gigatoken", None


def divisible(content: TokenizerJson) -> bool:
    """Whether a text's ids are those of its :func:`fragments_of` joined."""
    pre_tokenizer, normalizer = content.get("pre_tokenizer") or {}, content.get("normalizer") or {}
    ordinary = [token for token in content["added_tokens"] if not token.get("special")]
    return bool(
        pre_tokenizer.get("type") == "ByteLevel"
        and pre_tokenizer.get("use_regex", True)
        and not pre_tokenizer.get("add_prefix_space")
        and normalizer.get("type", "NFC") == "NFC"
        and not any(re.search("[A-Za-z] ", token["content"]) or token.get("rstrip") for token in ordinary)
    )


def fragments_of(text: str, least: int = FRAGMENT) -> Iterator[str]:
    """``text`` in parts of at least ``least`` characters, cut before a space between two ASCII letters."""
    begin = 0
    while cut := _CUT.search(text, begin + least):
        yield text[begin : cut.start()]
        begin = cut.start()
    yield text[begin:]
