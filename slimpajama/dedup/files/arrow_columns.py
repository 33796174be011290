"""Arrow columns as arrays of numpy: over the same memory where numbers are, unpacked where bits are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["column_array"]


def column_array(column: pa.Array) -> NDArray[Any]:
    """A column without nulls: n numbers or bits as an array ``[n]``, n values of k bytes as ``uint8[n, k]``."""
    if pa.types.is_fixed_size_binary(column.type):
        width = column.type.byte_width
        whole = np.frombuffer(column.buffers()[1], dtype=np.uint8)
        return whole[column.offset * width :][: len(column) * width].reshape(-1, width)
    if pa.types.is_boolean(column.type):
        bits = np.frombuffer(column.buffers()[1], dtype=np.uint8)
        unpacked = np.unpackbits(bits, count=column.offset + len(column), bitorder="little")
        return unpacked[column.offset :].view(np.bool_)
    values: NDArray[Any] = column.to_numpy()
    return values
