"""What the program says while it works: the logger ``slimpajama``, on the command line and out of workers.

Library code calls ``LOGGER.warning(...)`` and so on. A program that imports the package handles these records as it
handles any others. The command line writes them to standard error, a line each, and warnings always. A worker keeps
the lines of an item and returns them with the result, so that they reach the process that started it, also from
another machine; if the worker dies, the item is tried again and says them again. Costs nothing where nothing is said.
Rejected: handlers in every worker (lines of several processes mix, and on Ray nobody would see them), and a
``NullHandler`` (Python shows warnings by itself where no handler is set, which is what a script wants).
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from slimpajama.printable import printable

__all__ = ["LEVELS", "LOGGER", "Line", "captured", "log_to_stderr", "log_to_stderr_like_parent", "repeat"]

LOGGER = logging.getLogger("slimpajama")

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_LEVEL_VARIABLE = "SLIMPAJAMA_LOG_LEVEL"
"""Tells the server that a command's workers are forked from which lines to write. It compiles kernels."""


class _StandardError(logging.Handler):
    """Writes to the standard error of the moment, above progress bars if there are any."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        line = f"{prefix}{printable(record.getMessage())}\n"
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or not there at all
            if "tqdm" in sys.modules:
                from tqdm import tqdm

                tqdm.write(line, file=sys.stderr, end="")
            else:
                sys.stderr.write(line)
            sys.stderr.flush()


@contextlib.contextmanager
def log_to_stderr(level: str) -> Iterator[None]:
    """Within the block, write lines of ``level`` (a key of :data:`LEVELS`) and above to standard error."""
    handler, level_before, variable_before = _StandardError(), LOGGER.level, os.environ.get(_LEVEL_VARIABLE)
    LOGGER.addHandler(handler)
    LOGGER.setLevel(LEVELS[level])
    os.environ[_LEVEL_VARIABLE] = level
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level_before)
        del os.environ[_LEVEL_VARIABLE]
        if variable_before is not None:
            os.environ[_LEVEL_VARIABLE] = variable_before


def log_to_stderr_like_parent() -> None:
    """Write the lines that the command which started this process writes, for as long as the process lives."""
    level = LEVELS.get(os.environ.get(_LEVEL_VARIABLE, ""))
    if level is not None:
        LOGGER.addHandler(_StandardError())
        LOGGER.setLevel(level)


@dataclass(frozen=True, slots=True)
class Line:
    """One log record that travels between processes."""

    level: int
    text: str


class _Keep(logging.Handler):
    def __init__(self, lines: list[Line]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(Line(record.levelno, record.getMessage()))


@contextlib.contextmanager
def captured(level: int) -> Iterator[list[Line]]:
    """Within the block, keep the lines of ``level`` and above in the list, and write them nowhere."""
    lines: list[Line] = []
    before = LOGGER.handlers, LOGGER.level, LOGGER.propagate
    LOGGER.handlers, LOGGER.propagate = [_Keep(lines)], False
    LOGGER.setLevel(level)
    try:
        yield lines
    finally:
        LOGGER.handlers, LOGGER.propagate = before[0], before[2]
        LOGGER.setLevel(before[1])


def repeat(lines: list[Line]) -> None:
    """Log in this process what :func:`captured` kept in another."""
    for line in lines:
        LOGGER.log(line.level, "%s", line.text)
