"""How kernels are compiled: without the interpreter lock, cached on disk, and announced when it takes a while.

numba keys a cached kernel by the time and size of its own source file: one that calls a kernel of another file keeps
the old one inside when that file changes, and installed files all have the same time. A stale kernel would give wrong
signatures without a word, and so would a constant of another file. So each kernel is cached in a folder named by a
digest of everything compiled into it: its source file, the values of the constants it reads, and the kernels it calls.
Rejected: no cache (20 seconds at each start), ahead-of-time compilation (a wheel per machine type), and a digest of all
sources of the package (every kernel is compiled again when any file changes).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

import numpy as np

from slimpajama.engine.import_guard import imported_numba
from slimpajama.logging import LOGGER
from slimpajama.storage.own_folders import kernel_folder

__all__ = [
    "Instruction",
    "Kernel",
    "compilation_announced",
    "compile_seconds",
    "content_digest",
    "instruction",
    "kernel",
]

Function = TypeVar("Function", bound=Callable[..., Any])

PACKAGE = Path(__file__).parents[1]


class Kernel:
    """A function that is compiled, or loaded from the cache, when it is first called; only then is numba imported.

    A process that only plans imports modules with kernels for what else is in them, and never calls one.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._compiled: Any = None

    def __call__(self, *arguments: Any) -> Any:
        """Call the compiled function."""
        return (self._compiled or self.compiled())(*arguments)

    def compiled(self) -> Any:
        """numba's dispatcher, which kernels that this one calls must be, too."""
        if self._compiled is None:
            numba = imported_numba()
            names = self._function.__globals__
            for name in self._function.__code__.co_names:
                if isinstance(names.get(name), Kernel | Instruction):
                    names[name] = names[name].compiled()
            config: Any = numba.config
            before = config.CACHE_DIR
            folder = _cache_folder(before)
            # numba reads it now; other packages' kernels stay where they are.
            config.CACHE_DIR = str(folder / content_digest(self._function)) if folder else before
            try:
                self._compiled = numba.njit(nogil=True, cache=folder is not None)(self._function)
            finally:
                config.CACHE_DIR = before
        return self._compiled


class Instruction:
    """A function that writes LLVM code for kernels. numba is imported when a kernel that uses it is compiled."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        """Never called by Python."""
        raise TypeError(f"{self._function.__name__} is for kernels alone")

    def compiled(self) -> Any:
        """numba's intrinsic."""
        imported_numba()
        return import_module("numba.extending").intrinsic(self._function)


def instruction(function: Callable[..., Any]) -> Any:
    """Make an instruction for kernels of ``function``, which is what ``numba.extending.intrinsic`` takes."""
    return Instruction(function)


def kernel(function: Function) -> Function:
    """Compile ``function`` by numba when it is first called; it runs without the interpreter lock."""
    return cast(Function, Kernel(function))


@functools.cache
def content_digest(function: Callable[..., Any]) -> str:
    """64-bit hexadecimal digest of everything that is compiled into ``function``."""
    digest = hashlib.blake2b(_source(function.__code__.co_filename), digest_size=8)
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        called = _python_function(value)
        if called is function or isinstance(value, ModuleType):
            continue
        if called is not None:
            content = content_digest(called)
        elif isinstance(value, type):
            file = getattr(sys.modules[value.__module__], "__file__", None)
            content = hashlib.blake2b(_source(file)).hexdigest() if file else repr(value)
        else:
            content = value.tobytes().hex() if isinstance(value, np.ndarray) else repr(value)
        digest.update(f"{name}={content};".encode())
    return digest.hexdigest()


def _python_function(value: Any) -> Any:
    """What a kernel, or an instruction, was made of, by this module or by numba; ``None`` for anything else."""
    if isinstance(value, Kernel | Instruction):
        return value._function
    return getattr(value, "py_func", None) or getattr(value, "_defn", None)


@functools.cache
def _source(path: str) -> bytes:
    return Path(path).read_bytes()


@functools.cache
def _cache_folder(given: str) -> Path | None:
    return kernel_folder(given, PACKAGE)


@contextlib.contextmanager
def compilation_announced(module: str) -> Iterator[None]:
    """Log the first compilation within the block that no cache spares, and keep the time that ``module`` takes."""
    from numba.core import event

    class Notice(event.Listener):
        began = 0.0

        def on_start(self, event: Any) -> None:
            if not self.began:
                self.began = time.perf_counter()
                LOGGER.info("compiling kernels (once per installation, some seconds) ...")

        def on_end(self, event: Any) -> None:
            pass

    notice = Notice()
    with event.install_listener("numba:compile", notice):
        yield
    if notice.began:
        _seconds[module] = time.perf_counter() - notice.began
        LOGGER.info("kernels compiled in %.0f s, once", _seconds[module])


_seconds: dict[str, float] = {}


def compile_seconds(modules: Sequence[str]) -> float:
    """Seconds that it took to compile the kernels of ``modules`` in this process, or the one it was forked from."""
    return sum(_seconds.get(module, 0.0) for module in modules)
