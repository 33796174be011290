"""Parquet files on a disk or in a store as one dataset, in the order of their paths. Opens the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from slimpajama.storage.paths import is_remote

if TYPE_CHECKING:
    import pyarrow.dataset as pads

__all__ = ["parquet_dataset"]


def parquet_dataset(paths: Sequence[Path]) -> pads.Dataset:
    """One dataset of ``paths``, of which there is at least one, all in one store or on this machine."""
    import pyarrow.dataset as pads

    if not is_remote(paths[0]):
        return pads.dataset([str(path) for path in paths], format="parquet")
    remote = [cast(Any, path) for path in paths]
    return pads.dataset([path.path for path in remote], filesystem=remote[0].fs, format="parquet")
