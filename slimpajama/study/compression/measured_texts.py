"""What a model is measured on: some texts of each source, out of a token store, a mixture, or files of JSON lines.

A token store gives the held-out sequences of every source, cut as the shared holdout of its mixtures is; a mixture
gives those of the store beside it, no longer than its own. Texts are read before the model is opened, and sequences
after that, since they are as long as the model can take them. A file of JSON lines is one source, called as the file;
a folder holds the files of several, each called by its sub-folder or, without one, by its file. The first texts of each
source are taken: a store is shuffled, and of files nothing else can be had without reading all.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from slimpajama.corpus.decoded_lines import codec_of_lines, decoded_lines
from slimpajama.corpus.file_formats import suffix_of
from slimpajama.errors import ConfigError, InputError, InputNotFound, ShardUnreadable
from slimpajama.mixture.layout import MixtureLayout
from slimpajama.mixture.manifest import read_mixture_manifest
from slimpajama.storage.paths import path_of
from slimpajama.tokens.layout import TOKENS_FOLDER, StoreLayout
from slimpajama.tokens.selection import Selection
from slimpajama.tokens.store import TokenStore, open_store

__all__ = ["MeasuredData", "SourceSequences", "SourceTexts", "StoreData", "open_data", "read_data"]


@dataclass(frozen=True, slots=True)
class SourceTexts:
    """Texts of one source."""

    source: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceSequences:
    """Sequences of ids of one source. ``tokenizer``: the ``tokenizer.json`` that says what they mean."""

    source: str
    sequences: tuple[NDArray[np.int64], ...]
    tokenizer: Path
    vocabulary: int
    end_of_text: int


@dataclass(frozen=True, slots=True)
class StoreData:
    """A token store. ``longest``: the most tokens of a sequence, for a mixture those of its own sequences."""

    store: TokenStore
    longest: int | None


MeasuredData: TypeAlias = "SourceTexts | SourceSequences"
OpenedData: TypeAlias = "SourceTexts | StoreData"


def open_data(paths: Sequence[str], *, field: str, texts: int) -> list[OpenedData]:
    """All that can be read before the length of a sequence is known: stores, and ``texts`` texts of each other source
    at most. ``field``: of JSON lines, with a point between levels. Raises :class:`InputError` where there is nothing.
    """
    found: list[OpenedData] = []
    for given in paths:
        path = path_of(given)
        store = _store_of(path)
        found += _texts(path, field, texts) if store is None else [StoreData(store, _longest(path, store))]
    names = [name for one in found for name in (one.store.sources if isinstance(one, StoreData) else [one.source])]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"two of the given data have a source {twice[0]!r}; rename a file, or measure them apart")
    return found


def read_data(opened: Sequence[OpenedData], *, split: str, texts: int, length: int) -> list[MeasuredData]:
    """``opened``, with at most ``texts`` sequences of ``length`` tokens in place of each source of a store."""
    found: list[MeasuredData] = []
    for one in opened:
        if isinstance(one, StoreData):
            found += _sequences(one.store, min(length, one.longest or length), split, texts)
        else:
            found.append(one)
    return found


def _store_of(path: Path) -> TokenStore | None:
    """The store at or beside ``path``, if it is one, an output of mixtures, or a mixture."""
    for folder in (path, path / TOKENS_FOLDER):
        if StoreLayout(folder).index.exists():
            return open_store(folder)
    if not MixtureLayout(path).manifest.exists():
        return None
    manifest, beside = read_mixture_manifest(path), path.parent / TOKENS_FOLDER
    if not StoreLayout(beside).index.exists():
        raise InputError(
            f"{path} is a mixture, and the token store it was made of is not in {beside}; bring it back, or give texts"
        )
    store = open_store(beside)
    if store.fingerprint != manifest.store.fingerprint:
        raise InputError(
            f"{path} was made of another token store than lies in {beside}; run slimpajama mix with its recipe again"
        )
    return store


def _longest(path: Path, store: TokenStore) -> int | None:
    if path in (store.path, store.path.parent):
        return None
    plan = read_mixture_manifest(path).plan
    return plan.tokens // plan.sequences


def _sequences(store: TokenStore, length: int, split: str, texts: int) -> Iterator[SourceSequences]:
    none = True
    for source in store.sources:
        stream = store.stream(source, split, Selection("global"))
        count = min(texts, stream.tokens // length)
        if not count:
            logging.getLogger("slimpajama").warning(
                "the %s split of %s holds %d tokens, fewer than a sequence of %d: it is not measured",
                *(split, source, stream.tokens, length),
            )
            continue
        none = False
        tokens = stream.read(0, count * length, 0)[0].astype(np.int64).reshape(count, length)
        yield SourceSequences(source, tuple(tokens), store.layout.tokenizer, store.vocabulary, store.end_of_text)
    if none:
        raise InputError(
            f"no source of {store.path} has {length} tokens in its {split} split; give a smaller --max-tokens, or "
            "raise holdout and mix again"
        )


def _texts(path: Path, field: str, texts: int) -> list[SourceTexts]:
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.is_file() and codec_of_lines(file.name) is not None]
    else:
        files = [path] if path.is_file() and codec_of_lines(path.name) is not None else []
    if not files:
        state = "is no token store, no mixture, and holds no JSON lines" if path.exists() else "does not exist"
        raise InputNotFound(
            f"{path} {state}; give a token store, a mixture, an output of mix, a file that ends in .jsonl, plain or "
            "compressed, or a folder of such files"
        )
    found: dict[str, list[str]] = {}
    for file in files:
        below = file.relative_to(path).parts if path.is_dir() else (file.name,)
        source = below[0] if len(below) > 1 else file.name[: -len(suffix_of(file.name) or "")]
        own = found.setdefault(source, [])
        own += _texts_of(file, field, texts - len(own))
    return [SourceTexts(source, tuple(own)) for source, own in found.items()]


def _texts_of(file: Path, field: str, most: int) -> list[str]:
    codec = codec_of_lines(file.name)
    found: list[str] = []
    if most <= 0 or codec is None:
        return found
    try:
        for number, line in enumerate(decoded_lines(file, codec), start=1):
            if line.strip():
                found.append(_text_at(file, number, line, field))
            if len(found) == most:
                break
    except OSError as fault:
        raise ShardUnreadable(f"cannot read {file}: {fault}; replace the file") from fault
    if not found:
        raise InputError(f"{file} holds no texts; give another file")
    return found


def _text_at(file: Path, number: int, line: bytes, field: str) -> str:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as fault:
        raise ShardUnreadable(f"{file}: line {number:,} is not JSON ({fault}); mend or remove it") from fault
    value = record
    for name in field.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, str):
        names = ", ".join(map(str, record)) if isinstance(record, dict) else "none"
        raise ConfigError(f"{file}: line {number:,} has no text at {field!r}; give --field, out of: {names}")
    return value
