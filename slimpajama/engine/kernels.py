"""How kernels are compiled: without the interpreter lock, cached on disk, and announced when it takes a while.

A kernel that was compiled once, for these types of arguments, is loaded as native code, without numba (see
:mod:`slimpajama.engine.native_code`); else numba compiles it. A stale kernel would give wrong signatures without a
word. So each kernel is kept in a folder named by a digest of everything compiled into it: its source file, the values
of the constants it reads, and the kernels it calls. Rejected: nothing kept (20 seconds at each start), ahead-of-time
compilation (a wheel per machine type), a digest of all sources of the package (every kernel is compiled again when any
file changes), and numba's own cache (it keys a kernel by the time and size of one file, which says nothing of what that
calls, and a damaged file in it ends every run).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, TypeVar, cast

import numpy as np

from slimpajama.engine.import_guard import imported_numba
from slimpajama.engine.native_code import load, toolchain, type_key, type_names
from slimpajama.errors import OutputError
from slimpajama.logging import LOGGER
from slimpajama.storage.atomic import atomic_file
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

_compiling = threading.RLock()


class Kernel:
    """A function that is loaded or compiled when it is first called; only to compile it, numba is imported.

    A process that only plans imports modules with kernels for what else is in them, and never calls one.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._compiled: Any = None
        self._calls: dict[tuple[Any, ...], Callable[..., Any]] = {}
        self.ready_for: set[str] = set()
        """Types of arguments, as text, for which it was loaded or compiled in this process."""

    def __call__(self, *arguments: Any) -> Any:
        """Call the kernel for arguments of these types."""
        key = type_key(arguments)
        return (self._calls.get(key) or self._made_ready(key, arguments))(*arguments)

    def _made_ready(self, key: tuple[Any, ...], arguments: tuple[Any, ...]) -> Callable[..., Any]:
        with _compiling:
            names = type_names(arguments)
            folder = _cache_folder(os.environ.get("NUMBA_CACHE_DIR", ""))
            path = None
            if folder is not None and names is not None and not os.environ.get("NUMBA_DISABLE_JIT"):
                types = hashlib.blake2b(repr((names, toolchain())).encode(), digest_size=8).hexdigest()
                name = self._function.__qualname__.replace("<locals>", "")
                path = folder / content_digest(self._function) / f"{name}-{types}.native"
            call = (path and load(path)) or self._compiled_for(arguments, names, path)
            self.ready_for.add(", ".join(names) if names else repr(key))
            self._calls[key] = call
            return call

    def _compiled_for(
        self, arguments: tuple[Any, ...], names: list[str] | None, path: Path | None
    ) -> Callable[..., Any]:
        """numba's dispatcher, which knows these types; what it compiled for them is kept at ``path``, if it can be."""
        from slimpajama.engine.native_export import exported

        dispatcher = self.compiled()
        if path is None or names is None:
            return cast("Callable[..., Any]", dispatcher)
        types = tuple(dispatcher.typeof_pyval(argument) for argument in arguments)
        dispatcher.compile(types)
        entry = f"{self._function.__name__}_{path.parent.name}_{path.stem[-16:]}"
        code = exported(dispatcher.overloads[types], dispatcher.targetctx, entry, names)
        if code is not None:
            with contextlib.suppress(OutputError), atomic_file(path) as file:  # such as a disk that is full
                file.write(code)
        return cast("Callable[..., Any]", dispatcher)

    def compiled(self) -> Any:
        """numba's dispatcher, which kernels that this one calls must be, too."""
        with _compiling:
            if self._compiled is None:
                # Not in numba's own cache: it knows no checksums, so a damaged file would end every run.
                self._compiled = _numba().njit(nogil=True)(self._linked())
            return self._compiled

    def _linked(self) -> FunctionType:
        """The function, which sees the dispatchers of kernels that it calls; other code sees the kernels."""
        function = cast(FunctionType, self._function)
        names = dict(function.__globals__)
        for name in function.__code__.co_names:
            if isinstance(names.get(name), Kernel | Instruction):
                names[name] = names[name].compiled()
        linked = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
        functools.update_wrapper(linked, function)
        return linked


class Instruction:
    """A function that writes LLVM code for kernels. numba is imported when a kernel that uses it is compiled."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._compiled: Any = None

    def __call__(self, *arguments: Any) -> Any:
        """Never called by Python."""
        raise TypeError(f"{self._function.__name__} is for kernels alone")

    def compiled(self) -> Any:
        """numba's intrinsic."""
        if self._compiled is None:
            imported_numba()
            self._compiled = import_module("numba.extending").intrinsic(self._function)
        return self._compiled


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


@functools.cache
def _numba() -> Any:
    """numba, whose compilations are told to :func:`compilation_announced`."""
    numba = imported_numba()
    event: Any = import_module("numba.core.event")

    class Notice(event.Listener):  # type: ignore[misc]
        def on_start(self, event: Any) -> None:
            if _announced is not None:
                _announced.begin()

        def on_end(self, event: Any) -> None:
            pass

    event.register("numba:compile", Notice())
    return numba


class _Announcement:
    """The first compilation within a block."""

    began = 0.0

    def begin(self) -> None:
        if not self.began:
            self.began = time.perf_counter()
            LOGGER.info("compiling kernels (once per installation, some seconds) ...")


_announced: _Announcement | None = None


@contextlib.contextmanager
def compilation_announced(module: str) -> Iterator[None]:
    """Log the first compilation within the block that no cache spares, and keep the time that ``module`` takes."""
    global _announced
    before, _announced = _announced, _Announcement()
    notice = _announced
    try:
        yield
    finally:
        _announced = before
    if notice.began:
        _seconds[module] = time.perf_counter() - notice.began
        LOGGER.info("kernels compiled in %.0f s, once", _seconds[module])


_seconds: dict[str, float] = {}


def compile_seconds(modules: Sequence[str]) -> float:
    """Seconds that it took to compile the kernels of ``modules`` in this process, or the one it was forked from."""
    return sum(_seconds.get(module, 0.0) for module in modules)
