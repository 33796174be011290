"""Native code of kernels, as files that are loaded without numba: what one holds, and how it is called.

numba takes half a second to import and as long again to load what it compiled before. So each kernel that was compiled
for some types of arguments leaves a file (see :mod:`slimpajama.engine.native_export`): a checksum, a line of JSON, and
an object file with one entry, which takes arrays as they are and reads address and shape from numpy's own struct. Here
llvmlite alone loads it (2 ms, and 50 ms for the first), and ctypes calls it without the interpreter lock: 1 µs, and
0.3 µs for each array. Rejected: numba's own wrapper of a kernel (it needs helpers that only numba has in memory),
passing addresses, shapes and strides through ctypes (2 µs for each array), and one file for all kernels (writers would
have to wait for each other).
"""

from __future__ import annotations

import builtins
import ctypes
import functools
import hashlib
import io
import json
import os
import pickle
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["ARRAY_FIELDS", "RESULT_AT", "Native", "Returned", "load", "packed", "toolchain", "type_key", "type_names"]

_FORMAT = 1
_CHECKSUM_BYTES = 16

ARRAY_FIELDS = object.__basicsize__
"""Where numpy's ``PyArrayObject`` has the address of its data; ``nd``, ``dimensions`` and ``strides`` follow."""

RESULT_AT = 8
"""Where in what an entry fills the result begins, after the address that tells of an exception."""

_FLAGS = 0x1 | 0x2 | 0x100 | 0x400  # C and Fortran order, aligned, writable

_SCALARS: dict[str, Any] = {
    "b1": ctypes.c_bool,
    "i1": ctypes.c_int8,
    "i2": ctypes.c_int16,
    "i4": ctypes.c_int32,
    "i8": ctypes.c_int64,
    "u1": ctypes.c_uint8,
    "u2": ctypes.c_uint16,
    "u4": ctypes.c_uint32,
    "u8": ctypes.c_uint64,
    "f4": ctypes.c_float,
    "f8": ctypes.c_double,
}


def type_key(arguments: Sequence[Any]) -> tuple[Any, ...]:
    """What tells types of arguments apart, quickly; different keys may stand for the same :func:`type_names`."""
    key: list[Any] = []
    for argument in arguments:
        kind = type(argument)
        if kind is np.ndarray:
            key.append((argument.dtype, argument.ndim, argument.flags.num & _FLAGS))
        elif kind is int and not -(1 << 63) <= argument < 1 << 63:
            key.append("a large int")
        else:
            key.append(kind)
    return tuple(key)


def type_names(arguments: Sequence[Any]) -> list[str] | None:
    """The types of arguments as text, such as ``i8`` and ``u4[2C]``; ``None`` where only numba can take one of them."""
    names = [_type_name(argument) for argument in arguments]
    return None if None in names else [name for name in names if name]


def _type_name(argument: Any) -> str | None:
    kind = type(argument)
    if kind is np.ndarray:
        name = argument.dtype.str[1:]
        if name not in _SCALARS or not argument.dtype.isnative:
            return None
        flags = argument.flags
        order = "C" if flags.c_contiguous else "F" if flags.f_contiguous else "A"
        return f"{name}[{argument.ndim}{order}{'' if flags.writeable else 'r'}{'' if flags.aligned else 'u'}]"
    if kind is bool:
        return "b1"
    if kind is int:
        return "i8" if -(1 << 63) <= argument < 1 << 63 else None
    if kind is float:
        return "f8"
    name = argument.dtype.str[1:] if isinstance(argument, np.generic) else ""
    return name if name in _SCALARS else None


@dataclass(frozen=True, slots=True)
class Returned:
    """What a kernel returns: nothing, one value, or a tuple of ``types``."""

    types: tuple[str, ...]
    is_tuple: bool


