"""Training from a mixture in PyTorch: sequences in their order, position ids, and masks that keep documents apart.

What needs PyTorch is imported when it is asked for; the arithmetic is in ``places``, ``order`` and ``sequence_files``,
on numpy. Install the extra ``slimpajama[training]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what has PyTorch in it is imported when it is asked for
    from slimpajama.training.collating import block_mask as block_mask
    from slimpajama.training.collating import collate as collate
    from slimpajama.training.collating import document_mask as document_mask
    from slimpajama.training.dataset import MixtureDataset as MixtureDataset

__all__ = ["MixtureDataset", "block_mask", "collate", "document_mask"]


def __getattr__(name: str) -> object:
    if name == "MixtureDataset":
        from slimpajama.training.dataset import MixtureDataset

        return MixtureDataset
    if name in __all__:
        from slimpajama.training import collating

        return getattr(collating, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
