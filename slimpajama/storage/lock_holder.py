"""Who holds a lock: what is written into it, for the other run to read and to tell its user."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from slimpajama.errors import WorkspaceLocked

__all__ = ["Holder", "held_by_other", "lock_lost"]


@dataclass(frozen=True, slots=True)
class Holder:
    """A process. In a store it also writes the time of its last sign of life (``beat``) and a ``token`` of its own."""

    pid: int
    host: str = ""
    since: str = ""
    command: str = ""
    beat: float = 0.0
    token: str = ""

    @staticmethod
    def this_process() -> Holder:
        """The process that calls."""
        words = [Path(word).name if place == 0 else word for place, word in enumerate(sys.argv[:2])]
        since = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return Holder(os.getpid(), socket.gethostname(), since, " ".join(words))

    @staticmethod
    def parse(content: bytes) -> Holder | None:
        """The holder that a lock names, or ``None``: readers write nothing, and a lock may be damaged."""
        try:
            return msgspec.json.decode(content, type=Holder)
        except msgspec.DecodeError:
            return None

    def encode(self) -> bytes:
        """What is written into the lock."""
        return msgspec.json.encode(self)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} ({self.command}, since {self.since})"


def held_by_other(folder: Path, holder: Holder | None) -> WorkspaceLocked:
    """The error for a run that comes second."""
    return WorkspaceLocked(
        f"{folder} is in use by {holder or 'a process that reads it'}; wait until it is done or stop it, "
        "or choose another output"
    )


def lock_lost(folder: Path, holder: Holder | None) -> WorkspaceLocked:
    """The error for a run whose lock is in other hands, or gone."""
    what = f"{holder} took {folder} over" if holder else f"the lock on {folder} was removed"
    return WorkspaceLocked(
        f"{what} while this run was paused or cut off from the store, so this run has stopped; when no other run is at "
        "work there, run the same command again and then slimpajama verify"
    )
