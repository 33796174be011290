"""The items of evaluation sets, out of files of JSON lines.

An item is what lies at the set's fields in one record, joined by newlines: texts, and lists of texts such as the
choices of a question. All items of a set are held at once; the largest sets have some hundred thousand. A line that is
not JSON is an error, since a set that is read by half gives a clean bill to what was never looked for.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import orjson

from slimpajama.config.decontaminate import DecontaminateConfig, EvaluationSet
from slimpajama.corpus.codecs import Codec
from slimpajama.corpus.decoded_lines import codec_of_lines, decoded_lines
from slimpajama.errors import ConfigError, InputNotFound, ShardUnreadable
from slimpajama.storage.paths import is_remote, path_of, statuses_below

__all__ = ["EvaluationFile", "EvaluationItem", "evaluation_files", "read_items"]


@dataclass(frozen=True, slots=True)
class EvaluationFile:
    """One file of a set. ``name``: its path below the set's folder; ``fields``: paths that make up an item."""

    set_name: str
    path: str
    name: str
    fields: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class EvaluationItem:
    """The text of the item in one ``line``, counted from 1; empty where the record has none of the fields."""

    line: int
    text: str


def evaluation_files(config: DecontaminateConfig) -> list[EvaluationFile]:
    """All files of all sets, in order. Raises :class:`InputNotFound` where a set has none."""
    found = []
    for one in config.against:
        fields = tuple(tuple(field.split(".")) for field in config.fields_of(one))
        found += [EvaluationFile(one.name, str(path), name, fields) for path, name in _files_of(one)]
    return found


def _files_of(one: EvaluationSet) -> list[tuple[Path, str]]:
    path = path_of(one.path)
    if codec_of_lines(path.name) is not None and (path.is_file() if not is_remote(path) else path.exists()):
        return [(path, path.name)]
    if is_remote(path):
        names = sorted(statuses_below(path))
    else:
        names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    files = [(path / name, name) for name in names if codec_of_lines(name) is not None]
    if not files:
        state = "holds no file of JSON lines" if path.exists() else "does not exist"
        raise InputNotFound(
            f"the evaluation set {one.path} {state}; give a file that ends in .jsonl, plain or compressed, or a folder "
            "of such files"
        )
    return files


def read_items(file: EvaluationFile) -> list[EvaluationItem]:
    """The items of a file.

    Raises :class:`ShardUnreadable` for a line that is not JSON, :class:`ConfigError` where no record has the fields.
    """
    items, other, reached = [], list[str](), False
    for number, line in enumerate(_lines(file), start=1):
        line = line.removeprefix(codecs.BOM_UTF8)
        if not line.strip():
            continue
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as fault:
            raise ShardUnreadable(
                f"{file.path}: line {number:,} is not JSON ({fault}); export the evaluation set again as JSON lines"
            ) from fault
        items.append(EvaluationItem(number, "\n".join(_texts_at(record, file.fields))))
        if not items[-1].text:
            reached = reached or any(_value_at(record, field) is not None for field in file.fields)
            other = other or _with_text(record)
    if not items:
        raise ConfigError(
            f"{file.path}: the file holds no record, so nothing of the evaluation set {file.set_name} would be found; "
            "export the evaluation set again, or leave the file out"
        )
    if not any(item.text for item in items):
        names = " or ".join(repr(".".join(field)) for field in file.fields)
        what = f"what records have at {names} is no text, or empty" if reached else f"no record has a text at {names}"
        raise ConfigError(
            f"{file.path}: {what}; set fields of the evaluation set {file.set_name} to "
            + (f"some of {', '.join(other)}" if other else "fields that hold texts, of which its records have none")
        )
    return items


def _lines(file: EvaluationFile) -> Iterator[bytes]:
    path = path_of(file.path)
    codec = cast(Codec, codec_of_lines(path.name))
    try:
        yield from decoded_lines(path, codec)
    except OSError as fault:
        raise ShardUnreadable(f"cannot read the evaluation set {file.path}: {fault}; replace the file") from fault


def _texts_at(record: object, fields: Sequence[tuple[str, ...]]) -> Iterator[str]:
    for field in fields:
        yield from _texts_in(_value_at(record, field))


def _value_at(record: object, field: tuple[str, ...]) -> object:
    value = record
    for name in field:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _with_text(record: object) -> list[str]:
    """The fields of a record that hold a text, and of its objects theirs."""
    found = []
    for name, value in record.items() if isinstance(record, dict) else ():
        within = value.items() if isinstance(value, dict) else ()
        found += [f"{name}.{inner}" for inner, one in within if any(_texts_in(one))]
        found += [name] if any(_texts_in(value)) else []
    return found


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _texts_in(one)
