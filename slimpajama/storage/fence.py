"""Before a file of a store is written or removed, the lock on its folder is looked at again.

A store cannot stop a run that was paused, lost its lock meanwhile, and wakes up: its next write would land among the
files of the run that took over. So each run writes a token of its own into its lock, its workers know it, and every
write and removal in the folder first reads the lock, if that was not done within the last second. That costs one small
request per file of a store, nothing on a disk. A request that is already on its way cannot be called back; the lock is
read again after it, so that the run stops all the same. Rejected: to trust the clock alone (a paused process has none),
and a condition on each object that is written (parts of large ones are joined without).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from slimpajama.storage.lock_holder import Holder, lock_lost

__all__ = ["Claim", "Fenced", "check", "claiming", "current_claims"]

TRUSTED_SECONDS = 1.0
"""For so long a lock that was read and found ours is taken to be so still."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Claim:
    """The lock ``file`` in a folder of a store is held while it contains ``token``."""

    file: Path
    token: str

    def covers(self, path: Path) -> bool:
        """Whether ``path`` lies in the folder that the lock is for."""
        return str(path).startswith(f"{self.file.parent}".rstrip("/") + "/")


_claims: tuple[Claim, ...] = ()
_confirmed: dict[str, float] = {}
"""When each token was last found in its lock."""


@contextlib.contextmanager
def claiming(claims: tuple[Claim, ...]) -> Iterator[None]:
    """Within the block, this process changes files that ``claims`` cover only while the locks are held."""
    global _claims
    before, _claims = _claims, claims
    try:
        yield
    finally:
        _claims = before
        for claim in set(claims) - set(before):
            _confirmed.pop(claim.token, None)


def current_claims() -> tuple[Claim, ...]:
    """The claims of the innermost :func:`claiming`."""
    return _claims


def check(path: Path, clock: Callable[[], float] = time.time) -> None:
    """Make sure that the locks that cover ``path`` are held still. Raises
    :class:`~slimpajama.errors.WorkspaceLocked` if one is not."""
    for claim in _claims:
        began = clock()
        if not claim.covers(path) or 0 <= began - _confirmed.get(claim.token, -TRUSTED_SECONDS) < TRUSTED_SECONDS:
            continue
        try:
            content = cast(Any, claim.file).fs.cat_file(cast(Any, claim.file).path)
        except FileNotFoundError:
            content = b""
        except Exception:  # noqa: S112 - the store does not answer, which the write that follows will tell
            continue
        holder = Holder.parse(content)
        if holder is None or holder.token != claim.token:
            raise lock_lost(claim.file.parent, holder)
        _confirmed[claim.token] = began


@dataclass(frozen=True, slots=True)
class Fenced(Generic[Item, Result]):
    """``function``, which also in a worker process changes only what ``claims`` allow."""

    function: Callable[[Item], Result]
    claims: tuple[Claim, ...]

    def __call__(self, item: Item) -> Result:
        """The result of the function, under the claims."""
        with claiming(self.claims):
            return self.function(item)
