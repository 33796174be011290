"""A stage, its tasks and their results: the types that meet where work is planned, run, remembered and reported.

A stage is one class in one file: what it is called, how it scales, which tasks it consists of, and the function that
does one. To add one, subclass :class:`Stage` and :class:`StageResult`. A task travels to a worker and its result back,
so both are plain data; what is big lies in files, of which a result holds the records. A marker is the JSON of a
result, so a field that does not exist fails in the type checker, and a marker of another shape counts for nothing.
Costs nothing measurable beside a task. Rejected: results as mappings (a misspelt key is found by the user), and stages
as functions with four parallel lists (which file holds what a stage depends on is anybody's guess).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

import msgspec

from slimpajama.engine import Retry
from slimpajama.stages.written_files import WrittenFile
from slimpajama.storage.file_record import FileRecord

__all__ = ["Payload", "ResultType", "Scale", "Stage", "StageResult", "Task", "map_files"]

Scale = Literal["text", "kept text", "documents", "links", "mixed tokens", "fixed"]
"""What the work of a stage is in proportion to."""


class StageResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a task found out, and the records of the files it wrote, in fields of any depth."""

    @property
    def files(self) -> tuple[FileRecord, ...]:
        """All file records in the result, in the order of its fields."""
        return tuple(_files(self))


Payload = TypeVar("Payload")
ResultType = TypeVar("ResultType", bound=StageResult)


@dataclass(frozen=True, slots=True)
class Task(Generic[Payload]):
    """One piece of a stage's work.

    ``key``: its name, unique in the stage and usable as a path. ``payload``: what the stage's function is given.
    ``inputs``: all that the result depends on, as JSON-able values with names a reader of ``slimpajama status``
    understands. ``weight``: bytes it stands for in the progress. ``reads``: files of earlier stages or runs that it
    reads, which must be what was written.
    """

    key: str
    payload: Payload
    inputs: Mapping[str, object]
    weight: int
    reads: tuple[WrittenFile, ...] = ()


class Stage(ABC, Generic[Payload, ResultType]):
    """One stage of a run, made with what its tasks need to know.

    ``name``: of its folder of markers. ``title``: what people see, in summaries too. ``version``: raised when what it
    writes changes, so that older results are not reused. ``kernels``: modules whose import loads the kernels it calls.
    ``scales_with``: what its work is in proportion to; ``slimpajama plan`` scales stages of a token store by it.
    ``single``: it has one task, which runs in one process; ``threaded``: in so many threads of that as a machine has
    workers.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[int]
    result_type: type[ResultType]
    kernels: ClassVar[tuple[str, ...]] = ()
    scales_with: ClassVar[Scale] = "text"
    single: ClassVar[bool] = False
    threaded: ClassVar[bool] = False

    @property
    def label(self) -> str:
        """What people see of this one: its title, unless a run has several of its kind."""
        return self.title

    @property
    def memory(self) -> int | None:
        """Bytes that a task may hold, where that is not what the engine was opened for."""
        return None

    @property
    def retry(self) -> Retry[Payload] | None:
        """What to try next of a task whose worker died; without it, the same task once more."""
        return None

    @abstractmethod
    def tasks(self) -> Sequence[Task[Payload]]:
        """All tasks, in the order of their results. Nothing is written."""

    @staticmethod
    @abstractmethod
    def run(payload: Payload) -> ResultType:
        """Do one task, in a worker."""


Mapped = TypeVar("Mapped")


def map_files(value: Mapped, change: Callable[[FileRecord], FileRecord]) -> Mapped:
    """A copy of a result in which ``change`` has replaced every file record."""
    return _mapped(value, change)  # type: ignore[no-any-return]


def _mapped(value: Any, change: Callable[[FileRecord], FileRecord]) -> Any:
    if isinstance(value, FileRecord):
        return change(value)
    if isinstance(value, msgspec.Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        return type(value)(**{name: _mapped(field, change) for name, field in fields.items()})
    if isinstance(value, tuple):
        return tuple(_mapped(one, change) for one in value)
    if isinstance(value, dict):
        return {key: _mapped(one, change) for key, one in value.items()}
    return value


def _files(value: Any) -> Iterator[FileRecord]:
    if isinstance(value, FileRecord):
        yield value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _files(getattr(value, name))
    elif isinstance(value, tuple):
        for one in value:
            yield from _files(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from _files(one)
