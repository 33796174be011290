"""Reading files that this program wrote, outside of stages: what cannot be read is an error that names the file.

In a stage, the runner does this for all that a task reads. Whatever reads an output beside the stages (to print it, to
copy it, to see whether it still holds) does it inside :func:`reading`. A table that was cut short or overwritten opens
well and fails in Arrow, which is told the same way. Costs nothing. Rejected: one handler around each command, which
would know neither the file nor whether it is the input's or the output's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from slimpajama.errors import OutputError
from slimpajama.storage.atomic import cannot_read, file_record
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import opened

__all__ = ["own_bytes", "own_record", "reading"]


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise :class:`OutputError` naming ``path`` where the file system or Arrow fails while this is open."""
    try:
        yield
    except OSError as fault:
        raise cannot_read(path, fault) from fault
    except _arrow_fault() as fault:
        raise OutputError(
            f"{path} is damaged: {_in_a_line(fault)}; remove it and run the command that made the output again"
        ) from fault


def _arrow_fault() -> type[Exception]:
    """Every error of Arrow. Imported where something failed: most commands need no Arrow to start."""
    import pyarrow as pa

    fault: type[Exception] = pa.ArrowException
    return fault


def _in_a_line(fault: Exception) -> str:
    return " ".join(str(fault).split()).rstrip(".")


def own_bytes(path: Path) -> bytes:
    """The content of a file of an output. Raises :class:`OutputError`."""
    with reading(path), opened(path) as file:
        return file.read()


def own_record(path: Path) -> FileRecord:
    """The record of a file of an output, as :func:`file_record`. Raises :class:`OutputError`."""
    with reading(path):
        return file_record(path)
