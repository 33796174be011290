"""The stages of a run: items that are not done yet go through the engine; each leaves a marker when it is.

An item is not done if its marker is missing, depended on something else, or speaks of files that are gone. Later
stages depend on what earlier ones *wrote*, not on what those depended on, so a shard that was replaced redoes itself
and whatever comes out differently because of it, and no more. The same code that runs a stage tells what there is to
do in it: ``slimpajama status`` goes through a run with ``inspecting`` set, which writes nothing and stops, by
:class:`Unfinished`, at the first stage whose results are not all there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slimpajama.compilation import compile_seconds
from slimpajama.engine import Engine, Item, Retry
from slimpajama.errors import InputChanged, OutputError
from slimpajama.fence import Fenced, current_claims
from slimpajama.markers import Markers
from slimpajama.progress import SILENT, Progress, StageStart
from slimpajama.storage import relative_name, remove_file, remove_tree
from slimpajama.workspace import atomic_file, remove_stale_temporaries, write_json
from slimpajama.written_files import DamagedFile, WrittenFile, damage_of

__all__ = ["StageRecord", "Stages", "Unfinished"]


_LOOK_AFTER_DISK = "look after the disk, then run the same command again: finished work is kept"


class Unfinished(Exception):
    """Raised while inspecting, where what follows cannot be known before a stage is run."""


@dataclass(slots=True)
class StageRecord:
    """One stage, as run or inspected: how many ``items`` there are, how many were ``reused``, and the ``seconds``.

    ``stale``: for each item that was finished once but does not hold any more, why. Other items were never finished.
    """

    items: int
    reused: int
    seconds: float
    stale: dict[str, str]


@dataclass(slots=True)
class Stages:
    """What the stages of a run share. ``records``: of the stages so far, by name.

    ``count``: how many stages are expected, 0 where that is not known. ``compile_seconds``: that it took to compile
    kernels before the stages that call them.

    ``sound``: paths of files that this run wrote, or found to be what was written. ``written``: records, by path, of
    all files that stages wrote in this run or in one before that still holds.
    """

    engine: Engine
    progress: Progress = SILENT
    count: int = 0
    compile_seconds: float = 0.0
    inspecting: bool = False
    records: dict[str, StageRecord] = field(default_factory=dict)
    sound: set[str] = field(default_factory=set)
    written: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def run(
        self,
        name: str,
        items: Sequence[Item],
        function: Callable[[Item], dict[str, Any]],
        *,
        markers: Markers,
        keys: Sequence[str],
        depends: Sequence[Mapping[str, Any]],
        weights: Sequence[int],
        kernels: Sequence[str] = (),
        memory: int | None = None,
        retry: Retry[Item] | None = None,
        reads: Sequence[Sequence[WrittenFile]] = (),
    ) -> list[dict[str, Any]]:
        """The results of ``function`` for all items, in their order, from markers where they still hold.

        ``keys``: a name for each item, unique in the stage. ``depends``: all that the item's result depends on, as
        JSON-able values with names a reader understands. ``weights``: bytes each stands for, for the progress bar.
        ``kernels``: modules that load the kernels the items call, if any. ``memory``: bytes that an item may hold, if
        not as many as any. ``retry``: see :meth:`slimpajama.engine.Engine.map`. ``reads``: for each item, the files of
        earlier stages or runs that it reads, which must be what was written. A result is a mapping of plain values;
        ``result["files"]`` are the records of the files the item wrote.
        """
        results: list[dict[str, Any] | None] = []
        stale = {}
        for key, (result, reason) in zip(keys, markers.results(keys, depends), strict=True):
            results.append(result)
            if reason:
                stale[key] = reason
        missing = [index for index, result in enumerate(results) if result is None]
        record = StageRecord(len(items), len(items) - len(missing), 0.0, stale)
        self.records[name] = record
        if self.inspecting and missing:
            raise Unfinished(name)
        if kernels and missing:
            self._compile(kernels, function.__module__)
        began = time.perf_counter()
        if reads:
            self._check_files((file for index in missing for file in reads[index]), kernels)
        claims = current_claims()
        names = {id(items[index]): keys[index] for index in missing}
        size, to_do = sum(weights), sum(weights[index] for index in missing)
        number = list(self.records).index(name) + 1
        with (
            self._shown(StageStart(name, number, max(number, self.count) if self.count else 0, size, size - to_do)),
            contextlib.closing(
                self.engine.map(
                    Fenced(function, claims) if claims else function,
                    [items[index] for index in missing],
                    lambda item: names.get(id(item), name),
                    [*kernels, function.__module__] if claims else kernels,
                    memory,
                    retry,
                )
            ) as finished,
        ):
            try:
                for place, result in finished:
                    index = missing[place]
                    markers.finish(keys[index], depends[index], result)
                    results[index] = {"files": [], **result}
                    self.sound.update(str(file["path"]) for file in result.get("files", ()))
                    self.progress.advanced(weights[index])
            except OSError as fault:  # inputs and outputs have errors of their own
                raise OutputError(
                    f"the stage '{name}' cannot read what an earlier one wrote: {fault}; {_LOOK_AFTER_DISK}"
                ) from fault
        record.seconds = round(time.perf_counter() - began, 3)
        found = [result for result in results if result is not None]
        self.list_files(file for result in found for file in result["files"])
        return found

    @contextlib.contextmanager
    def _shown(self, stage: StageStart) -> Iterator[None]:
        self.progress.started(stage)
        try:
            yield
        finally:
            self.progress.finished()

    def _compile(self, kernels: Sequence[str], module: str) -> None:
        """Make kernels ready, so that the time that takes is not taken for the stage's. Starts worker processes.

        ``module``: of the function that will be called, which workers load as well.
        """
        began = time.perf_counter()
        item = tuple(kernels)
        with contextlib.closing(self.engine.map(compile_seconds, [item], preload=[*kernels, module])) as ready:
            told = sum(seconds for _, seconds in ready)
        # A server of workers that compiled for an earlier run tells of that, too.
        self.compile_seconds += min(told, time.perf_counter() - began)

    def _check_files(self, files: Iterable[WrittenFile], kernels: Sequence[str]) -> None:
        """Raise an :class:`OutputError` where one of ``files`` is not what its writer wrote.

        Those that the run can make anew are removed, so that its earlier stages do so when they run again. ``kernels``
        are of the stage that follows: worker processes are started here.
        """
        unknown = list({str(file.path): file for file in files if str(file.path) not in self.sound}.values())
        damaged: list[tuple[WrittenFile, str]] = []
        try:
            with contextlib.closing(self.engine.map(damage_of, unknown, lambda file: str(file.path), kernels)) as found:
                damaged += [(unknown[index], damage) for index, damage in found if damage]
        except OSError as fault:
            raise OutputError(f"cannot read what an earlier stage wrote: {fault}; {_LOOK_AFTER_DISK}") from fault
        damaged.sort(key=lambda one: (not one[0].remedy, str(one[0].path)))
        for file, damage in damaged:
            if file.remedy:
                raise InputChanged(f"{file.path} {damage}; {file.remedy}")
        for file, _ in damaged:
            self.remove(file.path)
        if damaged:
            file, damage = damaged[0]
            more = f" (and {len(damaged) - 1:,} other files of this run are damaged)" if len(damaged) > 1 else ""
            raise DamagedFile(f"{file.path} {damage}{more}")
        self.sound.update(str(file.path) for file in unknown)

    def forget_others(self, markers: Markers, keys: Sequence[str], results: Sequence[Mapping[str, Any]]) -> None:
        """Remove what items that are no more have left: their markers, and files that are in no item's result."""
        if self.inspecting:
            return
        files = {relative_name(file["path"], markers.root) for result in results for file in result["files"]}
        for marker, written in markers.others(keys):
            for relative in written:
                if relative not in files:
                    self.remove(markers.root / relative)
            self.remove(marker)

    def finished(self, name: str, markers: Markers, key: str, depends: Mapping[str, Any]) -> dict[str, Any] | None:
        """The result of a stage of one item if it still holds, before what leads to it is looked at; else ``None``."""
        result, reason = markers.result(key, depends)
        if result is not None or (self.inspecting and reason):
            self.records[name] = StageRecord(1, int(result is not None), 0.0, {key: reason} if reason else {})
        self.list_files(result["files"] if result else ())
        return result

    def times(self) -> dict[str, dict[str, Any]]:
        """Seconds, and items run and reused, of each stage, for the summary."""
        return {
            name: {"seconds": record.seconds, "items": record.items, "reused": record.reused}
            for name, record in self.records.items()
        }

    @contextlib.contextmanager
    def cleaning(self, owned: Sequence[Path]) -> Iterator[None]:
        """Remove what interrupted writers left in ``owned``, folders that hold nothing but this run's.

        Before the block, for a run that was killed, and after it, for its own workers that were.
        """
        remove_stale_temporaries(owned)
        try:
            yield
        finally:
            remove_stale_temporaries(owned)

    def write(self, path: Path, content: bytes) -> None:
        """Write a small file that belongs to no item, atomically; not while inspecting."""
        if not self.inspecting:
            with atomic_file(path) as file:
                file.write(content)
            self.list_files([file.record])

    def write_json(self, path: Path, value: object) -> None:
        """Write what belongs to no item, atomically; not while inspecting."""
        if not self.inspecting:
            self.list_files([write_json(path, value)])

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there; not while inspecting."""
        if not self.inspecting:
            with _removing(path):
                remove_file(path)
            self.written.pop(str(path), None)

    def list_files(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Count files among those ``written``."""
        self.written.update((str(record["path"]), record) for record in records)

    def remove_tree(self, folder: Path) -> None:
        """Remove a folder, if it is there; not while inspecting."""
        if not self.inspecting:
            with _removing(folder):
                remove_tree(folder)
            for path in [path for path in self.written if path.startswith(f"{folder}/")]:
                del self.written[path]


@contextlib.contextmanager
def _removing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise OutputError(
            f"cannot remove {path}: {fault.strerror or fault}; remove it yourself, then run the same command again"
        ) from fault
