"""How kernels are compiled: without the interpreter lock, cached on disk, and announced when it takes a while.

numba keys a cached kernel by the time and size of its own source file: one that calls a kernel of another file keeps
the old one inside when that file changes, and installed files all have the same time. A stale kernel would give wrong
signatures without a word, and so do constants of another file. So the cache here lies in a folder named by a digest of
all sources of the package.
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
from typing import Any, TypeVar, cast

from slimpajama.engine.lean import imported_numba

__all__ = ["compilation_announced", "kernel"]

Function = TypeVar("Function", bound=Callable[..., Any])

PACKAGE = Path(__file__).parent


class _Kernel:
    """A function that is compiled, or loaded from the cache, when it is first called; only then is numba imported.

    A process that only plans imports modules with kernels for what else is in them, and never calls one.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._compiled: Any = None

    def __call__(self, *arguments: Any) -> Any:
        return (self._compiled or self.compiled())(*arguments)

    def compiled(self) -> Any:
        """numba's dispatcher, which kernels that this one calls must be, too."""
        if self._compiled is None:
            numba = imported_numba()
            names = self._function.__globals__
            for name in self._function.__code__.co_names:
                if isinstance(names.get(name), _Kernel):
                    names[name] = names[name].compiled()
            config: Any = numba.config
            before = config.CACHE_DIR
            config.CACHE_DIR = _cache_folder(before)  # read now; other packages' kernels are none of our business
            try:
                self._compiled = numba.njit(nogil=True, cache=True)(self._function)
            finally:
                config.CACHE_DIR = before
        return self._compiled


def kernel(function: Function) -> Function:
    """Compile ``function`` by numba when it is first called; it runs without the interpreter lock."""
    return cast(Function, _Kernel(function))


@functools.cache
def _cache_folder(given: str) -> str:
    """``NUMBA_CACHE_DIR``, the package's ``__pycache__`` or the user's cache: the first that can be written."""
    digest = hashlib.blake2b(digest_size=8)
    for source in sorted(PACKAGE.rglob("*.py")):
        digest.update(source.read_bytes())
    name = f"kernels-{digest.hexdigest()}"
    if given:
        return str(Path(given, f"slimpajama-{name}"))
    beside = PACKAGE / "__pycache__"
    with contextlib.suppress(OSError):
        beside.mkdir(exist_ok=True)
    if os.access(beside, os.W_OK):
        return str(beside / name)
    return str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "slimpajama", name))


@contextlib.contextmanager
def compilation_announced() -> Iterator[None]:
    """Within the block, the first compilation that no cache spares is announced on standard error."""
    from numba.core import event

    class Notice(event.Listener):
        said = False

        def on_start(self, event: Any) -> None:
            if not self.said:
                self.said = True
                print("compiling kernels (once per installation, some seconds) ...", file=sys.stderr, flush=True)

        def on_end(self, event: Any) -> None:
            pass

    with event.install_listener("numba:compile", Notice()):
        yield
