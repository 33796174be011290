"""How finished work is remembered: a sealed JSON file for each work item, so that a rerun skips what still holds.

A marker has all that the item depended on, the figures it returned, and the size and digest of each file it wrote;
``ls`` shows the state of a run. A marker that was changed does not count. Small files are compared by digest and large
ones by size, because a rerun that finds everything done must not read terabytes; whoever reads a large file compares
its digest then (:mod:`slimpajama.written_files`). Rejected: one database of finished items (a second thing that can be
corrupt, and it cannot live in a bucket), and "skip what exists" (it reuses what another setting made).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from slimpajama.sealed_json import read_sealed, write_sealed
from slimpajama.storage import FileStatus, is_remote, relative_name, requests_at_once, status_of, statuses_below
from slimpajama.workspace import file_record

__all__ = ["ANY_BYTES", "Markers", "changes", "reasons"]

SMALL_BYTES = 1 << 16
"""Files up to this size are compared by digest at each rerun."""

ANY_BYTES = 1 << 62
"""As ``small``: every file is compared by digest."""


@dataclass(frozen=True, slots=True)
class Markers:
    """The finished items of one stage, one ``folder/<item>.json`` each: ``depends``, ``result`` and ``files``.

    ``root``: the files of a result are remembered by their paths below it, so that the whole can be moved.
    """

    folder: Path
    root: Path
    _listing: Mapping[str, FileStatus] | None = None

    def result(
        self, item: str, depends: Mapping[str, Any], small: int = SMALL_BYTES
    ) -> tuple[dict[str, Any] | None, str]:
        """What the item returned if it was finished and all still holds; else ``None``, and why not.

        All holds if the item depended on exactly ``depends``, its files lie there in their sizes, and those of up to
        ``small`` bytes have the content that was written. The reason is empty for an item that was never finished.
        """
        marker = read_sealed(self.path(item))
        if marker is None or not all(name in marker for name in ("depends", "result", "files")):
            return None, ""
        why = reasons(changes(marker["depends"], orjson.loads(orjson.dumps(depends))))
        if why:
            return None, why
        files = [{**file, "path": str(self.root / file["path"])} for file in marker["files"]]
        for file, relative in zip(files, marker["files"], strict=True):
            fault = _missing(file, self._size(relative["path"])) or _altered(self.root, relative, small)
            if fault:
                return None, fault
        return {**marker["result"], "files": files}, ""

    def results(
        self, items: Sequence[str], depends: Sequence[Mapping[str, Any]]
    ) -> Iterator[tuple[dict[str, Any] | None, str]]:
        """:meth:`result` of many items, in their order; from a store, which is listed once, many at a time."""
        markers = replace(self, _listing=statuses_below(self.root)) if is_remote(self.root) and items else self
        with requests_at_once(self.root) as threads:
            yield from threads.map(markers.result, items, depends)

    def finish(self, item: str, depends: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Record that the item's outputs lie complete on disk. ``result["files"]``: their records, if it has any."""
        files = [{**file, "path": relative_name(file["path"], self.root)} for file in result.get("files", ())]
        rest = {key: value for key, value in result.items() if key != "files"}
        write_sealed(self.path(item), {"depends": dict(depends), "result": rest, "files": files})

    def others(self, items: Collection[str]) -> Iterator[tuple[Path, list[str]]]:
        """The markers of items not among ``items``, and the files that those wrote, by their paths below the root."""
        if is_remote(self.folder):
            names = [name for name in statuses_below(self.folder) if name.endswith(".json")]
        else:
            names = [path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*.json")]
        wanted = {f"{item}.json" for item in items}
        for name in sorted(set(names) - wanted):
            marker = read_sealed(self.folder / name) or {}
            files = marker.get("files", ())
            yield self.folder / name, [file["path"] for file in files]

    def path(self, item: str) -> Path:
        """Where the marker of ``item`` lies."""
        return self.folder / f"{item}.json"

    def _size(self, relative: str) -> int | None:
        """Of a file below the root, in bytes; ``None`` if there is none."""
        if self._listing is not None:
            return self._listing[relative].size if relative in self._listing else None
        try:
            return status_of(self.root / relative).size
        except FileNotFoundError:
            return None


def _missing(file: Mapping[str, Any], size: int | None) -> str:
    if size is None:
        return f"{file['path']} is missing"
    return "" if size == file["bytes"] else f"{file['path']} has {size:,} bytes instead of {file['bytes']:,}"


def _altered(root: Path, file: Mapping[str, Any], small: int) -> str:
    if file["bytes"] > small or file_record(root / file["path"])["blake2b"] == file["blake2b"]:
        return ""
    return f"{root / file['path']} is not what was written"


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
