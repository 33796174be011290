"""What is said where a file of a token store cannot be read, or is no array."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from slimpajama.errors import InputError

__all__ = ["reading_store"]


@contextlib.contextmanager
def reading_store() -> Iterator[None]:
    """Raise :class:`InputError` where a bucket cannot be read while this is open."""
    try:
        yield
    except (OSError, ValueError) as fault:
        raise InputError(f"cannot read the token store: {fault}; remove it and run the same command again") from fault
