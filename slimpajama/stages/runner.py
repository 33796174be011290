"""The stages of a run: tasks that are not done yet go through the engine; each leaves a marker when it is.

A task is not done if its marker is missing, depended on something else, or speaks of files that are gone. Later
stages depend on what earlier ones *wrote*, not on what those depended on, so a shard that was replaced redoes itself
and whatever comes out differently because of it, and no more. The same code that runs a stage tells what there is to
do in it: ``slimpajama status`` goes through a run with ``inspecting`` set, which writes nothing and stops, by
:class:`Unfinished`, at the first stage whose results are not all there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slimpajama.engine import Engine
from slimpajama.engine.kernels import compile_seconds
from slimpajama.errors import InputChanged, OutputError
from slimpajama.stages.markers import Markers
from slimpajama.stages.progress import SILENT, Progress, StageStart
from slimpajama.stages.stage import Payload, ResultType, Stage
from slimpajama.stages.written_files import DamagedFile, WrittenFile, damage_of
from slimpajama.storage.atomic import atomic_file, remove_stale_temporaries, write_json
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import relative_name, remove_file, remove_tree

__all__ = ["StageRecord", "Stages", "Unfinished", "step_of"]

_LOOK_AFTER_DISK = "look after the disk, then run the same command again: finished work is kept"


class Unfinished(Exception):
    """Raised while inspecting, where what follows cannot be known before a stage is run."""


def step_of(label: str) -> str:
    """What several stages are called together: ``check`` of ``check 2: estimate``; of any other stage its label."""
    return label.partition(":")[0].rstrip(" 0123456789")


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
    """What the stages of a run share; one for each folder of outputs. ``records``: of the stages so far, by name.

    ``count``: how many stages are expected, 0 where that is not known. ``compile_seconds``: that it took to compile
    kernels before the stages that call them.

    ``index``: a file that stands for a finished whole; it is removed before the first new result is recorded.

    ``sound``: paths of files that this run wrote, or found to be what was written. ``written``: records, by path, of
    all files that stages wrote in this run or in one before that still holds.
    """

    engine: Engine
    progress: Progress = SILENT
    count: int = 0
    compile_seconds: float = 0.0
    inspecting: bool = False
    index: Path | None = None
    records: dict[str, StageRecord] = field(default_factory=dict)
    sound: set[str] = field(default_factory=set)
    written: dict[str, FileRecord] = field(default_factory=dict)

    def run(self, stage: Stage[Payload, ResultType], markers: Markers[ResultType]) -> list[ResultType]:
        """The results of all tasks, in their order, from ``markers`` where they still hold.

        What a task reads (see :attr:`Task.reads`) must be what was written.
        """
        name, kernels, tasks = stage.label, stage.kernels, stage.tasks()
        results: list[ResultType | None] = []
        stale = {}
        known = markers.results([task.key for task in tasks], [task.inputs for task in tasks])
        for task, (result, reason) in zip(tasks, known, strict=True):
            results.append(result)
            if reason:
                stale[task.key] = reason
        numbers = [number for number, result in enumerate(results) if result is None]
        if self.engine.workers > 1:  # largest first, or a large one that is started last is waited for by all
            numbers.sort(key=lambda number: -tasks[number].weight)
        missing = [tasks[number] for number in numbers]
        record = StageRecord(len(tasks), len(tasks) - len(missing), 0.0, stale)
        self.records[name] = record
        if self.inspecting and missing:
            raise Unfinished(name)
        if kernels and missing:
            self._compile(kernels, stage.run.__module__)
        began = time.perf_counter()
        self._check_files((file for task in missing for file in task.reads), kernels)
        names = {id(task.payload): task.key for task in missing}
        size, to_do = sum(task.weight for task in tasks), sum(task.weight for task in missing)
        number = list(self.records).index(name) + 1
        with (
            self._shown(StageStart(name, number, max(number, self.count) if self.count else 0, size, size - to_do)),
            contextlib.closing(
                self.engine.map(
                    stage.run,
                    [task.payload for task in missing],
                    lambda payload: names.get(id(payload), name),
                    kernels,
                    stage.memory,
                    stage.retry,
                )
            ) as finished,
        ):
            try:
                for index, result in finished:
                    task = missing[index]
                    self.withdraw_index()
                    markers.finish(task.key, task.inputs, result)
                    results[numbers[index]] = result
                    self.sound.update(file.path for file in result.files)
                    self.progress.advanced(task.weight)
            except OSError as fault:  # inputs and outputs have errors of their own
                raise OutputError(
                    f"the stage '{name}' cannot read what an earlier one wrote: {fault}; {_LOOK_AFTER_DISK}"
                ) from fault
        record.seconds = round(time.perf_counter() - began, 3)
        found = [result for result in results if result is not None]
        self.list_files(file for result in found for file in result.files)
        return found

    def is_done(self, stage: Stage[Payload, ResultType], markers: Markers[ResultType]) -> bool:
        """Whether all tasks of a stage are finished and still hold."""
        tasks = stage.tasks()
        known = markers.results([task.key for task in tasks], [task.inputs for task in tasks])
        return all(result is not None for result, _ in known)

    def run_one(self, stage: Stage[Payload, ResultType], markers: Markers[ResultType]) -> ResultType:
        """The result of a stage of one task; see :meth:`run`."""
        (result,) = self.run(stage, markers)
        return result

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

    def forget_others(self, markers: Markers[ResultType], keys: Sequence[str], results: Sequence[ResultType]) -> None:
        """Remove what tasks that are no more have left: their markers, and files that are in no task's result."""
        if self.inspecting:
            return
        files = {relative_name(file.path, markers.root) for result in results for file in result.files}
        for marker, written in markers.others(keys):
            for relative in written:
                if relative not in files:
                    self.remove(markers.root / relative)
            self.remove(marker)

    def finished(
        self, name: str, markers: Markers[ResultType], key: str, inputs: Mapping[str, object]
    ) -> ResultType | None:
        """The result of a stage of one task if it still holds, before what leads to it is looked at; else ``None``."""
        result, reason = markers.result(key, inputs)
        if result is not None or (self.inspecting and reason):
            self.records[name] = StageRecord(1, int(result is not None), 0.0, {key: reason} if reason else {})
        self.list_files(result.files if result else ())
        return result

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

    def withdraw_index(self) -> None:
        """Remove the ``index``, if there is one: what it stands for is about to change."""
        if self.index is not None:
            self.remove(self.index)
            self.index = None

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

    def list_files(self, records: Iterable[FileRecord]) -> None:
        """Count files among those ``written``."""
        self.written.update((record.path, record) for record in records)

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
