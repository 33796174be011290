"""One-dimensional ``.npy`` files: written in parts, read by range, mapped without keeping what was looked at.

``numpy.load`` opens every one of them. Written because numpy's own writer wants the whole array at once, and its
mapped arrays count against a worker's memory as long as they live: a worker that reads seven sources would seem to
hold gigabytes. Rejected: HDF5 or zarr (a library and a format for what is a header and a range of bytes).
"""

from __future__ import annotations

import mmap
import tokenize
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from slimpajama.errors import InputError
from slimpajama.storage.atomic import atomic_file
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.local_cache import local_copy
from slimpajama.storage.paths import opened

__all__ = ["MappedArray", "map_array", "read_ranges", "write_array"]


def write_array(path: Path, dtype: np.dtype[Any], size: int, chunks: Iterable[NDArray[Any]]) -> FileRecord:
    """Write a one-dimensional ``.npy`` of ``size`` elements from its parts, atomically; returns the file's record."""
    with atomic_file(path) as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (size,)}
        np.lib.format.write_array_header_1_0(cast(BinaryIO, file), header)
        for chunk in chunks:
            file.write(np.ascontiguousarray(chunk).view(np.uint8).data)
    return file.record


def map_array(path: Path) -> NDArray[Any]:
    """A one-dimensional ``.npy`` mapped into memory, read-only."""
    copy = local_copy(path)
    with opened(copy) as file:
        size, dtype = _header(file)
        begin = file.tell()
    if not size:  # nothing cannot be mapped
        return np.zeros(0, dtype=dtype)
    # A plain array is what compiled code takes.
    return np.asarray(np.memmap(copy, dtype, "r", begin, (size,)))


def read_ranges(path: Path, starts: NDArray[np.int64], lengths: NDArray[np.int64], out: NDArray[Any]) -> None:
    """Read ``lengths`` elements of a one-dimensional ``.npy`` from each of ``starts`` on into ``out``, in their order.

    Ranges that follow each other are read in one go. Not by mapping: what is read once and copied would count twice
    against the memory of a worker.
    """
    if not starts.size:
        return
    stops = starts + lengths
    firsts = np.flatnonzero(np.append(True, starts[1:] != stops[:-1]))
    lasts = np.append(firsts[1:], starts.size) - 1
    with opened(path) as file:
        _header(file)
        begin, place = file.tell(), 0
        for start, stop in zip(starts[firsts].tolist(), stops[lasts].tolist(), strict=True):
            part = out[place : place + stop - start]
            file.seek(begin + start * out.itemsize)
            if cast(Any, file).readinto(part.view(np.uint8).data) != (stop - start) * out.itemsize:
                raise InputError(
                    f"{path} is shorter than it was; remove the token store and run the same command again"
                )
            place += stop - start


class MappedArray:
    """A one-dimensional ``.npy`` as ``array``, read-only; pages that were touched count as memory until ``release``."""

    def __init__(self, path: Path) -> None:
        with opened(local_copy(path)) as file:
            size, dtype = _header(file)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self.array: NDArray[Any] = np.frombuffer(self._map, dtype, size, file.tell())

    def release(self) -> None:
        """Give the touched pages back to the system, which still has them cached; the array stays usable."""
        if hasattr(self._map, "madvise"):  # not on Windows, which counts mapped pages apart
            self._map.madvise(mmap.MADV_DONTNEED)


def _header(file: BinaryIO) -> tuple[int, np.dtype[Any]]:
    """Elements and type; the file is left where the elements begin. Raises :class:`ValueError` for no such file."""
    try:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        size = int(shape[0])
    except (tokenize.TokenError, SyntaxError, TypeError, IndexError) as fault:  # numpy reads the header as Python
        raise ValueError(f"its header cannot be read: {fault}") from fault
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read")
    return size, dtype
