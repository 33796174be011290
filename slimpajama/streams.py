"""Standard streams that may be closed, full or broken without stopping the work.

A command works for hours and prints for a moment. So a note that cannot be written to standard error is dropped, and a
result that cannot be written to standard output is remembered: the command finishes its work and says so at its end by
its exit code. A standard stream that is closed is first opened on ``/dev/null``; else the next file to be opened would
get its number, and what a library prints would land in that file. Costs nothing while nothing is printed. Rejected: to
catch errors around each print, because libraries that print (tqdm, Ray, numba) do not.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any, TextIO

__all__ = ["PatientFile", "patient_stream", "prepare_streams"]


class PatientFile(io.FileIO):
    """A descriptor that accepts everything: what cannot be written is dropped; ``fault`` is the first error."""

    fault: OSError | None = None

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)

    def write(self, data: Any) -> int:
        """Write all of ``data``, or drop the rest of it at the first error; returns its size either way."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            try:
                done += super().write(view[done:]) or 0
            except OSError as fault:
                self.fault = self.fault or fault
                break
        return len(view)


def patient_stream(descriptor: int, like: TextIO | None) -> tuple[TextIO, PatientFile]:
    """A text stream that never raises, in the encoding of ``like``, and the file below it.

    Characters that the encoding lacks, such as those of a file name that is not UTF-8, are written as escapes.
    """
    file = PatientFile(descriptor)
    errors = getattr(like, "errors", None)
    stream = io.TextIOWrapper(
        io.BufferedWriter(file),
        encoding=getattr(like, "encoding", None) or "utf-8",
        errors=errors if errors == "surrogateescape" else "backslashreplace",
        line_buffering=True,
    )
    return stream, file


def prepare_streams() -> PatientFile:
    """Open the standard streams that are closed and make both outputs patient; returns the file of standard output.

    Call it once in a process, before it opens anything.
    """
    for descriptor, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:  # the lowest free number is the one that open gives; writing to 1 stays an error
            with contextlib.suppress(OSError):
                os.set_inheritable(os.open(os.devnull, mode), True)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - stays open as long as the process
    sys.stdout, results = patient_stream(1, sys.stdout)
    sys.stderr, _ = patient_stream(2, sys.stderr)
    return results
