"""How finished work is remembered: a sealed JSON file for each task, so that a rerun skips what still holds.

A marker has all that the task depended on, and the JSON of its result, in which each file it wrote has its size and
digest; ``ls`` shows the state of a run. A marker that was changed does not count, nor does one whose result has another
shape. Small files are compared by digest and large ones by size, because a rerun that finds everything done must not
read terabytes; whoever reads a large file compares its digest then (:mod:`slimpajama.stages.written_files`). Rejected:
one database of finished tasks (a second thing that can be corrupt, and it cannot live in a bucket), and "skip what
exists" (it reuses what another setting made).
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic

import msgspec
import orjson

from slimpajama.stages.stage import ResultType, map_files
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import FileStatus, is_remote, relative_name, requests_at_once, status_of, statuses_below
from slimpajama.storage.reading import own_record, reading
from slimpajama.storage.sealed_json import read_sealed, write_sealed

__all__ = ["ANY_BYTES", "Markers", "changes", "reasons"]

SMALL_BYTES = 1 << 16
"""Files up to this size are compared by digest at each rerun."""

ANY_BYTES = 1 << 62
"""As ``small``: every file is compared by digest."""

OTHER_VERSION = "it was made by another version"


@dataclass(frozen=True, slots=True)
class Markers(Generic[ResultType]):
    """The finished tasks of one stage, one ``folder/<key>.json`` each: ``inputs`` and ``result``.

    ``root``: the files of a result are remembered by their paths below it, so that the whole can be moved.
    """

    folder: Path
    root: Path
    result_type: type[ResultType]
    _listing: Mapping[str, FileStatus] | None = None

    def result(self, key: str, inputs: Mapping[str, object], small: int = SMALL_BYTES) -> tuple[ResultType | None, str]:
        """The result of a task if it was finished and all still holds; else ``None``, and why not.

        All holds if the task depended on exactly ``inputs``, its files lie there in their sizes, and those of up to
        ``small`` bytes have the content that was written. The reason is empty for a task that was never finished.
        """
        marker = read_sealed(self.path(key))
        if marker is None:
            return None, ""
        if "inputs" not in marker:
            return None, OTHER_VERSION
        why = reasons(changes(marker["inputs"], orjson.loads(orjson.dumps(inputs))))
        if why:
            return None, why
        try:
            result = msgspec.convert(marker.get("result"), self.result_type, str_keys=True)
        except msgspec.ValidationError:
            return None, OTHER_VERSION
        for file in result.files:
            path = self.root / file.path
            fault = _missing(path, file, self._size(file.path)) or _altered(path, file, small)
            if fault:
                return None, fault
        return map_files(result, self._absolute), ""

    def last_result(self, key: str) -> ResultType | None:
        """The result of a task that was finished, whatever it depended on, and whether or not its files are there."""
        marker = read_sealed(self.path(key))
        try:
            result = msgspec.convert((marker or {}).get("result"), self.result_type, str_keys=True)
        except msgspec.ValidationError:
            return None
        return map_files(result, self._absolute)

    def results(
        self, keys: Sequence[str], inputs: Sequence[Mapping[str, object]]
    ) -> Iterator[tuple[ResultType | None, str]]:
        """:meth:`result` of many tasks, in their order; from a store, which is listed once, many at a time."""
        markers = self
        if is_remote(self.root) and keys:
            with reading(self.root):
                markers = replace(self, _listing=statuses_below(self.root))
        with requests_at_once(self.root) as threads:
            yield from threads.map(markers.result, keys, inputs)

    def finish(self, key: str, inputs: Mapping[str, object], result: ResultType) -> None:
        """Record that the files of a task's ``result`` lie complete on disk."""
        relative = map_files(result, self._relative)
        write_sealed(self.path(key), {"inputs": dict(inputs), "result": msgspec.to_builtins(relative, str_keys=True)})

    def others(self, keys: Collection[str]) -> Iterator[tuple[Path, list[str]]]:
        """The markers of tasks not among ``keys``, and the files that those wrote, by their paths below the root."""
        if is_remote(self.folder):
            with reading(self.folder):
                names = [name for name in statuses_below(self.folder) if name.endswith(".json")]
        else:
            names = [path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*.json")]
        wanted = {f"{key}.json" for key in keys}
        for name in sorted(set(names) - wanted):
            yield self.folder / name, list(_paths_in(read_sealed(self.folder / name)))

    def path(self, key: str) -> Path:
        """Where the marker of a task lies."""
        return self.folder / f"{key}.json"

    def _absolute(self, file: FileRecord) -> FileRecord:
        return FileRecord(str(self.root / file.path), file.bytes, file.blake2b)

    def _relative(self, file: FileRecord) -> FileRecord:
        return FileRecord(relative_name(file.path, self.root), file.bytes, file.blake2b)

    def _size(self, relative: str) -> int | None:
        """Of a file below the root, in bytes; ``None`` if there is none."""
        if self._listing is not None:
            return self._listing[relative].size if relative in self._listing else None
        path = self.root / relative
        with reading(path), contextlib.suppress(FileNotFoundError):
            return status_of(path).size
        return None


def _paths_in(value: object) -> Iterator[str]:
    """Of all file records in a marker, whatever version wrote it."""
    if isinstance(value, dict):
        if value.keys() == set(FileRecord.__struct_fields__):
            yield value["path"]
        else:
            for one in value.values():
                yield from _paths_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from _paths_in(one)


def _missing(path: Path, file: FileRecord, size: int | None) -> str:
    if size is None:
        return f"{path} is missing"
    return "" if size == file.bytes else f"{path} has {size:,} bytes instead of {file.bytes:,}"


def _altered(path: Path, file: FileRecord, small: int) -> str:
    if file.bytes > small or own_record(path).blake2b == file.blake2b:
        return ""
    return f"{path} is not what was written"


def reasons(found: Sequence[str]) -> str:
    """The first three of ``found`` and how many more there are."""
    return "; ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")


def changes(before: Any, now: Any, at: str = "") -> list[str]:
    """What differs between two JSON values, as ``settings.seed: 1 -> 2``."""
    if before == now:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted({*before, *now})
        return [
            change for key in keys for change in changes(before.get(key), now.get(key), f"{at}.{key}" if at else key)
        ]
    shown = [orjson.dumps(value).decode() for value in (before, now)]
    if any(len(text) > 40 for text in shown) or any(isinstance(value, list) for value in (before, now)):
        return [f"{at} changed"]
    return [f"{at}: {shown[0]} -> {shown[1]}"]
