"""How kernels are compiled: without the interpreter lock, cached on disk, and announced when it takes a while.

numba keys a cached kernel by the time and size of its own source file: one that calls a kernel of another file keeps
the old one inside when that file changes, and installed files all have the same time. A stale kernel would give wrong
signatures without a word, so the cache here lies in a folder named by a digest of every source that defines a kernel.
Rejected: no cache (20 seconds at each start), and ahead-of-time compilation (a wheel per machine type).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import event

__all__ = ["compilation_announced", "kernel"]

Function = TypeVar("Function", bound=Callable[..., Any])

PACKAGE = Path(__file__).parent

_numba: Any = numba


def kernel(function: Function) -> Function:
    """Compile ``function`` by numba when it is first called; it runs without the interpreter lock."""
    before = _numba.config.CACHE_DIR
    _numba.config.CACHE_DIR = _cache_folder()  # read while decorating; other packages' kernels are none of our business
    try:
        compiled: Function = _numba.njit(nogil=True, cache=True)(function)
    finally:
        _numba.config.CACHE_DIR = before
    return compiled


@functools.cache
def _cache_folder() -> str:
    """``NUMBA_CACHE_DIR``, the package's ``__pycache__`` or the user's cache: the first that can be written."""
    digest = hashlib.blake2b(digest_size=8)
    for source in sorted(PACKAGE.rglob("*.py")):
        content = source.read_bytes()
        if b"\n@kernel\n" in content:
            digest.update(content)
    name = f"kernels-{digest.hexdigest()}"
    if _numba.config.CACHE_DIR:
        return str(Path(_numba.config.CACHE_DIR, f"slimpajama-{name}"))
    beside = PACKAGE / "__pycache__"
    with contextlib.suppress(OSError):
        beside.mkdir(exist_ok=True)
    if os.access(beside, os.W_OK):
        return str(beside / name)
    return str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "slimpajama", name))


class _Notice(event.Listener):
    def __init__(self) -> None:
        self.said = False

    def on_start(self, event: Any) -> None:
        if not self.said:
            self.said = True
            print("compiling kernels (once per installation, some seconds) ...", file=sys.stderr, flush=True)

    def on_end(self, event: Any) -> None:
        pass


@contextlib.contextmanager
def compilation_announced() -> Iterator[None]:
    """Within the block, the first compilation that no cache spares is announced on standard error."""
    with event.install_listener("numba:compile", _Notice()):
        yield
