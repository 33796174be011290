"""Versions of everything whose change could change a result: they stand in summaries, and results depend on some."""

from __future__ import annotations

import platform
import unicodedata
from functools import cache
from importlib import metadata

__all__ = ["versions"]

_PACKAGES = ("slimpajama", "numpy", "numba", "pyarrow", "orjson", "msgspec", "zstandard")


@cache
def versions() -> dict[str, str]:
    """By name: Python, Unicode and packages."""
    found = {name: metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), "unicode": unicodedata.unidata_version, **found}