class Native:
    """A kernel in native code, for some types of arguments."""

    def __init__(self, address: int, arguments: Sequence[str], returned: Returned, keep: Any = None) -> None:
        """``keep``: what must stay for the code to stay at ``address``."""
        types = [ctypes.py_object if name.endswith("]") else _SCALARS[name] for name in arguments]
        self._entry = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, *types)(address)
        self._scalars = [at for at, name in enumerate(arguments) if not name.endswith("]")]
        self._names = [f"value{at}" for at in range(len(returned.types))]
        fields = [(name, _SCALARS[kind]) for name, kind in zip(self._names, returned.types, strict=True)]

        class Values(ctypes.Structure):
            _fields_ = fields

        class Filled(ctypes.Structure):
            _fields_ = (("fault", ctypes.c_void_p), ("values", Values))

        self._filled = Filled
        self._is_tuple = returned.is_tuple
        self._keep = keep

    def __call__(self, *arguments: Any) -> Any:
        """Call it, with arguments of its types."""
        given = list(arguments)
        for at in self._scalars:
            if isinstance(given[at], np.generic):
                given[at] = given[at].item()
        filled = self._filled()
        if self._entry(ctypes.addressof(filled), *given):
            raise _error(filled.fault)
        values = filled.values
        if self._is_tuple:
            return tuple([getattr(values, name) for name in self._names])
        return values.value0 if self._names else None


class _BuiltInExceptions(pickle.Unpickler):
    """Finds exceptions of Python's own and nothing else, so no code is run by what it reads."""

    def find_class(self, module: str, name: str) -> Any:
        found = getattr(builtins, name, None) if module == "builtins" else None
        if isinstance(found, type) and issubclass(found, Exception):
            return found
        raise pickle.UnpicklingError(f"{module}.{name}")


def _error(fault: int | None) -> BaseException:
    """The exception that a kernel raised: numba keeps its class and arguments in the code, in pickle's form."""
    if not fault:
        return SystemError("a kernel failed without an exception")
    address, size = struct.unpack("=Qi", ctypes.string_at(fault, 12))
    try:
        kind, arguments, _ = _BuiltInExceptions(io.BytesIO(ctypes.string_at(address, size))).load()
    except pickle.UnpicklingError as other:
        return SystemError(f"a kernel raised {other}")
    error = kind(*(arguments or ()))
    return error if isinstance(error, BaseException) else SystemError(f"a kernel raised {error!r}")


def packed(entry: str, arguments: Sequence[str], returned: Returned, code: bytes) -> bytes:
    """What the file of a kernel holds; ``code``: an object file with the function ``entry``."""
    facts = {"entry": entry, "arguments": list(arguments), "types": returned.types, "is_tuple": returned.is_tuple}
    content = json.dumps(facts).encode() + b"\n" + code
    return _checksum(content) + content


def load(path: Path) -> Native | None:
    """The kernel in the file ``path``, or ``None`` where that is missing, or damaged."""
    if not _numpy_is_known():
        return None
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    content = stored[_CHECKSUM_BYTES:]
    if stored[:_CHECKSUM_BYTES] != _checksum(content):
        return None
    line, _, code = content.partition(b"\n")
    facts = json.loads(line)
    engine, llvm = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    returned = Returned(tuple(facts["types"]), facts["is_tuple"])
    return Native(engine.get_function_address(facts["entry"]), facts["arguments"], returned, engine)


def _checksum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_CHECKSUM_BYTES).digest()


@functools.cache
def _llvm() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


@functools.cache
def _engine() -> tuple[Any, Any]:
    llvm = _llvm()
    target = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten()
    )
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), target), llvm


@functools.cache
def toolchain() -> str:
    """All that native code depends on beside its sources: the processor, the compiler and what that is told."""
    from importlib.metadata import version

    llvm = _llvm()
    told = sorted((name, value) for name, value in os.environ.items() if name.startswith("NUMBA_"))
    return repr(
        (
            *(_FORMAT, ARRAY_FIELDS, version("numba"), version("llvmlite"), version("numpy")),
            *(llvm.get_default_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()),
            [one for one in told if one[0] != "NUMBA_CACHE_DIR"],
        )
    )


@functools.cache
def _numpy_is_known() -> bool:
    """Whether arrays look in memory as entries expect."""
    array = np.zeros((3, 4), dtype=np.uint16)[:, ::2]
    data, dimensions, shape, strides = struct.unpack("=Qi4xQQ", ctypes.string_at(id(array) + ARRAY_FIELDS, 32))
    return (
        data == array.ctypes.data
        and dimensions == array.ndim
        and struct.unpack("=2q", ctypes.string_at(shape, 16)) == array.shape
        and struct.unpack("=2q", ctypes.string_at(strides, 16)) == array.strides
    )
