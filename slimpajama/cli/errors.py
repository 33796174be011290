"""How a command ends: its result on standard output, or one line that says what failed and what to do."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator

import typer

from slimpajama.cli.options import LogLevelName
from slimpajama.logging import log_to_stderr
from slimpajama.printable import printable

__all__ = ["NOTHING_CHANGED", "reported", "results_only"]

GO_ON = "interrupted; finished work is kept: run the same command again to go on"
NOTHING_CHANGED = "interrupted; nothing was changed, nothing is kept"


@contextlib.contextmanager
def reported(
    debug: bool, interrupted: str = GO_ON, *, quiet: bool = False, log_level: LogLevelName | None = None
) -> Iterator[None]:
    """Errors of this program become one line and an exit code; an interrupt says how to go on.

    Lines of ``log_level`` and above go to standard error; without one, warnings, and what goes on unless ``quiet``.
    """
    from slimpajama.engine.interruption import Terminated, interruptible
    from slimpajama.errors import SlimpajamaError

    try:
        level = log_level.value if log_level else "warning" if quiet else "info"
        with log_to_stderr(level), interruptible(interrupted):
            yield
    except SlimpajamaError as error:
        if debug:
            raise
        typer.echo(f"error: {printable(str(error))}", err=True)
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as interrupt:
        typer.echo(interrupted, err=True)
        number = interrupt.number if isinstance(interrupt, Terminated) else signal.SIGINT
        raise typer.Exit(128 + number) from interrupt


def results_only() -> contextlib.AbstractContextManager[object]:
    """While this is open, what libraries print goes to standard error.

    Ray says on standard output that a node was lost, which would break what ``--json`` prints for a program to read.
    """
    return contextlib.redirect_stdout(sys.stderr)
